//! Typed handles of the maps: one [`MapOp`] is one or a few writes. Not here: reading all of them
//! back ([`super::read`]), counters ([`super::stats`]).

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, RingBuf};
use lb_ebpf::abi::{
    Addr, AddressEntry, Connections, Flow, FlowKey, INTERFACE_SLOTS, Interface, Line, PoolEntry,
    Ports, PrefixEntry, QuicKey, Real, Router, Service, Slot, Traffic, VirtualMac, Way, name,
};
use zerocopy::{FromZeros as _, Immutable, IntoBytes, transmute};

use super::Error;
use super::mapped::{Access, Cell, Mapped, await_packets, store};
use crate::tables::flows::{Entry, FlowTable, Sweeper, Swept};
use crate::tables::{MapOp, Vip};

/// The maps of the data plane.
pub struct Maps {
    version: Array<MapData, u32>,
    pub(super) interfaces: Array<MapData, Interface>,
    pub(super) vips: Mapped<[AtomicU64; 4]>,
    pub(super) prefixes: LpmTrie<MapData, Addr, PrefixEntry>,
    pub(super) nat_sources: Mapped<[AtomicU64; 4]>,
    pub(super) segments: Mapped<AtomicU64>,
    pub(super) services: Mapped<Line>,
    pub(super) slots: Mapped<AtomicU32>,
    pub(super) members: Mapped<[AtomicU32; 2]>,
    pub(super) reals: Mapped<Line>,
    pub(super) nat_replies: Mapped<[AtomicU64; 3]>,
    pub(super) pool: Array<MapData, PoolEntry>,
    pub(super) quic_servers: HashMap<MapData, QuicKey, u32>,
    pub(super) routers: Arc<Mapped<RouterWords>>,
    pub(super) virtual_macs: HashMap<MapData, VirtualMac, u32>,
    ways: Mapped<Line>,
    entries: Mapped<Line>,
    connections: Mapped<[AtomicU32; 2]>,
    pub(super) turns: Array<MapData, u64>,
    pub(super) flow_events: PerCpuArray<MapData, u64>,
    pub(super) verdicts: PerCpuArray<MapData, u64>,
    pub(super) service_traffic: PerCpuArray<MapData, Traffic>,
    pub(super) real_traffic: PerCpuArray<MapData, Traffic>,
    unresolved: Option<RingBuf<MapData>>,
    sweeper: Sweeper,
}

/// An entry of `ROUTERS`: its lease, and a [`Router`].
pub(super) type RouterWords = [AtomicU64; 4];

/// The maps of a data plane that another process keeps: to be read only.
pub struct Pinned(Maps);

impl Deref for Pinned {
    type Target = Maps;

    fn deref(&self) -> &Maps {
        &self.0
    }
}

