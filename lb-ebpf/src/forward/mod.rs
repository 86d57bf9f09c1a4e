//! The rewrite of each forwarding method, one file each, and what they share: the new Ethernet
//! header and the hop that is used up.
//!
//! A rewrite is told everything and decides nothing; it runs after all checks, so that a packet is
//! either rewritten whole or not at all. Not here: which real server ([`crate::select`]).

pub mod dr;
pub mod nat;
pub mod tunnel;

use crate::abi::Mac;
use crate::checksum::Change;
use crate::frame::Frame;
use crate::parse::{Packet, VLAN_TAGS_MAX};
use crate::steer::NextHop;
use crate::wire::eth::{Eth, Vlan};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

/// Addresses the frame to the next hop.
#[inline(always)]
fn to_next_hop<F: Frame + ?Sized>(frame: &mut F, hop: &NextHop) -> Option<()> {
    frame.write(0, &[hop.destination, hop.source] as &[Mac; 2])
}

/// After the frame has grown by `added` bytes: moves ethertypes and VLAN tags down to the new
/// start. The addresses before them are the caller's to write.
#[inline(always)]
pub(crate) fn move_link_header<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    added: usize,
) -> Option<()> {
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

/// Takes one from the hops left; in IPv4, mends the header's checksum by `change` and by that.
///
/// Also in direct routing, as LVS does: two directors that send a packet to each other stop.
#[inline(always)]
fn hop<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, change: Change) -> Option<()> {
    if packet.is_v6 {
        return frame.write(packet.l3 + Ipv6::HOP_LIMIT, &(packet.ttl - 1));
    }
    let old = [packet.ttl, packet.protocol];
    let new = [packet.ttl - 1, packet.protocol];
    let checksum: [u8; 2] = frame.read(packet.l3 + Ipv4::CHECKSUM)?;
    let checksum = change
        .word(u16::from_ne_bytes(old), u16::from_ne_bytes(new))
        .apply(u16::from_ne_bytes(checksum));
    frame.write(packet.l3 + Ipv4::TTL, &new)?;
    frame.write(packet.l3 + Ipv4::CHECKSUM, &checksum.to_ne_bytes())
}
