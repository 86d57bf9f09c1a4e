//! A packet in its frame: what is alike in both families.
//!
//! Not here: the IP headers ([`super::ipv4`], [`super::ipv6`]), what they carry
//! ([`super::segment`], [`super::outer`]).

use std::net::IpAddr;

use lb_ebpf::abi::Mac;

use super::eth::Eth;
use super::segment::{Other, Segment, Tcp, Udp};

/// What fills a frame beyond the packet: not zero, so that it is seen when it is taken for data.
pub(super) const PADDING: u8 = 0xee;

/// An IP header in the making.
pub trait Header: Clone {
    /// What Ethernet calls it.
    const ETHERTYPE: u16;
    /// What another IP header calls a packet with it: its IP protocol number.
    const INSIDE: u8;

    /// Source and destination.
    fn addresses(&self) -> [IpAddr; 2];

    /// Between other addresses, which must be of its family.
    fn readdress(&mut self, addresses: [IpAddr; 2]);

    /// With so many hops left.
    fn set_ttl(&mut self, ttl: u8);

    /// With this DSCP and ECN.
    fn set_tos(&mut self, tos: u8);

    /// DSCP and ECN.
    fn tos(&self) -> u8;

    /// As that of a fragment that starts at `offset` units of 8 bytes, followed by `more` or by none.
    fn set_fragment(&mut self, offset: u16, more: bool);

    /// The header before `len` bytes of `protocol`.
    fn bytes(&self, protocol: u8, len: usize) -> Vec<u8>;
}

/// An IP packet in its frame, with header `H`, carrying an `S`.
#[derive(Clone, Debug)]
pub struct Packet<H, S = ()> {
    eth: Eth,
    pub(super) ip: H,
    pub(super) segment: S,
    padded_to: usize,
}

impl<H> Packet<H> {
    pub(super) fn new(eth: Eth, ip: H) -> Self {
        Self {
            eth,
            ip,
            segment: (),
            padded_to: 0,
        }
    }

    /// Carrying TCP between these ports.
    #[must_use]
    pub fn tcp(self, source: u16, destination: u16) -> Packet<H, Tcp> {
        self.carrying(Tcp::new(source, destination))
    }

    /// Carrying UDP between these ports.
    #[must_use]
    pub fn udp(self, source: u16, destination: u16) -> Packet<H, Udp> {
        self.carrying(Udp::new(source, destination))
    }

    /// Carrying bytes, said to be of this protocol.
    #[must_use]
    pub fn other(self, protocol: u8, bytes: &[u8]) -> Packet<H, Other> {
        self.carrying(Other {
            protocol,
            bytes: bytes.to_vec(),
        })
    }

    pub(super) fn carrying<S>(self, segment: S) -> Packet<H, S> {
        Packet {
            eth: self.eth,
            ip: self.ip,
            segment,
            padded_to: self.padded_to,
        }
    }
}

impl<H: Header, S> Packet<H, S> {
    /// With so many hops left (64 unless told otherwise).
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ip.set_ttl(ttl);
        self
    }

    /// With this DSCP and ECN (0 unless told otherwise).
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.ip.set_tos(tos);
        self
    }

    /// To another address of the same family.
    #[must_use]
    pub fn to(mut self, destination: impl Into<IpAddr>) -> Self {
        let [source, _] = self.ip.addresses();
        self.ip.readdress([source, destination.into()]);
        self
    }

    /// From another address of the same family.
    #[must_use]
    pub fn from(mut self, source: impl Into<IpAddr>) -> Self {
        let [_, destination] = self.ip.addresses();
        self.ip.readdress([source.into(), destination]);
        self
    }

    /// In a frame between other Ethernet addresses.
    #[must_use]
    pub fn hop(mut self, source: Mac, destination: Mac) -> Self {
        self.eth = self.eth.between(source, destination);
        self
    }

    /// In a frame with the tag of this VLAN alone, whatever tags there were; 0: without any.
    #[must_use]
    pub fn tagged(mut self, vlan: u16) -> Self {
        self.eth = self.eth.tagged(vlan);
        self
    }

    /// In a frame filled up to `len` bytes, as short frames on a cable are.
    #[must_use]
    pub fn padded_to(mut self, len: usize) -> Self {
        self.padded_to = len;
        self
    }

    /// The same frame and header around something else.
    pub(super) fn with<T>(&self, segment: T) -> Packet<H, T> {
        Packet {
            eth: self.eth.clone(),
            ip: self.ip.clone(),
            segment,
            padded_to: self.padded_to,
        }
    }

    /// Its IP header.
    pub fn header(&self) -> &H {
        &self.ip
    }

    /// The Ethernet header, with its tags.
    #[must_use]
    pub fn link(&self) -> Eth {
        self.eth.clone()
    }
}

impl<H: Header, S: Segment> Packet<H, S> {
    /// The packet without its frame.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let [source, destination] = self.ip.addresses();
        let segment = self.segment.bytes(source, destination);
        let mut packet = self.ip.bytes(self.segment.protocol(), segment.len());
        packet.extend(segment);
        packet
    }

    /// The whole frame.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut frame = self.eth.carrying(H::ETHERTYPE, &self.packet());
        frame.resize(frame.len().max(self.padded_to), PADDING);
        frame
    }
}

impl<H: Header, S: Segment> From<Packet<H, S>> for Vec<u8> {
    fn from(packet: Packet<H, S>) -> Self {
        packet.build()
    }
}
