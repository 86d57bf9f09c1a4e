//! From a [`Wish`] to [`Tables`], keeping of the previous tables whatever must not change: ids,
//! places, member indices, and the memory of the rings.
//!
//! Nothing is changed in place: what changed stands elsewhere, and then is pointed to. Not here: one
//! service's own numbers (`programmed`), and what leads to it (`roots`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lb_ebpf::abi::{
    self, Addr, Be16, Interface, MEMBERS_MAX, POOL_MAX, PoolEntry, QuicKey, REALS_MAX, Real,
    SERVICE_SLOTS, SERVICES_MAX, Segment, Service, Slot, method,
};

use super::memo::Memo;
use super::ports::{Run, segments};
use super::programmed::{candidates, members, programmed, settings};
use super::ring;
use super::roots::{self, Directory, Placed};
use super::routers;
use super::shared::Shared;
use super::stretch::{Full, Ids, Room};
use super::{NO_REAL, Scheduler, ServiceKey, ServiceWish, Tables, Wish};

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
    memo.begin();
    let mut building = Building::new(previous);
    building.pool(wish)?;
    let mut full = None;
    let mut deferred = 0;
    for service in visible(&wish.services) {
        if let Err(error) = building.service(service, memo) {
            building.keep(service);
            full = Some(error);
            deferred += 1;
        }
    }
    let Building {
        mut tables,
        placed,
        directory,
        ..
    } = building;
    let owners = routers::fill(&mut tables, wish);
    roots::fill(&mut tables, &placed, &owners, directory, previous)?;
    tables.interfaces = interfaces(wish, &tables);
    match full {
        Some(full) if tables == *previous => Err(full),
        _ => Ok(Built { tables, deferred }),
    }
}

/// The services that packets can get to: not those whose ports all belong to more special ones.
fn visible(services: &[ServiceWish]) -> Vec<&ServiceWish> {
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, service) in services.iter().enumerate() {
        let group = (service.key.vip, service.key.protocol);
        groups.entry(group).or_default().push(at);
    }
    let mut hidden = BTreeSet::new();
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let runs: Vec<Run> = (0..)
            .zip(&group)
            .map(|(index, at)| {
                let ServiceKey { first, last, .. } = services[*at].key;
                Run {
                    first,
                    last,
                    index,
                    bits: 0,
                }
            })
            .collect();
        let seen: BTreeSet<u32> = segments(&runs)
            .iter()
            .map(|segment| segment.index)
            .collect();
        let unseen = (0..).zip(&group).filter(|(index, _)| !seen.contains(index));
        hidden.extend(unseen.map(|(_, at)| *at));
    }
    let all = services.iter().enumerate();
    all.filter(|(at, _)| !hidden.contains(at))
        .map(|(_, service)| service)
        .collect()
}

/// The interfaces, with the flags that spare packets what no service needs.
fn interfaces(wish: &Wish, tables: &Tables) -> BTreeMap<u32, Interface> {
    let flag = |is: bool, flag: u32| if is { flag } else { 0 };
    let nat = tables
        .services
        .values()
        .any(|service| service.method == method::NAT);
    let flags = flag(nat, abi::NAT_REPLIES)
        | flag(!tables.prefixes.is_empty(), abi::VIP_PREFIXES)
        | flag(wish.fragments, abi::FRAGMENTS)
        | flag(
            wish.routers.iter().any(|r| !r.vips.is_empty()),
            abi::ROUTERS,
        )
        | flag(!tables.virtual_macs.is_empty(), abi::VIRTUAL_MACS);
    let with_flags = |interface: &Interface| Interface {
        flags: interface.flags | flags,
        ..*interface
    };
    wish.interfaces
        .iter()
        .map(|i| (i.ifindex, with_flags(i)))
        .collect()
}

