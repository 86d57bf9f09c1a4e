//! The Internet checksum: whole (RFC 1071) and by difference (RFC 1624).
//!
//! All values are bits as they stand on the wire: the sum does not care about byte order as long
//! as both sides agree (RFC 1071 section 2 (B)).

/// Folds carries into 16 bits.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "three folds leave 16 bits")]
    {
        sum as u16
    }
}

/// What a change of fields adds to a sum: collect with the methods, then [`Change::apply`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Change(u64);

impl Change {
    /// No change yet.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// A 16-bit field changes.
    #[inline(always)]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + (!old) as u64 + new as u64)
    }

    /// A 32-bit field changes.
    #[inline(always)]
    pub const fn long(self, old: u32, new: u32) -> Self {
        Self(self.0 + (!old) as u64 + new as u64)
    }

    /// Both changes.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The new checksum: `HC' = ~(~HC + ~m + m')` (RFC 1624 equation 3).
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        !fold((!checksum) as u64 + self.0)
    }
}

impl Default for Change {
    fn default() -> Self {
        Self::new()
    }
}

/// The checksum of `bytes` whole, with `initial` added.
#[inline(always)]
pub fn whole(bytes: &[u8], initial: u64) -> u16 {
    !fold(initial + sum(bytes))
}

/// The sum over `bytes`, not folded.
#[inline(always)]
pub fn sum(bytes: &[u8]) -> u64 {
    let mut sum = 0;
    let mut words = bytes.chunks_exact(2);
    for word in &mut words {
        if let [a, b] = *word {
            sum += u64::from(u16::from_ne_bytes([a, b]));
        }
    }
    if let [last] = *words.remainder() {
        sum += u64::from(u16::from_ne_bytes([last, 0]));
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(whole(&bytes, 0).to_ne_bytes(), [0x22, 0x0d]);
    }

    #[test]
    fn the_example_of_rfc_1624_section_4() {
        // HC = 0xDD2F, m = 0x5555, m' = 0x3285: HC' is 0x0000, which equation 2 gets wrong.
        assert_eq!(Change::new().word(0x5555, 0x3285).apply(0xdd2f), 0x0000);
    }

    proptest! {
        /// By difference = whole, but for the two zeroes of ones' complement.
        #[test]
        fn by_difference_is_whole(
            mut bytes in proptest::collection::vec(any::<u8>(), 8..64),
            new in any::<[u8; 4]>(),
            port in any::<[u8; 2]>(),
        ) {
            let before = whole(&bytes, 0);
            let old: [u8; 4] = bytes[0..4].try_into().unwrap();
            let old_port: [u8; 2] = bytes[4..6].try_into().unwrap();
            bytes[0..4].copy_from_slice(&new);
            bytes[4..6].copy_from_slice(&port);
            let change = Change::new()
                .long(u32::from_ne_bytes(old), u32::from_ne_bytes(new))
                .word(u16::from_ne_bytes(old_port), u16::from_ne_bytes(port));
            let after = change.apply(before);
            let expected = whole(&bytes, 0);
            prop_assert!(after == expected || (after | expected == 0xffff && after & expected == 0));
        }
    }
}
