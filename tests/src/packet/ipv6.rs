//! The IPv6 header, the headers between it and what it carries, and what in them can lie.
//!
//! Not here: what it carries ([`super::segment`]).

use std::net::{IpAddr, Ipv6Addr};

use lb_ebpf::wire;
use lb_ebpf::wire::ipv6::Extension;

use super::eth::Eth;
use super::frame::{Header, Packet};

/// An IPv6 packet in its frame, carrying an `S`.
pub type Ipv6<S = ()> = Packet<V6, S>;

/// The header, with its extension headers.
#[derive(Clone, Debug)]
pub struct V6 {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    class: u8,
    flow_label: u32,
    hop_limit: u8,
    id: u32,
    /// Protocol number of each, and its bytes after the one that names the next.
    extensions: Vec<(u8, Vec<u8>)>,
    version: Option<u8>,
    payload_len: Option<u16>,
}

impl V6 {
    pub(super) fn packet(eth: Eth, source: Ipv6Addr, destination: Ipv6Addr) -> Ipv6 {
        let header = Self {
            source,
            destination,
            class: 0,
            flow_label: 0,
            hop_limit: 64,
            id: 0x1234_5678,
            extensions: Vec::new(),
            version: None,
            payload_len: None,
        };
        Packet::new(eth, header)
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => panic!("{address} in an IPv6 header"),
    }
}

impl Header for V6 {
    const ETHERTYPE: u16 = wire::eth::Eth::IPV6.get();
    const INSIDE: u8 = 41;

    fn addresses(&self) -> [IpAddr; 2] {
        [self.source.into(), self.destination.into()]
    }

    fn readdress(&mut self, addresses: [IpAddr; 2]) {
        [self.source, self.destination] = addresses.map(v6);
    }

    fn set_ttl(&mut self, ttl: u8) {
        self.hop_limit = ttl;
    }

    fn set_tos(&mut self, tos: u8) {
        self.class = tos;
    }

    fn tos(&self) -> u8 {
        self.class
    }

    fn set_fragment(&mut self, offset: u16, more: bool) {
        let mut rest = vec![0];
        rest.extend((offset << 3 | u16::from(more)).to_be_bytes());
        rest.extend(self.id.to_be_bytes());
        self.extensions.push((Extension::FRAGMENT, rest));
    }

    fn bytes(&self, protocol: u8, len: usize) -> Vec<u8> {
        let mut nexts: Vec<_> = self.extensions.iter().map(|(next, _)| *next).collect();
        nexts.push(protocol);
        let extended: usize = self.extensions.iter().map(|(_, rest)| 1 + rest.len()).sum();
        let true_len = u16::try_from(extended + len).expect("a packet below 64 KiB");
        let version = u32::from(self.version.unwrap_or(6));
        let first = version << 28 | u32::from(self.class) << 20 | self.flow_label;
        let mut bytes = first.to_be_bytes().to_vec();
        bytes.extend(self.payload_len.unwrap_or(true_len).to_be_bytes());
        bytes.extend([nexts[0], self.hop_limit]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        for ((_, rest), next) in self.extensions.iter().zip(&nexts[1..]) {
            bytes.push(*next);
            bytes.extend(rest);
        }
        bytes
    }
}

impl<S> Ipv6<S> {
    /// With this flow label, of 20 bits (0 unless told otherwise).
    #[must_use]
    pub fn flow_label(mut self, label: u32) -> Self {
        self.ip.flow_label = label & 0xf_ffff;
        self
    }

    /// With hop-by-hop options behind all headers so far.
    #[must_use]
    pub fn hop_by_hop(self, options: &[u8]) -> Self {
        self.extension(Extension::HOP_BY_HOP, &with_len(options))
    }

    /// With destination options behind all headers so far.
    #[must_use]
    pub fn destination_options(self, options: &[u8]) -> Self {
        self.extension(Extension::DESTINATION, &with_len(options))
    }

    /// With a routing header that is used up (type 2, no segments left) behind all headers so far.
    #[must_use]
    pub fn routing(self, home: Ipv6Addr) -> Self {
        let mut rest = vec![2, 0, 0, 0, 0, 0];
        rest.extend(home.octets());
        self.extension(Extension::ROUTING, &with_len(&rest))
    }

    /// With a fragment header behind all headers so far: a fragment that starts at `offset` units
    /// of 8 bytes, followed by `more` or by none.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.ip.set_fragment(offset, more);
        self
    }

    /// With this identification in a fragment header to come (0x12345678 unless told otherwise).
    #[must_use]
    pub fn id(mut self, id: u32) -> Self {
        self.ip.id = id;
        self
    }

    /// With another header behind all so far: `rest` is all of it but the byte that names the next.
    #[must_use]
    pub fn extension(mut self, protocol: u8, rest: &[u8]) -> Self {
        self.ip.extensions.push((protocol, rest.to_vec()));
        self
    }

    /// Saying to be of another version.
    #[must_use]
    pub fn claims_version(mut self, version: u8) -> Self {
        self.ip.version = Some(version);
        self
    }

    /// Saying that so many bytes follow the fixed header.
    #[must_use]
    pub fn claims_payload_len(mut self, bytes: u16) -> Self {
        self.ip.payload_len = Some(bytes);
        self
    }
}

/// An extension header without its first byte, filled up with zeroes (each an option of one byte)
/// to a multiple of 8.
fn with_len(rest: &[u8]) -> Vec<u8> {
    let units = (rest.len() + 2).div_ceil(8);
    let mut bytes = vec![u8::try_from(units - 1).expect("an extension of at most 2 KiB")];
    bytes.extend(rest);
    bytes.resize(units * 8 - 1, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use lb_ebpf::abi::Mac;

    use super::super::eth;
    use super::*;

    fn frame() -> Ipv6 {
        let client = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let vip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
        eth(Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])).ipv6(client, vip)
    }

    /// Written down by hand; its checksum was not computed by this code.
    #[test]
    fn a_datagram_is_built_byte_by_byte() {
        let wanted = [
            0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x86, 0xdd, // Ethernet
            0x6b, 0x81, 0x23, 0x45, 0, 11, 17, 64, // IPv6
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, //
            0x9c, 0x40, 0, 53, 0, 11, 0x42, 0x8d, b'a', b'b', b'c', // UDP
        ];
        let datagram = frame()
            .tos(0xb8)
            .flow_label(0x12345)
            .udp(40_000, 53)
            .payload(b"abc");
        assert_eq!(datagram.build(), wanted);
    }

    #[test]
    fn extension_headers_name_each_other() {
        let packet = frame()
            .hop_by_hop(&[5, 2, 0, 0])
            .fragment(185, true)
            .udp(1, 2)
            .packet();
        assert_eq!(packet[4..7], [0, 24, 0]);
        assert_eq!(packet[40..48], [44, 0, 5, 2, 0, 0, 0, 0]);
        assert_eq!(packet[48..56], [17, 0, 5, 0xc9, 0x12, 0x34, 0x56, 0x78]);
        assert_eq!(packet[56..60], [0, 1, 0, 2]);
    }
}
