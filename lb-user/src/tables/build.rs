//! From the wishes of the moment (site file × health × next hops) to [`Tables`], keeping of the
//! previous tables whatever must not change: ids, member indices, and the memory of the rings.
//!
//! Nothing is moved in place: a ring or a member list that changed gets a new stretch, one that did
//! not keeps its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_ebpf::NextHop;
use lb_ebpf::abi::{
    self, Be16, Endpoint, Interface, MEMBERS_MAX, NatReply, REAL_DRAINING, REAL_LOCAL, REAL_UP,
    REALS_MAX, RING_SLOTS_MAX, Real, SERVICES_MAX, Service, Slot, method,
};

use zerocopy::FromZeros as _;

use super::memo::Memo;
use super::ring::{self, Candidate};
use super::stretch::{Full, Room};
use super::{NO_REAL, Tables};

/// Everything the data plane is to do at this moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// Interfaces to serve; flags are filled in here.
    pub interfaces: Vec<Interface>,
    /// Virtual services; no two with the same key.
    pub services: Vec<ServiceWish>,
}

/// A virtual service to be had.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceWish {
    /// VIP, port and protocol.
    pub key: Endpoint,
    /// A number of [`abi::method`].
    pub method: u8,
    /// Kernel ticks after which a silent flow is forgotten.
    pub timeout: u32,
    /// Its real servers; no two with the same address and port.
    pub reals: Vec<RealWish>,
}

/// A real server to be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RealWish {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its share of new flows.
    pub weight: u16,
    /// What its health allows.
    pub standing: Standing,
    /// The way to it; `None` while it is not known.
    pub way: Option<Way>,
}

/// How packets get to a real server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// It is this host.
    Local,
    /// By a next hop.
    Via(NextHop),
    /// Inside other packets.
    Inside {
        /// The next hop of those.
        hop: NextHop,
        /// Their source address.
        source: IpAddr,
        /// A number of [`abi::encapsulation`].
        encapsulation: u8,
        /// Bytes they may have.
        mtu: u16,
    },
}

/// What a real server's health allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// New flows and old ones.
    Up,
    /// Nothing: flows it had go to another server, which will refuse them.
    Down,
}

impl RealWish {
    fn identity(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    fn takes_new(&self) -> bool {
        self.weight > 0 && self.standing == Standing::Up && self.way.is_some()
    }
}

/// What [`build`] came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The tables.
    pub tables: Tables,
    /// Services that are left as they were for want of room: rings are written beside the ones in
    /// use. Once these tables are in force there is more room; build again.
    pub deferred: usize,
}

/// The tables for `wish`, keeping what `previous` has that stays.
///
/// # Errors
/// A table is full, and not even a part of the wish can be had; `previous` stays what it is.
pub fn build(wish: &Wish, previous: &Tables, memo: &mut Memo) -> Result<Built, Full> {
    memo.forget_all_but(&previous.services);
    let mut building = Building::new(previous);
    let mut full = None;
    let mut deferred = 0;
    for service in &wish.services {
        if let Err(error) = building.service(service, memo) {
            building.keep(service);
            full = Some(error);
            deferred += 1;
        }
    }
    let mut tables = building.tables;
    let nat = wish
        .services
        .iter()
        .any(|service| service.method == method::NAT);
    tables.interfaces = wish
        .interfaces
        .iter()
        .map(|interface| {
            let flags = if nat { abi::NAT_REPLIES } else { 0 };
            (
                interface.ifindex,
                Interface {
                    flags,
                    ..*interface
                },
            )
        })
        .collect();
    match full {
        Some(full) if tables == *previous => Err(full),
        _ => Ok(Built { tables, deferred }),
    }
}

/// A [`Tables`] in the making.
struct Building<'a> {
    previous: &'a Tables,
    tables: Tables,
    rings: Room,
    members: Room,
    service_ids: Ids,
    real_ids: Ids,
    known_reals: BTreeMap<(u32, SocketAddr), u32>,
}

