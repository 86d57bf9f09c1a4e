//! LVS-NAT: towards the real server the destination is rewritten, on the way back the source.
//!
//! The real server sees the client's address and must route its replies through the director.

use crate::abi::{Addr, Be16};
use crate::checksum::Change;
use crate::frame::Frame;
use crate::parse::Packet;
use crate::steer::NextHop;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// Rewrites the destination to the real server and sends the frame to `to`. `None` where the frame
/// is shorter than [`Packet::parse`] saw it.
#[inline(always)]
pub fn forward<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    address: &Addr,
    port: Be16,
    to: &NextHop,
) -> Option<()> {
    let at = if packet.is_v6 {
        Ipv6::DESTINATION
    } else {
        Ipv4::DESTINATION
    };
    let change = rewrite(frame, packet, at, &packet.destination, address)?;
    frame.write(packet.l4 + Tcp::DESTINATION, &port)?;
    mend_l4(
        frame,
        packet,
        change.word(packet.destination_port.bits(), port.bits()),
    )?;
    super::hop(frame, packet, change)?;
    super::to_next_hop(frame, to)
}

/// Rewrites the source to the virtual service and sends the frame to `to`. `None` as in
/// [`forward`].
#[inline(always)]
pub fn reply<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    address: &Addr,
    port: Be16,
    to: &NextHop,
) -> Option<()> {
    let at = if packet.is_v6 {
        Ipv6::SOURCE
    } else {
        Ipv4::SOURCE
    };
    let change = rewrite(frame, packet, at, &packet.source, address)?;
    frame.write(packet.l4 + Tcp::SOURCE, &port)?;
    mend_l4(
        frame,
        packet,
        change.word(packet.source_port.bits(), port.bits()),
    )?;
    super::hop(frame, packet, change)?;
    super::to_next_hop(frame, to)
}

/// Writes another address at `at` in the IP header; what that does to checksums over it.
#[inline(always)]
fn rewrite<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    at: usize,
    old: &Addr,
    new: &Addr,
) -> Option<Change> {
    let mut change = Change::new();
    if packet.is_v6 {
        for (old, new) in old.words().iter().zip(new.words()) {
            change = change.long(old.bits(), new.bits());
        }
        frame.write(packet.l3 + at, new)?;
    } else {
        change = change.long(old.v4_word().bits(), new.v4_word().bits());
        frame.write(packet.l3 + at, &new.v4_word())?;
    }
    Some(change)
}

/// Mends the checksum of TCP or UDP; both cover the addresses (pseudo-header) and the ports.
#[inline(always)]
fn mend_l4<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, change: Change) -> Option<()> {
    let tcp = packet.protocol == Tcp::PROTOCOL;
    let at = packet.l4 + if tcp { Tcp::CHECKSUM } else { Udp::CHECKSUM };
    let old = u16::from_ne_bytes(frame.read(at)?);
    if !tcp && old == 0 {
        return Some(()); // RFC 768: the sender made no checksum.
    }
    let mut new = change.apply(old);
    if !tcp && new == 0 {
        new = 0xffff; // RFC 768: zero would say that there is none.
    }
    frame.write(at, &new.to_ne_bytes())
}
