//! ICMP (RFC 792) and ICMPv6 (RFC 4443): the header that both share.

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header of a message that quotes a packet.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum over the message; in ICMPv6 also over a pseudo-header.
    pub checksum: [u8; 2],
    /// Of "too big": the length that fits.
    pub mtu: U32,
}

impl Icmp {
    /// IP protocol number of ICMP.
    pub const PROTOCOL_V4: u8 = 1;
    /// IP protocol number of ICMPv6.
    pub const PROTOCOL_V6: u8 = 58;
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
    /// The same, as lengths in headers are counted.
    pub const BYTES: u16 = 8;
    /// Offset of [`Self::checksum`].
    pub const CHECKSUM: usize = 2;
    /// Type of an echo request, IPv4.
    pub const ECHO_V4: u8 = 8;
    /// Type of an echo reply, IPv4.
    pub const ECHO_REPLY_V4: u8 = 0;
    /// Type of an echo request, IPv6.
    pub const ECHO_V6: u8 = 128;
    /// Type of an echo reply, IPv6.
    pub const ECHO_REPLY_V6: u8 = 129;
    /// Type and code of "fragmentation needed" (RFC 1191 section 4).
    pub const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
    /// Type and code of "packet too big" (RFC 4443 section 3.2).
    pub const PACKET_TOO_BIG: (u8, u8) = (2, 0);
}

const _: () = assert!(Icmp::BYTES as usize == Icmp::LEN);
