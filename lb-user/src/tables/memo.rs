//! Rings that were filled before: filling one costs a heap operation a slot, and most changes are
//! about one service.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_ebpf::abi::{Endpoint, Service, Slot};

use super::ring::{self, Candidate};

/// Rings that were filled before, so that a wish that differs in one service costs one ring.
#[derive(Clone, Debug, Default)]
pub struct Memo(BTreeMap<Endpoint, Filled>);

/// A ring, and what it was made of.
#[derive(Clone, Debug)]
struct Filled {
    /// The ring that was in force when it was filled.
    before: Arc<[Slot]>,
    candidates: Vec<Candidate>,
    members: Vec<u32>,
    ring: Arc<[Slot]>,
}

impl Memo {
    /// Forgets the rings of services that are gone.
    pub(super) fn forget_all_but(&mut self, services: &BTreeMap<Endpoint, Service>) {
        self.0.retain(|key, _| services.contains_key(key));
    }

    /// The ring of a service: the last one where nothing has changed, else filled anew with the
    /// memory of the old one.
    pub(super) fn ring(
        &mut self,
        key: Endpoint,
        old: &Arc<[Slot]>,
        size: u32,
        candidates: &[Candidate],
        members: &[u32],
        known: impl Fn(u16) -> bool,
    ) -> Arc<[Slot]> {
        let same = self.0.get(&key).filter(|filled| {
            (Arc::ptr_eq(&filled.ring, old) || Arc::ptr_eq(&filled.before, old))
                && filled.ring.len() == size as usize
                && filled.candidates == candidates
                && filled.members == members
        });
        if let Some(same) = same {
            return Arc::clone(&same.ring);
        }
        let ring = ring::carry(old, &ring::fill(candidates, size), known);
        let ring = if ring == *old { Arc::clone(old) } else { ring };
        let filled = Filled {
            before: Arc::clone(old),
            candidates: candidates.to_vec(),
            members: members.to_vec(),
            ring: Arc::clone(&ring),
        };
        self.0.insert(key, filled);
        ring
    }
}