impl<'a> Building<'a> {
    fn new(previous: &'a Tables) -> Self {
        let identity = |real: &Real| SocketAddr::new(IpAddr::from(real.address), real.port.get());
        let known_reals = previous
            .reals
            .iter()
            .map(|(id, real)| ((real.service, identity(real)), *id))
            .collect();
        Self {
            previous,
            tables: Tables::default(),
            rings: Room::new(&previous.rings, RING_SLOTS_MAX),
            members: Room::new(&previous.members, MEMBERS_MAX),
            service_ids: Ids::new(previous.services.values().map(|s| s.id), SERVICES_MAX),
            real_ids: Ids::new(previous.reals.keys().copied(), REALS_MAX),
            known_reals,
        }
    }

    fn service(&mut self, wish: &ServiceWish, memo: &mut Memo) -> Result<(), Full> {
        let before = self.previous.services.get(&wish.key);
        let id = match before {
            Some(before) => before.id,
            None => self
                .service_ids
                .take()
                .ok_or(Full::Services(SERVICES_MAX))?,
        };
        let ids = self.reals(wish, id)?;
        let old_members = before
            .map(|s| self.previous.members_of(s))
            .unwrap_or_default();
        let members = members(&old_members, &ids);
        let old_ring = before.map(|s| self.previous.ring_of(s)).unwrap_or_default();
        let candidates = candidates(wish, &ids, &members);
        let present = u32::try_from(old_ring.len()).unwrap_or(ring::SIZE_MAX);
        let size = ring::size_for(wish.reals.len(), present);
        // An index that a new server took over says nothing of the one it had before.
        let known = |member: u16| {
            let at = usize::from(member);
            members
                .get(at)
                .is_some_and(|id| *id != NO_REAL && old_members.get(at) == Some(id))
        };
        let slots = memo.ring(wish.key, &old_ring, size, &candidates, &members, known);
        let service = Service {
            id,
            ring: self.place_ring(before, old_ring, slots)?,
            ring_len: size,
            members_len: u16::try_from(members.len()).unwrap_or(Slot::MEMBERS_MAX),
            members: self.place_members(before, members)?,
            timeout: wish.timeout,
            method: wish.method,
            _pad: 0,
        };
        self.tables.services.insert(wish.key, service);
        if wish.method == method::NAT {
            self.nat_replies(wish, id, &ids);
        }
        Ok(())
    }

    /// Leaves a service as it was, and what it points to; one that was not there stays away.
    fn keep(&mut self, wish: &ServiceWish) {
        let Some(before) = self.previous.services.get(&wish.key) else {
            return;
        };
        self.tables.services.insert(wish.key, *before);
        let (rings, members) = (&self.previous.rings, &self.previous.members);
        self.tables.rings.extend(
            rings
                .get_key_value(&before.ring)
                .map(|(at, r)| (*at, r.clone())),
        );
        self.tables.members.extend(
            members
                .get_key_value(&before.members)
                .map(|(at, ids)| (*at, ids.clone())),
        );
        for (id, real) in &self.previous.reals {
            if real.service == before.id {
                self.tables.reals.entry(*id).or_insert(*real);
            }
        }
        for (from, reply) in &self.previous.nat_replies {
            if reply.service == before.id {
                self.tables.nat_replies.entry(*from).or_insert(*reply);
            }
        }
    }

    /// Writes the real servers of a service; their ids in the order of the wish.
    fn reals(&mut self, wish: &ServiceWish, service: u32) -> Result<Vec<u32>, Full> {
        let mut ids = Vec::with_capacity(wish.reals.len());
        for real in &wish.reals {
            let id = match self.known_reals.get(&(service, real.identity())) {
                Some(id) => *id,
                None => self.real_ids.take().ok_or(Full::Reals(REALS_MAX))?,
            };
            let before = self.previous.reals.get(&id);
            self.tables
                .reals
                .insert(id, programmed(real, service, before));
            ids.push(id);
        }
        Ok(ids)
    }

    fn nat_replies(&mut self, wish: &ServiceWish, service: u32, ids: &[u32]) {
        for (real, id) in wish.reals.iter().zip(ids) {
            let from = Endpoint::new(real.address.into(), Be16::new(real.port), wish.key.protocol);
            let reply = NatReply {
                vip: wish.key.address,
                port: wish.key.port,
                _pad: 0,
                service,
                real: *id,
            };
            self.tables.nat_replies.insert(from, reply);
        }
    }

