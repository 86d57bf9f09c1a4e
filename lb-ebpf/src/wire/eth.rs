//! Ethernet II (IEEE 802.3 clause 3).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::abi::Mac;

/// The header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Eth {
    /// Who it is for.
    pub destination: Mac,
    /// Who sent it.
    pub source: Mac,
    /// What follows.
    pub ethertype: U16,
}

impl Eth {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
    /// [`Self::ethertype`] of IPv4.
    pub const IPV4: U16 = U16::new(0x0800);
    /// [`Self::ethertype`] of ARP.
    pub const ARP: U16 = U16::new(0x0806);
    /// [`Self::ethertype`] of IPv6.
    pub const IPV6: U16 = U16::new(0x86dd);
}
