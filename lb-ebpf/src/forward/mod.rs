//! The rewrite of each forwarding method, one file each, and what they share: the new Ethernet
//! header and the hop that is used up.
//!
//! A rewrite is told everything and decides nothing; it runs after all checks, so that a packet is
//! either rewritten whole or not at all. Not here: which real server ([`crate::select`]).

pub mod dr;
pub mod nat;

use crate::abi::Mac;
use crate::checksum::Change;
use crate::frame::Frame;
use crate::parse::Packet;
use crate::steer::NextHop;
use crate::wire::ipv4::Ipv4;

/// Addresses the frame to the next hop.
#[inline(always)]
fn to_next_hop<F: Frame + ?Sized>(frame: &mut F, hop: &NextHop) -> Option<()> {
    frame.write(0, &[hop.destination, hop.source] as &[Mac; 2])
}

/// Takes one from the time to live and mends the header's checksum by `change` and by that.
///
/// Also in direct routing, as LVS does: two directors that send a packet to each other stop.
#[inline(always)]
fn hop<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, change: Change) -> Option<()> {
    let old = [packet.ttl, packet.protocol];
    let new = [packet.ttl - 1, packet.protocol];
    let checksum: [u8; 2] = frame.read(Packet::L3 + Ipv4::CHECKSUM)?;
    let checksum = change
        .word(u16::from_ne_bytes(old), u16::from_ne_bytes(new))
        .apply(u16::from_ne_bytes(checksum));
    frame.write(Packet::L3 + Ipv4::TTL, &new)?;
    frame.write(Packet::L3 + Ipv4::CHECKSUM, &checksum.to_ne_bytes())
}
