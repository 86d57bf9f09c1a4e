//! Making the maps hold what they should: build, diff, apply, and the settling of slots.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lb_ebpf::abi::{Endpoint, FLOWS_MAX, FlowKey, Interface};
use tracing::{debug, error, info};

use super::{Engine, wish};
use crate::tables::build::build;
use crate::tables::{Built, Full, MapOp, Tables, Wish, diff};
use crate::{datapath, time};

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
                return Ok(());
            }
            debug!(deferred, "there is more room now; going on");
        }
    }

    /// What the maps should hold by the site file in force.
    pub(super) fn wanted(&mut self) -> Result<Built, Full> {
        let site = &self.site.checked.site;
        let network = &mut self.network;
        let services = wish::services(site, &self.targets, network, &self.clock);
        let interfaces = self
            .attached
            .values()
            .filter_map(|attached| {
                let mac = self.network.links.get(&attached.ifindex)?.mac?;
                Some(Interface {
                    ifindex: attached.ifindex,
                    flags: 0,
                    mac,
                    _pad: [0; 2],
                })
            })
            .collect();
        let wish = Wish {
            interfaces,
            services,
        };
        build(&wish, &self.loaded, &mut self.memo)
    }

    /// Carries out what is missing. Each change that took effect is noted, so that after a failure
    /// the rest is all that is tried again.
    pub(super) fn apply(&mut self, wanted: &Tables, now: Instant) -> Result<(), datapath::Error> {
        let ops = diff(&self.loaded, wanted);
        for op in &ops {
            self.datapath.apply(op)?;
            self.loaded.apply(op);
        }
        if ops.iter().any(|op| matches!(op, MapOp::RemoveService(_))) {
            self.forget_flows();
        }
        if !ops.is_empty() {
            debug!(changes = ops.len(), "the data plane is up to date");
        }
        self.settling.note(&self.loaded, now);
        Ok(())
    }

    /// Removes the flows of services that are gone: their ids will be given to others.
    pub(super) fn forget_flows(&mut self) {
        let ids: BTreeSet<u32> = self
            .loaded
            .services
            .values()
            .map(|service| service.id)
            .collect();
        let maps = self.datapath.maps();
        let gone: Vec<FlowKey> = maps
            .flows()
            .take(WALK_MAX)
            .map(|(key, _)| key)
            .filter(|key| !ids.contains(&key.service))
            .collect();
        for key in &gone {
            if let Err(error) = maps.remove_flow(key) {
                Self::failed("a flow of a removed service stays", &error);
            }
        }
    }

    /// Settles the slots whose former flows are gone.
    pub(super) fn settle(&mut self) -> Result<(), ReconcileError> {
        let services = &self.site.checked.site.services;
        let timeouts: BTreeMap<_, Duration> = services
            .iter()
            .filter_map(|service| Some((wish::key(service)?, service.timeouts.established)))
            .collect();
        let now = time::now();
        let timeout = |key: &Endpoint| timeouts.get(key).copied().unwrap_or(Duration::MAX);
        let mut due = self.settling.due(now, timeout);
        if due.is_empty() {
            return Ok(());
        }
        let tick = self.tick(now);
        // The kernel starts over when the entry that a walk stands at is replaced: one that takes
        // too long has not seen all, and settles nothing.
        let mut seen = 0;
        let flows = self
            .datapath
            .maps()
            .flows()
            .inspect(|_| seen += 1)
            .take(WALK_MAX);
        due.hold(&self.loaded, flows, tick);
        if seen >= WALK_MAX || due.is_empty() {
            return Ok(());
        }
        let settled = due.settle(&self.loaded);
        if settled != self.loaded {
            self.apply(&settled, now)?;
            info!("rings settled: their former flows are gone");
        }
        Ok(())
    }
}

/// Entries a walk over the flows looks at, at most.
const WALK_MAX: usize = 2 * FLOWS_MAX as usize;

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
