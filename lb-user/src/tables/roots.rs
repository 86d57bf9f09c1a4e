//! What a packet's address leads to: VIPs, VIP prefixes and nat real servers, each to its ports.
//!
//! All of it follows from which service stands where; what stays the same keeps its place.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lb_ebpf::abi::{
    Addr, NatReply, PREFIXES_MAX, Ports, PrefixEntry, REAL_LOCAL, SEGMENTS_MAX, Segment, method,
};
use lb_ebpf::select::masked;
use lb_ebpf::wire::tcp::Tcp;

use super::addresses::Places;
use super::ports::{Run, segments};
use super::routers::{Owner, Owners};
use super::stretch::{Full, Room};
use super::{NO_REAL, ServiceKey, Tables, Vip};

/// Which service stands at which place.
pub(super) type Placed = BTreeMap<ServiceKey, u32>;

/// The two tables of addresses while they are made.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    /// VIPs, and the director's own addresses.
    pub(super) vips: Places<'a>,
    /// Real servers of nat.
    pub(super) sources: Places<'a>,
}

impl<'a> Directory<'a> {
    /// Addresses of `previous` keep their places.
    pub(super) fn new(previous: &'a Tables) -> Self {
        Self {
            vips: Places::new(&previous.vips),
            sources: Places::new(&previous.nat_sources),
        }
    }
}

/// Fills in all that leads to the services in `tables`.
///
/// # Errors
/// There is no room.
pub(super) fn fill(
    tables: &mut Tables,
    placed: &Placed,
    owners: &Owners,
    directory: Directory<'_>,
    previous: &Tables,
) -> Result<(), Full> {
    let Directory {
        mut vips,
        mut sources,
    } = directory;
    let mut stretches = Stretches {
        previous: &previous.segments,
        room: Room::new(&previous.segments, SEGMENTS_MAX, 1),
        segments: BTreeMap::new(),
    };
    let all = by_vip(placed, owners);
    let mut found = Found::new();
    for (vip, own) in &all {
        let runs = with_wider(vip, own, &all);
        if vip.is_single() {
            vips.reserve(vip.address)?;
            let before = vips.before(&vip.address);
            let ports = stretches.both(&runs, true, before)?;
            let owned = |owner: &Owner| {
                let is_local = owner.is_local || is_local(&runs, tables);
                owned(ports, owner.router, is_local)
            };
            found.insert(vip.address, owners.get(&vip.address).map_or(ports, owned));
        } else {
            let before = previous.prefixes.get(vip).copied().unwrap_or_default();
            let (tcp, udp) = stretches.both(&runs, true, (before.tcp, before.udp))?;
            tables.prefixes.insert(*vip, PrefixEntry { tcp, udp });
        }
    }
    if tables.prefixes.len() > PREFIXES_MAX as usize {
        return Err(Full::Prefixes(PREFIXES_MAX));
    }
    for (address, runs) in pool_runs(tables) {
        // The site file refuses a VIP that is in the pool; should it be, it is a VIP first.
        if let Entry::Vacant(entry) = found.entry(address) {
            vips.reserve(address)?;
            let before = vips.before(&address);
            let runs = [runs.clone(), runs];
            entry.insert(stretches.both(&runs, false, before)?);
        }
    }
    tables.vips = vips.finish(ports_in(&found));
    let mut found = Found::new();
    for (address, runs) in nat_runs(tables, placed) {
        sources.reserve(address)?;
        let before = sources.before(&address);
        found.insert(address, stretches.both(&runs, false, before)?);
    }
    tables.nat_sources = sources.finish(ports_in(&found));
    tables.segments = stretches.segments;
    Ok(())
}

/// The ports of addresses.
type Found = HashMap<Addr, (Ports, Ports)>;

fn ports_in(found: &Found) -> impl FnMut(&Addr) -> (Ports, Ports) + '_ {
    |address| {
        found
            .get(address)
            .copied()
            .unwrap_or((Ports::NONE, Ports::NONE))
    }
}

/// What is at the ports of an address: TCP, UDP.
type Runs = [Vec<Run>; 2];

/// Which of [`Runs`] a protocol's are.
const fn of(protocol: u8) -> usize {
    if protocol == Tcp::PROTOCOL { 0 } else { 1 }
}

/// What is meant for each VIP; one that is a virtual router's needs nothing at its ports.
fn by_vip(placed: &Placed, owners: &Owners) -> BTreeMap<Vip, Runs> {
    let owned = owners
        .keys()
        .map(|vip| (Vip::single(*vip), Runs::default()));
    let mut all: BTreeMap<Vip, Runs> = owned.collect();
    for (key, at) in placed {
        all.entry(key.vip).or_default()[of(key.protocol)].push(Run {
            first: key.first,
            last: key.last,
            index: *at,
            bits: key.vip.bits,
        });
    }
    all
}

