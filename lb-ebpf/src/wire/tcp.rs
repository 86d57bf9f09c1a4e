//! TCP (RFC 9293 section 3.1).

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header without its options.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Tcp {
    /// Source port.
    pub source: [u8; 2],
    /// Destination port.
    pub destination: [u8; 2],
    /// Sequence number.
    pub sequence: U32,
    /// Acknowledgement number.
    pub acknowledgement: U32,
    /// Header length in words of 4 bytes, in the high half.
    pub offset: u8,
    /// FIN, SYN, RST, PSH, ACK, URG, ECE, CWR from the lowest bit on.
    pub flags: u8,
    /// Receive window.
    pub window: U16,
    /// Checksum over pseudo-header, header and data.
    pub checksum: [u8; 2],
    /// Urgent pointer.
    pub urgent: U16,
}

impl Tcp {
    /// IP protocol number.
    pub const PROTOCOL: u8 = 6;
    /// Bytes of the header without options.
    pub const LEN: usize = size_of::<Self>();
    /// Offset of [`Self::source`].
    pub const SOURCE: usize = 0;
    /// Offset of [`Self::destination`].
    pub const DESTINATION: usize = 2;
    /// Offset of [`Self::checksum`].
    pub const CHECKSUM: usize = 16;
    /// [`Self::flags`]: FIN.
    pub const FIN: u8 = 1;
    /// [`Self::flags`]: SYN.
    pub const SYN: u8 = 2;
    /// [`Self::flags`]: RST.
    pub const RST: u8 = 4;
    /// [`Self::flags`]: ACK.
    pub const ACK: u8 = 16;
}
