//! Neighbour discovery for IPv6 (RFC 4861): solicitations and advertisements.

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::abi::Mac;

/// A solicitation without its options (section 4.3).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Solicitation {
    /// [`Self::KIND`].
    pub kind: u8,
    /// Zero.
    pub code: u8,
    /// Checksum of ICMPv6.
    pub checksum: [u8; 2],
    /// Ignored.
    pub reserved: U32,
    /// Who is asked for.
    pub target: [[u8; 4]; 4],
}

impl Solicitation {
    /// ICMPv6 type.
    pub const KIND: u8 = 135;
    /// Bytes without options.
    pub const LEN: usize = size_of::<Self>();
    /// Type of the option with the sender's Ethernet address.
    pub const SOURCE_ADDRESS: u8 = 1;
}

/// An advertisement with the target's Ethernet address (section 4.4).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Advertisement {
    /// [`Self::KIND`].
    pub kind: u8,
    /// Zero.
    pub code: u8,
    /// Checksum of ICMPv6.
    pub checksum: [u8; 2],
    /// [`Self::ROUTER`], [`Self::SOLICITED`], [`Self::OVERRIDE`].
    pub flags: U32,
    /// Who was asked for.
    pub target: [[u8; 4]; 4],
    /// [`Self::TARGET_ADDRESS`], and its length in units of 8 bytes.
    pub option: [u8; 2],
    /// Where it is.
    pub mac: Mac,
}

impl Advertisement {
    /// ICMPv6 type.
    pub const KIND: u8 = 136;
    /// Bytes with the one option.
    pub const LEN: usize = size_of::<Self>();
    /// The same, as lengths in headers are counted.
    pub const BYTES: u16 = 32;
    /// [`Self::flags`]: it is a router.
    pub const ROUTER: u32 = 1 << 31;
    /// [`Self::flags`]: it was asked for, by somebody who has an address.
    pub const SOLICITED: u32 = 1 << 30;
    /// [`Self::flags`]: what was known before is to be forgotten.
    pub const OVERRIDE: u32 = 1 << 29;
    /// Type and length of the option with the target's Ethernet address.
    pub const TARGET_ADDRESS: [u8; 2] = [2, 1];
}

const _: () = assert!(Advertisement::BYTES as usize == Advertisement::LEN);
