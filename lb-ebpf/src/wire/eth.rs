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
    /// The same, with one VLAN tag behind.
    pub const LEN_TAGGED: usize = Self::LEN + Vlan::LEN;
    /// [`Self::ethertype`] of IPv4.
    pub const IPV4: U16 = U16::new(0x0800);
    /// [`Self::ethertype`] of ARP.
    pub const ARP: U16 = U16::new(0x0806);
    /// [`Self::ethertype`] of IPv6.
    pub const IPV6: U16 = U16::new(0x86dd);
}

/// A VLAN tag (IEEE 802.1Q clause 9): what stands between the addresses and the ethertype behind.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Vlan {
    /// Priority, drop eligibility and VLAN id.
    pub control: U16,
    /// What follows.
    pub ethertype: U16,
}

impl Vlan {
    /// Bytes of a tag.
    pub const LEN: usize = size_of::<Self>();
    /// In [`Self::control`]: the VLAN id.
    pub const ID: u16 = 0xfff;
    /// Ethertype that announces a tag.
    pub const DOT1Q: U16 = U16::new(0x8100);
    /// Ethertype that announces an outer tag (802.1ad).
    pub const DOT1AD: U16 = U16::new(0x88a8);
}
