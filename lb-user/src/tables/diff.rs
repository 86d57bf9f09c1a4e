//! From what the maps hold to what they should hold, in an order that is safe at every step.
//!
//! Additions come first, from the leaves (real servers) to the roots (addresses); removals follow
//! from the roots to the leaves. So no prefix of the operations leaves an address that leads to
//! something absent. A stretch in use is never written: [`build`](super::build) puts what changed elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_ebpf::abi::{
    AddressEntry, Interface, NatReply, PoolEntry, PrefixEntry, QuicKey, Real, Router, Segment,
    Service, Slot, VirtualMac,
};

use super::addresses::{Addresses, is_live};
use super::{Tables, Vip};

/// One change of the maps.
#[derive(Clone, Debug, PartialEq)]
pub enum MapOp {
    /// Writes a real server.
    PutReal {
        /// Its id.
        id: u32,
        /// What it is.
        real: Real,
        /// Whether the id was free: its counters are to be cleared first.
        fresh: bool,
    },
    /// Writes a stretch of members.
    PutMembers {
        /// Where it starts.
        at: u32,
        /// Real server ids.
        ids: Arc<[u32]>,
    },
    /// Writes a ring, or turns.
    PutSlots {
        /// Where it starts.
        at: u32,
        /// Its slots.
        slots: Arc<[Slot]>,
    },
    /// Writes addresses of fullnat.
    PutPool {
        /// Where they start.
        at: u32,
        /// The addresses.
        entries: Arc<[PoolEntry]>,
    },
    /// Says how replies of a nat real server are rewritten.
    PutNatReply {
        /// Its id.
        real: u32,
        /// How.
        reply: NatReply,
    },
    /// Gives a real server its server id of QUIC.
    PutQuicServer {
        /// The server id.
        key: QuicKey,
        /// The real server's id.
        real: u32,
    },
    /// Writes a virtual router.
    PutRouter {
        /// Its index.
        at: u32,
        /// What it is.
        router: Router,
        /// Whether the index was free, or is another router's now: there is no lease.
        fresh: bool,
    },
    /// Takes frames to a virtual router's own Ethernet address.
    PutVirtualMac {
        /// The address.
        mac: VirtualMac,
        /// The router's index.
        router: u32,
    },
    /// Writes a virtual service; nothing leads to it yet.
    PutService {
        /// Its place.
        at: u32,
        /// What it is.
        service: Service,
        /// Whether its id was free: its counters are to be cleared first.
        fresh: bool,
    },
    /// Writes segments.
    PutSegments {
        /// Where they start.
        at: u32,
        /// The segments.
        segments: Arc<[Segment]>,
    },
    /// Lets replies of a nat real server be found; without ports, no longer.
    PutNatSource {
        /// Its place.
        at: u32,
        /// Address and ports.
        entry: AddressEntry,
    },
    /// Adds or replaces what an address leads to: the moment a change takes effect. Without ports,
    /// it leads nowhere.
    PutVip {
        /// Its place.
        at: u32,
        /// Address and ports.
        entry: AddressEntry,
    },
    /// The same of a prefix.
    PutPrefix {
        /// The prefix.
        vip: Vip,
        /// Its ports.
        entry: PrefixEntry,
    },
    /// Serves an interface.
    PutInterface(Interface),
    /// Leaves an interface alone from now on.
    RemoveInterface(u32),
    /// Empties a place of the VIPs that leads nowhere.
    ForgetVip {
        /// The place.
        at: u32,
    },
    /// Removes a VIP prefix.
    RemovePrefix(Vip),
    /// Empties a place of the nat real servers that leads nowhere.
    ForgetNatSource {
        /// The place.
        at: u32,
    },
    /// Forgets a server id of QUIC.
    RemoveQuicServer(QuicKey),
    /// No longer takes frames to a virtual router's own Ethernet address.
    RemoveVirtualMac(VirtualMac),
    /// Waits until every packet is through that was under way: what nothing leads to any more is
    /// read by nobody from here on.
    AwaitPackets,
    /// Segments are no longer used; nothing is written.
    FreeSegments {
        /// Where they start.
        at: u32,
    },
    /// A service's place is no longer used; nothing is written.
    FreeService {
        /// The place.
        at: u32,
    },
    /// How replies of a real server are rewritten is no longer used; nothing is written.
    RemoveNatReply(u32),
    /// Addresses of fullnat are no longer taken for new flows; nothing is written, as old ones go
    /// on using them.
    FreePool {
        /// Where they start.
        at: u32,
    },
    /// A ring or turns are no longer used; nothing is written.
    FreeSlots {
        /// Where they start.
        at: u32,
    },
    /// A stretch of members is no longer used; nothing is written.
    FreeMembers {
        /// Where it starts.
        at: u32,
    },
    /// Removes a real server.
    RemoveReal(u32),
    /// Removes a virtual router, and its lease.
    RemoveRouter(u32),
}

