//! The decision about a packet, and what led to it: pure.
//!
//! What becomes of the packet is what [`lb_ebpf::steer()`] says; what stood in the maps before it ran is
//! what the sentences are about. Not here: the maps' origin ([`super::live`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;

use lb_ebpf::abi::{
    Addr, FORWARDS_UNTIL, Interface, REAL_DRAINING, REAL_LOCAL, REAL_UP, Real, Reason, SERVED,
    Segment, Service, Slot, TRACKED, method,
};
use lb_ebpf::flow::{self, Found};
use lb_ebpf::lookups::find_port;
use lb_ebpf::parse::Packet;
use lb_ebpf::steer::vip_at;
use lb_ebpf::wire::eth::Eth;
use lb_ebpf::{Action, Frame as _, Lookups as _, Table as _, Verdict, lease, select, steer, track};

use super::answer::{
    EntryFound, Explanation, Fate, HopFound, RealFound, RouterFound, ServiceFound, SlotFound,
    VerdictFound, at,
};
use super::question::Question;
use crate::status::Status;
use crate::status::view::ServiceStatus;
use crate::tables::lookups::HostMapsOf;

mod because;
mod words;

/// When and where a packet would come in, and what things are called there.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The interface it comes in by; one that is not served lets everything pass.
    pub ingress: u32,
    /// The kernel's tick (`jiffies64`).
    pub now: u64,
    /// Ticks a second.
    pub hz: u32,
    /// Names of interfaces.
    pub interfaces: BTreeMap<u32, String>,
    /// What the daemon says, where there is one.
    pub status: Option<Status>,
}

impl Moment {
    /// Its name, or its number where it has none.
    fn interface(&self, ifindex: u32) -> String {
        let name = self.interfaces.get(&ifindex).cloned();
        name.unwrap_or_else(|| format!("interface {ifindex}"))
    }

    /// The low half of the tick, which flows are dated by.
    #[expect(clippy::cast_possible_truncation, reason = "ticks of flows wrap")]
    const fn low(&self) -> u32 {
        self.now as u32
    }

    /// Seconds until a tick.
    fn seconds_until(&self, expires: u32) -> u64 {
        u64::from(expires.wrapping_sub(self.low())) / u64::from(self.hz.max(1))
    }
}

/// Says what becomes of a packet, and why. What that does to `maps` stays there.
pub fn explain<const MASK: u32>(
    question: &Question,
    maps: &HostMapsOf<MASK>,
    moment: &Moment,
) -> Explanation {
    let interface = maps
        .interface(moment.ingress)
        .filter(|interface| interface.flags & SERVED != 0);
    let mut frame = question.frame(interface.map(|found| found.mac).unwrap_or_default());
    let packet = frame
        .read::<Eth>(0)
        .and_then(|eth| Packet::parse(&frame, &eth).ok());
    let case = interface
        .zip(packet)
        .and_then(|(interface, packet)| Case::find(packet, interface, maps, moment));
    let before = case.as_ref().map(|case| Before::of(case));
    let router = interface
        .zip(packet)
        .and_then(|(interface, packet)| router_found(&packet, interface, maps, moment));
    let verdict = steer(&mut frame, maps, moment.ingress, moment.now);
    let mut explanation = Explanation {
        packet: *question,
        interface: moment.interface(moment.ingress),
        router,
        service: None,
        slot: None,
        entry: None,
        client: None,
        makes_entry: false,
        real: real_after(question, maps, moment, case.as_ref()),
        because: Vec::new(),
        verdict: verdict_found(verdict, moment),
    };
    if let (Some(case), Some(before)) = (&case, &before) {
        case.tell(before, verdict, &mut explanation);
    }
    if router.is_some_and(|router| !router.forwards) {
        explanation.because = vec![because::NOT_ACTIVE.to_owned()];
    }
    explanation
}

