//! The rewrite of each forwarding method, one file each, and what they share: the link header and
//! the hop that is used up.
//!
//! A rewrite is told everything and decides nothing; it runs after all checks. What still fails
//! then (there is no room before the frame) has the frame dropped. Not here: which real server
//! ([`crate::select`], [`crate::track`]).

pub mod dr;
pub mod nat;
pub mod tunnel;

use zerocopy::network_endian::U16;

use crate::checksum::Change;
use crate::frame::Frame;
use crate::lookups::NextHop;
use crate::parse::Packet;
use crate::wire::eth::{Eth, Vlan};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

/// Writes the link header of a frame whose IP header is at `l3` now and is to have `added` bytes
/// more before it: addresses, the tag of the hop's VLAN, and what follows. Where that starts.
///
/// Tags that the frame came in with were those of the link it came by.
#[inline(always)]
pub(crate) fn link<F: Frame + ?Sized>(
    frame: &mut F,
    l3: usize,
    added: usize,
    hop: &NextHop,
    ethertype: U16,
) -> Option<usize> {
    let end = if hop.vlan == 0 {
        Eth::LEN
    } else {
        Eth::LEN + Vlan::LEN
    };
    let wanted = end + added;
    if wanted > l3 {
        frame.grow(wanted - l3)?;
    } else if wanted < l3 {
        frame.shrink(l3 - wanted)?;
    }
    let mut eth = Eth {
        destination: hop.destination,
        source: hop.source,
        ethertype,
    };
    if hop.vlan != 0 {
        eth.ethertype = Vlan::DOT1Q;
        let tag = Vlan {
            control: U16::new(hop.vlan),
            ethertype,
        };
        frame.write(Eth::LEN, &tag)?;
    }
    frame.write(0, &eth)?;
    Some(end)
}

/// Addresses a packet's frame to the next hop.
#[inline(always)]
fn to_next_hop<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, hop: &NextHop) -> Option<()> {
    link(frame, packet.l3, 0, hop, ethertype(packet)).map(drop)
}

/// The ethertype of a packet.
#[inline(always)]
pub(crate) const fn ethertype(packet: &Packet) -> U16 {
    if packet.is_v6 { Eth::IPV6 } else { Eth::IPV4 }
}

/// Takes one from the hops left; in IPv4, mends the header's checksum by `change` and by that.
///
/// Also in direct routing, as LVS does: two directors that send a packet to each other stop.
#[inline(always)]
pub(crate) fn hop<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, change: Change) -> Option<()> {
    if packet.is_v6 {
        return frame.write(packet.l3 + Ipv6::HOP_LIMIT, &(packet.ttl - 1));
    }
    let old = u16::from_ne_bytes([packet.ttl, packet.protocol]);
    let new = u16::from_ne_bytes([packet.ttl.wrapping_sub(1), packet.protocol]);
    let checksum = change.word(old, new).apply(packet.checksum);
    // Time to live, protocol and checksum are one word.
    frame.write(packet.l3 + Ipv4::TTL, &[new, checksum])
}
