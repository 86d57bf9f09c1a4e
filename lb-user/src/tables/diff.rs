//! From what the maps hold to what they should hold, in an order that is safe at every step.
//!
//! Additions come first, from the leaves (real servers) to the roots (services); removals follow
//! from the roots to the leaves. So no prefix of the operations leaves a service that points to
//! something absent. A stretch in use is never written: [`build`](super::build) puts what changed elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_ebpf::abi::{Endpoint, Interface, NatReply, Real, Service, Slot};

use super::Tables;

/// One change of the maps.
#[derive(Clone, Debug, PartialEq)]
pub enum MapOp {
    /// Writes a real server; `fresh` where the id was free: its counters start at zero.
    PutReal {
        /// Its id.
        id: u32,
        /// What it is.
        real: Real,
        /// Whether its counters are to be cleared first.
        fresh: bool,
    },
    /// Writes a stretch of members.
    PutMembers {
        /// Where it starts.
        at: u32,
        /// Real server ids.
        ids: Arc<[u32]>,
    },
    /// Writes a ring.
    PutSlots {
        /// Where it starts.
        at: u32,
        /// Its slots.
        slots: Arc<[Slot]>,
    },
    /// Lets replies of a nat real server be found.
    PutNatReply(Endpoint, NatReply),
    /// Adds or replaces a virtual service: the moment its new ring takes effect.
    PutService {
        /// VIP, port and protocol.
        key: Endpoint,
        /// What it is.
        service: Service,
        /// Whether its counters are to be cleared first.
        fresh: bool,
    },
    /// Serves an interface.
    PutInterface(Interface),
    /// Leaves an interface alone from now on.
    RemoveInterface(u32),
    /// Removes a virtual service: its packets pass to the stack.
    RemoveService(Endpoint),
    /// Forgets how replies of a nat real server are rewritten.
    RemoveNatReply(Endpoint),
    /// A ring is no longer used; nothing is written.
    FreeSlots {
        /// Where it starts.
        at: u32,
    },
    /// A stretch of members is no longer used; nothing is written.
    FreeMembers {
        /// Where it starts.
        at: u32,
    },
    /// Removes a real server.
    RemoveReal(u32),
}

/// The operations that make `wanted` of `loaded`.
pub fn diff(loaded: &Tables, wanted: &Tables) -> Vec<MapOp> {
    let mut ops = Vec::new();
    let ids = |services: &BTreeMap<Endpoint, Service>| -> Vec<u32> {
        services.values().map(|service| service.id).collect()
    };
    let loaded_ids = ids(&loaded.services);
    ops.extend(changed(&loaded.reals, &wanted.reals).map(|(id, real)| {
        let fresh = !loaded
            .reals
            .get(id)
            .is_some_and(|old| is_same_server(old, real));
        MapOp::PutReal {
            id: *id,
            real: *real,
            fresh,
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
        changed(&loaded.nat_replies, &wanted.nat_replies)
            .map(|(key, reply)| MapOp::PutNatReply(*key, *reply)),
    );
    ops.extend(
        changed(&loaded.services, &wanted.services).map(|(key, service)| {
            let fresh = !loaded_ids.contains(&service.id);
            MapOp::PutService {
                key: *key,
                service: *service,
                fresh,
            }
        }),
    );
    ops.extend(
        changed(&loaded.interfaces, &wanted.interfaces)
            .map(|(_, interface)| MapOp::PutInterface(*interface)),
    );
    removals(loaded, wanted, &mut ops);
    ops
}

/// What is no longer wanted, from the roots to the leaves.
fn removals(loaded: &Tables, wanted: &Tables, ops: &mut Vec<MapOp>) {
    ops.extend(gone(&loaded.interfaces, &wanted.interfaces).map(|at| MapOp::RemoveInterface(*at)));
    ops.extend(gone(&loaded.services, &wanted.services).map(|key| MapOp::RemoveService(*key)));
    ops.extend(
        gone(&loaded.nat_replies, &wanted.nat_replies).map(|key| MapOp::RemoveNatReply(*key)),
    );
    ops.extend(gone(&loaded.rings, &wanted.rings).map(|at| MapOp::FreeSlots { at: *at }));
    ops.extend(gone(&loaded.members, &wanted.members).map(|at| MapOp::FreeMembers { at: *at }));
    ops.extend(gone(&loaded.reals, &wanted.reals).map(|id| MapOp::RemoveReal(*id)));
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
