//! Making the maps hold what they should: build, diff, apply, and the settling of slots.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lb_ebpf::abi::{FlowKey, Interface};
use tracing::{debug, error, info};

use super::{Engine, wish};
use crate::datapath::Error;
use crate::tables::build::build;
use crate::tables::{Full, MapOp, Tables, Wish, diff};

impl Engine {
    /// Brings the maps up to date. What fails is logged and tried again at the next change.
    pub(super) fn reconcile(&mut self, now: Instant) {
        self.dirty = false;
        match self.wanted() {
            Ok(wanted) => self.apply(&wanted, now),
            Err(error) => error!(%error, "the data plane stays as it is"),
        }
    }

    /// What the maps should hold by the site file in force.
    pub(super) fn wanted(&mut self) -> Result<Tables, Full> {
        let site = &self.site.checked.site;
        let network = &mut self.network;
        let services = wish::services(
            site,
            &self.targets,
            |real| network.next_hop(real),
            &self.clock,
        );
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
        build(
            &Wish {
                interfaces,
                services,
            },
            &self.loaded,
        )
    }

    /// Carries out what is missing. Each change that took effect is noted, so that after a failure
    /// the rest is all that is tried again.
    pub(super) fn apply(&mut self, wanted: &Tables, now: Instant) {
        let ops = diff(&self.loaded, wanted);
        for op in &ops {
            if let Err(error) = self.datapath.apply(op) {
                error!(%error, "a change of the data plane failed; trying again");
                self.dirty = true;
                return;
            }
            self.loaded.apply(op);
        }
        if ops.iter().any(|op| matches!(op, MapOp::RemoveService(_))) {
            self.forget_flows();
        }
        if !ops.is_empty() {
            debug!(changes = ops.len(), "the data plane is up to date");
        }
        self.settling.note(&self.loaded, now);
    }

    /// Removes the flows of services that are gone: their ids will be given to others.
    fn forget_flows(&mut self) {
        let ids: BTreeSet<u32> = self
            .loaded
            .services
            .values()
            .map(|service| service.id)
            .collect();
        let maps = self.datapath.maps();
        let gone: Vec<FlowKey> = maps
            .flows()
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
    pub(super) fn settle(&mut self, now: Instant) -> Result<(), Error> {
        let timeouts: BTreeMap<_, Duration> = self
            .site
            .checked
            .site
            .services
            .iter()
            .map(|service| (wish::key(service), service.timeout))
            .collect();
        let mut due = self.settling.due(now, |key| {
            timeouts.get(key).copied().unwrap_or(Duration::MAX)
        });
        if due.is_empty() {
            return Ok(());
        }
        let tick = self.tick(now);
        due.hold(&self.loaded, self.datapath.maps().flows(), tick);
        match due.settle(&self.loaded) {
            Ok(wanted) => {
                self.apply(&wanted, now);
                info!("rings settled: their former flows are gone");
            }
            Err(error) => error!(%error, "rings stay unsettled"),
        }
        Ok(())
    }
}
