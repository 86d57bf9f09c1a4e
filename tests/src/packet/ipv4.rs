//! The IPv4 header and everything in it that can lie.
//!
//! Not here: what it carries ([`super::segment`]).

use std::net::{IpAddr, Ipv4Addr};

use lb_ebpf::checksum::whole;
use lb_ebpf::wire;

use super::eth::Eth;
use super::frame::{Header, Packet};
use super::segment::damaged;

/// An IPv4 packet in its frame, carrying an `S`.
pub type Ipv4<S = ()> = Packet<V4, S>;

/// The header.
#[derive(Clone, Debug)]
pub struct V4 {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    tos: u8,
    id: u16,
    ttl: u8,
    fragment: u16,
    options: Vec<u8>,
    lies: Lies,
}

/// What the header says instead of the truth.
#[derive(Clone, Copy, Debug, Default)]
struct Lies {
    version: Option<u8>,
    ihl: Option<u8>,
    total_len: Option<u16>,
    checksum_off_by: u16,
}

impl V4 {
    pub(super) fn packet(eth: Eth, source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4 {
        let header = Self {
            source,
            destination,
            tos: 0,
            id: 0x1234,
            ttl: 64,
            fragment: 0,
            options: Vec::new(),
            lies: Lies::default(),
        };
        Packet::new(eth, header)
    }
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(address) => panic!("{address} in an IPv4 header"),
    }
}

impl Header for V4 {
    const ETHERTYPE: u16 = wire::eth::Eth::IPV4.get();
    const INSIDE: u8 = 4;

    fn addresses(&self) -> [IpAddr; 2] {
        [self.source.into(), self.destination.into()]
    }

    fn readdress(&mut self, addresses: [IpAddr; 2]) {
        [self.source, self.destination] = addresses.map(v4);
    }

    fn set_ttl(&mut self, ttl: u8) {
        self.ttl = ttl;
    }

    fn set_tos(&mut self, tos: u8) {
        self.tos = tos;
    }

    fn tos(&self) -> u8 {
        self.tos
    }

    fn set_fragment(&mut self, offset: u16, more: bool) {
        self.fragment = offset | if more { 0x2000 } else { 0 };
    }

    fn bytes(&self, protocol: u8, len: usize) -> Vec<u8> {
        let header = wire::ipv4::Ipv4::LEN + self.options.len();
        let words = u8::try_from(header / 4).expect("options of at most 40 bytes");
        let version = self.lies.version.unwrap_or(4);
        let true_len = u16::try_from(header + len).expect("a packet below 64 KiB");
        let mut bytes = vec![version << 4 | self.lies.ihl.unwrap_or(words), self.tos];
        bytes.extend(self.lies.total_len.unwrap_or(true_len).to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([self.ttl, protocol, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(&self.options);
        let checksum = damaged(whole(&bytes, 0), self.lies.checksum_off_by);
        bytes[wire::ipv4::Ipv4::CHECKSUM..][..2].copy_from_slice(&checksum.to_ne_bytes());
        bytes
    }
}

impl<S> Ipv4<S> {
    /// With these options; filled up with zeroes (end of list) to a multiple of 4.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.ip.options = options.to_vec();
        self.ip.options.resize(options.len().next_multiple_of(4), 0);
        self
    }

    /// With this identification (0x1234 unless told otherwise).
    #[must_use]
    pub fn id(mut self, id: u16) -> Self {
        self.ip.id = id;
        self
    }

    /// Not to be fragmented.
    #[must_use]
    pub fn dont_fragment(mut self) -> Self {
        self.ip.fragment |= 0x4000;
        self
    }

    /// A fragment that starts at `offset` units of 8 bytes, followed by `more` or by none.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.ip.set_fragment(offset, more);
        self
    }

    /// Saying to be of another version.
    #[must_use]
    pub fn claims_version(mut self, version: u8) -> Self {
        self.ip.lies.version = Some(version);
        self
    }

    /// Saying that its header is so many words of 4 bytes long.
    #[must_use]
    pub fn claims_ihl(mut self, words: u8) -> Self {
        self.ip.lies.ihl = Some(words);
        self
    }

    /// Saying that the packet is so many bytes long.
    #[must_use]
    pub fn claims_total_len(mut self, bytes: u16) -> Self {
        self.ip.lies.total_len = Some(bytes);
        self
    }

    /// With a header checksum that is wrong by so much.
    #[must_use]
    pub fn checksum_off_by(mut self, error: u16) -> Self {
        self.ip.lies.checksum_off_by = error;
        self
    }
}

#[cfg(test)]
mod tests {
    use lb_ebpf::abi::Mac;

    use super::super::eth;
    use super::super::frame::PADDING;
    use super::*;

    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

    fn frame() -> Ipv4 {
        eth(Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])).ipv4(CLIENT, VIP)
    }

    /// Written down by hand; its checksums were not computed by this code.
    #[test]
    fn a_syn_is_built_byte_by_byte() {
        let wanted = [
            0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
            0x45, 0, 0, 0x28, 0x12, 0x34, 0x40, 0, 0x40, 0x06, 0x13, 0x9e, // IPv4
            10, 77, 0, 1, 10, 77, 0, 100, // addresses
            0x9c, 0x40, 0, 0x50, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, // TCP
            0x50, 0x02, 0xfa, 0xf0, 0xbe, 0xfc, 0, 0,
        ];
        let syn = frame()
            .dont_fragment()
            .tcp(40_000, 80)
            .flags(wire::tcp::Tcp::SYN);
        assert_eq!(syn.build(), wanted);
    }

    /// As above; an odd length.
    #[test]
    fn a_datagram_is_built_byte_by_byte() {
        let datagram = frame().udp(40_000, 53).payload(b"abc");
        let wanted = [0x9c, 0x40, 0, 53, 0, 11, 0x8a, 0x01, b'a', b'b', b'c'];
        assert_eq!(datagram.build()[34..], wanted);
        assert_eq!(datagram.clone().no_checksum().build()[40..42], [0, 0]);
        assert_eq!(
            datagram.payload(b"even").with_checksum_zero().build()[40..42],
            [0xff, 0xff]
        );
    }

    #[test]
    fn a_lie_changes_what_is_said_and_not_what_is_there() {
        let truth = frame().tcp(40_000, 80);
        let lie = truth
            .clone()
            .claims_total_len(41)
            .claims_ihl(15)
            .claims_version(6)
            .build();
        assert_eq!(lie.len(), truth.build().len());
        assert_eq!(lie[14..18], [0x6f, 0, 0, 41]);
        let right = truth.build();
        let wrong = truth.clone().checksum_off_by(1).build();
        assert_ne!(wrong[24..26], right[24..26]);
        assert_eq!(
            [&wrong[..24], &wrong[26..]].concat(),
            [&right[..24], &right[26..]].concat()
        );
        assert_eq!(truth.padded_to(60).build()[54..], [PADDING; 6]);
    }
}
