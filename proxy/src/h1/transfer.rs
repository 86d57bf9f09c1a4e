//! One direction of an exchange: a head to be written, and a body that is read in one coding and
//! written in another, a buffer at a time.
//!
//! What is to be written is always three pieces: `before` (a head, the size of a chunk), some bytes of
//! the body where they were read, and `after` (the end of a chunk, trailers). They go out in one system
//! call. Not here: the calls.

use std::{io::IoSlice, ops::Range};

use super::{
    Refusal,
    body::{Decoder, Framing},
    chunked, trailers,
};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Plain,
    /// In chunks.
    Chunked,
    /// As it is; that it has ended is a piece of its own ([`Transfer::frames`]).
    Frames,
}

/// Stands behind the body for the end of it, where that is no text.
const END: u8 = 0;

/// Bytes of a body that are copied behind the head rather than written from where they are: a second
/// piece costs more than that.
const SMALL: usize = 2048;

/// One direction of an exchange.
#[derive(Debug)]
pub struct Transfer {
    decoder: Decoder,
    coding: Coding,
    before: Vec<u8>,
    payload: Range<usize>,
    after: Vec<u8>,
    trailers: Vec<u8>,
    /// Bytes of the three pieces that were written.
    written: usize,
    /// Bytes of the body so far.
    bytes: u64,
    /// The end of the body has been put into `after`.
    is_closed: bool,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            decoder: Decoder::Closed,
            coding: Coding::Plain,
            before: Vec::new(),
            payload: 0..0,
            after: Vec::new(),
            trailers: Vec::new(),
            written: 0,
            bytes: 0,
            is_closed: false,
        }
    }
}

impl Transfer {
    /// Begins a new one, with nothing to write yet.
    pub fn begin(&mut self) {
        self.decoder = Decoder::Closed;
        self.coding = Coding::Plain;
        self.before.clear();
        self.payload = 0..0;
        self.after.clear();
        self.trailers.clear();
        self.written = 0;
        self.bytes = 0;
        self.is_closed = false;
    }

    /// Where a head is written to.
    pub fn head(&mut self) -> &mut Vec<u8> {
        &mut self.before
    }

    /// The body that follows the head.
    pub fn body(&mut self, framing: Framing, coding: Coding) {
        self.decoder = framing.into();
        self.coding = coding;
        if coding == Coding::Frames && self.decoder.is_done() {
            self.is_closed = true;
            self.after.push(END);
        }
    }

    /// Where headers behind the body are put by whoever reads frames.
    pub fn trailers(&mut self) -> &mut Vec<u8> {
        &mut self.trailers
    }