/// The ports of a virtual router's VIP, which is there without any.
fn owned((tcp, udp): (Ports, Ports), router: u16, is_local: bool) -> (Ports, Ports) {
    let of = |ports: Ports| {
        let there = if ports.is_there() {
            ports
        } else {
            Ports::new(0, 0, true)
        };
        there.of_router(router, is_local)
    };
    (of(tcp), of(udp))
}

/// Whether one of the services at these ports has this host itself as a real server.
fn is_local(runs: &Runs, tables: &Tables) -> bool {
    let services = runs.iter().flatten();
    let services = services.filter_map(|run| tables.services.get(&run.index));
    let is_local = |id: &u32| {
        let real = tables.reals.get(id);
        real.is_some_and(|real| real.flags & REAL_LOCAL != 0)
    };
    services
        .map(|service| tables.members_of(service))
        .any(|members| members.iter().any(is_local))
}

/// The runs of a VIP and of every prefix that it lies in: a packet looks at the most special one
/// only, and must find all of them there.
fn with_wider(vip: &Vip, own: &Runs, all: &BTreeMap<Vip, Runs>) -> Runs {
    let lengths: BTreeSet<u8> = all
        .keys()
        .map(|vip| vip.bits)
        .filter(|b| *b < vip.bits)
        .collect();
    let mut runs = own.clone();
    for bits in lengths {
        let address = masked(&vip.address, bits);
        if let Some(wider) = all.get(&Vip { address, bits }) {
            for (runs, wider) in runs.iter_mut().zip(wider) {
                runs.extend(wider);
            }
        }
    }
    runs
}

/// The ports that fullnat takes, by its addresses.
fn pool_runs(tables: &Tables) -> BTreeMap<Addr, Vec<Run>> {
    let mut runs: BTreeMap<Addr, Vec<Run>> = BTreeMap::new();
    for entry in tables.pool.values().flat_map(|entries| entries.iter()) {
        runs.entry(entry.address).or_default().push(Run {
            first: entry.first,
            last: entry.first.saturating_add(entry.count.saturating_sub(1)),
            index: Segment::POOL,
            bits: 0,
        });
    }
    runs
}

/// The real servers of nat by address, and how their replies are rewritten.
fn nat_runs(tables: &mut Tables, placed: &Placed) -> BTreeMap<Addr, Runs> {
    let mut runs: BTreeMap<Addr, Runs> = BTreeMap::new();
    for (key, at) in placed {
        let Some(service) = tables.services.get(at).copied() else {
            continue;
        };
        if service.method != method::NAT {
            continue;
        }
        for id in tables
            .members_of(&service)
            .iter()
            .filter(|id| **id != NO_REAL)
        {
            let Some(real) = tables.reals.get(id) else {
                continue;
            };
            let port = real.port.get();
            let (first, last) = match port {
                0 => (key.first, key.last),
                _ => (port, port),
            };
            runs.entry(real.address).or_default()[of(key.protocol)].push(Run {
                first,
                last,
                index: *id,
                bits: 0,
            });
            let reply = NatReply {
                vip: key.vip.address,
                port: lb_ebpf::abi::Be16::new(if port == 0 { 0 } else { key.first }),
                _pad: 0,
                service: service.id,
            };
            tables.nat_replies.insert(*id, reply);
        }
    }
    runs
}

/// Stretches of segments while they are made.
struct Stretches<'a> {
    previous: &'a BTreeMap<u32, Arc<[Segment]>>,
    room: Room,
    segments: BTreeMap<u32, Arc<[Segment]>>,
}

impl Stretches<'_> {
    /// The ports of an address, both protocols; `before` is what they were.
    fn both(
        &mut self,
        runs: &Runs,
        is_vip: bool,
        before: (Ports, Ports),
    ) -> Result<(Ports, Ports), Full> {
        let [tcp, udp] = runs;
        let tcp = self.place(segments(tcp), is_vip, before.0)?;
        let udp = self.place(segments(udp), is_vip, before.1)?;
        Ok((tcp, udp))
    }

    /// Where these segments stand: as before if they are the same, else in a free stretch.
    fn place(
        &mut self,
        segments: Vec<Segment>,
        is_vip: bool,
        before: Ports,
    ) -> Result<Ports, Full> {
        if segments.is_empty() {
            return Ok(Ports::NONE);
        }
        let old = self
            .previous
            .get(&before.at())
            .filter(|old| !before.is_empty() && ***old == *segments);
        let (at, segments) = match old {
            Some(old) => (before.at(), Arc::clone(old)),
            None => {
                let len = u32::try_from(segments.len()).unwrap_or(u32::MAX);
                let at = self.room.take(len).ok_or(Full::Segments(len))?;
                (at, segments.into())
            }
        };
        // 65,536 ports make 65,536 segments at most, and that only where no two in a row are alike.
        let len = u16::try_from(segments.len()).map_err(|_more| Full::Segments(SEGMENTS_MAX))?;
        self.segments.insert(at, segments);
        Ok(Ports::new(at, len, is_vip))
    }
}
