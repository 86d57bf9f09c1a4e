//! Fragments: the first is decided as a whole packet is, and remembered; the later ones, which have
//! no ports, follow it (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! A later one that comes before the first is dropped: nobody can say where it goes, and holding
//! it is what fragment floods are made for. Not here: reassembly, which is the receiver's.

use crate::abi::{Be16, Flow, FlowKey, Reason, Service, kind, method};
use crate::deliver::deliver;
use crate::flow::{self, New, low};
use crate::frame::Frame;
use crate::lookups::{Found, Lookups};
use crate::parse::{Ends, Packet};
use crate::replies::{reply, replying};
use crate::select;
use crate::stage::returning::{self, Pair};
use crate::steer::{Arrival, At, Verdict, refused, service_at};

/// Kernel ticks that the way of a packet's fragments is remembered: 8 to 80 s, as ticks are 10 to 1
/// ms long (Linux waits 30 s for all of a packet's).
const REMEMBERED: u32 = 8_000;

/// The service, and the real server, of fragments whose first one went to the stack.
const PASSED: u32 = u32::MAX;

/// Decides for a later fragment to a VIP. First ones have ports and are decided as whole packets
/// are.
#[inline(always)]
pub fn fragment<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let now = low(now);
    let mut ends = None;
    let arrival = match Arrival::of(frame, lookups, ingress, &mut ends) {
        Ok(arrival) => arrival,
        Err(verdict) => return verdict,
    };
    let Some(vip) = arrival.vip(lookups) else {
        return Verdict::pass(Reason::NotVip);
    };
    let mut place = None;
    match Packet::headers(frame, arrival.ends) {
        Ok(packet) => {
            let packet = lookups.hold(&mut place, packet);
            later(frame, packet, vip, lookups, ingress, now)
        }
        Err(reason) => refused(vip, reason),
    }
}

/// Decides for a fragment of a nat real server's reply.
#[inline(always)]
pub fn nat_fragment<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let now = low(now);
    let mut ends = None;
    let arrival = match Arrival::of(frame, lookups, ingress, &mut ends) {
        Ok(arrival) => arrival,
        Err(verdict) => return verdict,
    };
    let Some(source) = arrival.nat_source(lookups) else {
        return Verdict::pass(Reason::NotVip);
    };
    let mut place = None;
    let Some(packet) = read(frame, arrival.ends) else {
        return Verdict::pass(Reason::ReplyMalformed);
    };
    let packet = lookups.hold(&mut place, packet);
    of_nat(frame, packet, source, lookups, ingress, now)
}

/// Decides for a fragment of a fullnat real server's reply.
#[inline(always)]
pub fn return_fragment<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let now = low(now);
    let mut ends = None;
    let arrival = match Arrival::of(frame, lookups, ingress, &mut ends) {
        Ok(arrival) => arrival,
        Err(verdict) => return verdict,
    };
    let mut place = None;
    let Some(packet) = read(frame, arrival.ends) else {
        return Verdict::pass(Reason::NotVip);
    };
    let packet = lookups.hold(&mut place, packet);
    of_fullnat(frame, packet, lookups, ingress, now)
}

/// What names the packet that a fragment is of (RFC 791: addresses, protocol, identification).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "both halves are meant")]
const fn key(packet: &Packet, kind: u8) -> FlowKey {
    FlowKey {
        source: packet.source,
        destination: packet.destination,
        source_port: Be16::new((packet.fragment_id >> 16) as u16),
        destination_port: Be16::new(packet.fragment_id as u16),
        protocol: packet.protocol,
        kind,
        _pad: 0,
    }
}

/// Remembers where the later fragments go. Without room they will be dropped.
#[inline(always)]
fn remember<L: Lookups + ?Sized>(packet: &Packet, kind: u8, flow: &Flow, lookups: &L, now: u32) {
    let key = key(packet, kind);
    let expires = now.wrapping_add(REMEMBERED);
    if let Some(found) = lookups.find(&key, now) {
        // The identification is used again.
        flow::forget(lookups, found.at);
    }
    let new = New {
        flow: *flow,
        expires,
    };
    let _: Option<u32> = lookups.record(&key, &new, now);
}