impl Maps {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    /// One is missing or of another type: the object is not ours.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        let mut take = |name| ebpf.take_map(name).ok_or(Error::Missing(name));
        let unresolved = typed(take(name::UNRESOLVED)?)?;
        Ok(Self {
            unresolved: Some(unresolved),
            ..Self::open(take, Access::Write)?
        })
    }

    /// The maps pinned in a directory, to look at while a daemon keeps them.
    ///
    /// # Errors
    /// One is missing, of another version, or can't be read.
    pub fn open_pinned(pins: &Path) -> Result<Pinned, Error> {
        super::check_version(pins)?;
        let open = |name| {
            let map = MapData::from_pin(pins.join(name)).map_err(Error::map)?;
            Map::from_map_data(map).map_err(Error::map)
        };
        Self::open(open, Access::Read).map(Pinned)
    }

    /// All but the events.
    fn open(
        mut map: impl FnMut(&'static str) -> Result<Map, Error>,
        access: Access,
    ) -> Result<Self, Error> {
        Ok(Self {
            version: typed(map(name::ABI)?)?,
            interfaces: typed(map(name::INTERFACES)?)?,
            vips: mapped(name::VIPS, map(name::VIPS)?, access)?,
            prefixes: typed(map(name::VIP_PREFIXES)?)?,
            nat_sources: mapped(name::NAT_SOURCES, map(name::NAT_SOURCES)?, access)?,
            segments: mapped(name::SEGMENTS, map(name::SEGMENTS)?, access)?,
            services: mapped(name::SERVICES, map(name::SERVICES)?, access)?,
            slots: mapped(name::RING_SLOTS, map(name::RING_SLOTS)?, access)?,
            members: mapped(name::MEMBERS, map(name::MEMBERS)?, access)?,
            reals: mapped(name::REALS, map(name::REALS)?, access)?,
            nat_replies: mapped(name::NAT_REPLIES, map(name::NAT_REPLIES)?, access)?,
            pool: typed(map(name::POOL)?)?,
            quic_servers: typed(map(name::QUIC_SERVERS)?)?,
            routers: Arc::new(mapped(name::ROUTERS, map(name::ROUTERS)?, access)?),
            virtual_macs: typed(map(name::VIRTUAL_MACS)?)?,
            ways: mapped(name::FLOW_WAYS, map(name::FLOW_WAYS)?, access)?,
            entries: mapped(name::FLOW_ENTRIES, map(name::FLOW_ENTRIES)?, access)?,
            connections: mapped(name::CONNECTIONS, map(name::CONNECTIONS)?, access)?,
            turns: typed(map(name::TURNS)?)?,
            flow_events: typed(map(name::FLOW_EVENTS)?)?,
            verdicts: typed(map(name::VERDICTS)?)?,
            service_traffic: typed(map(name::SERVICE_TRAFFIC)?)?,
            real_traffic: typed(map(name::REAL_TRAFFIC)?)?,
            unresolved: None,
            sweeper: Sweeper::default(),
        })
    }

    /// Carries out one change.
    ///
    /// # Errors
    /// The kernel refuses a write.
    pub fn apply(&mut self, op: &MapOp) -> Result<(), Error> {
        match op {
            MapOp::PutReal { id, real, fresh } => self.put_real(*id, real, *fresh),
            MapOp::PutMembers { at, ids } => self.put_members(*at, ids),
            MapOp::PutSlots { at, slots } => self.put_slots(*at, slots),
            MapOp::PutPool { at, entries } => self.put_pool(*at, entries),
            MapOp::PutNatReply { real, reply } => {
                put(name::NAT_REPLIES, &self.nat_replies, *real, reply)
            }
            MapOp::PutQuicServer { key, real } => {
                let put = self.quic_servers.insert(key, real, 0);
                put.map_err(Error::map)
            }
            MapOp::PutRouter { at, router, fresh } => self.put_router(*at, router, *fresh),
            MapOp::PutVirtualMac { mac, router } => {
                let put = self.virtual_macs.insert(mac, router, 0);
                put.map_err(Error::map)
            }
            MapOp::PutService { at, service, fresh } => self.put_service(*at, service, *fresh),
            MapOp::PutSegments { at, segments } => {
                let words = stretch(name::SEGMENTS, &self.segments, *at, segments.len())?;
                store(words, segments.as_bytes());
                Ok(())
            }
            MapOp::PutNatSource { at, entry } => {
                put_address(name::NAT_SOURCES, &self.nat_sources, *at, entry)
            }
            MapOp::PutVip { at, entry } => put_address(name::VIPS, &self.vips, *at, entry),
            MapOp::PutPrefix { vip, entry } => {
                let put = self.prefixes.insert(&trie_key(vip), entry, 0);
                put.map_err(Error::map)
            }
            MapOp::PutInterface(interface) => {
                let slot = interface.ifindex % INTERFACE_SLOTS;
                self.interfaces.set(slot, interface, 0).map_err(Error::map)
            }
            MapOp::RemoveInterface(ifindex) => self.remove_interface(*ifindex),
            MapOp::ForgetVip { at } => put_address(name::VIPS, &self.vips, *at, &NOBODY),
            MapOp::RemovePrefix(vip) => absent_is_fine(self.prefixes.remove(&trie_key(vip))),
            MapOp::ForgetNatSource { at } => {
                put_address(name::NAT_SOURCES, &self.nat_sources, *at, &NOBODY)
            }
            MapOp::RemoveQuicServer(key) => absent_is_fine(self.quic_servers.remove(key)),
            MapOp::RemoveVirtualMac(mac) => absent_is_fine(self.virtual_macs.remove(mac)),
            MapOp::AwaitPackets => {
                if let Err(error) = await_packets() {
                    // What came free last is used again last: packets have long gone by then.
                    tracing::debug!(%error, "packets under way can't be waited for");
                }
                Ok(())
            }
            MapOp::FreeSegments { .. }
            | MapOp::FreeService { .. }
            | MapOp::RemoveNatReply(_)
            | MapOp::FreePool { .. }
            | MapOp::FreeSlots { .. }
            | MapOp::FreeMembers { .. } => Ok(()),
            MapOp::RemoveReal(id) => put(name::REALS, &self.reals, *id, &Real::new_zeroed()),
            MapOp::RemoveRouter(at) => self.put_router(*at, &Router::default(), true),
        }
    }

    fn put_real(&mut self, id: u32, real: &Real, fresh: bool) -> Result<(), Error> {
        if fresh {
            let [active, inactive] = &stretch(name::CONNECTIONS, &self.connections, id, 1)?[0];
            active.store(0, Ordering::Relaxed);
            inactive.store(0, Ordering::Relaxed);
            clear(&mut self.real_traffic, id)?;
        }
        put(name::REALS, &self.reals, id, real)
    }

    fn put_members(&mut self, at: u32, ids: &[u32]) -> Result<(), Error> {
        let cells = stretch(name::MEMBERS, &self.members, at, ids.len())?;
        for ([cell, _], id) in cells.iter().zip(ids) {
            cell.store(*id, Ordering::Release);
        }
        Ok(())
    }

    fn put_slots(&mut self, at: u32, slots: &[Slot]) -> Result<(), Error> {
        let cells = stretch(name::RING_SLOTS, &self.slots, at, slots.len())?;
        for (cell, slot) in cells.iter().zip(slots) {
            cell.store(transmute!(*slot), Ordering::Release);
        }
        Ok(())
    }

    fn put_pool(&mut self, at: u32, entries: &[PoolEntry]) -> Result<(), Error> {
        let mut put = |(at, entry)| self.pool.set(at, entry, 0).map_err(Error::map);
        (at..).zip(entries).try_for_each(&mut put)
    }

    /// Without a lease first: at no moment does it run for what is half another router's.
    fn put_router(&mut self, at: u32, router: &Router, fresh: bool) -> Result<(), Error> {
        let words = &stretch(name::ROUTERS, &self.routers, at, 1)?[0];
        let (lease, place) = words.split_at(Router::AT);
        if fresh {
            lease
                .iter()
                .for_each(|word| word.store(0, Ordering::Release));
        }
        store(place, router.as_bytes());
        Ok(())
    }

    fn put_service(&mut self, at: u32, service: &Service, fresh: bool) -> Result<(), Error> {
        if fresh {
            clear(&mut self.service_traffic, service.id)?;
            self.turns.set(service.id, 0, 0).map_err(Error::map)?;
        }
        put(name::SERVICES, &self.services, at, service)
    }

    fn remove_interface(&mut self, ifindex: u32) -> Result<(), Error> {
        // Another interface may have taken over the slot in this very change.
        let slot = ifindex % INTERFACE_SLOTS;
        let there = self.interfaces.get(&slot, 0).map_err(Error::map)?;
        if there.ifindex != ifindex {
            return Ok(());
        }
        let nobody = Interface::new_zeroed();
        self.interfaces.set(slot, nobody, 0).map_err(Error::map)
    }

    /// Notes the layout's version.
    pub(super) fn set_version(&mut self, version: u32) -> Result<(), Error> {
        self.version.set(0, version, 0).map_err(Error::map)
    }

    /// The events of next hops that packets miss; whoever takes them reads them alone.
    pub fn take_unresolved(&mut self) -> Option<RingBuf<MapData>> {
        self.unresolved.take()
    }
}

