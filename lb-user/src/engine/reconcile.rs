//! Making the maps hold what they should: build, diff, apply, and the settling of slots.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lb_ebpf::abi::Flow;
use tracing::{debug, error, info};

use super::{Engine, wish};
use crate::config::{Fragments, RealServer, Service};
use crate::tables::build::build;
use crate::tables::{Built, Full, MapOp, ServiceKey, Standing, Tables, Wish, diff};
use crate::{datapath, drain, time};

impl Engine {
    /// Brings the maps up to date. What fails is tried again in a second, and told once.
    pub(super) fn reconcile(&mut self, now: Instant) {
        self.dirty = false;
        let problem = self.put(now).err().map(|error| error.to_string());
        if problem.is_some() {
            self.retry_at = Some(now + super::SOLICIT);
        }
        if problem != self.problem {
            match &problem {
                Some(error) => error!(%error, "the data plane is not up to date; trying again"),
                None => info!("the data plane is up to date again"),
            }
            self.problem = problem;
        }
    }

    /// Makes the maps hold what they should, in as many parts as the room in them needs.
    pub(super) fn put(&mut self, now: Instant) -> Result<(), ReconcileError> {
        loop {
            let Built { tables, deferred } = self.wanted()?;
            self.apply(&tables, now)?;
            if deferred == 0 {
                self.routers.note_put();
                return Ok(());
            }
            debug!(deferred, "there is more room now; going on");
        }
    }

    /// What the maps should hold by the site file in force.
    pub(super) fn wanted(&mut self) -> Result<Built, Full> {
        let site = &self.site.checked.site;
        let network = &mut self.network;
        let services = wish::services(site, &self.targets, &self.drained, network, &self.clock);
        let host = site.hosts.get(&self.site.host);
        let pool = wish::pool(host.and_then(|host| host.director.as_ref()));
        let fragments = site.director.fragments == Fragments::Forward;
        let attached = self.attached.values().map(|attached| attached.ifindex);
        let interfaces = wish::interfaces(attached, &self.network);
        let wish = Wish {
            interfaces,
            services,
            pool,
            fragments,
            routers: self.routers.wish(),
        };
        build(&wish, &self.loaded, &mut self.memo)
    }

    /// How many real servers of a service get new flows.
    pub(super) fn serving(&self, service: &Service) -> usize {
        let servers = service.servers();
        let takes = |real: &&RealServer| {
            let id = drain::order::id(service, real);
            real.weight.0 > 0
                && !self.drained.contains(&id)
                && wish::standing(&self.targets, service, id.real) == Standing::Up
                && !wish::is_draining(&self.targets, service, id.real)
        };
        servers.iter().filter(takes).count()
    }

    /// Carries out what is missing. Each change that took effect is noted, so that after a failure
    /// the rest is all that is tried again.
    pub(super) fn apply(&mut self, wanted: &Tables, now: Instant) -> Result<(), datapath::Error> {
        let ops = diff(&self.loaded, wanted);
        for op in &ops {
            self.datapath.apply(op)?;
            self.loaded.apply(op);
        }
        if ops.iter().any(|op| matches!(op, MapOp::RemoveReal(_))) {
            self.forget_flows();
        }
        if !ops.is_empty() {
            debug!(changes = ops.len(), "the data plane is up to date");
        }
        self.settling.note(&self.loaded, now);
        Ok(())
    }

    /// Forgets the flows of real servers that are gone: their ids will be given to others.
    pub(super) fn forget_flows(&mut self) {
        let reals = &self.loaded.reals;
        let is_there = |flow: &Flow| {
            reals
                .get(&flow.real)
                .is_some_and(|real| real.service == flow.service)
        };
        let forgotten = self.datapath.maps().forget_flows(|_, flow| !is_there(flow));
        if forgotten > 0 {
            debug!(forgotten, "flows of removed real servers are forgotten");
        }
    }

    /// Frees the entries of flows that have been silent for too long.
    pub(super) fn sweep(&mut self, now: Instant) {
        // Our tick is reckoned, not read: what has just expired may be a packet's this very moment.
        let tick = self.tick(now).wrapping_sub(self.clock.hz);
        self.flow_entries = self.datapath.maps().sweep(tick).left;
    }

    /// Settles the slots whose former flows are gone.
    pub(super) fn settle(&mut self) -> Result<(), ReconcileError> {
        let services = &self.site.checked.site.services;
        let timeouts: BTreeMap<_, Duration> = services
            .iter()
            .map(|service| (wish::key(service), settles_after(service)))
            .collect();
        let now = time::now();
        let timeout = |key: &ServiceKey| timeouts.get(key).copied().unwrap_or(Duration::MAX);
        let mut due = self.settling.due(now, timeout);
        if due.is_empty() {
            return Ok(());
        }
        let tick = self.tick(now);
        due.hold(&self.loaded, self.datapath.maps().flows(), tick);
        if due.is_empty() {
            return Ok(());
        }
        let settled = due.settle(&self.loaded)?;
        if settled != self.loaded {
            self.apply(&settled, now)?;
            info!("rings settled: their former flows are gone");
        }
        Ok(())
    }
}

/// How long flows without an entry, or clients without one, may have been where the ring had them
/// before it changed.
fn settles_after(service: &Service) -> Duration {
    let clients = service.persistence.map(|persistence| persistence.timeout);
    clients
        .unwrap_or_default()
        .max(service.timeouts.established)
}

/// Why the maps are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A table is full.
    #[error(transparent)]
    Full(#[from] Full),
    /// The kernel refuses a change.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
}
