//! Draining by an operator's word: a real server gets no new flows, and keeps those it has, until
//! `viaduct undrain`, or until the site file no longer has it.
//!
//! [`order`] is what `viaduct drain` asks for and what it is told; [`Drained`] is what the daemon
//! keeps of it; [`verbs`] is the command. A restart finds it in the maps, as a flag of the real server.
//! Not here: what the ring makes of it ([`crate::tables`]).

pub mod order;
pub mod verbs;

use std::collections::BTreeSet;

pub use order::{Answer, Order, Refusal};

use crate::config::Service;
use crate::engine::targets::TargetId;

/// The real servers that are drained. Bounded by the site file.
#[derive(Clone, Debug, Default)]
pub struct Drained(BTreeSet<TargetId>);

impl Drained {
    /// Whether a real server is drained.
    pub fn contains(&self, id: &TargetId) -> bool {
        self.0.contains(id)
    }

    /// Drains a real server, or no longer; whether that changes anything.
    pub fn set(&mut self, id: TargetId, drained: bool) -> bool {
        match drained {
            true => self.0.insert(id),
            false => self.0.remove(&id),
        }
    }

    /// Takes over what an earlier daemon drained.
    pub fn take_over(&mut self, ids: impl Iterator<Item = TargetId>) {
        self.0.extend(ids);
    }

    /// Follows the site file: what it no longer has is not drained any more either.
    pub fn follow(&mut self, services: &[Service]) {
        if self.0.is_empty() {
            return;
        }
        let of = |service: &Service| -> Vec<TargetId> {
            let servers = service.servers();
            servers
                .iter()
                .map(|real| order::id(service, real))
                .collect()
        };
        let known: BTreeSet<TargetId> = services.iter().flat_map(of).collect();
        self.0.retain(|id| known.contains(id));
    }

    /// What was drained `before` and is not any more.
    pub fn gone_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a TargetId> {
        before.0.difference(&self.0)
    }
}
