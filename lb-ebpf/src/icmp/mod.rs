//! ICMP: the answer to a packet that can't go on ([`too_big`]) and to pings ([`echo`]), errors of others
//! about flows of ours ([`error`]), and what messages that we make have in common.
//!
//! Not here: who is told ([`crate::stage`]).

pub mod echo;
pub mod error;
mod too_big;

use zerocopy::IntoBytes as _;
use zerocopy::network_endian::U16;

use crate::abi::Addr;
use crate::checksum::whole;
use crate::frame::Frame;
use crate::parse::{Packet, VLAN_TAGS_MAX};
use crate::wire::eth::{Eth, Vlan};
use crate::wire::icmp::Icmp;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

pub use too_big::too_big;

/// Hops of an answer.
const TTL: u8 = 64;

/// After the frame has grown by `added` bytes: moves ethertypes and VLAN tags, which end at `l3`, down
/// to the new start: the answer goes back by the link that the packet came by. The addresses are the
/// caller's.
#[inline(always)]
pub(crate) fn move_link_header<F: Frame + ?Sized>(
    frame: &mut F,
    l3: usize,
    added: usize,
) -> Option<()> {
    const ETHERTYPE: usize = Eth::LEN - 2;
    for tag in 0..VLAN_TAGS_MAX {
        let at = ETHERTYPE + tag * Vlan::LEN;
        if at + 2 < l3 {
            let bytes: [u8; Vlan::LEN] = frame.read(added + at)?;
            frame.write(at, &bytes)?;
        }
    }
    let ethertype: [u8; 2] = frame.read(added + l3 - 2)?;
    frame.write(l3 - 2, &ethertype)
}

/// The sum over ICMPv6's pseudo-header (RFC 8200 section 8.1).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 128 bytes")]
pub(crate) fn pseudo_header(source: &Addr, destination: &Addr, len: usize) -> u64 {
    let mut total =
        u64::from((len as u16).to_be()) + u64::from(u16::from(Icmp::PROTOCOL_V6).to_be());
    // Not two iterators in a chain: the verifier loses its way in them.
    for address in [source, destination] {
        let [a, b, c, d] = address.words();
        total += u64::from(a.bits()) + u64::from(b.bits());
        total += u64::from(c.bits()) + u64::from(d.bits());
    }
    total
}

/// The IPv4 header of an answer to a packet: `len` bytes with all that follows it. It needs no
/// identification, as it is not to be told from other fragments (RFC 6864).
#[inline(always)]
fn answer_v4(packet: &Packet, tos: u8, fragment: u16, len: u16) -> Ipv4 {
    let mut header = Ipv4 {
        version_ihl: Ipv4::PLAIN,
        tos,
        total_len: U16::new(len),
        id: U16::ZERO,
        fragment: U16::new(fragment),
        ttl: TTL,
        protocol: Icmp::PROTOCOL_V4,
        checksum: [0; 2],
        source: packet.destination.v4_octets(),
        destination: packet.source.v4_octets(),
    };
    header.checksum = whole(header.as_bytes(), 0).to_ne_bytes();
    header
}

/// The IPv6 header of an answer to a packet, before `payload` bytes.
#[inline(always)]
const fn answer_v6(packet: &Packet, class: u8, payload: u16) -> Ipv6 {
    Ipv6 {
        version_class: 0x60 | class >> 4,
        class_flow: [class << 4, 0, 0],
        payload_len: U16::new(payload),
        next_header: Icmp::PROTOCOL_V6,
        hop_limit: TTL,
        source: packet.destination.v6_octets(),
        destination: packet.source.v6_octets(),
    }
}
