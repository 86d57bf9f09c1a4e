//! The whole decision about a frame: `steer(frame, lookups, ingress, now) -> Verdict`.
//!
//! The common path ([`common`], and [`mod@crate::plain`] before it) is a program of its own and touches no
//! per-flow memory: addresses, service, one slot of the ring, one real server. What it can't decide so it
//! hands to a [`Stage`], which in the kernel is another program that is called. A stage reads the frame anew: it has only
//! that.
//!
//! What is not for a virtual service passes untouched, whatever it is. Not here: the stages
//! ([`crate::stage`]), the maps behind [`Lookups`].

use crate::abi::{
    Addr, FRAGMENTS, Flow, Interface, NAT_REPLIES, Ports, ROUTERS, Reason, SERVED, Segment,
    Service, TRACKED, VIP_PREFIXES, method,
};
use crate::deliver::deliver;
use crate::forward::nat::End;
use crate::frame::Frame;
use crate::lookups::{Found, Lookups, find_address, find_port};
use crate::parse::{Ends, Packet};
use crate::plain::plain;
use crate::replies::{reply, replying};
use crate::wire::eth::Eth;
use crate::wire::icmp::Icmp;
use crate::{lease, select, stage};

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
    pub(crate) const fn pass(reason: Reason) -> Self {
        Self {
            action: Action::Pass,
            reason,
        }
    }

    pub(crate) const fn drop(reason: Reason) -> Self {
        Self {
            action: Action::Drop,
            reason,
        }
    }

    /// A rewritten frame goes on its way.
    #[inline(always)]
    pub(crate) const fn out(egress: u32, ingress: u32, reason: Reason) -> Self {
        let action = if egress == ingress {
            Action::Transmit
        } else {
            Action::Redirect(egress)
        };
        Self { action, reason }
    }
}

/// What decides further about a frame that the common path does not decide: the programs of
/// [`crate::abi::name::STAGE_PROGRAMS`], by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Stage {
    /// A packet whose flow may have an entry.
    Tracked = 0,
    /// A packet to a port of fullnat.
    Return = 1,
    /// An ICMP message.
    Icmp = 2,
    /// A later fragment to a VIP.
    Fragment = 3,
    /// A fragment from a nat real server.
    NatFragment = 4,
    /// A fragment to an address of fullnat.
    ReturnFragment = 5,
    /// A packet to a service of method fullnat.
    Fullnat = 6,
    /// An ARP packet or a neighbour solicitation, where virtual routers are.
    Neighbour = 7,
}

/// What the common path came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A decision.
    Done(Verdict),
    /// Another decides; the frame is untouched, but that it is addressed to the interface.
    Call(Stage),
}

/// Decides about a frame that came in by interface `ingress` at kernel tick `now` (`jiffies64`), and
/// rewrites it if it is to go on.
#[inline(always)]
pub fn steer<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let outcome = plain(frame, lookups, ingress, || now);
    match outcome.unwrap_or_else(|| common(frame, lookups, ingress, || now)) {
        Outcome::Done(verdict) => verdict,
        Outcome::Call(Stage::Tracked) => stage::tracked(frame, lookups, ingress, now),
        Outcome::Call(Stage::Return) => stage::returning(frame, lookups, ingress, now),
        Outcome::Call(Stage::Icmp) => stage::icmp(frame, lookups, ingress, now),
        Outcome::Call(Stage::Fragment) => stage::fragment(frame, lookups, ingress, now),
        Outcome::Call(Stage::NatFragment) => stage::nat_fragment(frame, lookups, ingress, now),
        Outcome::Call(Stage::Fullnat) => stage::fullnat(frame, lookups, ingress, now),
        Outcome::Call(Stage::ReturnFragment) => {
            stage::return_fragment(frame, lookups, ingress, now)
        }
        Outcome::Call(Stage::Neighbour) => stage::neighbour(frame, lookups, ingress, now),
    }
}

