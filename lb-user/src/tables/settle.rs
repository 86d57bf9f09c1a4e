//! When unsettled slots settle: after the timeout of the flows that may still be unrecorded, once
//! no live entry differs from the ring (docs/adr/0001).
//!
//! Time is an input; the flows are the caller's to look through.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lb_ebpf::abi::{Endpoint, Flow, FlowKey, RING_SLOTS_MAX, Service, Slot};
use lb_ebpf::select::{flow_hash, slot_of};

use super::stretch::Room;
use super::{Tables, ring};

/// Since when each slot is unsettled. Bounded by the number of slots.
#[derive(Clone, Debug, Default)]
pub struct Settling {
    services: BTreeMap<Endpoint, Waiting>,
}

/// The unsettled slots of one ring.
#[derive(Clone, Debug)]
struct Waiting {
    ring: u32,
    len: u32,
    since: BTreeMap<u32, Instant>,
}

impl Settling {
    /// Takes note of the rings of `tables` as they are `now`.
    pub fn note(&mut self, tables: &Tables, now: Instant) {
        self.services
            .retain(|key, _| tables.services.contains_key(key));
        for (key, service) in &tables.services {
            let before = self.services.get(key);
            if before.is_some_and(|before| before.ring == service.ring) {
                continue;
            }
            let since = unsettled_since(&tables.ring_of(service), before, now);
            let waiting = Waiting {
                ring: service.ring,
                len: service.ring_len,
                since,
            };
            self.services.insert(*key, waiting);
        }
    }

    /// How many slots of a service are unsettled.
    pub fn unsettled(&self, key: &Endpoint) -> usize {
        self.services
            .get(key)
            .map_or(0, |waiting| waiting.since.len())
    }

    /// Slots whose unrecorded flows have had their timeout; `timeout` tells it for a service.
    pub fn due(&self, now: Instant, timeout: impl Fn(&Endpoint) -> Duration) -> Due {
        let mut due = BTreeMap::new();
        for (key, waiting) in &self.services {
            let timeout = timeout(key);
            let slots: BTreeSet<u32> = waiting
                .since
                .iter()
                .filter(|(_, since)| now.saturating_duration_since(**since) >= timeout)
                .map(|(at, _)| *at)
                .collect();
            if !slots.is_empty() {
                due.insert(*key, slots);
            }
        }
        Due(due)
    }
}

/// Since when each unsettled slot of a ring is; `before` tells of the ring it was, of which each
/// slot has become as many as the ring has grown by.
fn unsettled_since(
    ring: &[Slot],
    before: Option<&Waiting>,
    now: Instant,
) -> BTreeMap<u32, Instant> {
    let since = |at: u32| {
        let before = before?;
        let len = u32::try_from(ring.len()).unwrap_or(u32::MAX);
        let split = (len / before.len.max(1)).max(1);
        before.since.get(&(at / split)).copied()
    };
    (0..)
        .zip(ring)
        .filter(|(_, slot)| slot.is_unsettled())
        .map(|(at, _)| (at, since(at).unwrap_or(now)))
        .collect()
}

/// Slots that may settle unless a live flow holds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due(BTreeMap<Endpoint, BTreeSet<u32>>);

impl Due {
    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes back the slots that live flows hold against the ring; `now` in kernel ticks.
    pub fn hold(
        &mut self,
        tables: &Tables,
        flows: impl Iterator<Item = (FlowKey, Flow)>,
        now: u32,
    ) {
        let by_id: BTreeMap<u32, (&Endpoint, &Service)> = tables
            .services
            .iter()
            .map(|(key, service)| (service.id, (key, service)))
            .collect();
        for (flow_key, flow) in flows {
            let Some((key, service)) = by_id.get(&flow_key.service) else {
                continue;
            };
            let Some(slots) = self.0.get_mut(*key) else {
                continue;
            };
            let at = slot(&flow_key, key, service);
            let slot = tables.ring_of(service).get(at as usize).copied();
            let agrees = slot.is_some_and(|slot| slot.current() == flow.member);
            if !agrees && !flow.is_expired(now, service.timeout) {
                slots.remove(&at);
            }
        }
        self.0.retain(|_, slots| !slots.is_empty());
    }

    /// The tables with these slots settled; those for whose new ring there is no room just now stay
    /// as they are until the next time.
    pub fn settle(&self, previous: &Tables) -> Tables {
        let mut tables = previous.clone();
        let mut room = Room::new(&previous.rings, RING_SLOTS_MAX);
        for (key, slots) in &self.0 {
            let Some(service) = tables.services.get_mut(key) else {
                continue;
            };
            let is_due = |at: usize| u32::try_from(at).is_ok_and(|at| slots.contains(&at));
            let settled = ring::settle(&previous.ring_of(service), is_due);
            let len = service.ring_len;
            let Some(at) = room.take(len) else {
                continue;
            };
            tables.rings.remove(&service.ring);
            tables.rings.insert(at, settled);
            service.ring = at;
        }
        tables
    }
}