/// The table of flows.
impl Maps {
    pub(super) fn table(&self) -> FlowTable<'_> {
        FlowTable {
            ways: &self.ways,
            entries: &self.entries,
            connections: &self.connections,
        }
    }

    /// The recorded flows, expired ones too. Packets go on changing them; it is no snapshot.
    pub fn flows(&self) -> impl Iterator<Item = Entry> + '_ {
        self.table().entries()
    }

    /// Frees the entries that have expired at kernel tick `now`.
    pub fn sweep(&mut self, now: u32) -> Swept {
        let table = FlowTable {
            ways: &self.ways,
            entries: &self.entries,
            connections: &self.connections,
        };
        self.sweeper.sweep(table, now)
    }

    /// Forgets the flows that `is_gone` names; how many.
    pub fn forget_flows(&mut self, is_gone: impl Fn(&FlowKey, &Flow) -> bool) -> u32 {
        self.table().forget(is_gone)
    }

    /// Puts an entry where `at` says: for tests.
    pub fn put_flow(&mut self, at: u32, way: Way, key: &FlowKey, flow: &Flow) {
        self.table().put(at, way, key, flow);
    }

    /// Connections of a real server that have entries.
    pub fn connections(&self, real: u32) -> Connections {
        let count = |count: &AtomicU32| count.load(Ordering::Relaxed);
        let of_real = self.connections.get(real as usize);
        of_real.map_or_else(Connections::default, |[active, inactive]| Connections {
            active: count(active),
            inactive: count(inactive),
        })
    }
}

