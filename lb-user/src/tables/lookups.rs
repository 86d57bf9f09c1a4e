//! The host's [`Lookups`]: the program's decision over a [`Tables`] value, for tests and for
//! telling an operator where a flow would go.
//!
//! Flows, counters and routes are the caller's: this is what the maps hold, not what passes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use lb_ebpf::abi::{
    ADDRESS_SLOTS, Addr, AddressEntry, BUCKETS, FlowEvent, Interface, Lease, Line, NatReply,
    PoolEntry, Ports, PrefixEntry, QuicKey, REALS_MAX, ROUTERS_MAX, Real, Router, SERVICES_MAX,
    Segment, Service, Slot, Traffic, VirtualMac, WAYS,
};
use lb_ebpf::{Frame, Journey, Lookups, Route, Table};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::addresses::Addresses;
use super::flows::FlowTable;
use super::{NO_REAL, Tables, Vip};

/// Maps with a small table of flows, for tests.
pub type HostMaps = HostMapsOf<255>;

/// Maps with a table of flows as large as the kernel's.
pub type LiveMaps = HostMapsOf<{ BUCKETS - 1 }>;

/// [`Tables`] with what the kernel would add: flows, routes, counters. The table of flows has so many
/// buckets, a power of two, less one.
#[derive(Debug)]
pub struct HostMapsOf<const BUCKET_MASK: u32> {
    /// What the maps hold.
    pub tables: Tables,
    /// Buckets of the flow table.
    pub ways: Vec<Line>,
    /// Entries of the flow table.
    pub entries: Vec<Line>,
    /// Active and inactive connections, by real server id.
    pub connections: Vec<[AtomicU32; 2]>,
    /// Turns taken, by service id.
    pub turns: Vec<AtomicU64>,
    /// Until when virtual routers' VIPs are served, by index.
    pub leases: Vec<Lease>,
    /// Events of the flow table.
    pub events: RefCell<BTreeMap<FlowEvent, u64>>,
    /// Routes by destination; a destination without one is not routed.
    pub routes: BTreeMap<Addr, Route>,
    /// Destinations that were reported as unresolved.
    pub unresolved: RefCell<Vec<Addr>>,
    /// Counters by service id.
    pub service_traffic: RefCell<BTreeMap<u32, Traffic>>,
    /// Counters by real server id.
    pub real_traffic: RefCell<BTreeMap<u32, Traffic>>,
}

impl<const BUCKET_MASK: u32> Default for HostMapsOf<BUCKET_MASK> {
    fn default() -> Self {
        Self::new(Tables::default())
    }
}

impl<const BUCKET_MASK: u32> HostMapsOf<BUCKET_MASK> {
    /// Lookups over `tables`, with no flows and no routes.
    pub fn new(tables: Tables) -> Self {
        let buckets = BUCKET_MASK + 1;
        Self {
            tables,
            ways: fresh(buckets),
            entries: fresh(buckets * WAYS),
            connections: fresh(REALS_MAX),
            turns: fresh(SERVICES_MAX),
            leases: fresh(ROUTERS_MAX),
            events: RefCell::default(),
            routes: BTreeMap::new(),
            unresolved: RefCell::default(),
            service_traffic: RefCell::default(),
            real_traffic: RefCell::default(),
        }
    }

    /// The table of flows, to walk over and to sweep.
    pub fn flows(&self) -> FlowTable<'_> {
        FlowTable {
            ways: &self.ways,
            entries: &self.entries,
            connections: &self.connections,
        }
    }

    fn count_both(&self, service: u32, real: u32, change: impl Fn(&mut Traffic)) {
        change(
            self.service_traffic
                .borrow_mut()
                .entry(service)
                .or_default(),
        );
        change(self.real_traffic.borrow_mut().entry(real).or_default());
    }
}

/// So many zeros.
fn fresh<T: Default>(count: u32) -> Vec<T> {
    (0..count).map(|_| T::default()).collect()
}

/// A frame on the host that can grow and shrink, as one in the kernel can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFrame(pub Vec<u8>);

impl Frame for HostFrame {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read<T: FromBytes + Immutable>(&self, offset: usize) -> Option<T> {
        self.0.as_slice().read(offset)
    }

    fn write<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> Option<()> {
        self.0.as_mut_slice().write(offset, value)
    }

    fn grow(&mut self, bytes: usize) -> Option<()> {
        self.0.splice(0..0, std::iter::repeat_n(0, bytes));
        Some(())
    }

    fn shrink(&mut self, bytes: usize) -> Option<()> {
        if bytes >= self.0.len() {
            return None;
        }
        self.0.drain(..bytes);
        Some(())
    }

