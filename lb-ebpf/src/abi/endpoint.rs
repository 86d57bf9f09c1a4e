//! Addresses, ports and the key that names one end of a service.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 16-bit integer as it stands on the wire, aligned as the machine likes it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct Be16(u16);

impl Be16 {
    /// From the machine's order.
    #[inline(always)]
    pub const fn new(value: u16) -> Self {
        Self(value.to_be())
    }

    /// To the machine's order.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// The bits as they stand on the wire: for hashing and checksums, where order is no matter.
    #[inline(always)]
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl core::fmt::Debug for Be16 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

/// A 32-bit integer as it stands on the wire, aligned as the machine likes it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct Be32(u32);

impl Be32 {
    /// From the machine's order.
    #[inline(always)]
    pub const fn new(value: u32) -> Self {
        Self(value.to_be())
    }

    /// To the machine's order.
    #[inline(always)]
    pub const fn get(self) -> u32 {
        u32::from_be(self.0)
    }

    /// The bits as they stand on the wire.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl core::fmt::Debug for Be32 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

/// An IP address; IPv4 is held as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2), so that one map
/// serves both families.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Addr {
    words: [Be32; 4],
}

impl Addr {
    /// From an IPv4 address in wire order.
    #[inline(always)]
    pub const fn v4(address: Be32) -> Self {
        Self {
            words: [Be32::new(0), Be32::new(0), Be32::new(0xffff), address],
        }
    }

    /// From an IPv4 address as it stands on the wire.
    #[inline(always)]
    pub const fn from_v4_octets(octets: [u8; 4]) -> Self {
        Self::v4(Be32(u32::from_ne_bytes(octets)))
    }

    /// From an IPv6 address as it stands on the wire.
    #[inline(always)]
    pub const fn v6(address: [[u8; 4]; 4]) -> Self {
        let [a, b, c, d] = address;
        Self {
            words: [
                Be32(u32::from_ne_bytes(a)),
                Be32(u32::from_ne_bytes(b)),
                Be32(u32::from_ne_bytes(c)),
                Be32(u32::from_ne_bytes(d)),
            ],
        }
    }

    /// From words in wire order.
    #[inline(always)]
    pub const fn from_words(words: [Be32; 4]) -> Self {
        Self { words }
    }

    /// The words in wire order.
    #[inline(always)]
    pub const fn words(&self) -> &[Be32; 4] {
        &self.words
    }

    /// The last word: the whole address where [`Self::is_v4`].
    #[inline(always)]
    pub const fn v4_word(&self) -> Be32 {
        self.words[3]
    }

    /// An IPv4 address as it stands on the wire.
    #[inline(always)]
    pub const fn v4_octets(&self) -> [u8; 4] {
        self.words[3].bits().to_ne_bytes()
    }

    /// An IPv6 address as it stands on the wire.
    #[inline(always)]
    pub const fn v6_octets(&self) -> [[u8; 4]; 4] {
        let [a, b, c, d] = &self.words;
        [
            a.bits().to_ne_bytes(),
            b.bits().to_ne_bytes(),
            c.bits().to_ne_bytes(),
            d.bits().to_ne_bytes(),
        ]
    }

    /// Whether this is an IPv4-mapped address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.words[0].bits() == 0
            && self.words[1].bits() == 0
            && self.words[2].bits() == Be32::new(0xffff).bits()
    }

    /// The two halves as they stand in memory: for hashing.
    #[inline(always)]
    pub const fn halves(&self) -> (u64, u64) {
        (
            (self.words[1].bits() as u64) << 32 | self.words[0].bits() as u64,
            (self.words[3].bits() as u64) << 32 | self.words[2].bits() as u64,
        )
    }
}

impl From<IpAddr> for Addr {
    fn from(address: IpAddr) -> Self {
        let v6 = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = v6.octets();
        let word = |bytes| Be32(u32::from_ne_bytes(bytes));
        Self {
            words: [
                word([a, b, c, d]),
                word([e, f, g, h]),
                word([i, j, k, l]),
                word([m, n, o, p]),
            ],
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(address: Ipv4Addr) -> Self {
        Self::from(IpAddr::V4(address))
    }
}

impl From<Addr> for IpAddr {
    fn from(address: Addr) -> Self {
        if address.is_v4() {
            return Self::V4(Ipv4Addr::from(address.words[3].get()));
        }
        let mut bits = 0u128;
        for word in address.words {
            bits = bits << 32 | u128::from(word.get());
        }
        Self::V6(Ipv6Addr::from(bits))
    }
}

impl core::fmt::Debug for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

/// One end of a conversation: address, port and protocol. Key of the services and of the nat
/// real servers.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Endpoint {
    /// Address.
    pub address: Addr,
    /// Port.
    pub port: Be16,
    /// IP protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
    _pad: u8,
}

impl Endpoint {
    /// One end.
    #[inline(always)]
    pub const fn new(address: Addr, port: Be16, protocol: u8) -> Self {
        Self {
            address,
            port,
            protocol,
            _pad: 0,
        }
    }
}

/// An Ethernet address.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// As a number, its first byte the lowest: in one piece where it is compared or copied.
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// Whether it is of a group, or of all: broadcast or multicast.
    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// From [`Self::bits`]; bits above them are let go.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        let [a, b, c, d, e, f, ..] = bits.to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl core::fmt::Debug for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_went_in() {
        extern crate std;
        use std::string::ToString;
        for text in ["10.77.0.100", "255.255.255.255", "2001:db8::1", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            let back = IpAddr::from(Addr::from(address));
            assert_eq!(back.to_string(), text);
        }
    }

    #[test]
    fn an_address_made_of_a_word_is_that_made_of_an_ip() {
        let word = Be32::new(0x0a4d_0064);
        assert_eq!(Addr::v4(word), Addr::from(Ipv4Addr::new(10, 77, 0, 100)));
        assert_eq!(Addr::v4(word).v4_word(), word);
    }
}