/// A [`Tables`] in the making.
struct Building<'a> {
    previous: &'a Tables,
    known: Placed,
    known_reals: HashMap<(u32, Addr, u16), u32>,
    tables: Tables,
    placed: Placed,
    directory: Directory<'a>,
    slots: Shared<'a>,
    members: Room,
    places: Ids,
    service_ids: Ids,
    real_ids: Ids,
    /// The stretches of fullnat's addresses, IPv4 and IPv6.
    pools: [Option<(u16, u16)>; 2],
    /// Rings with their memory, by what they were made of: the old ring, the new owners, and who is
    /// not remembered.
    carried: HashMap<(usize, usize, Vec<u16>), Arc<[Slot]>>,
}

/// All of a service that has to find a place.
struct Shape {
    ids: Vec<u32>,
    members: Arc<[u32]>,
    slots: Arc<[Slot]>,
    turns: Arc<[Slot]>,
}

impl<'a> Building<'a> {
    fn new(previous: &'a Tables) -> Self {
        let identity =
            |(id, real): (&u32, &Real)| ((real.service, real.address, real.port.get()), *id);
        let services = previous.services.values().map(|service| service.id);
        Self {
            previous,
            known: previous.index(),
            known_reals: previous.reals.iter().map(identity).collect(),
            tables: Tables::default(),
            placed: Placed::new(),
            directory: Directory::new(previous),
            slots: Shared::new(&previous.rings),
            members: Room::new(&previous.members, MEMBERS_MAX, 1),
            places: Ids::new(previous.services.keys().copied(), SERVICE_SLOTS),
            service_ids: Ids::new(services, SERVICES_MAX),
            real_ids: Ids::new(previous.reals.keys().copied(), REALS_MAX),
            pools: [None; 2],
            carried: HashMap::new(),
        }
    }

    /// Places the addresses of fullnat of each family that a service uses.
    fn pool(&mut self, wish: &Wish) -> Result<(), Full> {
        let mut room = Room::new(&self.previous.pool, POOL_MAX, 1);
        for (family, place) in self.pools.iter_mut().enumerate() {
            let is_v4 = family == 0;
            let uses = |service: &ServiceWish| {
                service.method == method::FULLNAT && service.key.vip.address.is_v4() == is_v4
            };
            let of_family = wish
                .pool
                .iter()
                .filter(|entry| entry.address.is_v4() == is_v4);
            let entries: Arc<[PoolEntry]> = of_family.copied().collect();
            if entries.is_empty() || !wish.services.iter().any(uses) {
                continue;
            }
            let mut there = self.previous.pool.iter();
            let len = u16::try_from(entries.len()).map_err(|_more| Full::Pool(POOL_MAX))?;
            let at = match there.find(|(_, before)| **before == entries) {
                Some((at, _)) => *at,
                None => room.take(u32::from(len)).ok_or(Full::Pool(POOL_MAX))?,
            };
            *place = u16::try_from(at).ok().map(|at| (at, len));
            self.tables.pool.insert(at, entries);
        }
        Ok(())
    }

    /// Finds places for a service and writes it there; where there is none, nothing is written.
    fn service(&mut self, wish: &ServiceWish, memo: &mut Memo) -> Result<(), Full> {
        let before_at = self.known.get(&wish.key).copied();
        let before = before_at
            .and_then(|at| self.previous.services.get(&at))
            .copied();
        let id = match before {
            Some(before) => before.id,
            None => self
                .service_ids
                .take()
                .ok_or(Full::Services(SERVICES_MAX))?,
        };
        let shape = self.shape(wish, id, before.as_ref(), memo)?;
        self.reserve(wish)?;
        let (pool, pool_len) = self.pool_of(wish);
        let service = Service {
            id,
            ring: self.slots.place(before.map(|b| b.ring), &shape.slots)?,
            ring_len: len(&shape.slots),
            members: self.place_members(before.as_ref(), &shape.members)?,
            members_len: u16::try_from(shape.members.len()).unwrap_or(Slot::MEMBERS_MAX),
            turns: self.slots.place(before.map(|b| b.turns), &shape.turns)?,
            turns_len: len(&shape.turns),
            pool,
            pool_len,
            ..settings(wish)
        };
        let at = match before_at {
            Some(at) if before == Some(service) => at,
            _ => self.places.take().ok_or(Full::Services(SERVICES_MAX))?,
        };
        self.write(wish, at, &service, &shape);
        Ok(())
    }

