//! The Ethernet header, its tags, and the frames that carry something other than IP.
//!
//! Not here: packets ([`super::ipv4`], [`super::ipv6`]).

use std::net::{Ipv4Addr, Ipv6Addr};

use lb_ebpf::abi::Mac;
use lb_ebpf::wire;

use super::ipv4::{Ipv4, V4};
use super::ipv6::{Ipv6, V6};

/// An Ethernet header in the making.
#[derive(Clone, Debug)]
pub struct Eth {
    source: Mac,
    destination: Mac,
    tags: Vec<[u16; 2]>,
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
        self.tags.push([wire::eth::Vlan::DOT1Q.get(), id]);
        self
    }

    /// With an outer tag of 802.1ad; what follows goes inside.
    #[must_use]
    pub fn service_vlan(mut self, id: u16) -> Self {
        self.tags.push([wire::eth::Vlan::DOT1AD.get(), id]);
        self
    }

    /// With the tag of this VLAN alone, whatever tags there were; 0: without any.
    #[must_use]
    pub fn tagged(mut self, id: u16) -> Self {
        self.tags.clear();
        if id == 0 { self } else { self.vlan(id) }
    }

    /// Carrying IPv4.
    #[must_use]
    pub fn ipv4(self, source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4 {
        V4::packet(self, source, destination)
    }

    /// Carrying IPv6.
    #[must_use]
    pub fn ipv6(self, source: Ipv6Addr, destination: Ipv6Addr) -> Ipv6 {
        V6::packet(self, source, destination)
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

    /// Carrying `body`, said to be of this type.
    #[must_use]
    pub fn carrying(&self, ethertype: u16, body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(wire::eth::Eth::LEN + 4 * self.tags.len() + body.len());
        frame.extend(self.destination.0);
        frame.extend(self.source.0);
        for tag in &self.tags {
            frame.extend(tag.iter().flat_map(|word| word.to_be_bytes()));
        }
        frame.extend(ethertype.to_be_bytes());
        frame.extend(body);
        frame
    }

    /// Between other Ethernet addresses: the next hop's.
    #[must_use]
    pub fn between(self, source: Mac, destination: Mac) -> Self {
        Self {
            source,
            destination,
            ..self
        }
    }
}
