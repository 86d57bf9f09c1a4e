//! Replies of nat real servers: the source becomes the virtual service again, without any memory of
//! the flow.
//!
//! Not here: replies of fullnat ([`crate::stage`]), and who looks for replies
//! ([`mod@crate::steer`]).

use crate::abi::{Reason, Segment};
use crate::deliver::route_to;
use crate::forward::nat::{self, End};
use crate::frame::Frame;
use crate::lookups::{Found, Lookups, find_port};
use crate::parse::Packet;
use crate::steer::Verdict;

/// The nat real server whose service a packet comes from.
#[inline(always)]
pub(crate) fn replying<L: Lookups + ?Sized>(
    packet: &Packet,
    source: Found,
    lookups: &L,
) -> Option<u32> {
    let ports = source.of(packet.protocol);
    match find_port(lookups, ports, packet.source_port.get()) {
        Segment::NOTHING | Segment::POOL => None,
        real => Some(real),
    }
}

/// A packet from a nat real server to a client.
#[inline(always)]
pub(crate) fn reply<F, L>(
    frame: &mut F,
    packet: &Packet,
    real: u32,
    lookups: &L,
    ingress: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let Some(source) = lookups.nat_reply(real) else {
        return Verdict::drop(Reason::Inconsistent);
    };
    let to = match route_to(packet, packet.destination, lookups, ingress) {
        Ok(to) => to,
        Err(verdict) => return verdict,
    };
    let vip = End {
        address: source.vip,
        port: source.port,
    };
    if nat::reply(frame, packet, vip.or_port(packet.source_port), &to).is_none() {
        return Verdict::drop(Reason::NoHeadroom);
    }
    lookups.count_reply(source.service, real, packet.len);
    Verdict::out(to.ifindex, ingress, Reason::RepliedNat)
}