/// A frame that is for this host: whose addresses are known.
pub(crate) struct Arrival<'a> {
    pub(crate) interface: &'a Interface,
    pub(crate) ends: &'a Ends,
}

impl<'a> Arrival<'a> {
    /// Reads a frame, as far as its addresses.
    #[inline(always)]
    pub(crate) fn of<F, L>(
        frame: &F,
        lookups: &'a L,
        ingress: u32,
        place: &'a mut Option<Ends>,
    ) -> Result<Self, Verdict>
    where
        F: Frame + ?Sized,
        L: Lookups + ?Sized,
    {
        let (interface, eth) = addressed(frame, lookups, ingress)?;
        let ends = Ends::read(frame, &eth).map_err(Verdict::pass)?;
        Ok(Self {
            interface,
            ends: lookups.hold_ends(place, ends),
        })
    }

    /// What is at the destination: a VIP, or an address of fullnat.
    #[inline(always)]
    pub(crate) fn vip<L: Lookups + ?Sized>(&self, lookups: &L) -> Option<Found> {
        if !self.ends.has_plain_destination() {
            return None;
        }
        vip_at(&self.ends.destination, self.interface, lookups)
    }

    /// What is known of the source as a nat real server.
    #[inline(always)]
    pub(crate) fn nat_source<L: Lookups + ?Sized>(&self, lookups: &L) -> Option<Found> {
        find_address(&self.ends.source, |at| lookups.nat_source(at))
    }

    /// Whether nat is used at all, so that replies have to be looked for.
    #[inline(always)]
    pub(crate) const fn has_nat(&self) -> bool {
        self.interface.flags & NAT_REPLIES != 0
    }
}

/// The interface that a frame came in by, and its link header: one that is addressed to us.
#[inline(always)]
fn addressed<'a, F, L>(
    frame: &F,
    lookups: &'a L,
    ingress: u32,
) -> Result<(&'a Interface, Eth), Verdict>
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let (interface, eth) = received(frame, lookups, ingress)?;
    if eth.destination.bits() != interface.mac_bits() {
        return Err(Verdict::pass(Reason::NotOurMac));
    }
    Ok((interface, eth))
}

/// The interface that a frame came in by, and its link header.
#[inline(always)]
pub(crate) fn received<'a, F, L>(
    frame: &F,
    lookups: &'a L,
    ingress: u32,
) -> Result<(&'a Interface, Eth), Verdict>
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let interface = lookups
        .interface(ingress)
        .filter(|interface| interface.flags & SERVED != 0)
        .ok_or(Verdict::pass(Reason::UnknownInterface))?;
    let eth: Eth = frame.read(0).ok_or(Verdict::pass(Reason::Truncated))?;
    Ok((interface, eth))
}

/// What is at an address: a VIP, or an address of fullnat.
#[inline(always)]
pub fn vip_at<L: Lookups + ?Sized>(
    address: &Addr,
    interface: &Interface,
    lookups: &L,
) -> Option<Found> {
    if let Some(found) = find_address(address, |at| lookups.vip(at)) {
        return Some(found);
    }
    if interface.flags & VIP_PREFIXES == 0 {
        return None;
    }
    lookups.vip_prefix(address).map(|entry| Found {
        tcp: entry.tcp,
        udp: entry.udp,
    })
}

/// The service at a flow's VIP and port.
#[inline(always)]
pub(crate) fn service_of<'a, L: Lookups + ?Sized>(
    vip: &End,
    protocol: u8,
    interface: &Interface,
    lookups: &'a L,
) -> Option<&'a Service> {
    let found = vip_at(&vip.address, interface, lookups)?;
    lookups.service(find_port(lookups, found.of(protocol), vip.port.get()))
}

