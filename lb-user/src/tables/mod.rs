//! What the maps should hold, as a plain value: built from the wishes of the moment
//! ([`build`](build::build)), compared with what they hold now ([`diff`](diff::diff)), and read by
//! the same `steer` that runs in the kernel ([`lookups`]).
//!
//! In reading order: [`wish`] what is wanted; [`ring`] and [`turns`] who is chosen, `memo` what was
//! computed before; `stretch`, `shared`, `addresses` and `ports` where things stand; `routers` who
//! shares VIPs with another director; `roots` what leads to all of them; [`mod@build`] all of it; [`mod@diff`]; [`settle`] what time does to rings; [`flows`]
//! the table of flows, which is the packets' own.
//!
//! Pure: no map, clock or socket is touched here. The seam to the kernel is [`MapOp`].

mod addresses;
pub mod build;
pub mod diff;
pub mod flows;
pub mod lookups;
mod memo;
mod ports;
mod programmed;
pub mod ring;
mod roots;
mod routers;
pub mod settle;
mod shared;
mod stretch;
pub mod turns;
pub mod wish;

#[cfg(test)]
mod laws;

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_ebpf::abi::{
    AddressEntry, Interface, NatReply, PoolEntry, Ports, PrefixEntry, QuicKey, Real, Router,
    Segment, Service, Slot, VirtualMac,
};
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};

pub use build::Built;
pub use diff::{MapOp, diff};
pub use memo::Memo;
pub use stretch::Full;
pub use wish::{
    Persistence, Quic, RealWish, RouterWish, Scheduler, ServiceKey, ServiceWish, Standing,
    Timeouts, Vip, Way, Wish,
};

/// Marks a member whose real server is gone: an id that no real server has.
pub const NO_REAL: u32 = u32::MAX;

/// What the maps hold, or should hold. Stretches of flat maps are named by their start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    /// By interface index.
    pub interfaces: BTreeMap<u32, Interface>,
    /// VIPs and the director's own addresses, by place; tombstones among them.
    pub vips: BTreeMap<u32, AddressEntry>,
    /// VIPs that are prefixes.
    pub prefixes: BTreeMap<Vip, PrefixEntry>,
    /// Real servers of nat, by place; tombstones among them.
    pub nat_sources: BTreeMap<u32, AddressEntry>,
    /// What is at ports: stretches of `SEGMENTS`.
    pub segments: BTreeMap<u32, Arc<[Segment]>>,
    /// By place; while one changes it stands at two places.
    pub services: BTreeMap<u32, Service>,
    /// Rings and turns: stretches of `RING_SLOTS`.
    pub rings: BTreeMap<u32, Arc<[Slot]>>,
    /// Members: stretches of `MEMBERS`, real server ids or [`NO_REAL`].
    pub members: BTreeMap<u32, Arc<[u32]>>,
    /// By real server id.
    pub reals: BTreeMap<u32, Real>,
    /// How replies of nat real servers are rewritten, by real server id.
    pub nat_replies: BTreeMap<u32, NatReply>,
    /// Addresses and ports of fullnat: stretches of `POOL`.
    pub pool: BTreeMap<u32, Arc<[PoolEntry]>>,
    /// Real server ids by server ids of QUIC.
    pub quic_servers: BTreeMap<QuicKey, u32>,
    /// Virtual routers, by index; their leases are not the tables'.
    pub routers: BTreeMap<u32, Router>,
    /// Indices of virtual routers by Ethernet addresses of their own.
    pub virtual_macs: BTreeMap<VirtualMac, u32>,
}