/// The operations that make `wanted` of `loaded`.
pub fn diff(loaded: &Tables, wanted: &Tables) -> Vec<MapOp> {
    let mut ops = Vec::new();
    leaves(loaded, wanted, &mut ops);
    roots(loaded, wanted, &mut ops);
    unreachable(loaded, wanted, &mut ops);
    let before = ops.len();
    removals(loaded, wanted, &mut ops);
    if ops.len() > before {
        ops.insert(before, MapOp::AwaitPackets);
    }
    ops
}

/// What is to be there before anything leads to it.
fn leaves(loaded: &Tables, wanted: &Tables, ops: &mut Vec<MapOp>) {
    ops.extend(changed(&loaded.reals, &wanted.reals).map(|(id, real)| {
        let before = loaded.reals.get(id);
        MapOp::PutReal {
            id: *id,
            real: *real,
            fresh: !before.is_some_and(|old| is_same_server(old, real)),
        }
    }));
    ops.extend(
        changed(&loaded.members, &wanted.members).map(|(at, ids)| MapOp::PutMembers {
            at: *at,
            ids: ids.clone(),
        }),
    );
    ops.extend(
        changed(&loaded.rings, &wanted.rings).map(|(at, slots)| MapOp::PutSlots {
            at: *at,
            slots: slots.clone(),
        }),
    );
    ops.extend(
        changed(&loaded.pool, &wanted.pool).map(|(at, entries)| MapOp::PutPool {
            at: *at,
            entries: entries.clone(),
        }),
    );
    let replies = changed(&loaded.nat_replies, &wanted.nat_replies);
    ops.extend(replies.map(|(real, reply)| MapOp::PutNatReply {
        real: *real,
        reply: *reply,
    }));
    let servers = changed(&loaded.quic_servers, &wanted.quic_servers);
    ops.extend(servers.map(|(key, real)| MapOp::PutQuicServer {
        key: *key,
        real: *real,
    }));
    ops.extend(
        changed(&loaded.routers, &wanted.routers).map(|(at, router)| {
            let before = loaded.routers.get(at);
            MapOp::PutRouter {
                at: *at,
                router: *router,
                fresh: !before.is_some_and(|old| is_same_place(old, router)),
            }
        }),
    );
    let known: BTreeSet<u32> = loaded.services.values().map(|service| service.id).collect();
    let services = changed(&loaded.services, &wanted.services);
    ops.extend(services.map(|(at, service)| MapOp::PutService {
        at: *at,
        service: *service,
        fresh: !known.contains(&service.id),
    }));
    let segments = changed(&loaded.segments, &wanted.segments);
    ops.extend(segments.map(|(at, segments)| MapOp::PutSegments {
        at: *at,
        segments: segments.clone(),
    }));
}

/// The switches: from here on packets see what is new.
fn roots(loaded: &Tables, wanted: &Tables, ops: &mut Vec<MapOp>) {
    let live =
        |changes: &mut dyn Iterator<Item = (&u32, &AddressEntry)>| -> Vec<(u32, AddressEntry)> {
            changes
                .filter(|(_, entry)| is_live(entry))
                .map(|(at, entry)| (*at, *entry))
                .collect()
        };
    // Replies are known before a request can cause one.
    let sources = live(&mut changed(&loaded.nat_sources, &wanted.nat_sources));
    ops.extend(
        sources
            .into_iter()
            .map(|(at, entry)| MapOp::PutNatSource { at, entry }),
    );
    let vips = live(&mut changed(&loaded.vips, &wanted.vips));
    ops.extend(
        vips.into_iter()
            .map(|(at, entry)| MapOp::PutVip { at, entry }),
    );
    let prefixes = changed(&loaded.prefixes, &wanted.prefixes);
    ops.extend(prefixes.map(|(vip, entry)| MapOp::PutPrefix {
        vip: *vip,
        entry: *entry,
    }));
    let macs = changed(&loaded.virtual_macs, &wanted.virtual_macs);
    ops.extend(macs.map(|(mac, router)| MapOp::PutVirtualMac {
        mac: *mac,
        router: *router,
    }));
    let interfaces = changed(&loaded.interfaces, &wanted.interfaces);
    ops.extend(interfaces.map(|(_, interface)| MapOp::PutInterface(*interface)));
}

