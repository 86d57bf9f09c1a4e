//! Encapsulation (LVS-TUN): the packet travels whole to the real server, inside another packet
//! whose addresses are the director's and the real server's. It may be anywhere; it takes the
//! packet out again, holds the VIP, and answers the client by itself.

use zerocopy::IntoBytes as _;
use zerocopy::network_endian::U16;

use crate::abi::{Real, encapsulation};
use crate::checksum::{Change, whole};
use crate::frame::Frame;
use crate::lookups::NextHop;
use crate::parse::Packet;
use crate::wire::eth::Eth;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::udp::Udp;

/// IP protocol number of an IPv4 packet inside (RFC 2003).
const PROTOCOL_IPV4: u8 = 4;
/// IP protocol number of an IPv6 packet inside (RFC 2473).
const PROTOCOL_IPV6: u8 = 41;
/// Hops of the outer packet: the inner one's count goes on at the far end.
const TTL: u8 = 64;
/// Of UDP source ports, those that nobody listens at (RFC 6335).
const PORTS_FROM: u16 = 49_152;

/// Bytes that carrying a packet to `real` adds.
#[inline(always)]
pub const fn overhead(real: &Real) -> u16 {
    let ip = if real.address.is_v4() {
        Ipv4::BYTES
    } else {
        Ipv6::BYTES
    };
    ip + if real.encapsulation == encapsulation::GUE {
        Udp::BYTES
    } else {
        0
    }
}

/// Puts the packet into another one to `real` and sends the frame to `to`. `spread` is the flow's
/// hash: it becomes the source port of GUE, the flow label of IPv6, and low bits of the source
/// address of IPv4 where the site file has room for them, so that receivers spread flows over
/// their queues. `None` where there is no room before the frame.
#[inline(always)]
pub fn forward<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    real: &Real,
    spread: u32,
    to: &NextHop,
) -> Option<()> {
    super::hop(frame, packet, Change::new())?;
    let is_v4 = real.address.is_v4();
    let outer = if is_v4 { Eth::IPV4 } else { Eth::IPV6 };
    let at = super::link(frame, packet.l3, usize::from(overhead(real)), to, outer)?;
    let inner = if packet.is_v6 {
        PROTOCOL_IPV6
    } else {
        PROTOCOL_IPV4
    };
    let is_gue = real.encapsulation == encapsulation::GUE;
    let protocol = if is_gue { Udp::PROTOCOL } else { inner };
    let payload = packet.len + if is_gue { u32::from(Udp::BYTES) } else { 0 };
    let outer = Outer {
        protocol,
        payload,
        spread,
    };
    let at = if is_v4 {
        outer_v4(frame, at, packet, real, &outer)?
    } else {
        outer_v6(frame, at, packet, real, &outer)?
    };
    if is_gue {
        frame.write(at, &gue(payload, spread))?;
    }
    Some(())
}

/// What the outer header says of what it carries.
struct Outer {
    protocol: u8,
    payload: u32,
    spread: u32,
}

/// Writes the outer IPv4 header; where what it carries starts.
#[inline(always)]
fn outer_v4<F: Frame + ?Sized>(
    frame: &mut F,
    at: usize,
    packet: &Packet,
    real: &Real,
    outer: &Outer,
) -> Option<usize> {
    let mut header = Ipv4 {
        version_ihl: 0x45,
        tos: packet.tos,
        total_len: length(outer.payload + u32::from(Ipv4::BYTES)),
        id: U16::ZERO,
        // Never in pieces: the length was seen to fit, and an id of 0 would mix them up.
        fragment: U16::new(Ipv4::DONT_FRAGMENT),
        ttl: TTL,
        protocol: outer.protocol,
        checksum: [0; 2],
        source: spread_source(real, outer.spread),
        destination: real.address.v4_octets(),
    };
    header.checksum = whole(header.as_bytes(), 0).to_ne_bytes();
    frame.write(at, &header)?;
    Some(at + Ipv4::LEN)
}

/// The outer source, its low bits the flow's where the site file says so.
#[inline(always)]
const fn spread_source(real: &Real, spread: u32) -> [u8; 4] {
    let source = real.tunnel_source.v4_word().get();
    let mask = (1u32 << (real.spread_bits & 31)) - 1;
    (source | spread & mask).to_be_bytes()
}

/// Writes the outer IPv6 header; where what it carries starts. The flow label is the flow's
/// (RFC 6438).
#[inline(always)]
fn outer_v6<F: Frame + ?Sized>(
    frame: &mut F,
    at: usize,
    packet: &Packet,
    real: &Real,
    outer: &Outer,
) -> Option<usize> {
    let [_, high, middle, low] = outer.spread.to_be_bytes();
    let header = Ipv6 {
        version_class: 0x60 | packet.tos >> 4,
        class_flow: [packet.tos << 4 | high & 0xf, middle, low],
        payload_len: length(outer.payload),
        next_header: outer.protocol,
        hop_limit: TTL,
        source: real.tunnel_source.v6_octets(),
        destination: real.address.v6_octets(),
    };
    frame.write(at, &header)?;
    Some(at + Ipv6::LEN)
}

/// The UDP header of GUE, without a checksum: the inner packet has its own (RFC 6935 allows it
/// over IPv6 for tunnels).
#[inline(always)]
fn gue(payload: u32, spread: u32) -> Udp {
    let port = PORTS_FROM | (spread & 0x3fff) as u16;
    Udp {
        source: port.to_be_bytes(),
        destination: encapsulation::GUE_PORT.to_be_bytes(),
        length: length(payload),
        checksum: [0; 2],
    }
}

/// The lengths were seen to fit the way's MTU, which has 16 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "an MTU has 16 bits")]
const fn length(bytes: u32) -> U16 {
    U16::new(bytes as u16)
}
