//! ICMP errors about packets of flows: to the real server whose packet an error is about, or to the
//! client whose packet it is about, translated as the packet was.
//!
//! Path MTU discovery hangs on them. Pings of a virtual router's VIP are answered; other ICMP messages
//! are the stack's.

use crate::abi::{Addr, REAL_LOCAL, Real, Reason, Segment, Service, method};
use crate::deliver::{end_of, hop_to, own_end, route_to};
use crate::flow::low;
use crate::forward::nat::End;
use crate::forward::{dr, tunnel};
use crate::frame::Frame;
use crate::icmp::echo;
use crate::icmp::error::{Translation, is_error, quoted, translate};
use crate::lookups::{Found, Lookups, find_address, find_port};
use crate::parse::Packet;
use crate::stage::returning::Pair;
use crate::steer::{Action, Arrival, At, Verdict, refused, service_at};
use crate::track::{self, Choice};
use crate::{lease, select};

/// Decides for an ICMP message to a VIP, to an address of fullnat, or from nat real servers' side
/// to a client.
#[inline(always)]
pub fn icmp<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let tick = now;
    let now = low(now);
    let mut ends = None;
    let arrival = match Arrival::of(frame, lookups, ingress, &mut ends) {
        Ok(arrival) => arrival,
        Err(verdict) => return verdict,
    };
    let vip = arrival.vip(lookups);
    let mut place = None;
    let packet = match (Packet::headers(frame, arrival.ends), vip) {
        (Ok(packet), _) => lookups.hold(&mut place, packet),
        (Err(reason), Some(vip)) => return refused(vip, reason),
        (Err(_), None) => return Verdict::pass(Reason::NotVip),
    };
    if !is_error(frame, packet) {
        return match vip {
            Some(vip) if vip.router() != 0 && echo::is_ping(frame, packet) => {
                pinged(frame, packet, vip, lookups, tick)
            }
            Some(vip) if vip.is_vip() => Verdict::pass(Reason::NotTcpOrUdp),
            _ => Verdict::pass(Reason::NotVip),
        };
    }
    let Some(quote) = quoted(frame, packet) else {
        return Verdict::pass(match vip {
            Some(vip) if vip.is_vip() => Reason::IcmpUnmatched,
            _ => Reason::NotVip,
        });
    };
    let mut place = None;
    let quote = lookups.hold_quote(&mut place, quote);
    match vip {
        Some(vip) if vip.is_vip() => about_reply(frame, packet, quote, vip, lookups, ingress, now),
        Some(_) => about_fullnat(frame, packet, quote, lookups, ingress, now),
        None => about_nat(frame, packet, quote, lookups, ingress),
    }
}

/// A ping of a virtual router's VIP, which the common path knows to be served: by whoever is asked for it
/// by ARP too.
#[inline(always)]
fn pinged<F, L>(frame: &mut F, packet: &Packet, vip: Found, lookups: &L, tick: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    if !lease::answers(vip.router() - 1, lookups, tick) {
        return lease::unserved(vip);
    }
    // An answer to a group would be heard by many.
    if echo::is_from_group(frame) {
        return Verdict::drop(Reason::MartianSource);
    }
    match echo::answer(frame, packet) {
        Some(()) => Verdict {
            action: Action::Transmit,
            reason: Reason::AnsweredEcho,
        },
        None => Verdict::drop(Reason::VipTruncated),
    }
}

/// About a packet from the VIP to a client: for the real server that sent it.
#[inline(always)]
fn about_reply<F, L>(
    frame: &mut F,
    packet: &Packet,
    quote: &Packet,
    vip: Found,
    lookups: &L,
    ingress: u32,
    now: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    if quote.source != packet.destination {
        return Verdict::pass(Reason::IcmpUnmatched);
    }
    // The client's side of the flow, as its packets come.
    let flow = Packet {
        source: quote.destination,
        destination: quote.source,
        source_port: quote.destination_port,
        destination_port: quote.source_port,
        ..*quote
    };
    let At::Service(service) = service_at(&flow, vip.of(flow.protocol), lookups) else {
        return Verdict::pass(Reason::IcmpUnmatched);
    };
    let choice = match track::peek(&flow, service, lookups, now) {
        Ok(choice) => choice,
        Err(Reason::IcmpUnmatched) => return Verdict::pass(Reason::IcmpUnmatched),
        Err(reason) => return Verdict::drop(reason),
    };
    let Some(real) = lookups.real(choice.real) else {
        return Verdict::drop(Reason::NoRealServer);
    };
    if real.flags & REAL_LOCAL != 0 {
        return Verdict::pass(Reason::ForwardedLocal);
    }
    if packet.ttl <= 1 {
        return Verdict::drop(Reason::TtlExpired);
    }
    if to_real(frame, packet, quote, &flow, service, real, &choice, lookups).is_none() {
        return Verdict::drop(Reason::NoHeadroom);
    }
    Verdict::out(real.ifindex, ingress, Reason::ForwardedIcmp)
}

