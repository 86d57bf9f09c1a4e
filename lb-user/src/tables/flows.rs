//! The table of flows as the daemon sees it: entries walked over, swept up, and forgotten.
//!
//! The words are shared with packets that come in meanwhile: a way is taken by a compare-exchange,
//! as the program does it, and an entry that changes while it is read is passed over. Not here: how
//! the program finds and makes entries (`lb_ebpf::flow`), and where the words are (the edge's
//! mapped arrays, the host's vectors).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lb_ebpf::abi::{Flow, FlowKey, KEY_WORDS, Line, WAYS, Way, kind, state};
use zerocopy::{FromBytes, IntoBytes};

/// The words of the table.
#[derive(Clone, Copy, Debug)]
pub struct FlowTable<'a> {
    /// Buckets of ways.
    pub ways: &'a [Line],
    /// Entries, eight to a bucket.
    pub entries: &'a [Line],
    /// Active and inactive connections, by real server id.
    pub connections: &'a [[AtomicU32; 2]],
}

/// An entry: its place, its way, and what it says.
pub type Entry = (u32, Way, FlowKey, Flow);

impl<'a> FlowTable<'a> {
    /// All ways with their places.
    fn ways(self) -> impl Iterator<Item = (u32, &'a AtomicU64)> {
        (0..).zip(self.ways.iter().flatten())
    }

    /// Everything that is recorded, expired entries too. Packets may change the table meanwhile;
    /// what is seen is no snapshot.
    pub fn entries(self) -> impl Iterator<Item = Entry> + use<'a> {
        self.ways().filter_map(move |(at, way)| {
            let before = Way(way.load(Ordering::Acquire));
            if before.state() < state::NEW {
                return None;
            }
            let (key, flow) = read(self.entries.get(at as usize)?);
            // Whoever takes the way for another flow marks it first, and gives it another tag.
            let after = Way(way.load(Ordering::Acquire));
            let same = after.state() >= state::NEW && after.tag() == before.tag();
            same.then_some((at, after, key, flow))
        })
    }

    /// How many ways are in use.
    pub fn fill(self) -> u32 {
        let used = self
            .ways()
            .filter(|(_, way)| Way(way.load(Ordering::Relaxed)).state() >= state::NEW);
        u32::try_from(used.count()).unwrap_or(u32::MAX)
    }

    /// Forgets the entries that `is_gone` names; how many.
    pub fn forget(self, is_gone: impl Fn(&FlowKey, &Flow) -> bool) -> u32 {
        let mut forgotten = 0;
        for (at, way, key, flow) in self.entries() {
            if is_gone(&key, &flow) {
                forgotten += u32::from(self.free(at, way));
            }
        }
        forgotten
    }

    /// Puts an entry where `at` says, whatever was there: for tests.
    pub fn put(self, at: u32, way: Way, key: &FlowKey, flow: &Flow) {
        let slot = self
            .ways
            .get((at / WAYS) as usize)
            .map(|line| &line[(at % WAYS) as usize]);
        let (Some(slot), Some(entry)) = (slot, self.entries.get(at as usize)) else {
            return;
        };
        slot.store(Way::new(0, state::BUSY, 0).0, Ordering::Release);
        write(entry, key, flow);
        slot.store(way.0, Ordering::Release);
    }

    /// Frees a way that is still as it was seen, and counts its connection no more; whether it was.
    fn free(self, at: u32, seen: Way) -> bool {
        let Some(way) = self
            .ways
            .get((at / WAYS) as usize)
            .map(|line| &line[(at % WAYS) as usize])
        else {
            return false;
        };
        let busy = Way::new(seen.tag(), state::BUSY, seen.expires());
        let taken = way.compare_exchange(seen.0, busy.0, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return false;
        }
        if let Some(entry) = self.entries.get(at as usize) {
            let (key, flow) = read(entry);
            if key.kind == kind::FLOW {
                self.uncount(flow.real, seen.state() == state::ESTABLISHED);
            }
        }
        way.store(Way::new(0, state::FREE, 0).0, Ordering::Release);
        true
    }

    /// One connection fewer.
    fn uncount(self, real: u32, was_active: bool) {
        let Some([active, inactive]) = self.connections.get(real as usize) else {
            return;
        };
        let count = if was_active { active } else { inactive };
        // Never below zero: a count that was cleared with its real server stays cleared.
        let less = |count: u32| count.checked_sub(1);
        let _was: Result<u32, u32> = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// Sweeps the table, once a second.
#[derive(Clone, Debug, Default)]
pub struct Sweeper {
    /// Ways that somebody was writing the last time.
    busy: BTreeMap<u32, u64>,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries that were in use and are free now.
    pub freed: u32,
    /// Entries in use.
    pub left: u32,
}

impl Sweeper {
    /// Frees what has expired at kernel tick `now`. A way that has been written for a whole round
    /// is one whose writer was killed: it is freed too.
    pub fn sweep(&mut self, table: FlowTable<'_>, now: u32) -> Swept {
        let mut swept = Swept::default();
        let mut busy = BTreeMap::new();
        for (at, word) in table.ways() {
            let way = Way(word.load(Ordering::Relaxed));
            match way.state() {
                state::FREE => {}
                state::BUSY if self.busy.get(&at) == Some(&way.0) => {
                    let free = Way::new(0, state::FREE, 0).0;
                    let freed =
                        word.compare_exchange(way.0, free, Ordering::Release, Ordering::Relaxed);
                    swept.freed += u32::from(freed.is_ok());
                }
                state::BUSY => {
                    busy.insert(at, way.0);
                }
                _ if way.is_expired(now) && table.free(at, way) => swept.freed += 1,
                _ => swept.left += 1,
            }
        }
        self.busy = busy;
        swept
    }
}

/// What an entry's words say.
fn read(entry: &Line) -> (FlowKey, Flow) {
    let words: [u64; 8] = std::array::from_fn(|at| entry[at].load(Ordering::Relaxed));
    let (key, flow) = words.split_at(KEY_WORDS);
    (plain(key), plain(flow))
}

fn plain<T: FromBytes + IntoBytes>(words: &[u64]) -> T {
    let mut value = T::new_zeroed();
    value.as_mut_bytes().copy_from_slice(words.as_bytes());
    value
}

fn write(entry: &Line, key: &FlowKey, flow: &Flow) {
    let mut words = [0u64; 8];
    let (first, rest) = words.split_at_mut(KEY_WORDS);
    first.as_mut_bytes().copy_from_slice(key.as_bytes());
    rest.as_mut_bytes().copy_from_slice(flow.as_bytes());
    for (word, value) in entry.iter().zip(words) {
        word.store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
