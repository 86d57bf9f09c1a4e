//! When unsettled slots settle: after the timeout of the flows that may still be unrecorded, once
//! no live entry differs from the ring (docs/adr/0001).
//!
//! Time is an input; the flows are the caller's to look through.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_ebpf::abi::{FlowKey, HASH_CLIENT, SERVICE_SLOTS, Service, Slot, kind, scheduler};
use lb_ebpf::select::{client_hash, flow_hash, slot_of};

use super::flows::Entry;
use super::ring;
use super::roots::{self, Directory};
use super::routers;
use super::shared::Shared;
use super::{Full, ServiceKey, Tables};

/// Since when each slot is unsettled. Bounded by the number of slots; services that share a ring and
/// its past share this.
#[derive(Clone, Debug, Default)]
pub struct Settling {
    services: BTreeMap<ServiceKey, Waiting>,
}

/// The unsettled slots of one ring.
#[derive(Clone, Debug)]
struct Waiting {
    ring: u32,
    len: u32,
    since: Since,
}

/// Slots in their order, each with the moment it became unsettled.
type Since = Arc<[(u32, Instant)]>;
/// Which [`Since`] it is, while it lives.
type Past = *const (u32, Instant);

impl Settling {
    /// Takes note of the rings of `tables` as they are `now`.
    pub fn note(&mut self, tables: &Tables, now: Instant) {
        let index = tables.index();
        self.services.retain(|key, _| index.contains_key(key));
        // What became of a ring and its past, so that services which share both share the answer.
        let mut known: HashMap<(u32, Option<Past>), Since> = HashMap::new();
        for (key, at) in index {
            let Some(service) = tables.services.get(&at) else {
                continue;
            };
            let before = self.services.get(&key);
            if before.is_some_and(|before| before.ring == service.ring) {
                continue;
            }
            let past = before.map(|before| before.since.as_ptr());
            let since = known
                .entry((service.ring, past))
                .or_insert_with(|| unsettled_since(&tables.ring_of(service), before, now));
            let waiting = Waiting {
                ring: service.ring,
                len: service.ring_len,
                since: Arc::clone(since),
            };
            self.services.insert(key, waiting);
        }
    }

    /// How many slots of a service are unsettled.
    pub fn unsettled(&self, key: &ServiceKey) -> usize {
        self.services
            .get(key)
            .map_or(0, |waiting| waiting.since.len())
    }

    /// Slots whose unrecorded flows have had their timeout; `timeout` tells it for a service.
    pub fn due(&self, now: Instant, timeout: impl Fn(&ServiceKey) -> Duration) -> Due {
        let mut due = BTreeMap::new();
        let mut known: HashMap<(Past, Duration), Arc<[u32]>> = HashMap::new();
        for (key, waiting) in &self.services {
            if waiting.since.is_empty() {
                continue;
            }
            let timeout = timeout(key);
            let is_due = |since: Instant| now.saturating_duration_since(since) >= timeout;
            let slots = known
                .entry((waiting.since.as_ptr(), timeout))
                .or_insert_with(|| {
                    let all = waiting.since.iter().filter(|(_, since)| is_due(*since));
                    all.map(|(at, _)| *at).collect()
                });
            if !slots.is_empty() {
                let slots = Arc::clone(slots);
                let held = BTreeSet::new();
                due.insert(*key, DueSlots { slots, held });
            }
        }
        Due(due)
    }
}

/// Since when each unsettled slot of a ring is; `before` tells of the ring it was, of which each
/// slot has become as many as the ring has grown by.
fn unsettled_since(ring: &[Slot], before: Option<&Waiting>, now: Instant) -> Since {
    let since = |at: u32| {
        let before = before?;
        let len = u32::try_from(ring.len()).unwrap_or(u32::MAX);
        let split = (len / before.len.max(1)).max(1);
        let found = before
            .since
            .binary_search_by_key(&(at / split), |(at, _)| *at);
        Some(before.since[found.ok()?].1)
    };
    (0..)
        .zip(ring)
        .filter(|(_, slot)| slot.is_unsettled())
        .map(|(at, _)| (at, since(at).unwrap_or(now)))
        .collect()
}