/// The slot of a flow's service that its packets hash to.
fn slot(flow: &FlowKey, key: &Endpoint, service: &Service) -> u32 {
    slot_of(
        flow_hash(&flow.client, flow.port, key.port, key.protocol),
        service.ring_len,
    )
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use lb_ebpf::NextHop;
    use lb_ebpf::abi::{Addr, Be16, Mac, method};

    use super::*;
    use crate::tables::build::build;
    use crate::tables::{Memo, RealWish, ServiceWish, Standing, Way, Wish};

    const TIMEOUT: Duration = Duration::from_secs(900);

    fn wish(up: [bool; 2]) -> Wish {
        let real = |(last, up): (u8, bool)| RealWish {
            address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, last)),
            port: 80,
            weight: 1,
            standing: if up { Standing::Up } else { Standing::Down },
            way: Some(Way::Via(NextHop {
                ifindex: 2,
                destination: Mac([2; 6]),
                source: Mac([4; 6]),
            })),
        };
        Wish {
            interfaces: Vec::new(),
            services: vec![ServiceWish {
                key: key(),
                method: method::DR,
                timeout: 1000,
                reals: (1..).zip(up).map(real).collect(),
            }],
        }
    }

    fn key() -> Endpoint {
        Endpoint::new(Ipv4Addr::new(10, 0, 0, 100).into(), Be16::new(80), 6)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do to count from"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn built(up: [bool; 2], previous: &Tables) -> Tables {
        build(&wish(up), previous, &mut Memo::default())
            .unwrap()
            .tables
    }

    /// One server went away: its slots are unsettled.
    fn after_a_loss() -> Tables {
        let both = built([true, true], &Tables::default());
        built([true, false], &both)
    }

    #[test]
    fn slots_settle_after_the_timeout_and_the_ring_is_as_new() {
        let (tables, start) = (after_a_loss(), start());
        let mut settling = Settling::default();
        settling.note(&tables, start);
        assert_eq!(settling.unsettled(&key()), 2048);
        assert!(
            settling
                .due(start + TIMEOUT - Duration::from_secs(1), |_| TIMEOUT)
                .is_empty()
        );
        let settled = settling.due(start + TIMEOUT, |_| TIMEOUT).settle(&tables);
        let service = settled.services[&key()];
        assert!(
            settled
                .ring_of(&service)
                .iter()
                .all(|slot| !slot.is_unsettled())
        );
        assert_eq!(settled.rings.len(), 1, "the old ring is let go");
        settling.note(&settled, start + TIMEOUT);
        assert_eq!(settling.unsettled(&key()), 0);
    }

    #[test]
    fn a_slot_that_changes_again_waits_from_its_first_change() {
        let (tables, start) = (after_a_loss(), start());
        let mut settling = Settling::default();
        settling.note(&tables, start);
        let again = built([true, true], &tables);
        settling.note(&again, start + TIMEOUT / 2);
        assert!(!settling.due(start + TIMEOUT, |_| TIMEOUT).is_empty());
    }

    #[test]
    fn the_halves_of_a_slot_wait_as_long_as_it_would_have() {
        let (start, later) = (start(), start() + TIMEOUT / 2);
        let old = [Slot::unsettled(1, 0), Slot::settled(1)];
        let before = Waiting {
            ring: 0,
            len: 2,
            since: unsettled_since(&old, None, start),
        };
        let new = [
            Slot::unsettled(1, 0),
            Slot::unsettled(2, 0),
            Slot::settled(1),
            Slot::unsettled(2, 1),
        ];
        let since = unsettled_since(&new, Some(&before), later);
        assert_eq!(since, BTreeMap::from([(0, start), (1, start), (3, later)]));
    }

    #[test]
    fn a_live_flow_on_another_server_holds_its_slot_and_an_expired_one_does_not() {
        let (tables, start) = (after_a_loss(), start());
        let mut settling = Settling::default();
        settling.note(&tables, start);
        let service = tables.services[&key()];
        let flow = |member| {
            let client = Addr::from(Ipv4Addr::new(10, 9, 9, 9));
            let unsettled = |port: &u16| {
                let key = FlowKey {
                    client,
                    service: service.id,
                    port: Be16::new(*port),
                    _pad: 0,
                };
                tables.ring_of(&service)[slot(&key, &self::key(), &service) as usize].is_unsettled()
            };
            let port = Be16::new((1024..).find(unsettled).unwrap());
            let key = FlowKey {
                client,
                service: service.id,
                port,
                _pad: 0,
            };
            [(
                key,
                Flow {
                    seen: 5000,
                    member,
                    _pad: 0,
                },
            )]
            .into_iter()
        };
        let count = |held: Due| held.0.values().map(BTreeSet::len).sum::<usize>();
        let due = settling.due(start + TIMEOUT, |_| TIMEOUT);
        for (member, now, expected) in [(1, 5500, 2047), (1, 6001, 2048), (0, 5500, 2048)] {
            let mut held = due.clone();
            held.hold(&tables, flow(member), now);
            assert_eq!(count(held), expected, "member {member} at tick {now}");
        }
    }
}
