//! The host's [`Lookups`]: the program's decision over a [`Tables`] value, for tests and for
//! telling an operator where a flow would go.
//!
//! Flows, counters and routes are the caller's: this is what the maps hold, not what passes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use lb_ebpf::abi::{
    Addr, Endpoint, Flow, FlowKey, Interface, NatReply, Real, Service, Slot, Traffic,
};
use lb_ebpf::parse::Packet;
use lb_ebpf::{Frame, Lookups, Route};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{NO_REAL, Tables};

/// [`Tables`] with what the kernel would add: flows, routes, counters.
#[derive(Debug, Default)]
pub struct HostMaps {
    /// What the maps hold.
    pub tables: Tables,
    /// Recorded flows.
    pub flows: RefCell<BTreeMap<FlowKey, Flow>>,
    /// Routes by destination; a destination without one is not routed.
    pub routes: BTreeMap<Addr, Route>,
    /// Destinations that were reported as unresolved.
    pub unresolved: RefCell<Vec<Addr>>,
    /// Counters by service id.
    pub service_traffic: RefCell<BTreeMap<u32, Traffic>>,
    /// Counters by real server id.
    pub real_traffic: RefCell<BTreeMap<u32, Traffic>>,
}

impl HostMaps {
    /// Lookups over `tables`, with no flows and no routes.
    pub fn new(tables: Tables) -> Self {
        Self {
            tables,
            ..Self::default()
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
fn entry<T: Copy>(stretches: &BTreeMap<u32, std::sync::Arc<[T]>>, at: u32) -> Option<T> {
    let (start, stretch) = stretches.range(..=at).next_back()?;
    stretch.get((at - start) as usize).copied()
}

impl Lookups for HostMaps {
    fn interface(&self, ifindex: u32) -> Option<&Interface> {
        self.tables.interfaces.get(&ifindex)
    }

    fn service(&self, key: &Endpoint) -> Option<&Service> {
        self.tables.services.get(key)
    }

    fn slot(&self, at: u32) -> Option<Slot> {
        entry(&self.tables.rings, at)
    }

    fn member(&self, at: u32) -> Option<u32> {
        entry(&self.tables.members, at).filter(|id| *id != NO_REAL)
    }

    fn real(&self, id: u32) -> Option<&Real> {
        self.tables.reals.get(&id)
    }

    fn nat_reply(&self, from: &Endpoint) -> Option<&NatReply> {
        self.tables.nat_replies.get(from)
    }

    fn flow(&self, key: &FlowKey, now: u32, timeout: u32) -> Option<u16> {
        let mut flows = self.flows.borrow_mut();
        let flow = flows
            .get_mut(key)
            .filter(|flow| !flow.is_expired(now, timeout))?;
        flow.seen = now;
        Some(flow.member)
    }

    fn record(&self, key: &FlowKey, flow: &Flow) {
        self.flows.borrow_mut().insert(*key, *flow);
    }

    fn route(&self, _ingress: u32, packet: &Packet) -> Route {
        self.routes
            .get(&packet.destination)
            .copied()
            .unwrap_or(Route::NotRouted)
    }

    fn unresolved(&self, _ingress: u32, destination: Addr) {
        self.unresolved.borrow_mut().push(destination);
    }

    fn count(&self, service: u32, real: u32, bytes: u32, new: bool) {
        self.count_both(service, real, |traffic| {
            traffic.packets += 1;
            traffic.bytes += u64::from(bytes);
            traffic.connections += u64::from(new);
        });
    }

    fn count_reply(&self, service: u32, real: u32, bytes: u32) {
        self.count_both(service, real, |traffic| {
            traffic.reply_packets += 1;
            traffic.reply_bytes += u64::from(bytes);
        });
    }
}
