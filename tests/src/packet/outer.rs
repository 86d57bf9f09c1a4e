//! Packets in packets: encapsulations, and ICMP errors, which quote what they are about.
//!
//! Not here: the outer headers' addresses, hops and class, which are words of the same sentence.

use std::net::IpAddr;

use lb_ebpf::abi::encapsulation;
use lb_ebpf::checksum::whole;
use lb_ebpf::wire::icmp::Icmp;

use super::frame::{Header, Packet};
use super::ipv4::Ipv4;
use super::ipv6::Ipv6;
use super::segment::{Other, Segment, Udp, with_addresses};

impl<H: Header> Packet<H> {
    /// Carrying another packet right behind the header: IPIP, 6in4, 4in6 or 6in6.
    #[must_use]
    pub fn ip_in_ip<I: Header, S: Segment>(self, inner: &Packet<I, S>) -> Packet<H, Other> {
        self.other(I::INSIDE, &inner.packet())
    }

    /// Carrying another packet behind a UDP header without checksum: GUE, variant 1.
    #[must_use]
    pub fn gue<I: Header, S: Segment>(
        self,
        source_port: u16,
        inner: &Packet<I, S>,
    ) -> Packet<H, Udp> {
        self.udp(source_port, encapsulation::GUE_PORT)
            .payload(&inner.packet())
            .no_checksum()
    }
}

/// An ICMP message about a packet, and what it quotes of it.
#[derive(Clone, Debug)]
pub struct Error {
    /// Type and code.
    kind: [u8; 2],
    /// The four bytes behind its checksum: of "too big", the length that fits.
    rest: u32,
    quote: Vec<u8>,
    is_v6: bool,
}

impl Segment for Error {
    fn protocol(&self) -> u8 {
        if self.is_v6 {
            Icmp::PROTOCOL_V6
        } else {
            Icmp::PROTOCOL_V4
        }
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let (protocol, [kind, code]) = (self.protocol(), self.kind);
        let mut bytes = vec![kind, code, 0, 0];
        bytes.extend(self.rest.to_be_bytes());
        bytes.extend(&self.quote);
        let checksum = if source.is_ipv4() {
            whole(&bytes, 0)
        } else {
            with_addresses(&bytes, protocol, source, destination)
        };
        bytes[2..4].copy_from_slice(&checksum.to_ne_bytes());
        bytes
    }
}

impl Ipv4 {
    /// Carrying "fragmentation needed": packets of `mtu` bytes would fit.
    #[must_use]
    pub fn too_big(self, mtu: u32, quote: &[u8]) -> Ipv4<Error> {
        self.error([3, 4], mtu, quote)
    }

    /// Carrying an error of this type and code.
    #[must_use]
    pub fn error(self, kind: [u8; 2], rest: u32, quote: &[u8]) -> Ipv4<Error> {
        self.carrying(Error {
            kind,
            rest,
            quote: quote.to_vec(),
            is_v6: false,
        })
    }
}

impl Ipv6 {
    /// Carrying "packet too big": packets of `mtu` bytes would fit.
    #[must_use]
    pub fn too_big(self, mtu: u32, quote: &[u8]) -> Ipv6<Error> {
        self.error([2, 0], mtu, quote)
    }

    /// Carrying an error of this type and code.
    #[must_use]
    pub fn error(self, kind: [u8; 2], rest: u32, quote: &[u8]) -> Ipv6<Error> {
        self.carrying(Error {
            kind,
            rest,
            quote: quote.to_vec(),
            is_v6: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use lb_ebpf::abi::Mac;

    use super::super::{Eth, eth};

    fn link() -> Eth {
        eth(Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]))
    }

    #[test]
    fn a_packet_goes_into_another_whole() {
        let (a, b) = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 100));
        let inner = link().ipv4(a, b).tcp(1, 2);
        let plain = link().ipv4(b, a).ip_in_ip(&inner).packet();
        assert_eq!((plain[9], &plain[20..]), (4, &inner.packet()[..]));
        let gue = link()
            .ipv6(a.to_ipv6_mapped(), b.to_ipv6_mapped())
            .gue(0xc001, &inner)
            .packet();
        assert_eq!(gue[40..48], [0xc0, 1, 0x17, 0xc0, 0, 48, 0, 0]);
        assert_eq!(gue[48..], inner.packet());
    }

    /// Written down by hand; their checksums were not computed by this code.
    #[test]
    fn what_is_told_is_built_byte_by_byte() {
        let to = Ipv4Addr::new(10, 77, 0, 1);
        let told = link().ipv4(to, to).too_big(1480, &[1, 2, 3, 4]).packet();
        assert_eq!(told[20..], [3, 4, 0xf3, 0x2d, 0, 0, 0x05, 0xc8, 1, 2, 3, 4]);
        let (a, b) = (
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100),
        );
        let told = link().ipv6(a, b).too_big(1460, &[1, 2, 3, 4]).packet();
        assert_eq!(told[6], 58);
        assert_eq!(told[40..], [2, 0, 0x97, 0x8c, 0, 0, 0x05, 0xb4, 1, 2, 3, 4]);
    }
}
