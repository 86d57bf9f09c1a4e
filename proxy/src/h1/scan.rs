//! Finds the end of a head, wherever the bytes of it are cut, looking at each byte once.
//!
//! Not here: what the head says.

use memchr::memchr;

use super::Refusal;

/// How far a head has been looked at. Offsets are from the beginning of the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Everything before is known to have no further line end.
    seen: usize,
    /// Where the line that is being looked at begins.
    line: usize,
    /// Lines so far.
    lines: usize,
}

/// How much a head may have.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes.
    pub bytes: usize,
    /// Header lines.
    pub headers: usize,
}

impl Scan {
    /// Where the head ends (behind its empty line), if all of it is there.
    ///
    /// `bytes` begins with the head's first line; from call to call it only grows.
    ///
    /// # Errors
    /// A line that does not end in CR LF; more than the bounds.
    pub fn end(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Option<usize>, Refusal> {
        while let Some(found) = memchr(b'\n', &bytes[self.seen..]) {
            let feed = self.seen + found;
            if feed == self.line || bytes[feed - 1] != b'\r' {
                return Err(Refusal::LineEnd);
            }
            if feed >= bounds.bytes {
                return Err(Refusal::HeadTooLarge);
            }
            self.seen = feed + 1;
            if feed == self.line + 1 {
                return Ok(Some(feed + 1));
            }
            self.line = feed + 1;
            self.lines += 1;
            // The first line is no header.
            if self.lines > bounds.headers + 1 {
                return Err(Refusal::TooManyHeaders);
            }
        }
        self.seen = bytes.len();
        match bytes.len() >= bounds.bytes {
            true => Err(Refusal::HeadTooLarge),
            false => Ok(None),
        }
    }
}

/// Bytes of empty lines before a request, which RFC 9112 section 2.2 wants ignored; whole ones only.
#[must_use]
pub fn empty_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    while bytes[at..].starts_with(b"\r\n") {
        at += 2;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 40,
        headers: 2,
    };

    fn end(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let whole = Scan::default().end(bytes, &BOUNDS);
        // However it is cut.
        let mut scan = Scan::default();
        let mut cut = Ok(None);
        for to in 0..=bytes.len() {
            cut = scan.end(&bytes[..to], &BOUNDS);
            if cut != Ok(None) {
                break;
            }
        }
        assert_eq!(cut, whole, "{:?}", bytes.escape_ascii().to_string());
        whole
    }

    #[test]
    fn a_head_ends_behind_its_empty_line() {
        assert_eq!(end(b"GET / HTTP/1.1\r\n\r\n"), Ok(Some(18)));
        assert_eq!(end(b"GET / HTTP/1.1\r\na: b\r\n\r\nmore"), Ok(Some(24)));
        assert_eq!(end(b"GET / HTTP/1.1\r\na: b\r\n"), Ok(None));
        assert_eq!(end(b""), Ok(None));
    }

    #[test]
    fn lines_end_in_cr_lf() {
        assert_eq!(end(b"GET / HTTP/1.1\n\n"), Err(Refusal::LineEnd));
        assert_eq!(end(b"GET / HTTP/1.1\r\n\n"), Err(Refusal::LineEnd));
        assert_eq!(end(b"GET / HTTP/1.1\r\na: b\n\r\n"), Err(Refusal::LineEnd));
        assert_eq!(end(b"\n"), Err(Refusal::LineEnd));
    }

    #[test]
    fn a_head_is_bounded() {
        assert_eq!(end(&[b'a'; 40]), Err(Refusal::HeadTooLarge));
        assert_eq!(end(&[b'a'; 39]), Ok(None));
        assert_eq!(end(b"a\r\nb\r\nc\r\nd\r\n"), Err(Refusal::TooManyHeaders));
        assert_eq!(end(b"a\r\nb\r\nc\r\n\r\n"), Ok(Some(11)));
    }

    #[test]
    fn empty_lines_are_counted_whole() {
        assert_eq!(empty_lines(b"\r\n\r\nGET"), 4);
        assert_eq!(empty_lines(b"\r"), 0);
        assert_eq!(empty_lines(b"GET"), 0);
    }
}
