//! Typed handles of the maps: one [`MapOp`] is one or a few writes, and all of them read back are
//! a [`Tables`].

use std::collections::BTreeMap;
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, RingBuf};
use lb_ebpf::abi::{
    Addr, Endpoint, Flow, FlowKey, INTERFACE_SLOTS, Interface, NatReply, REALS_MAX, Real, Service,
    Slot, Traffic, name,
};
use zerocopy::FromZeros as _;

use super::Error;
use crate::tables::{MapOp, Tables};

/// The maps of the data plane.
pub struct Maps {
    version: Array<MapData, u32>,
    interfaces: Array<MapData, Interface>,
    services: HashMap<MapData, Endpoint, Service>,
    slots: Array<MapData, Slot>,
    members: Array<MapData, u32>,
    reals: Array<MapData, Real>,
    nat_replies: HashMap<MapData, Endpoint, NatReply>,
    flows: HashMap<MapData, FlowKey, Flow>,
    pub(super) verdicts: PerCpuArray<MapData, u64>,
    pub(super) service_traffic: PerCpuArray<MapData, Traffic>,
    pub(super) real_traffic: PerCpuArray<MapData, Traffic>,
    unresolved: Option<RingBuf<MapData>>,
}

impl Maps {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    /// One is missing or of another type: the object is not ours.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        Ok(Self {
            version: take(ebpf, name::ABI)?,
            interfaces: take(ebpf, name::INTERFACES)?,
            services: take(ebpf, name::SERVICES)?,
            slots: take(ebpf, name::RING_SLOTS)?,
            members: take(ebpf, name::MEMBERS)?,
            reals: take(ebpf, name::REALS)?,
            nat_replies: take(ebpf, name::NAT_REPLIES)?,
            flows: take(ebpf, name::FLOWS)?,
            verdicts: take(ebpf, name::VERDICTS)?,
            service_traffic: take(ebpf, name::SERVICE_TRAFFIC)?,
            real_traffic: take(ebpf, name::REAL_TRAFFIC)?,
            unresolved: Some(take(ebpf, name::UNRESOLVED)?),
        })
    }

    /// Carries out one change.
    ///
    /// # Errors
    /// The kernel refuses a write.
    pub fn apply(&mut self, op: &MapOp) -> Result<(), Error> {
        self.write(op).map_err(Error::map)
    }

    fn write(&mut self, op: &MapOp) -> Result<(), MapError> {
        match op {
            MapOp::PutReal { id, real, fresh } => {
                if *fresh {
                    clear(&mut self.real_traffic, *id)?;
                }
                self.reals.set(*id, real, 0)
            }
            MapOp::PutMembers { at, ids } => write_all(&mut self.members, *at, ids),
            MapOp::PutSlots { at, slots } => write_all(&mut self.slots, *at, slots),
            MapOp::PutNatReply(key, reply) => self.nat_replies.insert(key, reply, 0),
            MapOp::PutService {
                key,
                service,
                fresh,
            } => {
                if *fresh {
                    clear(&mut self.service_traffic, service.id)?;
                }
                self.services.insert(key, service, 0)
            }
            MapOp::PutInterface(interface) => {
                self.interfaces
                    .set(interface.ifindex % INTERFACE_SLOTS, interface, 0)
            }
            MapOp::RemoveInterface(ifindex) => {
                // Another interface may have taken over the slot in this very change.
                let slot = ifindex % INTERFACE_SLOTS;
                match self.interfaces.get(&slot, 0)?.ifindex == *ifindex {
                    true => self.interfaces.set(slot, Interface::new_zeroed(), 0),
                    false => Ok(()),
                }
            }
            MapOp::RemoveService(key) => absent_is_fine(self.services.remove(key)),
            MapOp::RemoveNatReply(key) => absent_is_fine(self.nat_replies.remove(key)),
            MapOp::FreeSlots { .. } | MapOp::FreeMembers { .. } => Ok(()),
            MapOp::RemoveReal(id) => self.reals.set(*id, Real::new_zeroed(), 0),
        }
    }

    /// Everything the maps hold. Rings and members that no service names are not seen.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn tables(&self) -> Result<Tables, Error> {
        self.read().map_err(Error::map)
    }

    fn read(&self) -> Result<Tables, MapError> {
        let mut tables = Tables {
            services: self.services.iter().collect::<Result<_, _>>()?,
            nat_replies: self.nat_replies.iter().collect::<Result<_, _>>()?,
            ..Tables::default()
        };
        for at in 0..INTERFACE_SLOTS {
            let interface = self.interfaces.get(&at, 0)?;
            if interface.ifindex != 0 {
                tables.interfaces.insert(interface.ifindex, interface);
            }
        }
        for id in 0..REALS_MAX {
            let real = self.reals.get(&id, 0)?;
            if real.address != Addr::default() {
                tables.reals.insert(id, real);
            }
        }
        for service in tables.services.values() {
            tables.rings.insert(
                service.ring,
                read_all(&self.slots, service.ring, service.ring_len)?,
            );
            if service.members_len > 0 {
                let len = u32::from(service.members_len);
                let members = read_all(&self.members, service.members, len)?;
                tables.members.insert(service.members, members);
            }
        }
        Ok(tables)
    }

    /// Notes the layout's version.
    pub(super) fn set_version(&mut self, version: u32) -> Result<(), Error> {
        self.version.set(0, version, 0).map_err(Error::map)
    }

    /// The recorded flows. The kernel may replace entries meanwhile; what is seen is no snapshot.
    pub fn flows(&self) -> impl Iterator<Item = (FlowKey, Flow)> + '_ {
        // An entry that vanished between its key and its value is gone: nothing to tell.
        self.flows.iter().filter_map(Result::ok)
    }

    /// Records a flow by hand: for tests.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn put_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), Error> {
        self.flows.insert(key, flow, 0).map_err(Error::map)
    }

    /// Forgets a flow.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn remove_flow(&mut self, key: &FlowKey) -> Result<(), Error> {
        absent_is_fine(self.flows.remove(key)).map_err(Error::map)
    }

    /// The events of next hops that packets miss; whoever takes them reads them alone.
    pub fn take_unresolved(&mut self) -> Option<RingBuf<MapData>> {
        self.unresolved.take()
    }
}

/// A map of the object as its typed handle.
fn take<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, Error>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(Error::Missing(name))?;
    T::try_from(map).map_err(Error::map)
}

fn write_all<T: aya::Pod>(
    map: &mut Array<MapData, T>,
    at: u32,
    values: &[T],
) -> Result<(), MapError> {
    for (index, value) in (at..).zip(values) {
        map.set(index, value, 0)?;
    }
    Ok(())
}

fn read_all<T: aya::Pod>(map: &Array<MapData, T>, at: u32, len: u32) -> Result<Arc<[T]>, MapError> {
    (at..at.saturating_add(len))
        .map(|index| map.get(&index, 0))
        .collect()
}

/// Sets the counters of an id to zero on all CPUs.
fn clear(map: &mut PerCpuArray<MapData, Traffic>, id: u32) -> Result<(), MapError> {
    let cpus = map.get(&id, 0)?.len();
    let zero = PerCpuValues::try_from(vec![Traffic::default(); cpus]);
    map.set(id, zero.map_err(MapError::IoError)?, 0)
}

fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
}

/// The kernel gives entries of a hash in no order; tests want one.
impl Maps {
    /// The recorded flows in the order of their keys.
    pub fn flows_sorted(&self) -> BTreeMap<FlowKey, Flow> {
        self.flows().collect()
    }
}
