//! The Ethernet header, its tags, and the frames that carry something other than IPv4.
//!
//! Not here: what IPv4 carries ([`super::ipv4`]).

use std::net::Ipv4Addr;

use lb_ebpf::abi::Mac;
use lb_ebpf::wire;

use super::ipv4::Ipv4;

/// Tag protocol identifier of IEEE 802.1Q.
const VLAN: u16 = 0x8100;

/// An Ethernet header in the making.
#[derive(Clone, Debug)]
pub struct Eth {
    source: Mac,
    destination: Mac,
    tags: Vec<u16>,
}

/// A frame from one Ethernet address to another.
#[must_use]
pub fn eth(source: Mac, destination: Mac) -> Eth {
    Eth {
        source,
        destination,
        tags: Vec::new(),
    }
}

impl Eth {
    /// With an 802.1Q tag of this VLAN; a second one goes inside the first.
    #[must_use]
    pub fn vlan(mut self, id: u16) -> Self {
        self.tags.push(id);
        self
    }

    /// Carrying IPv4.
    #[must_use]
    pub fn ipv4(self, source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4 {
        Ipv4::new(self, source, destination)
    }

    /// Carrying an ARP request: who has `target`, tell `sender`.
    #[must_use]
    pub fn arp(self, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        // Ethernet and IPv4, lengths 6 and 4, a request (RFC 826).
        let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1];
        body.extend(self.source.0);
        body.extend(sender.octets());
        body.extend([0; 6]);
        body.extend(target.octets());
        self.carrying(wire::eth::Eth::ARP.get(), &body)
    }

    /// Carrying an IPv6 packet without next header (RFC 8200 section 4.7).
    #[must_use]
    pub fn ipv6(self) -> Vec<u8> {
        let mut body = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
        body.extend([0xfe; 32]);
        self.carrying(wire::eth::Eth::IPV6.get(), &body)
    }

    /// Carrying `body`, said to be of this type.
    #[must_use]
    pub fn carrying(&self, ethertype: u16, body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(wire::eth::Eth::LEN + 4 * self.tags.len() + body.len());
        frame.extend(self.destination.0);
        frame.extend(self.source.0);
        for tag in &self.tags {
            frame.extend(VLAN.to_be_bytes());
            frame.extend(tag.to_be_bytes());
        }
        frame.extend(ethertype.to_be_bytes());
        frame.extend(body);
        frame
    }

    /// Between other Ethernet addresses: the next hop's.
    pub(super) fn readdress(&mut self, source: Mac, destination: Mac) {
        self.source = source;
        self.destination = destination;
    }
}
