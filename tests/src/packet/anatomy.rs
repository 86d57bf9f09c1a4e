//! Where things are in a frame that nobody wrote: a reader of its own, that shares nothing with the
//! code under test.
//!
//! Not here: whether what it says is so ([`super::sound`]).

/// An IP packet in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anatomy {
    /// Where the IP header starts.
    pub l3: usize,
    /// Where the packet ends by its own saying.
    pub end: usize,
    /// Whether the IP header is version 6.
    pub is_v6: bool,
    /// Where what IP carries starts: behind options and extension headers.
    pub l4: usize,
    /// Protocol of what IP carries.
    pub protocol: u8,
    /// Whether it is a part of a packet, and not the first: nothing in it has a header.
    pub is_later: bool,
}

impl Anatomy {
    /// Bytes of the packet.
    #[expect(clippy::len_without_is_empty, reason = "a packet has a header")]
    pub fn len(&self) -> usize {
        self.end - self.l3
    }

    /// Where the hops left are.
    pub fn hops(&self) -> usize {
        self.l3 + if self.is_v6 { 7 } else { 8 }
    }

    /// The same packet, its IP header at `l3`.
    #[must_use]
    pub fn moved_to(self, l3: usize) -> Self {
        Self {
            l3,
            end: l3 + self.len(),
            l4: l3 + (self.l4 - self.l3),
            ..self
        }
    }

    /// Where the addresses are.
    pub fn addresses(&self) -> std::ops::Range<usize> {
        let (at, len) = if self.is_v6 { (8, 32) } else { (12, 8) };
        self.l3 + at..self.l3 + at + len
    }
}

/// What is in a frame; `None` where it is no IP packet, or ends within its headers.
pub fn of(frame: &[u8]) -> Option<Anatomy> {
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let mut l3 = 14;
    while l3 < 22 && matches!(word(l3 - 2)?, 0x8100 | 0x88a8) {
        l3 += 4;
    }
    match word(l3 - 2)? {
        0x0800 => packet(frame, l3, false),
        0x86dd => packet(frame, l3, true),
        _ => None,
    }
}

/// The IP packet at `l3`.
pub(super) fn packet(frame: &[u8], l3: usize, is_v6: bool) -> Option<Anatomy> {
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    match is_v6 {
        false => Some(Anatomy {
            l3,
            end: l3 + usize::from(word(l3 + 2)?),
            is_v6: false,
            l4: l3 + usize::from(frame.get(l3)? & 0xf) * 4,
            protocol: *frame.get(l3 + 9)?,
            is_later: word(l3 + 6)? & 0x1fff != 0,
        }),
        true => {
            let (mut l4, mut protocol) = (l3 + 40, *frame.get(l3 + 6)?);
            let mut is_later = false;
            while matches!(protocol, 0 | 43 | 44 | 60) && !is_later {
                let is_fragment = protocol == 44;
                is_later = is_fragment && word(l4 + 2)? >> 3 != 0;
                let units = if is_fragment { 0 } else { *frame.get(l4 + 1)? };
                protocol = *frame.get(l4)?;
                l4 += 8 + 8 * usize::from(units);
            }
            let end = l3 + 40 + usize::from(word(l3 + 4)?);
            Some(Anatomy {
                l3,
                end,
                is_v6: true,
                l4,
                protocol,
                is_later,
            })
        }
    }
}