    /// Where the ring is: its old place if nothing changed, else a free stretch.
    fn place_ring(
        &mut self,
        before: Option<&Service>,
        old: Arc<[Slot]>,
        slots: Arc<[Slot]>,
    ) -> Result<u32, Full> {
        let len = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let at = match before {
            Some(before) if old == slots => before.ring,
            _ => self.rings.take(len).ok_or(Full::RingSlots(len))?,
        };
        self.tables.rings.insert(at, slots);
        Ok(at)
    }

    /// Where the members are: as [`Self::place_ring`]; no members are nowhere.
    fn place_members(&mut self, before: Option<&Service>, ids: Vec<u32>) -> Result<u32, Full> {
        if ids.is_empty() {
            return Ok(0);
        }
        let len = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let at = match before {
            Some(before) if *self.previous.members_of(before) == *ids => before.members,
            _ => self.members.take(len).ok_or(Full::Members(len))?,
        };
        self.tables.members.insert(at, ids.into());
        Ok(at)
    }
}

/// Ids that are not in use. Those of entries that go are in use until the change is through: see
/// [`diff`](super::diff).
struct Ids {
    in_use: BTreeSet<u32>,
    next: u32,
    max: u32,
}

impl Ids {
    fn new(in_use: impl Iterator<Item = u32>, max: u32) -> Self {
        Self {
            in_use: in_use.collect(),
            next: 0,
            max,
        }
    }

    fn take(&mut self) -> Option<u32> {
        let id = (self.next..self.max).find(|id| !self.in_use.contains(id))?;
        self.next = id + 1;
        Some(id)
    }
}

/// A real server as the program reads it. While no way to it is known it is not up, and the way it
/// had stays written.
fn programmed(wish: &RealWish, service: u32, before: Option<&Real>) -> Real {
    let mut real = before.copied().unwrap_or_else(Real::new_zeroed);
    real.address = wish.address.into();
    real.port = Be16::new(wish.port);
    real.service = service;
    let flag = |is: bool, flag: u16| if is { flag } else { 0 };
    real.flags = flag(wish.standing == Standing::Up && wish.way.is_some(), REAL_UP)
        | flag(wish.weight == 0, REAL_DRAINING)
        | flag(wish.way == Some(Way::Local), REAL_LOCAL);
    let hop = match wish.way {
        None | Some(Way::Local) => return real,
        Some(Way::Via(hop)) => hop,
        Some(Way::Inside {
            hop,
            source,
            encapsulation,
            mtu,
        }) => {
            real.tunnel_source = source.into();
            real.encapsulation = encapsulation;
            real.mtu = mtu;
            hop
        }
    };
    real.ifindex = hop.ifindex;
    real.next_hop = hop.destination;
    real.source = hop.source;
    real
}

/// The member list: who stays keeps its index, who is new takes a free one, who goes leaves
/// [`NO_REAL`].
fn members(before: &[u32], ids: &[u32]) -> Vec<u32> {
    let mut members: Vec<u32> = before
        .iter()
        .map(|id| if ids.contains(id) { *id } else { NO_REAL })
        .collect();
    for id in ids {
        if members.contains(id) {
            continue;
        }
        match members.iter_mut().find(|member| **member == NO_REAL) {
            Some(free) => *free = *id,
            None => members.push(*id),
        }
    }
    members
}

/// Those of the real servers that take new flows, as the ring sees them.
fn candidates(wish: &ServiceWish, ids: &[u32], members: &[u32]) -> Vec<Candidate> {
    let mut candidates = Vec::with_capacity(ids.len());
    for (real, id) in wish.reals.iter().zip(ids) {
        let member = members.iter().position(|member| member == id);
        let member = member.and_then(|at| u16::try_from(at).ok());
        if let (Some(member), true) = (member, real.takes_new()) {
            candidates.push(Candidate {
                member,
                identity: real.identity(),
                weight: real.weight,
            });
        }
    }
    candidates
}
