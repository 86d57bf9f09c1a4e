//! The chunked coding (RFC 9112 section 7.1), decoded where it stands: sizes and extensions are taken
//! out, and what is left moves to the front.
//!
//! Strict: a size is 1 to 15 hexadecimal digits and nothing else, every line ends in CR LF, extensions are
//! bounded and dropped, trailers are bounded and kept as they came. Not here: what trailers may say.

use super::Refusal;

/// Bytes of extensions that a body may have in all.
const EXTENSIONS_MAX: u32 = 4096;
/// Bytes of trailers that a body may have.
pub const TRAILERS_MAX: usize = 8192;
/// More digits would be more than a [`u64`] can count.
const DIGITS_MAX: u8 = 15;

/// Where in the coding the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the first digit of a size, or a later one.
    Size { digits: u8 },
    /// In white space before an extension.
    Space,
    /// In an extension.
    Extension,
    /// At the line feed after a size.
    SizeFeed,
    /// In the data of a chunk.
    Data,
    /// At the carriage return after it.
    DataReturn,
    /// At the line feed after that.
    DataFeed,
    /// At the beginning of a line after the last chunk.
    Line,
    /// In a trailer.
    Trailer,
    /// At the line feed of a trailer.
    TrailerFeed,
    /// At the last line feed.
    LastFeed,
    /// Behind it.
    Done,
}

/// A body in the middle of being decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunked {
    state: State,
    /// The size being read, then the bytes of data still to come.
    left: u64,
    /// Bytes of extensions so far.
    extensions: u32,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: State::Size { digits: 0 },
            left: 0,
            extensions: 0,
        }
    }
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the body, now at the front.
    pub payload: usize,
    /// Bytes that are done with; those behind belong to what comes next.
    pub consumed: usize,
}

impl Chunked {
    /// Whether all of the body has been seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes `bytes` where they stand. Lines of trailers are added to `trailers`.
    ///
    /// # Errors
    /// What is not the chunked coding, or is too much of it.
    pub fn decode(&mut self, bytes: &mut [u8], trailers: &mut Vec<u8>) -> Result<Decoded, Refusal> {
        let (mut at, mut payload) = (0, 0);
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let there = bytes.len() - at;
                let take = usize::try_from(self.left).map_or(there, |left| left.min(there));
                bytes.copy_within(at..at + take, payload);
                payload += take;
                at += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
            } else {
                self.step(bytes[at], trailers)?;
                at += 1;
            }
        }
        Ok(Decoded {
            payload,
            consumed: at,
        })
    }

    fn step(&mut self, byte: u8, trailers: &mut Vec<u8>) -> Result<(), Refusal> {
        self.state = match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() => self.digit(digits, byte)?,
            (State::Size { digits: 1.. } | State::Extension, b'\r') => State::SizeFeed,
            (State::Size { digits: 1.. } | State::Space, b' ' | b'\t') => {
                self.extension()?;
                State::Space
            }
            (State::Size { digits: 1.. } | State::Space, b';') => State::Extension,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extension()?;
                State::Extension
            }
            (State::SizeFeed, b'\n') if self.left == 0 => State::Line,
            (State::SizeFeed, b'\n') => State::Data,
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => State::Size { digits: 0 },
            (State::Line, b'\r') => State::LastFeed,
            (State::Line | State::Trailer, _) if byte != b'\r' && byte != b'\n' => {
                keep(byte, trailers)?;
                State::Trailer
            }
            (State::Trailer, b'\r') => State::TrailerFeed,
            (State::TrailerFeed, b'\n') => {
                keep(b'\r', trailers)?;
                keep(b'\n', trailers)?;
                State::Line
            }
            (State::LastFeed, b'\n') => State::Done,
            (_, _) => return Err(Refusal::Chunk),
        };
        Ok(())
    }

    fn digit(&mut self, digits: u8, byte: u8) -> Result<State, Refusal> {
        if digits == DIGITS_MAX {
            return Err(Refusal::Chunk);
        }
        let value = char::from(byte).to_digit(16).ok_or(Refusal::Chunk)?;
        let before = if digits == 0 { 0 } else { self.left };
        self.left = before << 4 | u64::from(value);
        Ok(State::Size { digits: digits + 1 })
    }

    fn extension(&mut self) -> Result<(), Refusal> {
        self.extensions += 1;
        match self.extensions > EXTENSIONS_MAX {
            true => Err(Refusal::Chunk),
            false => Ok(()),
        }
    }
}

