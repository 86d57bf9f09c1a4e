//! The plane on the host: `lb_ebpf::steer` over bytes and the daemon's own tables.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Result;
use lb_ebpf::abi::{Addr, Connections, Flow, FlowKey, Reason, Traffic, Way};
use lb_ebpf::{Action, NextHop, Route, steer};
use lb_user::datapath::Counters;
use lb_user::tables::MapOp;
use lb_user::tables::flows::{Entry, Sweeper, Swept};
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
    now: u64,
}

impl Host {
    fn new() -> Self {
        // Ticks wrap in the middle of a test.
        let mut host = Self {
            maps: HostMaps::default(),
            verdicts: BTreeMap::new(),
            ingress: 0,
            now: u64::from(u32::MAX) - 1,
        };
        host.route();
        host
    }

    fn connections(&self, real: u32) -> Connections {
        let [active, inactive] = &self.maps.connections[real as usize];
        Connections {
            active: active.load(Relaxed),
            inactive: inactive.load(Relaxed),
        }
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
                vlan: 0,
            })
        }
    }
}

impl Plane for Host {
    fn apply(&mut self, op: &MapOp) -> Result<()> {
        self.maps.tables.apply(op);
        // Counters of ids that were free begin anew, as the daemon has it in the kernel.
        if let MapOp::PutReal {
            id, fresh: true, ..
        } = op
        {
            let _: Option<Traffic> = self.maps.real_traffic.get_mut().remove(id);
            let counts = &self.maps.connections[*id as usize];
            counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        if let MapOp::PutService {
            service,
            fresh: true,
            ..
        } = op
        {
            let _: Option<Traffic> = self.maps.service_traffic.get_mut().remove(&service.id);
            self.maps.turns[service.id as usize].store(0, Relaxed);
        }
        // So do leases.
        if let MapOp::RemoveRouter(at)
        | MapOp::PutRouter {
            at, fresh: true, ..
        } = op
        {
            self.lend(u16::try_from(*at)?, [0; 2]);
        }
        Ok(())
    }

    fn run(&mut self, ingress: u32, frame: &[u8]) -> Result<Out> {
        let mut frame = HostFrame(frame.to_vec());
        (self.ingress, self.now) = (ingress, self.now + 1);
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
            flow_events: self
                .maps
                .events
                .borrow()
                .iter()
                .map(|(event, count)| (*event, *count))
                .collect(),
            connections: reals
                .iter()
                .map(|id| (*id, self.connections(*id)))
                .collect(),
        })
    }

    fn entries(&self) -> Vec<Entry> {
        self.maps.flows().entries().collect()
    }

    fn put_entry(&mut self, at: u32, way: Way, key: &FlowKey, flow: &Flow) {
        self.maps.flows().put(at, way, key, flow);
    }

    fn forget(&mut self, is_gone: &dyn Fn(&FlowKey, &Flow) -> bool) {
        let _: u32 = self.maps.flows().forget(is_gone);
    }

    fn sweep(&mut self, now: u32) {
        let _: Swept = Sweeper::default().sweep(self.maps.flows(), now);
    }

    fn take_unresolved(&mut self) -> Result<Vec<(Addr, u32)>> {
        let destinations = self.maps.unresolved.take();
        Ok(destinations
            .into_iter()
            .map(|destination| (destination, self.ingress))
            .collect())
    }

    fn tick(&mut self) -> Result<u64> {
        Ok(self.now)
    }

    fn lend(&mut self, router: u16, until: [u64; 2]) {
        let lease = &self.maps.leases[usize::from(router)];
        for (word, until) in lease.iter().zip(until) {
            word.store(until, Relaxed);
        }
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