/// The common path of any frame; the tick is asked for where a virtual router's lease is looked at, only
/// there.
#[inline(always)]
pub fn common<F, L, N>(frame: &mut F, lookups: &L, ingress: u32, now: N) -> Outcome
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
    N: Fn() -> u64 + Copy,
{
    let (interface, eth) = match received(frame, lookups, ingress) {
        Ok(received) => received,
        Err(verdict) => return Outcome::Done(verdict),
    };
    if eth.destination.bits() != interface.mac_bits() {
        if let Err(outcome) = lease::adopt(frame, &eth, interface, lookups, ingress, now) {
            return outcome;
        }
    }
    if interface.flags & ROUTERS != 0 && stage::asks(frame, &eth) {
        return Outcome::Call(Stage::Neighbour);
    }
    let mut place = None;
    let ends = match Ends::read(frame, &eth) {
        Ok(ends) => lookups.hold_ends(&mut place, ends),
        Err(reason) => return Outcome::Done(Verdict::pass(reason)),
    };
    arrived(frame, &Arrival { interface, ends }, lookups, ingress, now)
}

/// The common path of a frame that is for this host.
#[inline(always)]
fn arrived<F, L, N>(
    frame: &mut F,
    arrival: &Arrival<'_>,
    lookups: &L,
    ingress: u32,
    now: N,
) -> Outcome
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
    N: Fn() -> u64 + Copy,
{
    let Some(vip) = arrival.vip(lookups) else {
        if arrival.has_nat() && arrival.ends.are_plain() {
            return beside(frame, arrival, lookups, ingress);
        }
        return Outcome::Done(Verdict::pass(Reason::NotVip));
    };
    if vip.is_vip() {
        if arrival.ends.source == arrival.ends.destination {
            return Outcome::Done(Verdict::drop(Reason::Land));
        }
        if arrival.ends.is_martian() {
            return Outcome::Done(Verdict::drop(Reason::MartianSource));
        }
        if !lease::is_served(vip, lookups, now) {
            return Outcome::Done(lease::unserved(vip));
        }
    }
    match Packet::headers(frame, arrival.ends) {
        Ok(packet) => to_vip(frame, packet, vip, arrival.interface, lookups, ingress),
        Err(reason) => Outcome::Done(refused(vip, reason)),
    }
}

/// A malformed packet: one to a VIP is dropped, one to an address of the director's own is the
/// stack's.
#[inline(always)]
pub(crate) const fn refused(vip: Found, reason: Reason) -> Verdict {
    if vip.is_vip() {
        Verdict::drop(reason)
    } else {
        Verdict::pass(Reason::NotVip)
    }
}

/// A packet to a VIP, or to an address of fullnat.
#[inline(always)]
fn to_vip<F, L>(
    frame: &mut F,
    packet: Packet,
    vip: Found,
    interface: &Interface,
    lookups: &L,
    ingress: u32,
) -> Outcome
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    if packet.is_fragment() {
        if interface.flags & FRAGMENTS == 0 {
            return Outcome::Done(Verdict::pass(Reason::Fragment));
        }
        if !vip.is_vip() {
            return Outcome::Call(Stage::ReturnFragment);
        }
        // Others follow their first one to the stack.
        if packet.is_later_fragment() && packet.has_ports() {
            return Outcome::Call(Stage::Fragment);
        }
    }
    if !packet.has_ports() {
        return without_ports(&packet);
    }
    let mut place = None;
    let packet = match packet.with_ports(frame) {
        Ok(packet) => lookups.hold(&mut place, packet),
        Err(reason) => return Outcome::Done(refused(vip, reason)),
    };
    to_port(frame, packet, vip, lookups, ingress)
}

/// A packet to a VIP, or to an address of fullnat, of which all is known.
#[inline(always)]
pub(crate) fn to_port<F, L>(
    frame: &mut F,
    packet: &Packet,
    vip: Found,
    lookups: &L,
    ingress: u32,
) -> Outcome
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    match service_at(packet, vip.of(packet.protocol), lookups) {
        At::Service(service) => request(frame, packet, service, lookups, ingress),
        At::Pool => Outcome::Call(Stage::Return),
        // Its later ones are to follow it to the stack.
        At::Nothing if packet.is_fragment() => Outcome::Call(Stage::Tracked),
        At::Nothing if vip.is_vip() => Outcome::Done(Verdict::pass(Reason::NoService)),
        At::Nothing => Outcome::Done(Verdict::pass(Reason::NotVip)),
    }
}