/// The virtual router whose VIP a packet goes to.
fn router_found<const MASK: u32>(
    packet: &Packet,
    interface: &Interface,
    maps: &HostMapsOf<MASK>,
    moment: &Moment,
) -> Option<RouterFound> {
    let found = vip_at(&packet.destination, interface, maps)?;
    let index = found.router().checked_sub(1)?;
    let until = maps.lease(index)?[FORWARDS_UNTIL].load(Ordering::Relaxed);
    let ticks = until.saturating_sub(moment.now);
    Some(RouterFound {
        index,
        answers: lease::answers(index, maps, moment.now),
        forwards: lease::forwards(index, maps, moment.now),
        milliseconds_left: ticks.saturating_mul(1000) / u64::from(moment.hz.max(1)),
    })
}

/// A packet to a virtual service.
struct Case<'a, const MASK: u32> {
    packet: Packet,
    place: u32,
    service: Service,
    maps: &'a HostMapsOf<MASK>,
    moment: &'a Moment,
}

/// What stood in the maps before the packet.
struct Before {
    slot: Option<(u32, Slot)>,
    entry: Option<Found>,
    client: Option<Found>,
    /// Whether the way back of a fullnat flow is there.
    is_open: bool,
}

impl Before {
    fn of<const MASK: u32>(case: &Case<'_, MASK>) -> Self {
        let (maps, now, service) = (case.maps, case.moment.low(), &case.service);
        let place = (service.ring_len > 0).then(|| {
            select::slot_of(
                select::service_hash(&case.packet, service),
                service.ring_len,
            )
        });
        let slot = place.and_then(|place| Some((place, maps.slot(service.ring + place)?)));
        let entry = flow::find(maps, &track::flow_key(&case.packet), now);
        let client = (service.persistence != 0)
            .then(|| track::client_key(&case.packet.source, service))
            .and_then(|key| flow::find(maps, &key, now));
        Self {
            slot,
            is_open: entry.is_some_and(|found| lb_ebpf::fullnat::is_open(&found, maps, now)),
            entry,
            client,
        }
    }
}

impl<'a, const MASK: u32> Case<'a, MASK> {
    /// Of a packet that is to a service.
    fn find(
        packet: Packet,
        interface: &Interface,
        maps: &'a HostMapsOf<MASK>,
        moment: &'a Moment,
    ) -> Option<Self> {
        let found = vip_at(&packet.destination, interface, maps)?;
        let port = packet.destination_port.get();
        let place = match find_port(maps, found.of(packet.protocol), port) {
            Segment::NOTHING | Segment::POOL => return None,
            place => place,
        };
        Some(Self {
            packet,
            place,
            service: *maps.service(place)?,
            maps,
            moment,
        })
    }

    /// Says all that is known.
    fn tell(&self, before: &Before, verdict: Verdict, explanation: &mut Explanation) {
        explanation.service = Some(self.service_found());
        explanation.slot = before.slot.map(|(place, slot)| SlotFound {
            slot: place,
            of: self.service.ring_len,
            settled: !slot.is_unsettled(),
            owner: self.member(slot.current()),
            settled_owner: self.member(slot.settled_owner()),
        });
        explanation.entry = before.entry.map(|found| self.entry(&found));
        explanation.client = before.client.map(|found| self.entry(&found));
        let after = flow::find(self.maps, &track::flow_key(&self.packet), self.moment.low());
        explanation.makes_entry = after.is_some() && before.entry.is_none();
        explanation.because = self.because(before, after.as_ref(), verdict);
    }

    fn service_found(&self) -> ServiceFound {
        let service = &self.service;
        let index = self.maps.tables.index();
        let key = index
            .iter()
            .find_map(|(key, place)| (*place == self.place).then_some(key));
        let at = key.map(words::place).unwrap_or_default();
        let told = self.moment.status.as_ref().and_then(|status| {
            let of_key = |told: &&ServiceStatus| key.is_some_and(|key| words::is_of(told, key));
            status.services.iter().find(of_key)
        });
        ServiceFound {
            name: told.map(|told| told.name.clone()),
            at,
            method: told.map_or_else(
                || words::method(service.method).to_owned(),
                |told| told.method.clone(),
            ),
            scheduler: told.map_or_else(
                || words::scheduler(service).to_owned(),
                |told| told.scheduler.clone(),
            ),
            tracked: service.flags & TRACKED != 0,
            persistence: (service.persistence != 0)
                .then(|| u64::from(service.persistence) / u64::from(self.moment.hz.max(1))),
        }
    }