impl Tables {
    /// Where each virtual service stands: found as packets find it.
    pub fn index(&self) -> BTreeMap<ServiceKey, u32> {
        let singles = self.vips.values().map(|entry| {
            let vip = Vip::single(entry.address);
            (vip, entry.tcp, entry.udp)
        });
        let prefixes = self.prefixes.iter().map(|(vip, e)| (*vip, e.tcp, e.udp));
        // A service of a prefix is found at the VIPs within as well: it is the widest one's.
        let mut widest: BTreeMap<u32, (ServiceKey, u32)> = BTreeMap::new();
        for (vip, tcp, udp) in singles.chain(prefixes) {
            for (protocol, ports) in [(Tcp::PROTOCOL, tcp), (Udp::PROTOCOL, udp)] {
                for segment in self.segments_of(ports).iter() {
                    let Some(service) = self.services.get(&segment.index) else {
                        continue;
                    };
                    let key = ServiceKey {
                        vip,
                        protocol,
                        first: service.first,
                        last: service.last,
                    };
                    let found = widest.entry(service.id).or_insert((key, segment.index));
                    if vip.bits < found.0.vip.bits {
                        *found = (key, segment.index);
                    }
                }
            }
        }
        widest.into_values().collect()
    }

    /// The service of a key; [`Self::index`] where it is more than one that is asked for.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(self.index().get(key)?)
    }

    /// The segments of an address.
    pub fn segments_of(&self, ports: Ports) -> Arc<[Segment]> {
        match ports.is_empty() {
            true => Arc::default(),
            false => self.segments.get(&ports.at()).cloned().unwrap_or_default(),
        }
    }

    /// The ring of a service; empty where it has none.
    pub fn ring_of(&self, service: &Service) -> Arc<[Slot]> {
        match service.ring_len {
            0 => Arc::default(),
            _ => self.rings.get(&service.ring).cloned().unwrap_or_default(),
        }
    }

    /// The turns of a service; empty where it has none.
    pub fn turns_of(&self, service: &Service) -> Arc<[Slot]> {
        match service.turns_len {
            0 => Arc::default(),
            _ => self.rings.get(&service.turns).cloned().unwrap_or_default(),
        }
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
            MapOp::PutPool { at, entries } => put(&mut self.pool, at, entries),
            MapOp::PutNatReply { real, reply } => put(&mut self.nat_replies, real, reply),
            MapOp::PutQuicServer { key, real } => put(&mut self.quic_servers, key, real),
            MapOp::PutRouter { at, router, .. } => put(&mut self.routers, at, router),
            MapOp::PutVirtualMac { mac, router } => put(&mut self.virtual_macs, mac, router),
            MapOp::PutService { at, service, .. } => put(&mut self.services, at, service),
            MapOp::PutSegments { at, segments } => put(&mut self.segments, at, segments),
            MapOp::PutNatSource { at, entry } => put(&mut self.nat_sources, at, entry),
            MapOp::PutVip { at, entry } => put(&mut self.vips, at, entry),
            MapOp::PutPrefix { vip, entry } => put(&mut self.prefixes, vip, entry),
            MapOp::PutInterface(interface) => {
                put(&mut self.interfaces, interface.ifindex, interface);
            }
            MapOp::RemoveInterface(ifindex) => remove(&mut self.interfaces, &ifindex),
            MapOp::ForgetVip { at } => remove(&mut self.vips, &at),
            MapOp::RemovePrefix(vip) => remove(&mut self.prefixes, &vip),
            MapOp::ForgetNatSource { at } => remove(&mut self.nat_sources, &at),
            MapOp::RemoveQuicServer(key) => remove(&mut self.quic_servers, &key),
            MapOp::RemoveVirtualMac(mac) => remove(&mut self.virtual_macs, &mac),
            MapOp::AwaitPackets => {}
            MapOp::RemoveRouter(at) => remove(&mut self.routers, &at),
            MapOp::FreeSegments { at } => remove(&mut self.segments, &at),
            MapOp::FreeService { at } => remove(&mut self.services, &at),
            MapOp::RemoveNatReply(real) => remove(&mut self.nat_replies, &real),
            MapOp::FreePool { at } => remove(&mut self.pool, &at),
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
