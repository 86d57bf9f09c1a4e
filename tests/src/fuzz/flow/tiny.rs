//! The smallest look-ups that a flow table works with: two buckets, four real servers, nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use lb_ebpf::Table;
use lb_ebpf::abi::{FlowEvent, Line, WAYS};

/// Entries of the table.
pub(super) const PLACES: usize = 2 * WAYS as usize;
/// Real servers whose connections are counted.
pub(super) const REALS: u32 = 4;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Tiny {
    pub(super) ways: [Line; 2],
    pub(super) entries: [Line; PLACES],
    pub(super) connections: [[AtomicU32; 2]; REALS as usize],
    pub(super) events: RefCell<BTreeMap<FlowEvent, u64>>,
}

impl Tiny {
    /// Active and inactive connections of a real server.
    pub(super) fn count(&self, real: u32) -> (usize, usize) {
        let [active, inactive] = &self.connections[real as usize];
        let load = |count: &AtomicU32| count.load(Ordering::Relaxed) as usize;
        (load(active), load(inactive))
    }
}

impl Table for Tiny {
    const BUCKET_MASK: u32 = 1;

    fn bucket(&self, at: u32) -> Option<&Line> {
        self.ways.get((at & Self::BUCKET_MASK) as usize)
    }

    fn entry(&self, at: u32) -> Option<&Line> {
        self.entries.get(at as usize)
    }

    fn connections(&self, real: u32) -> Option<&[AtomicU32; 2]> {
        self.connections.get(real as usize)
    }

    fn event(&self, event: FlowEvent) {
        *self.events.borrow_mut().entry(event).or_default() += 1;
    }
}