    fn entry(&self, found: &Found) -> EntryFound {
        EntryFound {
            state: words::state(found.way.state()).to_owned(),
            seconds_left: self.moment.seconds_until(found.way.expires()),
            real: self.real_at(found.flow.real),
        }
    }

    fn member(&self, member: u16) -> Option<SocketAddr> {
        self.real_at(select::member(self.maps, &self.service, member)?)
    }

    /// Address and port of a real server of this service.
    fn real_at(&self, id: u32) -> Option<SocketAddr> {
        let real = self.maps.real(id)?;
        let is_ours = real.service == self.service.id;
        is_ours.then(|| endpoint(real, self.packet.destination_port.get()))
    }
}

/// Address and port of a real server.
fn endpoint(real: &Real, kept: u16) -> SocketAddr {
    at(IpAddr::from(real.address), real.port.get(), kept)
}

/// The real server that the packet was counted for.
fn real_after<const MASK: u32>(
    question: &Question,
    maps: &HostMapsOf<MASK>,
    moment: &Moment,
    case: Option<&Case<'_, MASK>>,
) -> Option<RealFound> {
    let id = *maps.real_traffic.borrow().keys().next()?;
    let real = maps.real(id)?;
    let service = case.map(|case| &case.service);
    let sees = service
        .filter(|service| service.method == method::FULLNAT)
        .zip(case)
        .and_then(|(_, case)| {
            let found = flow::find(maps, &track::flow_key(&case.packet), moment.low())?;
            let own = maps.pool(u32::from(found.flow.pool))?;
            let own: Addr = own.address;
            Some(SocketAddr::new(own.into(), found.flow.port.get()))
        });
    // To no service: a reply, from a port that may be the one the client had chosen.
    let kept = match service {
        Some(_) => question.vip.port(),
        None => question.client.port(),
    };
    let is_local = real.flags & REAL_LOCAL != 0;
    let [active, inactive] = maps.connections(id)?;
    let relaxed = Ordering::Relaxed;
    Some(RealFound {
        at: endpoint(real, kept),
        up: real.flags & REAL_UP != 0,
        draining: real.flags & REAL_DRAINING != 0,
        connections: [active.load(relaxed), inactive.load(relaxed)],
        next_hop: (!is_local).then(|| HopFound {
            mac: real.next_hop.to_string(),
            interface: moment.interface(real.ifindex),
            vlan: (real.vlan != 0).then_some(real.vlan),
        }),
        tunnel: service
            .filter(|service| service.method == method::TUNNEL && !is_local)
            .map(|_| words::encapsulation(real.encapsulation).to_owned()),
        mtu: (real.mtu != 0).then_some(real.mtu),
        sees,
    })
}

fn verdict_found(verdict: Verdict, moment: &Moment) -> VerdictFound {
    let Verdict { action, reason } = verdict;
    let (fate, out) = match action {
        Action::Pass if reason == Reason::ForwardedLocal => (Fate::Forwarded, None),
        Action::Pass => (Fate::Passed, None),
        Action::Drop => (Fate::Dropped, None),
        Action::Transmit => (Fate::Forwarded, Some(moment.ingress)),
        Action::Redirect(ifindex) => (Fate::Forwarded, Some(ifindex)),
    };
    VerdictFound {
        fate,
        out: out.map(|ifindex| moment.interface(ifindex)),
        reason: reason.label().to_owned(),
        meaning: reason.meaning().to_owned(),
    }
}
