//! The whole decision about a frame: `steer(frame, lookups, ingress, now) -> Verdict`.
//!
//! What is not for a virtual service passes untouched, whatever it is. Not here: the maps behind
//! [`Lookups`] (the kernel's are in the bin, the host's in lb-user's `tables`).

use crate::abi::{
    Addr, Endpoint, Flow, FlowKey, Interface, Mac, NAT_REPLIES, NatReply, REAL_LOCAL, Real, Reason,
    Service, Slot, method,
};
use crate::forward::{dr, nat, tunnel};
use crate::frame::Frame;
use crate::icmp;
use crate::parse::Packet;
use crate::select;
use crate::wire::eth::Eth;

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// To the host's own stack, as it came.
    Pass,
    /// Nowhere.
    Drop,
    /// Out by the interface it came in by.
    Transmit,
    /// Out by another interface, named by its index.
    Redirect(u32),
}

/// What becomes of a frame, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What becomes of it.
    pub action: Action,
    /// Why: the counter it is counted under.
    pub reason: Reason,
}

impl Verdict {
    const fn pass(reason: Reason) -> Self {
        Self {
            action: Action::Pass,
            reason,
        }
    }

    const fn drop(reason: Reason) -> Self {
        Self {
            action: Action::Drop,
            reason,
        }
    }
}

/// The next Ethernet hop on a packet's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextHop {
    /// Interface the packet leaves by.
    pub ifindex: u32,
    /// Ethernet address of the next hop.
    pub destination: Mac,
    /// Ethernet address of the interface.
    pub source: Mac,
}

/// What the kernel's routing table says of a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// It is reached by this hop.
    Via(NextHop),
    /// There is a route, but its next hop has no Ethernet address yet.
    Unresolved,
    /// It is this host itself, or there is no route.
    NotRouted,
}

/// Everything a decision may ask. Two implementations: the kernel's maps, and the daemon's
/// `Tables` on the host.
pub trait Lookups {
    /// The interface a frame came in by.
    fn interface(&self, ifindex: u32) -> Option<&Interface>;
    /// The virtual service at an endpoint.
    fn service(&self, key: &Endpoint) -> Option<&Service>;
    /// A slot, by its place among all slots.
    fn slot(&self, at: u32) -> Option<Slot>;
    /// A real server's id, by its place among all members.
    fn member(&self, at: u32) -> Option<u32>;
    /// A real server.
    fn real(&self, id: u32) -> Option<&Real>;
    /// How replies of a nat real server are rewritten.
    fn nat_reply(&self, from: &Endpoint) -> Option<&NatReply>;
    /// The member of a recorded flow, which is marked as seen at `now`; `None` where it was silent
    /// for longer than `timeout` ticks.
    fn flow(&self, key: &FlowKey, now: u32, timeout: u32) -> Option<u16>;
    /// Records a flow.
    fn record(&self, key: &FlowKey, flow: &Flow);
    /// The route to the destination for a packet that came in by `ingress`.
    fn route(&self, ingress: u32, packet: &Packet) -> Route;
    /// Tells the daemon that a next hop has no Ethernet address.
    fn unresolved(&self, ingress: u32, destination: Addr);
    /// Counts a packet of `bytes` bytes towards a real server; `new` where it opens a connection.
    fn count(&self, service: u32, real: u32, bytes: u32, new: bool);
    /// Counts a packet of `bytes` bytes back from a real server.
    fn count_reply(&self, service: u32, real: u32, bytes: u32);
}