    /// Ids, members, ring and turns of a service.
    fn shape(
        &mut self,
        wish: &ServiceWish,
        service: u32,
        before: Option<&Service>,
        memo: &mut Memo,
    ) -> Result<Shape, Full> {
        let ids = self.real_ids(wish, service)?;
        let old_members = before
            .map(|s| self.previous.members_of(s))
            .unwrap_or_default();
        let members = members(wish, &old_members, &ids);
        let old_ring = before.map(|s| self.previous.ring_of(s)).unwrap_or_default();
        let candidates = candidates(wish, &ids, &members);
        let size = ring::size_for(wish.reals.len(), len(&old_ring));
        let owners = memo.owners(&candidates, size);
        // An index that a new server took over says nothing of the one it had before.
        let forgotten = |at: &u16| {
            let at = usize::from(*at);
            members.get(at) == Some(&NO_REAL) || old_members.get(at) != members.get(at)
        };
        let count = u16::try_from(members.len()).unwrap_or(Slot::MEMBERS_MAX);
        let forgotten = match old_ring.is_empty() {
            true => Vec::new(),
            false => (0..count).filter(forgotten).collect(),
        };
        let turns = match wish.scheduler {
            Scheduler::Rr => memo.turns(&candidates, false),
            Scheduler::Wrr => memo.turns(&candidates, true),
            Scheduler::Maglev | Scheduler::Lc | Scheduler::Wlc | Scheduler::Sh => Arc::default(),
        };
        Ok(Shape {
            ids,
            slots: self.carry(&old_ring, &owners, forgotten, count),
            members,
            turns,
        })
    }

    /// The ring with its memory: the old one itself where it is the same.
    fn carry(
        &mut self,
        old: &Arc<[Slot]>,
        owners: &Arc<[u16]>,
        forgotten: Vec<u16>,
        count: u16,
    ) -> Arc<[Slot]> {
        // Both are held by the tables and the memo meanwhile: an address means one of them.
        let made_of = (old.as_ptr() as usize, owners.as_ptr() as usize, forgotten);
        if let Some(carried) = self.carried.get(&made_of) {
            return Arc::clone(carried);
        }
        let known = |member: u16| member < count && made_of.2.binary_search(&member).is_err();
        let ring = ring::carry(old, owners, known);
        let ring = if ring == *old { Arc::clone(old) } else { ring };
        self.carried.insert(made_of, Arc::clone(&ring));
        ring
    }

    /// Ids of a service's real servers in the order of the wish; those it had stay theirs.
    fn real_ids(&mut self, wish: &ServiceWish, service: u32) -> Result<Vec<u32>, Full> {
        let mut ids = Vec::with_capacity(wish.reals.len());
        for real in &wish.reals {
            let known = self
                .known_reals
                .get(&(service, real.address.into(), real.port));
            ids.push(match known {
                Some(id) => *id,
                None => self.real_ids.take().ok_or(Full::Reals(REALS_MAX))?,
            });
        }
        Ok(ids)
    }

    /// Makes sure that packets will find the service, and replies theirs.
    fn reserve(&mut self, wish: &ServiceWish) -> Result<(), Full> {
        if wish.key.vip.is_single() {
            self.directory.vips.reserve(wish.key.vip.address)?;
        }
        if wish.method == method::NAT {
            for real in &wish.reals {
                self.directory.sources.reserve(real.address.into())?;
            }
        }
        Ok(())
    }

