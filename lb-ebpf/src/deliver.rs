//! From a decision to a frame on its way: what keeps a packet from going, and the rewrite of the
//! service's method.
//!
//! Not here: which real server, and who asks ([`mod@crate::steer`], [`crate::stage`]).

use crate::abi::{Addr, Flow, REAL_LOCAL, Real, Reason, Service, method};
use crate::forward::nat::End;
use crate::forward::{dr, nat, tunnel};
use crate::frame::Frame;
use crate::icmp;
use crate::lookups::{Journey, Lookups, NextHop, Route};
use crate::parse::Packet;
use crate::select;
use crate::steer::{Action, Verdict};

/// Sends a packet of `service`, whose method is fullnat or is not, to the real server `id`; `flow` is what its entry says: of use to fullnat.
#[inline(always)]
pub fn deliver<F, L, const FULLNAT: bool>(
    frame: &mut F,
    packet: &Packet,
    service: &Service,
    id: u32,
    flow: &Flow,
    lookups: &L,
    ingress: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let Some(real) = lookups.real(id) else {
        return Verdict::drop(Reason::Inconsistent);
    };
    let (opens, ends) = (packet.is_syn(), packet.is_end());
    if real.flags & REAL_LOCAL != 0 {
        lookups.count(service.id, id, packet.len, opens, ends);
        return Verdict::pass(Reason::ForwardedLocal);
    }
    if packet.ttl <= 1 {
        return Verdict::drop(Reason::TtlExpired);
    }
    if real.mtu != 0 {
        let added = if !FULLNAT && service.method == method::TUNNEL {
            tunnel::overhead(real)
        } else {
            0
        };
        if packet.len + u32::from(added) > u32::from(real.mtu) {
            return too_big(frame, packet, real.mtu.saturating_sub(added));
        }
    }
    let to = hop_to(real);
    let (rewritten, reason) = if FULLNAT {
        let Some(own) = own_end(flow, lookups) else {
            return Verdict::drop(Reason::Inconsistent);
        };
        let rewritten = nat::both(frame, packet, own, end_of(real, packet), &to);
        (rewritten, Reason::ForwardedFullnat)
    } else {
        match service.method {
            method::DR => (dr::forward(frame, packet, &to), Reason::ForwardedDr),
            method::NAT => {
                let end = end_of(real, packet);
                (nat::forward(frame, packet, end, &to), Reason::ForwardedNat)
            }
            method::TUNNEL => {
                let spread = select::hash_of(packet);
                let rewritten = tunnel::forward(frame, packet, real, spread, &to);
                (rewritten, Reason::ForwardedTunnel)
            }
            _ => return Verdict::drop(Reason::Inconsistent),
        }
    };
    if rewritten.is_none() {
        return Verdict::drop(Reason::NoHeadroom);
    }
    lookups.count(service.id, id, packet.len, opens, ends);
    Verdict::out(to.ifindex, ingress, reason)
}

/// The next hop towards a real server.
#[inline(always)]
pub(crate) const fn hop_to(real: &Real) -> NextHop {
    let (destination, source) = real.macs();
    NextHop {
        ifindex: real.ifindex,
        destination,
        source,
        vlan: real.vlan,
    }
}

/// What the destination of a packet becomes.
#[inline(always)]
pub(crate) const fn end_of(real: &Real, packet: &Packet) -> End {
    End {
        address: real.address,
        port: real.port,
    }
    .or_port(packet.destination_port)
}

/// The director's own address and port of a fullnat flow.
#[inline(always)]
pub(crate) fn own_end<L: Lookups + ?Sized>(flow: &Flow, lookups: &L) -> Option<End> {
    let entry = lookups.pool(u32::from(flow.pool))?;
    Some(End {
        address: entry.address,
        port: flow.port,
    })
}

/// A packet that is too long for the way to its real server: its sender is told what fits, unless
/// it leaves it to routers to fragment, which an XDP program can't.
#[inline(always)]
fn too_big<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, mtu: u16) -> Verdict {
    if !packet.dont_fragment || icmp::too_big(frame, packet, mtu).is_none() {
        return Verdict::drop(Reason::TooBig);
    }
    Verdict {
        action: Action::Transmit,
        reason: Reason::TooBigTold,
    }
}

/// The way to a client, or what becomes of a packet that has none.
#[inline(always)]
pub(crate) fn route_to<L: Lookups + ?Sized>(
    packet: &Packet,
    client: Addr,
    lookups: &L,
    ingress: u32,
) -> Result<NextHop, Verdict> {
    let journey = Journey {
        ingress,
        source: packet.source,
        destination: client,
        protocol: packet.protocol,
    };
    let hop = match lookups.route(&journey) {
        Route::Via(hop) => hop,
        Route::NotRouted => return Err(Verdict::pass(Reason::ReplyNotRouted)),
        Route::Unresolved => {
            lookups.unresolved(ingress, client);
            return Err(Verdict::drop(Reason::NextHopUnresolved));
        }
    };
    if packet.ttl <= 1 {
        return Err(Verdict::drop(Reason::TtlExpired));
    }
    // A VLAN's frames leave by the interface below it, with its tag.
    Ok(match lookups.interface(hop.ifindex) {
        Some(interface) if interface.vlan != 0 => NextHop {
            ifindex: interface.egress,
            vlan: interface.vlan,
            ..hop
        },
        _ => hop,
    })
}
