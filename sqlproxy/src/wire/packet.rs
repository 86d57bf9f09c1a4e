//! Framing: a header of three bytes of length and one of sequence before each packet, and messages
//! of 16 MB and more as several packets.
//!
//! Source: MySQL's "Protocol Basics, MySQL Packets". A packet of 0xffffff bytes says that another
//! follows, even if that is empty. [`Framer`] follows messages by their bytes and holds none of them.
//!
//! Not here: zlib's and zstd's frames: compression is refused in the handshake.

use super::WireError;

/// Bytes before each payload.
pub const HEADER: usize = 4;
/// Payload of a packet that another one continues.
pub const FULL: usize = 0xff_ffff;

/// The four bytes before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload, up to [`FULL`].
    pub len: usize,
    /// Counts the packets of an exchange from 0, both directions together, and wraps.
    pub sequence: u8,
}

impl Header {
    /// The header at the front of `bytes`, if they are enough.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, sequence] = *bytes.first_chunk()?;
        Some(Self {
            len: u32::from_le_bytes([a, b, c, 0]) as usize,
            sequence,
        })
    }

    /// As bytes. Lengths beyond [`FULL`] do not fit: [`put_message`] splits what has more.
    #[must_use]
    pub fn bytes(self) -> [u8; HEADER] {
        debug_assert!(self.len <= FULL);
        let [a, b, c, ..] = self.len.to_le_bytes();
        [a, b, c, self.sequence]
    }

    /// Whether another packet belongs to the same message.
    #[must_use]
    pub fn continues(self) -> bool {
        self.len == FULL
    }
}

/// Appends a message as one packet, or as many as it needs; gives the sequence of the next packet.
pub fn put_message(out: &mut Vec<u8>, mut sequence: u8, payload: &[u8]) -> u8 {
    let mut rest = payload;
    loop {
        let (now, later) = rest.split_at(rest.len().min(FULL));
        let header = Header {
            len: now.len(),
            sequence,
        };
        out.extend_from_slice(&header.bytes());
        out.extend_from_slice(now);
        sequence = sequence.wrapping_add(1);
        rest = later;
        if !header.continues() {
            return sequence;
        }
    }
}

/// Follows messages in one direction through bytes as they come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Framer {
    /// Payload of the current packet that is still to come.
    left: usize,
    /// Another packet belongs to the message.
    continues: bool,
}

/// What stands at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Too little to say: come again with at least [`HEADER`] bytes.
    Need,
    /// A header: the first [`HEADER`] bytes.
    Header {
        /// It.
        header: Header,
        /// It starts a message, and does not continue one.
        is_first: bool,
        /// The message ends with it: it has no payload.
        ends: bool,
    },
    /// This many bytes of payload, at least one.
    Body {
        /// How many.
        len: usize,
        /// The message ends with them.
        ends: bool,
    },
}

impl Framer {
    /// At the beginning of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.left > 0 || self.continues
    }

    /// Looks at the front of the bytes and takes what it tells of: the next call gets what follows.
    pub fn step(&mut self, bytes: &[u8]) -> Piece {
        if self.left > 0 {
            if bytes.is_empty() {
                return Piece::Need;
            }
            let len = bytes.len().min(self.left);
            self.left -= len;
            let ends = !self.is_inside();
            return Piece::Body { len, ends };
        }
        let Some(header) = Header::read(bytes) else {
            return Piece::Need;
        };
        let is_first = !self.continues;
        self.left = header.len;
        self.continues = header.continues();
        Piece::Header {
            header,
            is_first,
            ends: !self.is_inside(),
        }
    }
}

/// A message: its header, its payload, and the bytes of both.
pub type Whole<'a> = (Header, &'a [u8], usize);

/// The payload of the message at the front of `bytes`, its header, and all the bytes it takes; `None`
/// if it is not whole yet. For short messages of a handshake: one that needs a second packet is refused.
///
/// # Errors
/// [`WireError::TooLong`] where it has more than `max` bytes.
pub fn whole<'a>(
    bytes: &'a [u8],
    max: usize,
    what: &'static str,
) -> Result<Option<Whole<'a>>, WireError> {
    let Some(header) = Header::read(bytes) else {
        return Ok(None);
    };
    let max = max.min(FULL - 1);
    if header.len > max {
        let len = header.len;
        return Err(WireError::TooLong { what, len, max });
    }
    let end = HEADER + header.len;
    Ok(bytes.get(HEADER..end).map(|payload| (header, payload, end)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a framer makes of bytes cut into pieces: (first sequence, payload) of each whole message.
    fn messages(bytes: &[u8], cuts: &[usize]) -> Vec<(u8, Vec<u8>)> {
        let (mut framer, mut held, mut fed) = (Framer::new(), Vec::new(), 0);
        let (mut told, mut now) = (Vec::new(), (0, Vec::new()));
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            held.extend_from_slice(&bytes[fed..cut]);
            fed = cut;
            loop {
                let (taken, ends) = match framer.step(&held) {
                    Piece::Need => break,
                    Piece::Header {
                        header,
                        is_first,
                        ends,
                    } => {
                        if is_first {
                            now = (header.sequence, Vec::new());
                        }
                        (HEADER, ends)
                    }
                    Piece::Body { len, ends } => {
                        now.1.extend_from_slice(&held[..len]);
                        (len, ends)
                    }
                };
                held.drain(..taken);
                if ends {
                    told.push(now.clone());
                }
            }
        }
        assert!(!framer.is_inside() && held.is_empty());
        told
    }

    #[test]
    fn a_message_of_exactly_16_mb_ends_with_an_empty_packet() {
        for (len, packets) in [(FULL - 1, 1), (FULL, 2), (FULL + 1, 2), (2 * FULL, 3)] {
            let payload = vec![7; len];
            let mut out = Vec::new();
            let next = u8::try_from((255 + packets) % 256).unwrap();
            assert_eq!(put_message(&mut out, 255, &payload), next);
            assert_eq!(out.len(), len + packets * HEADER, "{len}");
            let cuts = [3, FULL + 2, FULL + 6].map(|cut| cut.min(out.len()));
            let told = messages(&out, &cuts);
            assert_eq!(told.len(), 1);
            assert!(told[0] == (255, payload), "{len}");
        }
    }

    #[test]
    fn a_short_message_is_whole_or_waits_or_is_refused() {
        let bytes = [2, 0, 0, 1, b'h', b'i', 9];
        let header = Header {
            len: 2,
            sequence: 1,
        };
        assert_eq!(whole(&bytes, 2, "x"), Ok(Some((header, &b"hi"[..], 6))));
        for cut in 0..6 {
            assert_eq!(whole(&bytes[..cut], 2, "x"), Ok(None));
        }
        let too_long = WireError::TooLong {
            what: "x",
            len: 2,
            max: 1,
        };
        assert_eq!(whole(&bytes, 1, "x"), Err(too_long));
        assert!(whole(&[255, 255, 255, 0], usize::MAX, "x").is_err());
    }

    proptest! {
        #[test]
        fn messages_are_the_same_wherever_they_are_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
            cuts in prop::collection::vec(0_usize..200, 0..20),
        ) {
            let mut bytes = Vec::new();
            for (sequence, payload) in (0..).zip(&payloads) {
                put_message(&mut bytes, sequence, payload);
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let told: Vec<Vec<u8>> = messages(&bytes, &cuts).into_iter().map(|m| m.1).collect();
            prop_assert_eq!(told, payloads);
        }
    }
}