/// A packet that is neither TCP nor UDP.
#[inline(always)]
const fn without_ports(packet: &Packet) -> Outcome {
    match packet.protocol {
        _ if packet.is_fragment() => Outcome::Done(Verdict::pass(Reason::NotTcpOrUdp)),
        Icmp::PROTOCOL_V4 | Icmp::PROTOCOL_V6 => Outcome::Call(Stage::Icmp),
        _ => Outcome::Done(Verdict::pass(Reason::NotTcpOrUdp)),
    }
}

/// What is at a port.
pub(crate) enum At<'a> {
    Service(&'a Service),
    Pool,
    Nothing,
}

/// What is at the port that a packet goes to.
#[inline(always)]
pub(crate) fn service_at<'a, L: Lookups + ?Sized>(
    packet: &Packet,
    ports: Ports,
    lookups: &'a L,
) -> At<'a> {
    match find_port(lookups, ports, packet.destination_port.get()) {
        Segment::NOTHING => At::Nothing,
        Segment::POOL => At::Pool,
        index => match lookups.service(index) {
            Some(service) => At::Service(service),
            None => At::Nothing,
        },
    }
}

/// A packet from a client to a virtual service.
#[inline(always)]
fn request<F, L>(
    frame: &mut F,
    packet: &Packet,
    service: &Service,
    lookups: &L,
    ingress: u32,
) -> Outcome
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    if service.flags & TRACKED != 0 || packet.is_fragment() {
        return Outcome::Call(if service.method == method::FULLNAT {
            Stage::Fullnat
        } else {
            Stage::Tracked
        });
    }
    let Some(slot) = select::slot(packet, service, lookups) else {
        return Outcome::Done(Verdict::drop(Reason::NoRealServer));
    };
    if slot.is_unsettled() {
        return Outcome::Call(Stage::Tracked);
    }
    let Some(id) = select::member(lookups, service, slot.current()) else {
        return Outcome::Done(Verdict::drop(Reason::NoRealServer));
    };
    Outcome::Done(deliver::<F, L, false>(
        frame,
        packet,
        service,
        id,
        &Flow::default(),
        lookups,
        ingress,
    ))
}

/// A packet to no VIP, where nat is used: a reply of a real server, or an ICMP error on its way
/// from there to a client.
#[inline(always)]
fn beside<F, L>(frame: &mut F, arrival: &Arrival<'_>, lookups: &L, ingress: u32) -> Outcome
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let source = arrival.nat_source(lookups);
    let Ok(packet) = Packet::headers(frame, arrival.ends) else {
        let reason = match source {
            Some(_) => Reason::ReplyMalformed,
            None => Reason::NotVip,
        };
        return Outcome::Done(Verdict::pass(reason));
    };
    if matches!(packet.protocol, Icmp::PROTOCOL_V4 | Icmp::PROTOCOL_V6) && !packet.is_fragment() {
        return Outcome::Call(Stage::Icmp);
    }
    let Some(source) = source else {
        return Outcome::Done(Verdict::pass(Reason::NotVip));
    };
    if !packet.has_ports() {
        return Outcome::Done(Verdict::pass(Reason::NotVip));
    }
    if packet.is_fragment() {
        if arrival.interface.flags & FRAGMENTS == 0 {
            return Outcome::Done(Verdict::pass(Reason::Fragment));
        }
        return Outcome::Call(Stage::NatFragment);
    }
    let mut place = None;
    let packet = match packet.with_ports(frame) {
        Ok(packet) => lookups.hold(&mut place, packet),
        Err(_) => return Outcome::Done(Verdict::pass(Reason::ReplyMalformed)),
    };
    let Some(real) = replying(packet, source, lookups) else {
        return Outcome::Done(Verdict::pass(Reason::NotVip));
    };
    Outcome::Done(reply(frame, packet, real, lookups, ingress))
}
