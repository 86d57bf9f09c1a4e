//! Where a body ends (RFC 9112 section 6.3), and its bytes without the coding around them.
//!
//! Not here: what a head says about it.

use super::{
    Refusal,
    chunked::{Chunked, Decoded},
};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes; not 0.
    Length(u64),
    /// Chunks.
    Chunked,
    /// All there is until the connection closes. Answers only.
    UntilClose,
}

/// A body in the middle of being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// So many bytes to come.
    Length(u64),
    /// Chunks to come.
    Chunked(Chunked),
    /// All there is.
    UntilClose,
    /// The other side has closed, where that is the end.
    Closed,
}

impl From<Framing> for Decoder {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

impl Decoder {
    /// Whether all of it has been seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose => false,
            Self::Closed => true,
        }
    }

    /// Decodes bytes where they stand: the body's are then at the front.
    ///
    /// # Errors
    /// A coding that is none.
    pub fn decode(&mut self, bytes: &mut [u8], trailers: &mut Vec<u8>) -> Result<Decoded, Refusal> {
        match self {
            Self::Length(left) => {
                let there = bytes.len();
                let take = usize::try_from(*left).map_or(there, |left| left.min(there));
                *left -= take as u64;
                Ok(all(take))
            }
            Self::Chunked(chunked) => chunked.decode(bytes, trailers),
            Self::UntilClose => Ok(all(bytes.len())),
            Self::Closed => Ok(all(0)),
        }
    }

    /// The other side has closed.
    ///
    /// # Errors
    /// Where the body is not at its end.
    pub fn close(&mut self) -> Result<(), Refusal> {
        match self {
            Self::UntilClose => {
                *self = Self::Closed;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) | Self::Closed => match self.is_done() {
                true => Ok(()),
                false => Err(Refusal::Truncated),
            },
        }
    }
}

fn all(bytes: usize) -> Decoded {
    Decoded {
        payload: bytes,
        consumed: bytes,
    }
}
