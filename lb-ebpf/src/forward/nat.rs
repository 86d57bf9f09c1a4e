//! LVS-NAT: towards the real server the destination is rewritten, on the way back the source.
//!
//! The real server sees the client's address and must route its replies through the director.

use crate::abi::{Be16, Be32};
use crate::checksum::Change;
use crate::frame::Frame;
use crate::parse::Packet;
use crate::steer::NextHop;
use crate::wire::ipv4::Ipv4;
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// Rewrites the destination to the real server and sends the frame to `to`. `None` where the frame
/// is shorter than [`Packet::parse`] saw it.
#[inline(always)]
pub fn forward<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    address: Be32,
    port: Be16,
    to: &NextHop,
) -> Option<()> {
    let change = Change::new().long(packet.destination.bits(), address.bits());
    frame.write(Packet::L3 + Ipv4::DESTINATION, &address)?;
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
    address: Be32,
    port: Be16,
    to: &NextHop,
) -> Option<()> {
    let change = Change::new().long(packet.source.bits(), address.bits());
    frame.write(Packet::L3 + Ipv4::SOURCE, &address)?;
    frame.write(packet.l4 + Tcp::SOURCE, &port)?;
    mend_l4(
        frame,
        packet,
        change.word(packet.source_port.bits(), port.bits()),
    )?;
    super::hop(frame, packet, change)?;
    super::to_next_hop(frame, to)
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