/// Roots that are no longer wanted.
fn unreachable(loaded: &Tables, wanted: &Tables, ops: &mut Vec<MapOp>) {
    ops.extend(gone(&loaded.interfaces, &wanted.interfaces).map(|at| MapOp::RemoveInterface(*at)));
    for (at, entry) in ended(&loaded.vips, &wanted.vips) {
        ops.push(MapOp::PutVip { at, entry });
    }
    ops.extend(gone(&loaded.vips, &wanted.vips).map(|at| MapOp::ForgetVip { at: *at }));
    ops.extend(gone(&loaded.prefixes, &wanted.prefixes).map(|vip| MapOp::RemovePrefix(*vip)));
    for (at, entry) in ended(&loaded.nat_sources, &wanted.nat_sources) {
        ops.push(MapOp::PutNatSource { at, entry });
    }
    let sources = gone(&loaded.nat_sources, &wanted.nat_sources);
    ops.extend(sources.map(|at| MapOp::ForgetNatSource { at: *at }));
    let servers = gone(&loaded.quic_servers, &wanted.quic_servers);
    ops.extend(servers.map(|key| MapOp::RemoveQuicServer(*key)));
    let macs = gone(&loaded.virtual_macs, &wanted.virtual_macs);
    ops.extend(macs.map(|mac| MapOp::RemoveVirtualMac(*mac)));
}

/// Addresses that become tombstones.
fn ended(loaded: &Addresses, wanted: &Addresses) -> Vec<(u32, AddressEntry)> {
    changed(loaded, wanted)
        .filter(|(_, entry)| !is_live(entry))
        .map(|(at, entry)| (*at, *entry))
        .collect()
}

/// What nothing leads to any more.
fn removals(loaded: &Tables, wanted: &Tables, ops: &mut Vec<MapOp>) {
    ops.extend(gone(&loaded.segments, &wanted.segments).map(|at| MapOp::FreeSegments { at: *at }));
    ops.extend(gone(&loaded.services, &wanted.services).map(|at| MapOp::FreeService { at: *at }));
    let replies = gone(&loaded.nat_replies, &wanted.nat_replies);
    ops.extend(replies.map(|real| MapOp::RemoveNatReply(*real)));
    ops.extend(gone(&loaded.pool, &wanted.pool).map(|at| MapOp::FreePool { at: *at }));
    ops.extend(gone(&loaded.rings, &wanted.rings).map(|at| MapOp::FreeSlots { at: *at }));
    ops.extend(gone(&loaded.members, &wanted.members).map(|at| MapOp::FreeMembers { at: *at }));
    ops.extend(gone(&loaded.reals, &wanted.reals).map(|id| MapOp::RemoveReal(*id)));
    ops.extend(gone(&loaded.routers, &wanted.routers).map(|at| MapOp::RemoveRouter(*at)));
}

/// Whether an index still means a router at the same place, so that its lease goes on.
fn is_same_place(old: &Router, new: &Router) -> bool {
    (old.ifindex, old.vlan) == (new.ifindex, new.vlan)
}

/// Whether an id still means the same server, so that its counters go on.
fn is_same_server(old: &Real, new: &Real) -> bool {
    (old.service, old.address, old.port) == (new.service, new.address, new.port)
}

/// Entries of `wanted` that `loaded` lacks or has otherwise.
fn changed<'a, K: Ord, V: PartialEq>(
    loaded: &'a BTreeMap<K, V>,
    wanted: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    wanted
        .iter()
        .filter(|(key, value)| loaded.get(key) != Some(value))
}

/// Keys of `loaded` that `wanted` lacks.
fn gone<'a, K: Ord, V>(
    loaded: &'a BTreeMap<K, V>,
    wanted: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    loaded.keys().filter(|key| !wanted.contains_key(key))
}
