//! Where things are in a frame that nobody wrote: a reader of its own, that shares nothing with the
//! code under test.

/// An IP packet in a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anatomy {
    /// Where the IP header starts.
    pub(super) l3: usize,
    /// Where the packet ends by its own saying.
    pub(super) end: usize,
    pub(super) is_v6: bool,
    /// Where what IP carries starts, and its protocol: behind options and extension headers.
    pub(super) l4: usize,
    pub(super) protocol: u8,
}

impl Anatomy {
    /// Bytes of the packet.
    pub(super) fn len(&self) -> usize {
        self.end - self.l3
    }

    /// Where the hops left are.
    pub(super) fn hops(&self) -> usize {
        self.l3 + if self.is_v6 { 7 } else { 8 }
    }

    /// The same packet, `by` bytes further on.
    pub(super) fn later(self, by: usize) -> Self {
        Self {
            l3: self.l3 + by,
            end: self.end + by,
            l4: self.l4 + by,
            ..self
        }
    }

    /// Where the addresses are.
    pub(super) fn addresses(&self) -> std::ops::Range<usize> {
        let (at, len) = if self.is_v6 { (8, 32) } else { (12, 8) };
        self.l3 + at..self.l3 + at + len
    }
}

/// What is in a frame; `None` where it is no IP packet, or ends within its headers.
pub(super) fn of(frame: &[u8]) -> Option<Anatomy> {
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let mut l3 = 14;
    while l3 < 22 && matches!(word(l3 - 2)?, 0x8100 | 0x88a8) {
        l3 += 4;
    }
    match word(l3 - 2)? {
        0x0800 => Some(Anatomy {
            l3,
            end: l3 + usize::from(word(l3 + 2)?),
            is_v6: false,
            l4: l3 + usize::from(frame.get(l3)? & 0xf) * 4,
            protocol: *frame.get(l3 + 9)?,
        }),
        0x86dd => {
            let (mut l4, mut protocol) = (l3 + 40, *frame.get(l3 + 6)?);
            while matches!(protocol, 0 | 43 | 60) {
                protocol = *frame.get(l4)?;
                l4 += 8 + 8 * usize::from(*frame.get(l4 + 1)?);
            }
            let end = l3 + 40 + usize::from(word(l3 + 4)?);
            Some(Anatomy {
                l3,
                end,
                is_v6: true,
                l4,
                protocol,
            })
        }
        _ => None,
    }
}