/// Sends an error to a real server, by its service's method.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "all of what was found out")]
fn to_real<F, L>(
    frame: &mut F,
    packet: &Packet,
    quote: &Packet,
    flow: &Packet,
    service: &Service,
    real: &Real,
    choice: &Choice,
    lookups: &L,
) -> Option<()>
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let to = hop_to(real);
    let inside = end_of(real, flow);
    let client = match service.method {
        method::DR => return dr::forward(frame, packet, &to),
        method::TUNNEL => {
            return tunnel::forward(frame, packet, real, select::hash_of(flow), &to);
        }
        method::NAT => End {
            address: quote.destination,
            port: quote.destination_port,
        },
        _ => own_end(&choice.flow, lookups)?,
    };
    let new = Translation {
        source: packet.source,
        destination: real.address,
        quoted_source: inside,
        quoted_destination: client,
    };
    translate(frame, packet, quote, &new, &to)
}

/// About a packet from fullnat to a real server: for the client whose packet it was.
#[inline(always)]
fn about_fullnat<F, L>(
    frame: &mut F,
    packet: &Packet,
    quote: &Packet,
    lookups: &L,
    ingress: u32,
    now: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let back = Packet {
        source: quote.destination,
        destination: quote.source,
        source_port: quote.destination_port,
        destination_port: quote.source_port,
        ..*quote
    };
    let Some(pair) = Pair::of(&back, lookups, now) else {
        return Verdict::pass(Reason::NotVip);
    };
    to_client(
        frame,
        packet,
        quote,
        &pair.vip(),
        &pair.client(),
        lookups,
        ingress,
    )
}

/// About a packet that nat sent to a real server: for the client whose packet it was.
#[inline(always)]
fn about_nat<F, L>(
    frame: &mut F,
    packet: &Packet,
    quote: &Packet,
    lookups: &L,
    ingress: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    if quote.source != packet.destination {
        return Verdict::pass(Reason::NotVip);
    }
    let Some(reply) = nat_service(&quote.destination, quote, lookups) else {
        return Verdict::pass(Reason::NotVip);
    };
    let client = End {
        address: quote.source,
        port: quote.source_port,
    };
    to_client(frame, packet, quote, &reply, &client, lookups, ingress)
}

/// The VIP and port that a nat real server's address and port stand for.
#[inline(always)]
fn nat_service<L: Lookups + ?Sized>(real: &Addr, quote: &Packet, lookups: &L) -> Option<End> {
    let found = find_address(real, |at| lookups.nat_source(at))?;
    let ports = found.of(quote.protocol);
    let id = match find_port(lookups, ports, quote.destination_port.get()) {
        Segment::NOTHING | Segment::POOL => return None,
        id => id,
    };
    let reply = lookups.nat_reply(id)?;
    let vip = End {
        address: reply.vip,
        port: reply.port,
    };
    Some(vip.or_port(quote.destination_port))
}

/// Sends an error about a client's packet to the client, in the VIP's name (as LVS does): the
/// client knows nothing of the hosts behind it.
#[inline(always)]
fn to_client<F, L>(
    frame: &mut F,
    packet: &Packet,
    quote: &Packet,
    vip: &End,
    client: &End,
    lookups: &L,
    ingress: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let to = match route_to(packet, client.address, lookups, ingress) {
        Ok(to) => to,
        Err(verdict) => return verdict,
    };
    let new = Translation {
        source: vip.address,
        destination: client.address,
        quoted_source: *client,
        quoted_destination: *vip,
    };
    if translate(frame, packet, quote, &new, &to).is_none() {
        return Verdict::drop(Reason::NoHeadroom);
    }
    Verdict::out(to.ifindex, ingress, Reason::RepliedIcmp)
}
