//! What the maps should hold, as a plain value: built from the wishes of the moment
//! ([`build`](build::build)), compared with what they hold now ([`diff`](diff::diff)), and read by
//! the same `steer` that runs in the kernel ([`lookups`]).
//!
//! Pure: no map, clock or socket is touched here. The seam to the kernel is [`MapOp`].

pub mod build;
pub mod diff;
pub mod lookups;
mod memo;
pub mod ring;
pub mod settle;
mod stretch;

#[cfg(test)]
mod laws;

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_ebpf::abi::{Endpoint, Interface, NatReply, Real, Service, Slot};

pub use build::{Built, RealWish, ServiceWish, Standing, Way, Wish};
pub use diff::{MapOp, diff};
pub use memo::Memo;
pub use stretch::Full;

/// Marks a member whose real server is gone: an id that no real server has.
pub const NO_REAL: u32 = u32::MAX;

/// What the maps hold, or should hold. Stretches of the two flat maps are named by their start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    /// By interface index.
    pub interfaces: BTreeMap<u32, Interface>,
    /// By VIP, port and protocol.
    pub services: BTreeMap<Endpoint, Service>,
    /// Rings: stretches of `RING_SLOTS`.
    pub rings: BTreeMap<u32, Arc<[Slot]>>,
    /// Members: stretches of `MEMBERS`, real server ids or [`NO_REAL`].
    pub members: BTreeMap<u32, Arc<[u32]>>,
    /// By real server id.
    pub reals: BTreeMap<u32, Real>,
    /// By address, port and protocol of a nat real server.
    pub nat_replies: BTreeMap<Endpoint, NatReply>,
}

impl Tables {
    /// The ring of a service; empty where it has none.
    pub fn ring_of(&self, service: &Service) -> Arc<[Slot]> {
        self.rings.get(&service.ring).cloned().unwrap_or_default()
    }

    /// The members of a service; empty where it has none.
    pub fn members_of(&self, service: &Service) -> Arc<[u32]> {
        match service.members_len {
            0 => Arc::default(),
            _ => self
                .members
                .get(&service.members)
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// Puts one change into effect: what applying it to the maps does to what they hold.
    pub fn apply(&mut self, op: &MapOp) {
        match op.clone() {
            MapOp::PutReal { id, real, .. } => put(&mut self.reals, id, real),
            MapOp::PutMembers { at, ids } => put(&mut self.members, at, ids),
            MapOp::PutSlots { at, slots } => put(&mut self.rings, at, slots),
            MapOp::PutNatReply(key, reply) => put(&mut self.nat_replies, key, reply),
            MapOp::PutService { key, service, .. } => put(&mut self.services, key, service),
            MapOp::PutInterface(interface) => {
                put(&mut self.interfaces, interface.ifindex, interface);
            }
            MapOp::RemoveInterface(ifindex) => remove(&mut self.interfaces, &ifindex),
            MapOp::RemoveService(key) => remove(&mut self.services, &key),
            MapOp::RemoveNatReply(key) => remove(&mut self.nat_replies, &key),
            MapOp::FreeSlots { at } => remove(&mut self.rings, &at),
            MapOp::FreeMembers { at } => remove(&mut self.members, &at),
            MapOp::RemoveReal(id) => remove(&mut self.reals, &id),
        }
    }
}

/// Replaces an entry, whatever was there.
fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    map.insert(key, value);
}

/// Removes an entry, whatever was there.
fn remove<K: Ord, V>(map: &mut BTreeMap<K, V>, key: &K) {
    map.remove(key);
}