    fn truncate(&mut self, len: usize) -> Option<()> {
        if len >= self.0.len() {
            return None;
        }
        self.0.truncate(len);
        Some(())
    }
}

/// The entry of a flat map at `at`.
fn entry<T>(stretches: &BTreeMap<u32, Arc<[T]>>, at: u32) -> Option<&T> {
    let (start, stretch) = stretches.range(..=at).next_back()?;
    stretch.get((at - start) as usize)
}

/// A place of a table of addresses where nobody is.
static NOBODY: AddressEntry = AddressEntry {
    address: Addr::v6([[0; 4]; 4]),
    tcp: Ports::NONE,
    udp: Ports::NONE,
};

/// A place of a table of addresses.
fn place(addresses: &Addresses, at: u32) -> Option<&AddressEntry> {
    (at < ADDRESS_SLOTS).then(|| addresses.get(&at).unwrap_or(&NOBODY))
}

impl<const MASK: u32> Table for HostMapsOf<MASK> {
    const BUCKET_MASK: u32 = MASK;

    fn bucket(&self, at: u32) -> Option<&Line> {
        self.ways.get((at & Self::BUCKET_MASK) as usize)
    }

    fn entry(&self, at: u32) -> Option<&Line> {
        self.entries.get(at as usize)
    }

    fn connections(&self, real: u32) -> Option<&[AtomicU32; 2]> {
        self.connections.get(real as usize)
    }

    fn event(&self, event: FlowEvent) {
        *self.events.borrow_mut().entry(event).or_default() += 1;
    }
}

impl<const MASK: u32> Lookups for HostMapsOf<MASK> {
    fn interface(&self, ifindex: u32) -> Option<&Interface> {
        self.tables.interfaces.get(&ifindex)
    }

    fn vip(&self, at: u32) -> Option<&AddressEntry> {
        place(&self.tables.vips, at)
    }

    fn vip_prefix(&self, address: &Addr) -> Option<&PrefixEntry> {
        let within = |vip: &Vip| vip.contains(&Vip::single(*address));
        let prefixes = self.tables.prefixes.iter();
        let found = prefixes.filter(|(vip, _)| within(vip));
        found
            .max_by_key(|(vip, _)| vip.bits)
            .map(|(_, entry)| entry)
    }

    fn nat_source(&self, at: u32) -> Option<&AddressEntry> {
        place(&self.tables.nat_sources, at)
    }

    fn segment(&self, at: u32) -> Option<&Segment> {
        entry(&self.tables.segments, at)
    }

    fn service(&self, at: u32) -> Option<&Service> {
        self.tables.services.get(&at)
    }

    fn slot(&self, at: u32) -> Option<Slot> {
        entry(&self.tables.rings, at).copied()
    }

    fn member(&self, at: u32) -> Option<u32> {
        entry(&self.tables.members, at)
            .copied()
            .filter(|id| *id != NO_REAL)
    }

    fn real(&self, id: u32) -> Option<&Real> {
        self.tables.reals.get(&id)
    }

    fn nat_reply(&self, real: u32) -> Option<&NatReply> {
        self.tables.nat_replies.get(&real)
    }

    fn pool(&self, at: u32) -> Option<&PoolEntry> {
        entry(&self.tables.pool, at)
    }

    fn lease(&self, router: u32) -> Option<&Lease> {
        self.leases.get(router as usize)
    }

    fn router(&self, router: u32) -> Option<&Router> {
        self.tables.routers.get(&router)
    }

    fn virtual_mac(&self, mac: &VirtualMac) -> Option<u32> {
        self.tables.virtual_macs.get(mac).copied()
    }

    fn quic_server(&self, key: &QuicKey) -> Option<u32> {
        self.tables.quic_servers.get(key).copied()
    }

    fn turn(&self, service: u32) -> Option<&AtomicU64> {
        self.turns.get(service as usize)
    }

    fn route(&self, journey: &Journey) -> Route {
        let route = self.routes.get(&journey.destination);
        route.copied().unwrap_or(Route::NotRouted)
    }

    fn unresolved(&self, _ingress: u32, destination: Addr) {
        self.unresolved.borrow_mut().push(destination);
    }

    fn count(&self, service: u32, real: u32, bytes: u32, opens: bool, ends: bool) {
        self.count_both(service, real, |traffic| {
            traffic.packets += 1;
            traffic.bytes += u64::from(bytes);
            traffic.connections += u64::from(opens);
            traffic.ended += u64::from(ends);
        });
    }

    fn count_reply(&self, service: u32, real: u32, bytes: u32) {
        self.count_both(service, real, |traffic| {
            traffic.reply_packets += 1;
            traffic.reply_bytes += u64::from(bytes);
        });
    }
}