/// What a place without an address holds.
const NOBODY: AddressEntry = AddressEntry {
    address: Addr::v6([[0; 4]; 4]),
    tcp: Ports::NONE,
    udp: Ports::NONE,
};

/// A map as its typed handle.
fn typed<T: TryFrom<Map, Error = MapError>>(map: Map) -> Result<T, Error> {
    T::try_from(map).map_err(Error::map)
}

/// An array as memory.
fn mapped<C: Cell>(name: &'static str, map: Map, access: Access) -> Result<Mapped<C>, Error> {
    let Map::Array(map) = map else {
        return Err(Error::Missing(name));
    };
    Mapped::new(name, &map, access)
}

/// `len` cells from `at` on.
fn stretch<'a, C>(
    name: &'static str,
    cells: &'a [C],
    at: u32,
    len: usize,
) -> Result<&'a [C], Error> {
    let cells = cells.get(at as usize..).and_then(|cells| cells.get(..len));
    cells.ok_or(Error::Beyond(name))
}

/// Writes one entry, word by word: nothing leads to it, or any mixture of old and new is right.
fn put<const N: usize>(
    name: &'static str,
    entries: &[[AtomicU64; N]],
    at: u32,
    value: &(impl IntoBytes + Immutable),
) -> Result<(), Error> {
    store(&stretch(name, entries, at, 1)?[0], value.as_bytes());
    Ok(())
}

/// Writes an address and its ports. An address that leads somewhere is never written over: its
/// ports go first, so that a packet finds it as it was, or not at all.
fn put_address(
    name: &'static str,
    entries: &[[AtomicU64; 4]],
    at: u32,
    entry: &AddressEntry,
) -> Result<(), Error> {
    let words = &stretch(name, entries, at, 1)?[0];
    let (address, ports) = words.split_at(2);
    let mut before = Addr::default();
    super::mapped::load(address, before.as_mut_bytes());
    if before != entry.address {
        ports
            .iter()
            .for_each(|word| word.store(0, Ordering::Release));
        store(address, entry.address.as_bytes());
    }
    store(&ports[..1], entry.tcp.as_bytes());
    store(&ports[1..], entry.udp.as_bytes());
    Ok(())
}

/// A prefix as the kernel's trie has it.
fn trie_key(vip: &Vip) -> Key<Addr> {
    Key::new(u32::from(vip.bits), vip.address)
}

/// Sets the counters of an id to zero on all CPUs.
fn clear(map: &mut PerCpuArray<MapData, Traffic>, id: u32) -> Result<(), Error> {
    let cpus = map.get(&id, 0).map_err(Error::map)?.len();
    let zero = PerCpuValues::try_from(vec![Traffic::default(); cpus]);
    let zero = zero.map_err(|error| Error::map(MapError::IoError(error)))?;
    map.set(id, zero, 0).map_err(Error::map)
}

fn absent_is_fine(result: Result<(), MapError>) -> Result<(), Error> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        other => other.map_err(Error::map),
    }
}

#[cfg(test)]
mod tests;
