//! Fragments: a packet taken apart, each part in a frame of its own.
//!
//! Not here: fragments of packets that never were, which are a word of the header
//! ([`super::Ipv4::fragment`], [`super::Ipv6::fragment`]).

use std::ops::Range;

use super::frame::{Header, Packet};
use super::segment::{Other, Segment};

impl<H: Header, S: Segment> Packet<H, S> {
    /// The fragment with these bytes of what the packet carries, which begin at a multiple of 8;
    /// more follow where it carries more.
    #[must_use]
    pub fn piece(&self, bytes: Range<usize>) -> Packet<H, Other> {
        let [source, destination] = self.header().addresses();
        let whole = self.segment.bytes(source, destination);
        assert!(
            bytes.start.is_multiple_of(8) && bytes.end <= whole.len(),
            "{bytes:?} of {} bytes",
            whole.len()
        );
        let offset = u16::try_from(bytes.start / 8).expect("a packet below 64 KiB");
        let mut packet = self.with(Other {
            protocol: self.segment.protocol(),
            bytes: whole[bytes.clone()].to_vec(),
        });
        packet.ip.set_fragment(offset, bytes.end < whole.len());
        packet
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
    fn pieces_of_a_datagram_are_all_of_it() {
        let (a, b) = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 100));
        let whole = link().ipv4(a, b).udp(1, 2).payload(&[7; 20]);
        let (first, last) = (whole.piece(0..16).packet(), whole.piece(16..28).packet());
        assert_eq!((&first[6..8], &last[6..8]), (&[0x20, 0][..], &[0, 2][..]));
        assert_eq!([&first[20..], &last[20..]].concat(), whole.packet()[20..]);
    }

    #[test]
    fn pieces_of_ipv6_have_a_header_that_says_so() {
        let (a, b) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
        let whole = link()
            .ipv6(a, b)
            .id(0x0102_0304)
            .udp(1, 2)
            .payload(&[7; 20]);
        let (first, last) = (whole.piece(0..16).packet(), whole.piece(16..28).packet());
        assert_eq!(first[6], 44);
        assert_eq!(first[40..48], [17, 0, 0, 1, 1, 2, 3, 4]);
        assert_eq!(last[40..48], [17, 0, 0, 16, 1, 2, 3, 4]);
        assert_eq!([&first[48..], &last[48..]].concat(), whole.packet()[40..]);
    }
}
