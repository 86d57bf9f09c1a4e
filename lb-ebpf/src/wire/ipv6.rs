//! IPv6 (RFC 8200 sections 3 and 4).

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The fixed header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6 {
    /// Version and the high half of the traffic class.
    pub version_class: u8,
    /// The low half of the traffic class, and the flow label.
    pub class_flow: [u8; 3],
    /// Bytes after this header.
    pub payload_len: U16,
    /// What follows.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Source address.
    pub source: [[u8; 4]; 4],
    /// Destination address.
    pub destination: [[u8; 4]; 4],
}

impl Ipv6 {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
    /// The same, as lengths in headers are counted.
    pub const BYTES: u16 = 40;
    /// Offset of [`Self::next_header`].
    pub const NEXT_HEADER: usize = 6;
    /// Offset of [`Self::hop_limit`].
    pub const HOP_LIMIT: usize = 7;
    /// Offset of [`Self::source`].
    pub const SOURCE: usize = 8;
    /// Offset of [`Self::destination`].
    pub const DESTINATION: usize = 24;
}

const _: () = assert!(Ipv6::BYTES as usize == Ipv6::LEN);

/// What the extension headers that may be stepped over have in common.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Extension {
    /// What follows it.
    pub next_header: u8,
    /// Its length in units of 8 bytes, the first not counted.
    pub len: u8,
    /// Of a routing header: its type, and how many hops it names are still to come.
    pub kind_and_left: [u8; 2],
}

impl Extension {
    /// Protocol number of hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// Protocol number of the routing header.
    pub const ROUTING: u8 = 43;
    /// Protocol number of the fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Protocol number of destination options.
    pub const DESTINATION: u8 = 60;
}

/// The fragment header (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FragmentHeader {
    /// What follows it in the whole packet.
    pub next_header: u8,
    /// Reserved.
    pub reserved: u8,
    /// Offset in units of 8 bytes in the upper 13 bits; the lowest bit: more fragments follow.
    pub offset_more: U16,
    /// Names the packet that fragments belong to.
    pub id: U32,
}

impl FragmentHeader {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();

    /// Offset and mark as IPv4 has them.
    #[inline(always)]
    pub const fn as_ipv4(&self) -> u16 {
        let [high, low] = self.offset_more.to_bytes();
        let word = u16::from_be_bytes([high, low]);
        word >> 3 | (word & 1) << 13
    }
}
