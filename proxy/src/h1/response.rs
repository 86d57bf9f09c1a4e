//! The head of an answer: what it says, and where its body ends.
//!
//! As strict as with requests: an answer that two readers could cut differently would let one client's
//! answer become another's. Not here: what is sent on (`forward`).

use super::{
    Refusal, Version,
    body::Framing,
    names::{Name, Options},
    request::{self, Slots, once},
};
use crate::config::settings::HEADERS_MAX;

/// An answer's head. All of it is part of the bytes it was read from.
#[derive(Debug)]
pub struct Response<'b, 'h> {
    /// The status.
    pub status: u16,
    /// The words after it.
    pub reason: &'b [u8],
    /// The version.
    pub version: Version,
    /// How the body is delimited.
    pub framing: Framing,
    /// What `Connection` says.
    pub options: Options,
    /// Whether it has a `Date`.
    pub has_date: bool,
    /// All headers.
    pub headers: &'h [httparse::Header<'b>],
    /// What each of them is.
    pub names: [Name; HEADERS_MAX],
}

impl<'b, 'h> Response<'b, 'h> {
    /// Reads a whole head, empty line included, of an answer to HEAD or to something else.
    ///
    /// # Errors
    /// What could be understood in two ways, or not at all.
    pub fn parse(head: &'b [u8], slots: &'h mut Slots<'b>, to_head: bool) -> Result<Self, Refusal> {
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let status = config.parse_response_with_uninit_headers(&mut response, head, slots)?;
        if !matches!(status, httparse::Status::Complete(end) if end == head.len()) {
            return Err(Refusal::Syntax);
        }
        let version = Version::from_minor(response.version);
        let status = response.code.unwrap_or_default();
        let reason = response.reason.unwrap_or_default().as_bytes();
        let headers: &'h [httparse::Header<'b>] = response.headers;
        if !(100..=999).contains(&status) {
            return Err(Refusal::Syntax);
        }
        let mut names = [Name::Other; HEADERS_MAX];
        let (mut length, mut codings) = (None, None);
        let mut options = Options::default();
        let mut has_date = false;
        for (header, name) in headers.iter().zip(&mut names) {
            *name = Name::of(header.name.as_bytes());
            let value = header.value;
            if *name == Name::ContentLength {
                once(&mut length, request::length(value)?, Refusal::Length)?;
            } else if *name == Name::TransferEncoding {
                once(&mut codings, value, Refusal::Framing)?;
            } else if *name == Name::Connection {
                options.add(value);
            }
            has_date |= *name == Name::Date;
        }
        let has_body = !to_head && !matches!(status, 100..=199 | 204 | 304);
        let framing = match (codings, length) {
            (Some(_), Some(_)) => return Err(Refusal::Framing),
            (Some(_), None) if version == Version::Http10 => return Err(Refusal::Framing),
            (Some(codings), None) => {
                request::coding(codings)?;
                Framing::Chunked
            }
            (None, Some(0)) => Framing::None,
            (None, Some(length)) => Framing::Length(length),
            (None, None) => Framing::UntilClose,
        };
        Ok(Self {
            status,
            reason,
            version,
            framing: if has_body { framing } else { Framing::None },
            options,
            has_date,
            headers,
            names,
        })
    }

    /// Whether the server keeps its connection after the body (RFC 9112 section 9.3).
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        match self.version {
            _ if self.options.close || self.framing == Framing::UntilClose => false,
            Version::Http11 | Version::Http2 => true,
            Version::Http10 => self.options.keep_alive,
        }
    }

    /// Whether it is one of those before the answer (RFC 9110 section 15.2); 101 is an answer.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }
}
