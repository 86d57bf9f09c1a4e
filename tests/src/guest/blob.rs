//! Bytes of any length that a seed determines, so that both ends of a download know its hash.
//!
//! Not here: good randomness. Every 8 bytes differ from the others, which is what finds a segment
//! lost, doubled or moved.

use std::{
    convert::Infallible,
    fmt::Write as _,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use sha2::{Digest as _, Sha256};

/// How much is made at a time.
const CHUNK: u64 = 64 * 1024;

/// The bytes as an HTTP body, made as they are sent.
#[derive(Clone, Copy, Debug)]
pub struct Blob {
    seed: u64,
    at: u64,
    end: u64,
}

impl Blob {
    /// `length` bytes from `seed`.
    #[must_use]
    pub fn new(seed: u64, length: u64) -> Self {
        Self {
            seed,
            at: 0,
            end: length,
        }
    }

    /// The SHA-256 of all the bytes, in hexadecimal.
    #[must_use]
    pub fn sha256(self) -> String {
        let mut hash = Sha256::new();
        for chunk in self {
            hash.update(&chunk);
        }
        hex(&hash.finalize())
    }
}

impl Iterator for Blob {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let length = CHUNK.min(self.end - self.at);
        if length == 0 {
            return None;
        }
        let words = (self.at / 8)..(self.at + length).div_ceil(8);
        let mut chunk: Vec<u8> = words
            .flat_map(|word| splitmix(self.seed.wrapping_add(word)).to_le_bytes())
            .collect();
        chunk.truncate(usize::try_from(length).ok()?);
        self.at += length;
        Some(chunk)
    }
}

impl Body for Blob {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|chunk| Ok(Frame::data(chunk.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

/// A hash in hexadecimal.
#[must_use]
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// One step of `SplitMix64` (Steele, Lea, Flood 2014): spreads a counter over all 64 bits.
fn splitmix(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_its_length_and_its_seed_decides_it() {
        let bytes = |seed| Blob::new(seed, CHUNK + 13).flatten().collect::<Vec<_>>();
        assert_eq!(bytes(1).len() as u64, CHUNK + 13);
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }

    #[test]
    fn the_hash_is_sha256() {
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Blob::new(7, 0).sha256(), nothing);
    }
}
