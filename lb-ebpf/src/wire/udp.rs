//! UDP (RFC 768).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Udp {
    /// Source port.
    pub source: [u8; 2],
    /// Destination port.
    pub destination: [u8; 2],
    /// Bytes of header and data.
    pub length: U16,
    /// Checksum over pseudo-header, header and data; zero: none.
    pub checksum: [u8; 2],
}

impl Udp {
    /// IP protocol number.
    pub const PROTOCOL: u8 = 17;
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
    /// The same, as lengths in headers are counted.
    pub const BYTES: u16 = 8;
    /// Offset of [`Self::checksum`].
    pub const CHECKSUM: usize = 6;
}

const _: () = assert!(Udp::BYTES as usize == Udp::LEN);