    /// Where the members are: their old place if nothing changed, else a free stretch.
    fn place_members(&mut self, before: Option<&Service>, ids: &Arc<[u32]>) -> Result<u32, Full> {
        let len = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        match before {
            _ if ids.is_empty() => Ok(0),
            Some(before) if self.previous.members_of(before) == *ids => Ok(before.members),
            _ => self.members.take(len).ok_or(Full::Members(len)),
        }
    }

    fn pool_of(&self, wish: &ServiceWish) -> (u16, u16) {
        let [v4, v6] = self.pools;
        let pool = if wish.key.vip.address.is_v4() { v4 } else { v6 };
        pool.filter(|_| wish.method == method::FULLNAT)
            .unwrap_or_default()
    }

    /// Writes a service that has all its places.
    fn write(&mut self, wish: &ServiceWish, at: u32, service: &Service, shape: &Shape) {
        self.tables.services.insert(at, *service);
        self.placed.insert(wish.key, at);
        for (at, slots) in [(service.ring, &shape.slots), (service.turns, &shape.turns)] {
            if !slots.is_empty() {
                self.tables
                    .rings
                    .entry(at)
                    .or_insert_with(|| Arc::clone(slots));
            }
        }
        if service.members_len > 0 {
            self.tables
                .members
                .insert(service.members, Arc::clone(&shape.members));
        }
        for (real, id) in wish.reals.iter().zip(&shape.ids) {
            let before = self.previous.reals.get(id);
            self.tables
                .reals
                .insert(*id, programmed(real, service.id, before));
            if let (Some(_), Some(server_id)) = (wish.quic, real.server_id) {
                let key = QuicKey {
                    service: service.id,
                    id: server_id,
                };
                self.tables.quic_servers.insert(key, *id);
            }
        }
    }

    /// Leaves a service as it was, and what it points to; one that was not there stays away.
    fn keep(&mut self, wish: &ServiceWish) {
        let Some((at, before)) = self
            .known
            .get(&wish.key)
            .and_then(|at| Some((*at, *self.previous.services.get(at)?)))
        else {
            return;
        };
        let previous = self.previous;
        self.tables.services.insert(at, before);
        self.placed.insert(wish.key, at);
        let rings = &mut self.tables.rings;
        copy(&previous.rings, rings, before.ring, before.ring_len);
        copy(&previous.rings, rings, before.turns, before.turns_len);
        let (members, len) = (&mut self.tables.members, u32::from(before.members_len));
        copy(&previous.members, members, before.members, len);
        let (pool, len) = (&mut self.tables.pool, u32::from(before.pool_len));
        copy(&previous.pool, pool, u32::from(before.pool), len);
        for id in previous.members_of(&before).iter() {
            let Some(real) = previous.reals.get(id) else {
                continue;
            };
            // What does not need room is done all the same: who is down must not look up.
            let same = |wish: &&super::RealWish| {
                (Addr::from(wish.address), Be16::new(wish.port)) == (real.address, real.port)
            };
            let wish = wish.reals.iter().find(same);
            let real = wish.map_or(*real, |wish| programmed(wish, before.id, Some(real)));
            self.tables.reals.insert(*id, real);
        }
        let servers = previous
            .quic_servers
            .iter()
            .filter(|(key, _)| key.service == before.id);
        self.tables
            .quic_servers
            .extend(servers.map(|(key, real)| (*key, *real)));
    }
}

fn len<T>(values: &[T]) -> u32 {
    u32::try_from(values.len()).unwrap_or(u32::MAX)
}

/// Takes a stretch over as it was, if there is anything in it.
fn copy<T>(from: &BTreeMap<u32, Arc<[T]>>, to: &mut BTreeMap<u32, Arc<[T]>>, at: u32, len: u32) {
    if let (Some(stretch), 1..) = (from.get(&at), len) {
        to.entry(at).or_insert_with(|| Arc::clone(stretch));
    }
}

const _: () = assert!(
    Segment::POOL > SERVICE_SLOTS,
    "no place is taken for what it is not"
);