/// Remembers where the first fragment of a client's packet goes.
#[inline(always)]
pub(super) fn first<L: Lookups + ?Sized>(
    packet: &Packet,
    service: &Service,
    real: u32,
    flow: &Flow,
    lookups: &L,
    now: u32,
) {
    let flow = Flow {
        service: service.id,
        real,
        vip_port: packet.destination_port,
        ..*flow
    };
    remember(packet, kind::FRAGMENT, &flow, lookups, now);
}

/// Remembers that the first fragment of a client's packet went to the stack: nothing is at its port.
#[inline(always)]
pub(super) fn passed<L: Lookups + ?Sized>(packet: &Packet, lookups: &L, now: u32) {
    let flow = Flow {
        service: PASSED,
        real: PASSED,
        ..Flow::default()
    };
    remember(packet, kind::FRAGMENT, &flow, lookups, now);
}

/// A later fragment of a client's packet.
#[inline(always)]
fn later<F, L>(
    frame: &mut F,
    packet: &Packet,
    vip: Found,
    lookups: &L,
    ingress: u32,
    now: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let Some(found) = lookups.find(&key(packet, kind::FRAGMENT), now) else {
        return Verdict::drop(Reason::FragmentUnknown);
    };
    let flow = &found.flow;
    if flow.service == PASSED {
        return Verdict::pass(Reason::NoService);
    }
    let to = Packet {
        destination_port: flow.vip_port,
        ..*packet
    };
    let At::Service(service) = service_at(&to, vip.of(packet.protocol), lookups) else {
        return Verdict::drop(Reason::FragmentUnknown);
    };
    let is_there = lookups
        .real(flow.real)
        .is_some_and(|real| select::is_up(real, service));
    if !is_there {
        return Verdict::drop(Reason::NoRealServer);
    }
    if service.method == method::FULLNAT {
        return deliver::<F, L, true>(frame, packet, service, flow.real, flow, lookups, ingress);
    }
    deliver::<F, L, false>(frame, packet, service, flow.real, flow, lookups, ingress)
}

/// A fragment of a nat real server's reply.
#[inline(always)]
fn of_nat<F, L>(
    frame: &mut F,
    packet: &Packet,
    source: Found,
    lookups: &L,
    ingress: u32,
    now: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let real = if packet.is_later_fragment() {
        // One that is not known may be of the real server's own packets.
        lookups
            .find(&key(packet, kind::REPLY_FRAGMENT), now)
            .map(|found| found.flow.real)
    } else {
        replying(packet, source, lookups)
    };
    let Some(real) = real else {
        return Verdict::pass(Reason::NotVip);
    };
    if !packet.is_later_fragment() {
        let flow = Flow {
            real,
            ..Flow::default()
        };
        remember(packet, kind::REPLY_FRAGMENT, &flow, lookups, now);
    }
    reply(frame, packet, real, lookups, ingress)
}

/// Reads a fragment: headers, and the ports of a first one.
#[inline(always)]
fn read<F: Frame + ?Sized>(frame: &F, ends: &Ends) -> Option<Packet> {
    let packet = Packet::headers(frame, ends).ok()?;
    if packet.is_later_fragment() {
        return Some(packet);
    }
    packet.with_ports(frame).ok()
}

/// A fragment of a fullnat real server's reply. It does not keep the flow: what the client sends does.
#[inline(always)]
fn of_fullnat<F, L>(frame: &mut F, packet: &Packet, lookups: &L, ingress: u32, now: u32) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let pair = if packet.is_later_fragment() {
        let found = lookups.find(&key(packet, kind::REPLY_FRAGMENT), now);
        let back = found.map_or(0, |found| found.flow.peer);
        Pair::at(back.wrapping_sub(1), lookups, now)
    } else {
        Pair::of(packet, lookups, now)
    };
    let Some(pair) = pair else {
        return Verdict::pass(Reason::NotVip);
    };
    if !packet.is_later_fragment() {
        let flow = Flow {
            peer: pair.back_at(),
            ..Flow::default()
        };
        remember(packet, kind::REPLY_FRAGMENT, &flow, lookups, now);
    }
    returning::reply(frame, packet, &pair, lookups, ingress)
}
