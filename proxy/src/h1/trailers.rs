//! The headers after a body (RFC 9110 section 6.5).
//!
//! Not here: reading them out of the coding (`chunked`).

use super::{Refusal, names::Name};

/// Trailers that a body may have.
const COUNT_MAX: usize = 32;

/// Writes trailers down again, without those that could change what was sent before: framing, the
/// connection, where a request is for or came from (RFC 9110 section 6.5.1).
///
/// # Errors
/// What is no header, or too many of them.
pub fn write(lines: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let text = [lines, b"\r\n"].concat();
    let mut slots = [httparse::EMPTY_HEADER; COUNT_MAX];
    let httparse::Status::Complete((end, headers)) = httparse::parse_headers(&text, &mut slots)?
    else {
        return Err(Refusal::Syntax);
    };
    if end != text.len() {
        return Err(Refusal::Syntax);
    }
    for header in headers {
        let says_nothing_before = matches!(
            Name::of(header.name.as_bytes()),
            Name::Other | Name::Date | Name::UserAgent | Name::Referer
        );
        if says_nothing_before {
            out.extend_from_slice(header.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(header.value);
            out.extend_from_slice(b"\r\n");
        }
    }
    Ok(())
}