fn keep(byte: u8, trailers: &mut Vec<u8>) -> Result<(), Refusal> {
    if trailers.len() == TRAILERS_MAX {
        return Err(Refusal::Trailers);
    }
    trailers.push(byte);
    Ok(())
}

/// The line before a chunk of so many bytes, which are not 0.
pub fn write_size(size: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = usize::BITS - size.leading_zeros();
    for nibble in (0..bits.div_ceil(4)).rev() {
        out.push(DIGITS[size >> (nibble * 4) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Body, trailers and rest.
    type Read<T> = Result<(T, T, T), Refusal>;

    /// Decodes a text in pieces; gives the body, the trailers and what was left.
    fn pieces(text: &[u8], cuts: &[usize]) -> Read<Vec<u8>> {
        let (mut chunked, mut body, mut trailers) = (Chunked::default(), vec![], vec![]);
        let mut left = text.to_vec();
        let mut rest = vec![];
        for cut in cuts.iter().copied().chain([text.len()]) {
            let mut piece: Vec<u8> = left.drain(..cut.min(left.len())).collect();
            let decoded = chunked.decode(&mut piece, &mut trailers)?;
            body.extend(&piece[..decoded.payload]);
            rest.extend(&piece[decoded.consumed..]);
        }
        match chunked.is_done() {
            true => Ok((body, trailers, rest)),
            false => Err(Refusal::Truncated),
        }
    }

    fn whole(text: &str) -> Read<String> {
        let text = text.as_bytes();
        let all = pieces(text, &[]);
        assert_eq!(pieces(text, &vec![1; text.len()]), all, "byte by byte");
        let string = |bytes| String::from_utf8(bytes).unwrap();
        all.map(|(a, b, c)| (string(a), string(b), string(c)))
    }

    #[test]
    fn chunks_become_a_body() {
        let ok = |a: &str, b: &str, c: &str| Ok((a.into(), b.into(), c.into()));
        assert_eq!(whole("0\r\n\r\n"), ok("", "", ""));
        assert_eq!(
            whole("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET"),
            ok("abcde", "", "GET")
        );
        assert_eq!(
            whole("A\r\n0123456789\r\n00\r\n\r\n"),
            ok("0123456789", "", "")
        );
        assert_eq!(
            whole("3;a=b; c=\"d\"\r\nabc\r\n0\r\n\r\n"),
            ok("abc", "", "")
        );
        assert_eq!(whole("3 \t;a\r\nabc\r\n0;x\r\n\r\n"), ok("abc", "", ""));
        assert_eq!(
            whole("1\r\na\r\n0\r\nX: y\r\nZ: w\r\n\r\n"),
            ok("a", "X: y\r\nZ: w\r\n", "")
        );
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for bad in [
            "\r\n",
            "3\nabc\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nab\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "+3\r\nabc\r\n0\r\n\r\n",
            "-3\r\nabc\r\n0\r\n\r\n",
            " 3\r\nabc\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "3\r\r\nabc\r\n0\r\n\r\n",
            "3;a\nb\r\nabc\r\n0\r\n\r\n",
            "3;a\rb\r\nabc\r\n0\r\n\r\n",
            "1000000000000000\r\n",
            "00000000000000003\r\nabc\r\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
        ] {
            assert_eq!(whole(bad), Err(Refusal::Chunk), "{bad:?}");
        }
        let extension = format!("1;{}\r\n", "x".repeat(5000));
        assert_eq!(whole(&extension), Err(Refusal::Chunk));
        let trailers = format!("0\r\nX: {}\r\n\r\n", "x".repeat(9000));
        assert_eq!(whole(&trailers), Err(Refusal::Trailers));
    }

    #[test]
    fn sizes_are_hexadecimal() {
        let line = |size| {
            let mut out = vec![];
            write_size(size, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(line(1), "1\r\n");
        assert_eq!(line(255), "ff\r\n");
        assert_eq!(line(65_536), "10000\r\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_whatever_the_cuts(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in proptest::collection::vec(0_usize..20, 0..20),
        ) {
            let mut text = vec![];
            for chunk in &chunks {
                write_size(chunk.len(), &mut text);
                text.extend(chunk);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n\r\nrest");
            let (body, trailers, rest) = pieces(&text, &cuts).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(trailers.is_empty());
            prop_assert_eq!(rest, b"rest");
        }

        #[test]
        fn any_bytes_are_read_the_same_whatever_the_cuts(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'1'), Just(b';'), any::<u8>()],
                0..60,
            ),
            cuts in proptest::collection::vec(0_usize..9, 0..20),
        ) {
            prop_assert_eq!(pieces(&bytes, &cuts), pieces(&bytes, &[]));
        }
    }
}
