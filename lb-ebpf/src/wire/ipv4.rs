//! IPv4 (RFC 791 section 3.1).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header without its options.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    /// Version and header length in words of 4 bytes.
    pub version_ihl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Bytes of header and payload.
    pub total_len: U16,
    /// Names the packet that fragments belong to.
    pub id: U16,
    /// Flags and fragment offset in units of 8 bytes.
    pub fragment: U16,
    /// Hops left.
    pub ttl: u8,
    /// What follows.
    pub protocol: u8,
    /// Checksum of the header.
    pub checksum: [u8; 2],
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

impl Ipv4 {
    /// Bytes of the header without options.
    pub const LEN: usize = size_of::<Self>();
    /// The same, as lengths in headers are counted.
    pub const BYTES: u16 = 20;
    /// [`Self::version_ihl`] of a header without options.
    pub const PLAIN: u8 = 0x45;
    /// Offset of [`Self::ttl`].
    pub const TTL: usize = 8;
    /// Offset of [`Self::checksum`].
    pub const CHECKSUM: usize = 10;
    /// Offset of [`Self::source`].
    pub const SOURCE: usize = 12;
    /// Offset of [`Self::destination`].
    pub const DESTINATION: usize = 16;
    /// In [`Self::fragment`]: more fragments follow, or this is not the first.
    pub const FRAGMENT_MASK: u16 = 0x3fff;
    /// In [`Self::fragment`]: this is not the last fragment.
    pub const MORE_FRAGMENTS: u16 = 0x2000;
    /// In [`Self::fragment`]: routers must not fragment it.
    pub const DONT_FRAGMENT: u16 = 0x4000;
}

const _: () = assert!(Ipv4::BYTES as usize == Ipv4::LEN);
