//! Answers to packets that can't go on: "too big for the way", so that path MTU discovery works
//! across an encapsulation (RFC 1191, RFC 8201).
//!
//! The answer is made of the frame itself, and goes back where it came from, in the VIP's name.

use zerocopy::IntoBytes as _;
use zerocopy::network_endian::{U16, U32};

use crate::abi::{Addr, Mac};
use crate::checksum::{fold, sum, whole};
use crate::frame::Frame;
use crate::parse::{Packet, VLAN_TAGS_MAX};
use crate::wire::eth::{Eth, Vlan};
use crate::wire::icmp::Icmp;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

/// Of the packet's payload, what the answer quotes: enough for its sender to find the connection
/// (RFC 792: 64 bits).
const QUOTED_PAYLOAD: usize = 8;
/// Longest quote: an IPv4 header with all its options, or an IPv6 header with as much before what it
/// carries, and 8 bytes. Of more extension headers the end is not quoted.
const QUOTED_MAX: usize = 120 + QUOTED_PAYLOAD;
/// Hops of the answer.
const TTL: u8 = 64;

/// Makes the frame an answer to its sender: packets of `mtu` bytes would fit. `None` where there is
/// no room for it.
#[inline(always)]
pub fn too_big<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, mtu: u16) -> Option<()> {
    let quoted = (packet.l4 - packet.l3 + QUOTED_PAYLOAD).min(QUOTED_MAX);
    let ip = if packet.is_v6 { Ipv6::LEN } else { Ipv4::LEN };
    let added = ip + Icmp::LEN;
    if frame.len() > packet.l3 + quoted {
        frame.truncate(packet.l3 + quoted)?;
    }
    frame.grow(added)?;
    move_link_header(frame, packet, added)?;
    let addresses: [Mac; 2] = frame.read(added)?;
    frame.write(0, &[addresses[1], addresses[0]])?;
    if packet.is_v6 {
        header_v6(frame, packet, quoted)?;
    } else {
        header_v4(frame, packet, quoted)?;
    }
    let (kind, code) = if packet.is_v6 {
        Icmp::PACKET_TOO_BIG
    } else {
        Icmp::FRAGMENTATION_NEEDED
    };
    let mut icmp = Icmp {
        kind,
        code,
        checksum: [0; 2],
        mtu: U32::new(u32::from(mtu)),
    };
    let mut total = sum(icmp.as_bytes()) + quote_sum(frame, packet.l3 + added, quoted)?;
    if packet.is_v6 {
        total += pseudo_header(&packet.destination, &packet.source, Icmp::LEN + quoted);
    }
    icmp.checksum = (!fold(total)).to_ne_bytes();
    frame.write(packet.l3 + ip, &icmp)
}

/// After the frame has grown by `added` bytes: moves ethertypes and VLAN tags down to the new
/// start: the answer goes back by the link that the packet came by.
#[inline(always)]
fn move_link_header<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, added: usize) -> Option<()> {
    const ETHERTYPE: usize = Eth::LEN - 2;
    for tag in 0..VLAN_TAGS_MAX {
        let at = ETHERTYPE + tag * Vlan::LEN;
        if at + 2 < packet.l3 {
            let bytes: [u8; Vlan::LEN] = frame.read(added + at)?;
            frame.write(at, &bytes)?;
        }
    }
    let ethertype: [u8; 2] = frame.read(added + packet.l3 - 2)?;
    frame.write(packet.l3 - 2, &ethertype)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 96 bytes")]
fn header_v4<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, quoted: usize) -> Option<()> {
    let mut header = Ipv4 {
        version_ihl: 0x45,
        tos: 0,
        total_len: U16::new((Ipv4::LEN + Icmp::LEN + quoted) as u16),
        id: U16::ZERO,
        fragment: U16::ZERO,
        ttl: TTL,
        protocol: Icmp::PROTOCOL_V4,
        checksum: [0; 2],
        source: packet.destination.v4_octets(),
        destination: packet.source.v4_octets(),
    };
    header.checksum = whole(header.as_bytes(), 0).to_ne_bytes();
    frame.write(packet.l3, &header)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 136 bytes")]
fn header_v6<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, quoted: usize) -> Option<()> {
    let header = Ipv6 {
        version_class: 0x60,
        class_flow: [0; 3],
        payload_len: U16::new((Icmp::LEN + quoted) as u16),
        next_header: Icmp::PROTOCOL_V6,
        hop_limit: TTL,
        source: packet.destination.v6_octets(),
        destination: packet.source.v6_octets(),
    };
    frame.write(packet.l3, &header)
}

/// The sum over the quoted packet at `at`; its length is even.
#[inline(always)]
fn quote_sum<F: Frame + ?Sized>(frame: &F, at: usize, quoted: usize) -> Option<u64> {
    let mut total = 0;
    for word in 0..QUOTED_MAX / 2 {
        if word * 2 >= quoted {
            break;
        }
        let bytes: [u8; 2] = frame.read(at + word * 2)?;
        total += u64::from(u16::from_ne_bytes(bytes));
    }
    Some(total)
}

/// The sum over ICMPv6's pseudo-header (RFC 8200 section 8.1).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 56 bytes")]
fn pseudo_header(source: &Addr, destination: &Addr, len: usize) -> u64 {
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