/// Slots that may settle unless a live flow holds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due(BTreeMap<ServiceKey, DueSlots>);

/// Those of one service.
#[derive(Clone, Debug, PartialEq)]
struct DueSlots {
    /// In their order.
    slots: Arc<[u32]>,
    held: BTreeSet<u32>,
}

impl DueSlots {
    fn contains(&self, at: u32) -> bool {
        self.slots.binary_search(&at).is_ok() && !self.held.contains(&at)
    }
}

impl Due {
    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes back the slots that live flows hold against the ring; `now` in kernel ticks.
    pub fn hold(&mut self, tables: &Tables, flows: impl Iterator<Item = Entry>, now: u32) {
        let mut by_id = HashMap::new();
        for (key, at) in tables.index() {
            let Some(service) = tables.services.get(&at) else {
                continue;
            };
            // By turns or by connections: the ring says nothing of where a flow should be.
            if service.scheduler == scheduler::RING {
                let rings = (tables.ring_of(service), tables.members_of(service));
                by_id.insert(service.id, (key, service, rings));
            }
        }
        for (_, way, flow_key, flow) in flows {
            let Some((key, service, (ring, members))) = by_id.get(&flow.service) else {
                continue;
            };
            let (Some(due), false) = (self.0.get_mut(key), way.is_expired(now)) else {
                continue;
            };
            let Some(at) = slot(&flow_key, service) else {
                continue;
            };
            let current = ring
                .get(at as usize)
                .map(|slot| usize::from(slot.current()));
            let current = current.and_then(|member| members.get(member));
            if current != Some(&flow.real) && due.contains(at) {
                due.held.insert(at);
            }
        }
        self.0.retain(|_, due| due.held.len() < due.slots.len());
    }

    /// The tables with these slots settled; those for whose new ring there is no room just now stay
    /// as they are until the next time.
    ///
    /// # Errors
    /// There is no room for what leads to the services.
    pub fn settle(&self, previous: &Tables) -> Result<Tables, Full> {
        let mut tables = previous.clone();
        let mut shared = Shared::new(&previous.rings);
        let mut placed = previous.index();
        let mut places = (0..SERVICE_SLOTS).filter(|at| !previous.services.contains_key(at));
        for (key, due) in &self.0 {
            let Some(old_at) = placed.get_mut(key) else {
                continue;
            };
            let Some(service) = previous.services.get(old_at).copied() else {
                continue;
            };
            let is_due = |at: usize| u32::try_from(at).is_ok_and(|at| due.contains(at));
            let settled = ring::settle(&previous.ring_of(&service), is_due);
            let Ok(ring) = shared.place(Some(service.ring), &settled) else {
                continue;
            };
            let Some(at) = places.next() else { break };
            tables.rings.insert(ring, settled);
            tables.services.remove(old_at);
            tables.services.insert(at, Service { ring, ..service });
            *old_at = at;
        }
        let services = tables.services.values();
        let stretches = services.flat_map(|s| [(s.ring, s.ring_len), (s.turns, s.turns_len)]);
        let used: BTreeSet<u32> = stretches
            .filter(|(_, len)| *len > 0)
            .map(|(at, _)| at)
            .collect();
        tables.rings.retain(|at, _| used.contains(at));
        tables.prefixes.clear();
        let owners = routers::owners(previous);
        roots::fill(
            &mut tables,
            &placed,
            &owners,
            Directory::new(previous),
            previous,
        )?;
        Ok(tables)
    }
}

/// The slot of its service's ring that a flow's packets, or a client's flows, hash to.
fn slot(flow: &FlowKey, service: &Service) -> Option<u32> {
    let by_client = service.flags & HASH_CLIENT != 0;
    let hash = match flow.kind {
        kind::FLOW | kind::CLIENT if by_client => client_hash(&flow.source, service.client_bits),
        kind::FLOW => flow_hash(
            &flow.source,
            flow.source_port,
            flow.destination_port,
            flow.protocol,
        ),
        _ => return None,
    };
    (service.ring_len > 0).then(|| slot_of(hash, service.ring_len))
}

#[cfg(test)]
mod tests;
