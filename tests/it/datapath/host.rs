//! The plane on the host: `lb_ebpf::steer` over bytes and the daemon's own tables.

use std::collections::BTreeMap;

use anyhow::Result;
use lb_ebpf::abi::{Addr, Flow, FlowKey, Reason, Traffic};
use lb_ebpf::{Action, NextHop, Route, steer};
use lb_user::datapath::Counters;
use lb_user::tables::MapOp;
use lb_user::tables::lookups::{HostFrame, HostMaps};

use super::site::{ROUTES, RouteTo, own_mac};
use super::stage::{Out, Plane, Stage, xdp};

/// A stage on the host.
#[expect(clippy::unnecessary_wraps, reason = "made like the kernel's")]
pub(super) fn stage() -> Result<Stage> {
    Ok(Stage::new(Host::new()))
}

/// The host's maps, and a clock that goes on by one tick a frame.
struct Host {
    maps: HostMaps,
    verdicts: BTreeMap<Reason, u64>,
    ingress: u32,
    now: u32,
}

impl Host {
    fn new() -> Self {
        // Ticks wrap in the middle of a test.
        let mut host = Self {
            maps: HostMaps::default(),
            verdicts: BTreeMap::new(),
            ingress: 0,
            now: u32::MAX - 1,
        };
        host.route();
        host
    }

    /// Fills in the routes that the kernel's tables have.
    fn route(&mut self) {
        self.maps.routes = ROUTES
            .iter()
            .map(|way| (Addr::from(way.to), route(way)))
            .collect();
    }
}

fn route(way: &RouteTo) -> Route {
    match way.neighbour {
        None => Route::Unresolved,
        Some(destination) => {
            let source = own_mac(way.ifindex);
            Route::Via(NextHop {
                ifindex: way.ifindex,
                destination,
                source,
            })
        }
    }
}

impl Plane for Host {
    fn apply(&mut self, op: &MapOp) -> Result<()> {
        self.maps.tables.apply(op);
        Ok(())
    }

    fn run(&mut self, ingress: u32, frame: &[u8]) -> Result<Out> {
        let mut frame = HostFrame(frame.to_vec());
        (self.ingress, self.now) = (ingress, self.now.wrapping_add(1));
        let verdict = steer(&mut frame, &self.maps, ingress, self.now);
        *self.verdicts.entry(verdict.reason).or_default() += 1;
        let (code, egress) = match verdict.action {
            Action::Pass => (xdp::PASS, None),
            Action::Drop => (xdp::DROP, None),
            Action::Transmit => (xdp::TX, None),
            Action::Redirect(ifindex) => (xdp::REDIRECT, Some(ifindex)),
        };
        Ok(Out {
            code,
            egress,
            frame: frame.0,
        })
    }

    fn counters(&self, services: &[u32], reals: &[u32]) -> Result<Counters> {
        let of = |traffic: &BTreeMap<u32, Traffic>, ids: &[u32]| {
            ids.iter()
                .map(|id| (*id, traffic.get(id).copied().unwrap_or_default()))
                .collect()
        };
        Ok(Counters {
            verdicts: self
                .verdicts
                .iter()
                .map(|(reason, count)| (*reason, *count))
                .collect(),
            services: of(&self.maps.service_traffic.borrow(), services),
            reals: of(&self.maps.real_traffic.borrow(), reals),
        })
    }

    fn flows(&self) -> BTreeMap<FlowKey, Flow> {
        self.maps.flows.borrow().clone()
    }

    fn put_flow(&mut self, key: FlowKey, flow: Flow) -> Result<()> {
        self.maps.flows.borrow_mut().insert(key, flow);
        Ok(())
    }

    fn take_unresolved(&mut self) -> Result<Vec<(Addr, u32)>> {
        let destinations = self.maps.unresolved.take();
        Ok(destinations
            .into_iter()
            .map(|destination| (destination, self.ingress))
            .collect())
    }

    fn now(&mut self) -> Result<u32> {
        Ok(self.now)
    }

    fn set_forwarding(&mut self, on: bool) -> Result<()> {
        if on {
            self.route()
        } else {
            self.maps.routes.clear()
        }
        Ok(())
    }
}
