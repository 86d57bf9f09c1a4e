//! Making the maps hold what they should: build, diff, apply, and the settling of slots.

use std::time::{Duration, Instant};

use lb_ebpf::abi::Interface;
use tracing::{debug, error, info};

use super::{Engine, wish};
use crate::datapath::Error;
use crate::tables::build::build;
use crate::tables::{Full, Tables, Wish, diff};

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
        if !ops.is_empty() {
            debug!(changes = ops.len(), "the data plane is up to date");
        }
        self.settling.note(&self.loaded, now);
    }

    /// Settles the slots whose former flows are gone.
    pub(super) fn settle(&mut self, now: Instant) -> Result<(), Error> {
        let timeouts: std::collections::BTreeMap<_, Duration> = self
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
