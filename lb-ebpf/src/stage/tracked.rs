//! Packets whose flow may have an entry, and first fragments, which get one for the later ones.

use crate::abi::{Reason, method};
use crate::deliver::deliver;
use crate::flow::low;
use crate::frame::Frame;
use crate::lookups::{Lookups, find_port};
use crate::parse::{Ends, Packet};
use crate::stage::fragment;
use crate::steer::{Arrival, Verdict, refused};
use crate::track::{self, Choice};

/// Decides for a TCP or UDP packet to a virtual service, by its entry if it has one.
#[inline(always)]
pub fn tracked<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    decide::<F, L, false>(frame, lookups, ingress, low(now))
}

/// The same, of a service of method fullnat.
#[inline(always)]
pub fn fullnat<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    decide::<F, L, true>(frame, lookups, ingress, low(now))
}

#[inline(always)]
fn decide<F, L, const FULLNAT: bool>(frame: &mut F, lookups: &L, ingress: u32, now: u32) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let mut places = Places::default();
    let (packet, place) = match lookups.read(frame, ingress, &mut places) {
        Ok(read) => read,
        Err(verdict) => return verdict,
    };
    let Some(service) = lookups.service(place) else {
        if packet.is_fragment() {
            fragment::passed(packet, lookups, now);
        }
        return Verdict::pass(Reason::NoService);
    };
    if (service.method == method::FULLNAT) != FULLNAT {
        return Verdict::drop(Reason::Inconsistent);
    }
    match track::choose::<F, L, FULLNAT>(frame, packet, service, lookups, now) {
        Ok(choice) => {
            let mut place = None;
            let Choice { real, flow } = lookups.hold_choice(&mut place, choice);
            if packet.is_fragment() {
                fragment::first(packet, service, *real, flow, lookups, now);
            }
            deliver::<F, L, FULLNAT>(frame, packet, service, *real, flow, lookups, ingress)
        }
        Err(reason) => Verdict::drop(reason),
    }
}

/// Where what is read of a frame may be kept.
#[derive(Debug, Default)]
pub struct Places {
    ends: Option<Ends>,
    packet: Option<Packet>,
}

/// Reads a TCP or UDP packet to a virtual service: the packet, and the service's place.
///
/// # Errors
/// What becomes of the frame where it is none, or one that is malformed.
#[inline(always)]
pub fn read<'a, F, L>(
    frame: &F,
    lookups: &'a L,
    ingress: u32,
    places: &'a mut Places,
) -> Result<(&'a Packet, u32), Verdict>
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let arrival = Arrival::of(frame, lookups, ingress, &mut places.ends)?;
    let vip = arrival.vip(lookups).ok_or(Verdict::pass(Reason::NotVip))?;
    let packet = Packet::headers(frame, arrival.ends)
        .and_then(|packet| packet.with_ports(frame))
        .map_err(|reason| refused(vip, reason))?;
    let packet = lookups.hold(&mut places.packet, packet);
    // The site may have changed since the common path has seen the packet: then nothing is there.
    let ports = vip.of(packet.protocol);
    Ok((
        packet,
        find_port(lookups, ports, packet.destination_port.get()),
    ))
}
