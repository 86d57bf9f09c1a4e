//! ARP for IPv4 over Ethernet (RFC 826).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::eth::Eth;
use crate::abi::Mac;

/// A packet.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Arp {
    /// What is asked for: [`Self::ETHERNET`].
    pub hardware: U16,
    /// What it is asked by: an ethertype.
    pub protocol: U16,
    /// Bytes of an Ethernet address, and of an IPv4 address: [`Self::LENGTHS`].
    pub lengths: [u8; 2],
    /// [`Self::REQUEST`] or [`Self::REPLY`].
    pub operation: U16,
    /// Who sends it.
    pub sender_mac: Mac,
    /// Who sends it; of a probe (RFC 5227 section 2.1.1), nobody.
    pub sender: [u8; 4],
    /// Of a reply: who gets it.
    pub target_mac: Mac,
    /// Who is asked for; of a reply, who gets it.
    pub target: [u8; 4],
}

impl Arp {
    /// Ethernet.
    pub const ETHERNET: U16 = U16::new(1);
    /// Lengths of addresses.
    pub const LENGTHS: [u8; 2] = [6, 4];
    /// Asks.
    pub const REQUEST: U16 = U16::new(1);
    /// Answers.
    pub const REPLY: U16 = U16::new(2);

    /// Whether somebody asks for an IPv4 address on Ethernet.
    #[inline(always)]
    pub fn is_request(&self) -> bool {
        self.hardware == Self::ETHERNET
            && self.protocol == Eth::IPV4
            && self.lengths == Self::LENGTHS
            && self.operation == Self::REQUEST
    }
}
