//! Replies of fullnat real servers: packets to the director's own addresses and ports.

use crate::abi::{Flow, FlowKey, Interface, Reason, kind, state};
use crate::deliver::route_to;
use crate::flow::{self, Found, low};
use crate::forward::nat::{self, End};
use crate::frame::Frame;
use crate::fullnat::return_key;
use crate::lookups::Lookups;
use crate::parse::Packet;
use crate::steer::{Arrival, Verdict, service_of};
use crate::track;

/// Sends a reply on to the client whose flow has this port; others are the stack's.
#[inline(always)]
pub fn returning<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
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
    let read = Packet::headers(frame, arrival.ends).and_then(|packet| packet.with_ports(frame));
    let mut place = None;
    let packet = match read {
        Ok(packet) => lookups.hold(&mut place, packet),
        Err(_) => return Verdict::pass(Reason::NotVip),
    };
    let Some(pair) = Pair::of(packet, lookups, now) else {
        return Verdict::pass(Reason::NoFlow);
    };
    pair.keep(packet, arrival.interface, lookups, now);
    reply(frame, packet, &pair, lookups, ingress)
}

/// Rewrites a reply and sends it to its client.
#[inline(always)]
pub(super) fn reply<F, L>(
    frame: &mut F,
    packet: &Packet,
    pair: &Pair,
    lookups: &L,
    ingress: u32,
) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let to = match route_to(packet, pair.client().address, lookups, ingress) {
        Ok(to) => to,
        Err(verdict) => return verdict,
    };
    if nat::both(frame, packet, pair.vip(), pair.client(), &to).is_none() {
        return Verdict::drop(Reason::NoHeadroom);
    }
    lookups.count_reply(pair.flow().service, pair.flow().real, packet.len);
    Verdict::out(to.ifindex, ingress, Reason::RepliedFullnat)
}

/// The two entries of a fullnat flow, found by the way back.
pub(super) struct Pair {
    back: Found,
    key: FlowKey,
    forth: Found,
}

impl Pair {
    /// Of a packet from a real server to the director's own address.
    #[inline(always)]
    pub(super) fn of<L: Lookups + ?Sized>(packet: &Packet, lookups: &L, now: u32) -> Option<Self> {
        let key = return_key(
            packet.source,
            packet.source_port,
            packet.destination,
            packet.destination_port,
            packet.protocol,
        );
        Self::found(lookups.find(&key, now)?, lookups, now)
    }

    /// Of the entry of the way back.
    #[inline(always)]
    fn found<L: Lookups + ?Sized>(back: Found, lookups: &L, now: u32) -> Option<Self> {
        let (key, forth) = flow::at(lookups, back.flow.peer.wrapping_sub(1), now)?;
        let belongs = key.kind == kind::FLOW && forth.flow.peer == back.at + 1;
        belongs.then_some(Self { back, key, forth })
    }

    /// Of a flow's own entry, found at this place.
    #[inline(always)]
    pub(super) fn at<L: Lookups + ?Sized>(at: u32, lookups: &L, now: u32) -> Option<Self> {
        let (key, back) = flow::at(lookups, at, now)?;
        if key.kind != kind::RETURN {
            return None;
        }
        Self::found(back, lookups, now)
    }

    /// Place of the entry of the way back, plus one.
    #[inline(always)]
    pub(super) const fn back_at(&self) -> u32 {
        self.back.at + 1
    }

    /// What the entry of the client's flow says.
    #[inline(always)]
    pub(super) const fn flow(&self) -> &Flow {
        &self.forth.flow
    }

    /// The client's end.
    #[inline(always)]
    pub(super) const fn client(&self) -> End {
        End {
            address: self.key.source,
            port: self.key.source_port,
        }
    }

    /// The VIP's end.
    #[inline(always)]
    pub(super) const fn vip(&self) -> End {
        End {
            address: self.key.destination,
            port: self.key.destination_port,
        }
    }

    /// What a reply does to both entries: it keeps them, and may end them.
    #[inline(always)]
    pub(super) fn keep<L: Lookups + ?Sized>(
        &self,
        packet: &Packet,
        interface: &Interface,
        lookups: &L,
        now: u32,
    ) {
        let service = service_of(&self.vip(), self.key.protocol, interface, lookups);
        let Some(service) = service else {
            return;
        };
        // A reply alone does not make a flow established: the client has to answer it.
        let from = self.forth.way.state();
        let (advanced, ticks) = track::advance::<true>(from, packet, service);
        let new = if advanced == state::ESTABLISHED {
            from
        } else {
            advanced
        };
        let ticks = if new == state::NEW {
            service.syn_timeout
        } else {
            ticks
        };
        let expires = now.wrapping_add(ticks);
        flow::keep(lookups, &self.forth, new, expires);
        let _: bool = flow::keep_uncounted(lookups, &self.back, new, expires);
    }
}