/// Decides about a frame that came in by interface `ingress` at kernel tick `now` (the low half of
/// `jiffies64`), and rewrites it if it is to go on.
#[inline(always)]
pub fn steer<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u32) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups,
{
    let Some(interface) = lookups.interface(ingress) else {
        return Verdict::pass(Reason::UnknownInterface);
    };
    let Some(eth) = frame.read::<Eth>(0) else {
        return Verdict::pass(Reason::Truncated);
    };
    if eth.destination != interface.mac {
        return Verdict::pass(Reason::NotOurMac);
    }
    let packet = match Packet::parse(frame, &eth) {
        Ok(packet) => packet,
        Err(reason) => return Verdict::pass(reason),
    };
    if let Some(service) = lookups.service(&packet.to()) {
        return request(frame, &packet, service, lookups, ingress, now);
    }
    if interface.flags & NAT_REPLIES != 0 {
        if let Some(source) = lookups.nat_reply(&packet.from()) {
            return reply(frame, &packet, source, lookups, ingress);
        }
    }
    Verdict::pass(Reason::NoService)
}

/// A packet from a client to a virtual service.
#[inline(always)]
fn request<F, L>(
    frame: &mut F,
    packet: &Packet,
    service: &Service,
    lookups: &L,
    ingress: u32,
    now: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups,
{
    if service.ring_len == 0 {
        return Verdict::drop(Reason::NoRealServer);
    }
    let member = select::member(packet, service, lookups, now);
    if member == Slot::NOBODY {
        return Verdict::drop(Reason::NoRealServer);
    }
    let Some(id) = lookups.member(service.members + u32::from(member)) else {
        return Verdict::drop(Reason::Inconsistent);
    };
    let Some(real) = lookups.real(id) else {
        return Verdict::drop(Reason::Inconsistent);
    };
    if real.flags & REAL_LOCAL != 0 {
        lookups.count(service.id, id, packet.len, packet.is_syn());
        return Verdict::pass(Reason::ForwardedLocal);
    }
    if packet.ttl <= 1 {
        return Verdict::drop(Reason::TtlExpired);
    }
    if service.method == method::TUNNEL {
        let added = tunnel::overhead(real);
        if packet.len + u32::from(added) > u32::from(real.mtu) {
            return too_big(frame, packet, real.mtu.saturating_sub(added));
        }
    }
    let to = NextHop {
        ifindex: real.ifindex,
        destination: real.next_hop,
        source: real.source,
    };
    let (rewritten, reason) = match service.method {
        method::DR => (dr::forward(frame, packet, &to), Reason::ForwardedDr),
        method::NAT => (
            nat::forward(frame, packet, &real.address, real.port, &to),
            Reason::ForwardedNat,
        ),
        method::TUNNEL => {
            let spread = select::hash_of(packet);
            (
                tunnel::forward(frame, packet, real, spread, &to),
                Reason::ForwardedTunnel,
            )
        }
        _ => (None, Reason::Inconsistent),
    };
    if rewritten.is_none() {
        return Verdict::drop(match service.method {
            method::TUNNEL => Reason::NoHeadroom,
            _ => Reason::Inconsistent,
        });
    }
    lookups.count(service.id, id, packet.len, packet.is_syn());
    out(to.ifindex, ingress, reason)
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

/// A packet from a nat real server to a client.
#[inline(always)]
fn reply<F, L>(
    frame: &mut F,
    packet: &Packet,
    source: &NatReply,
    lookups: &L,
    ingress: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups,
{
    let to = match lookups.route(ingress, packet) {
        Route::Via(to) => to,
        Route::NotRouted => return Verdict::pass(Reason::ReplyNotRouted),
        Route::Unresolved => {
            lookups.unresolved(ingress, packet.destination);
            return Verdict::drop(Reason::NextHopUnresolved);
        }
    };
    if packet.ttl <= 1 {
        return Verdict::drop(Reason::TtlExpired);
    }
    if nat::reply(frame, packet, &source.vip, source.port, &to).is_none() {
        return Verdict::drop(Reason::Inconsistent);
    }
    lookups.count_reply(source.service, source.real, packet.len);
    out(to.ifindex, ingress, Reason::RepliedNat)
}

/// Sends a rewritten frame on its way.
#[inline(always)]
const fn out(egress: u32, ingress: u32, reason: Reason) -> Verdict {
    let action = if egress == ingress {
        Action::Transmit
    } else {
        Action::Redirect(egress)
    };
    Verdict { action, reason }
}