    /// What is to be written, for those who write frames: text (a head that is not out yet, then bytes of
    /// the body), more bytes of the body, and what comes behind if they are the last: headers, or none.
    #[must_use]
    pub fn frames<'a>(&'a self, buffer: &'a [u8]) -> (&'a [u8], &'a [u8], Option<&'a [u8]>) {
        let body = &buffer[self.payload.clone()];
        let text = self.before.get(self.written..).unwrap_or_default();
        let skip = self.written.saturating_sub(self.before.len());
        let body = body.get(skip..).unwrap_or_default();
        let is_last = self.after.last() == Some(&END);
        (text, body, is_last.then_some(&self.trailers[..]))
    }

    /// Whether there is nothing to write now.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.written == self.pending()
    }

    /// Whether everything was read and written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_flushed() && self.has_all()
    }

    /// Whether everything was read.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.decoder.is_done() && (self.is_closed || self.coding == Coding::Plain)
    }

    /// Whether nothing of it was written.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.written == 0
    }

    /// Bytes of the body that were read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn pending(&self) -> usize {
        self.before.len() + self.payload.len() + self.after.len()
    }

    /// Writes everything once more from the beginning. Only right where nothing but a head was written.
    pub fn rewind(&mut self) {
        self.written = 0;
    }

    /// What is to be written, of which the body's part is in `buffer`.
    #[must_use]
    pub fn pieces<'a>(&'a self, buffer: &'a [u8]) -> ([IoSlice<'a>; 3], usize) {
        let mut skip = self.written;
        let mut count = 0;
        let mut pieces = [IoSlice::new(&[]); 3];
        let body = &buffer[self.payload.clone()];
        for piece in [&self.before[..], body, &self.after[..]] {
            if skip >= piece.len() {
                skip -= piece.len();
            } else {
                pieces[count] = IoSlice::new(&piece[skip..]);
                count += 1;
                skip = 0;
            }
        }
        (pieces, count)
    }

    /// So many bytes of it were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
    }

    /// Takes bytes of the body from `buffer[from..to]`; gives how many are done with. Before more are
    /// given, everything has to be written; a head not yet written goes out with them.
    ///
    /// # Errors
    /// A coding that is none.
    pub fn feed(
        &mut self,
        buffer: &mut [u8],
        (from, to): (usize, usize),
    ) -> Result<usize, Refusal> {
        if self.written > 0 {
            debug_assert!(self.is_flushed(), "bytes would be lost");
            self.before.clear();
            self.after.clear();
            self.written = 0;
        }
        self.payload = 0..0;
        let decoded = self
            .decoder
            .decode(&mut buffer[from..to], &mut self.trailers)?;
        self.bytes += decoded.payload as u64;
        if decoded.payload > 0 {
            let payload = from..from + decoded.payload;
            if self.coding == Coding::Chunked {
                chunked::write_size(decoded.payload, &mut self.before);
                self.after.extend_from_slice(b"\r\n");
            }
            if decoded.payload <= SMALL {
                self.before.extend_from_slice(&buffer[payload]);
                if self.coding == Coding::Chunked {
                    self.before.extend_from_slice(b"\r\n");
                    self.after.clear();
                }
            } else {
                self.payload = payload;
            }
        }
        self.end()?;
        Ok(decoded.consumed)
    }

    /// The other side has closed.
    ///
    /// # Errors
    /// Where the body is not at its end.
    pub fn close(&mut self) -> Result<(), Refusal> {
        self.decoder.close()?;
        if self.written > 0 {
            self.before.clear();
            self.after.clear();
            self.payload = 0..0;
            self.written = 0;
        }
        self.end()
    }

    /// Writes the end of the body behind it, once all of it was read.
    fn end(&mut self) -> Result<(), Refusal> {
        if self.coding == Coding::Plain || self.is_closed || !self.decoder.is_done() {
            return Ok(());
        }
        self.is_closed = true;
        if self.coding == Coding::Frames {
            self.after.push(END);
            return Ok(());
        }
        let out = match self.payload.is_empty() {
            true => &mut self.before,
            false => &mut self.after,
        };
        out.extend_from_slice(b"0\r\n");
        if !self.trailers.is_empty() {
            trailers::write(&self.trailers, out)?;
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_head(framing: Framing) -> Transfer {
        let mut transfer = Transfer::default();
        transfer.begin();
        transfer.head().extend_from_slice(b"head");
        transfer.body(framing, Coding::Frames);
        transfer
    }

    #[test]
    fn the_end_of_frames_goes_with_the_last_bytes() {
        let mut transfer = with_head(Framing::Length(3));
        let mut buffer = *b"abc";
        transfer.feed(&mut buffer, (0, 3)).unwrap();
        assert_eq!(
            transfer.frames(&buffer),
            (&b"headabc"[..], &b""[..], Some(&b""[..]))
        );
        transfer.wrote(5);
        assert_eq!(
            transfer.frames(&buffer),
            (&b"bc"[..], &b""[..], Some(&b""[..]))
        );
        assert!(!transfer.is_done());
        transfer.wrote(3);
        assert!(transfer.is_done());
    }

    #[test]
    fn a_head_without_a_body_is_the_end() {
        let transfer = with_head(Framing::None);
        assert_eq!(
            transfer.frames(&[]),
            (&b"head"[..], &b""[..], Some(&b""[..]))
        );
    }

    #[test]
    fn headers_behind_a_body_come_with_its_end() {
        let mut transfer = with_head(Framing::UntilClose);
        let mut buffer = vec![b'x'; SMALL + 1];
        let end = buffer.len();
        transfer.feed(&mut buffer, (0, end)).unwrap();
        let (text, body, last) = transfer.frames(&buffer);
        assert_eq!((text, body.len(), last), (&b"head"[..], end, None));
        transfer.wrote(4 + 10);
        assert_eq!(transfer.frames(&buffer).1.len(), end - 10);
        transfer.wrote(end - 10);
        assert!(transfer.is_flushed() && !transfer.has_all());
        transfer.trailers().extend_from_slice(b"a: b\r\n");
        transfer.close().unwrap();
        assert_eq!(
            transfer.frames(&buffer),
            (&b""[..], &b""[..], Some(&b"a: b\r\n"[..]))
        );
        transfer.wrote(1);
        assert!(transfer.is_done());
    }
}
