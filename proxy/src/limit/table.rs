//! The table of a zone's clients: found by key, ordered by last use, in memory taken once.
//!
//! Open addressing with linear probing. The order is a list of positions, kept in an array of its
//! own: touching a client writes to its two neighbours there, and 8 bytes a client stay in caches
//! where 32 would not. Removing closes the gap: there are no tombstones and nothing degrades.
//!
//! Not here: what is remembered of a client, and who is to go when it is full (`zone`, `conn`).

use std::collections::TryReserveError;

use super::key::ClientKey;

/// No position: the end of the list.
const NIL: u32 = u32::MAX;

/// A client: 24 bytes where `V` is 12.
#[derive(Clone, Copy, Debug, Default)]
struct Slot<V> {
    /// 0 where the slot is empty.
    hi: u64,
    lo: u32,
    value: V,
}

/// A client's place in the order of use.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The client used next after this one.
    newer: u32,
    /// The client used last before this one.
    older: u32,
}

/// Where a client is, until the table next changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u32);

/// The table.
#[derive(Debug)]
pub(super) struct Table<V> {
    slots: Box<[Slot<V>]>,
    /// Of the slots at the same positions.
    links: Box<[Link]>,
    clients: u32,
    capacity: u32,
    newest: u32,
    oldest: u32,
}

impl<V: Copy + Default> Table<V> {
    /// Bytes of a slot and its link.
    pub(super) const SLOT: usize = size_of::<Slot<V>>() + size_of::<Link>();

    /// Bytes of memory that `clients` take: a fifth of the slots stay empty.
    pub(super) fn bytes(clients: u32) -> u64 {
        Self::slots(clients) * Self::SLOT as u64
    }

    /// The clients that fit in so many bytes.
    pub(super) fn fitting(bytes: u64) -> u32 {
        let slots = bytes / Self::SLOT as u64;
        let clients = slots.saturating_sub(1) * 4 / 5;
        // Positions have 32 bits, the last is NIL.
        u32::try_from(clients).unwrap_or(u32::MAX).min(1 << 31)
    }

    fn slots(clients: u32) -> u64 {
        u64::from(clients) + u64::from(clients).div_ceil(4) + 1
    }

    /// An empty one, its memory taken and touched.
    pub(super) fn new(capacity: u32) -> Result<Self, TryReserveError> {
        let count = usize::try_from(Self::slots(capacity)).unwrap_or(usize::MAX);
        Ok(Self {
            slots: filled(count, Slot::default())?,
            links: filled(count, Link::NONE)?,
            clients: 0,
            capacity,
            newest: NIL,
            oldest: NIL,
        })
    }

    pub(super) fn clients(&self) -> u32 {
        self.clients
    }

    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(super) fn is_full(&self) -> bool {
        self.clients >= self.capacity
    }

    pub(super) fn find(&self, key: ClientKey) -> Option<At> {
        let mut at = self.home(key.hi);
        loop {
            let slot = &self.slots[at as usize];
            if slot.hi == key.hi && slot.lo == key.lo {
                return Some(At(at));
            }
            if slot.hi == 0 {
                return None;
            }
            at = self.following(at);
        }
    }

    pub(super) fn get(&self, at: At) -> &V {
        &self.slots[at.0 as usize].value
    }

    pub(super) fn get_mut(&mut self, at: At) -> &mut V {
        &mut self.slots[at.0 as usize].value
    }

    /// The client whose last use is the longest ago.
    pub(super) fn oldest(&self) -> Option<At> {
        (self.oldest != NIL).then_some(At(self.oldest))
    }

    /// Makes it the newest.
    pub(super) fn touch(&mut self, at: At) {
        if at.0 != self.newest {
            self.unlink(at.0);
            self.link(at.0);
        }
    }

    /// Adds a client that is not in it, as the newest; none when it is full.
    pub(super) fn insert(&mut self, key: ClientKey, value: V) -> Option<At> {
        if self.is_full() {
            return None;
        }
        let mut at = self.home(key.hi);
        while self.slots[at as usize].hi != 0 {
            at = self.following(at);
        }
        self.slots[at as usize] = Slot {
            hi: key.hi,
            lo: key.lo,
            value,
        };
        self.link(at);
        self.clients += 1;
        Some(At(at))
    }

    /// Removes a client, and moves those that probed past it one gap nearer to their home.
    pub(super) fn remove(&mut self, at: At) {
        self.unlink(at.0);
        self.clients -= 1;
        let mut gap = at.0;
        let mut from = self.following(gap);
        while self.slots[from as usize].hi != 0 {
            let home = self.home(self.slots[from as usize].hi);
            if self.distance(home, from) >= self.distance(gap, from) {
                self.relocate(from, gap);
                gap = from;
            }
            from = self.following(from);
        }
        self.slots[gap as usize] = Slot::default();
    }

    fn relocate(&mut self, from: u32, to: u32) {
        self.slots[to as usize] = self.slots[from as usize];
        let link = self.links[from as usize];
        self.links[to as usize] = link;
        self.set_older(link.newer, to);
        self.set_newer(link.older, to);
    }

    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        self.links[at as usize] = Link {
            newer: NIL,
            older: before,
        };
        self.set_newer(before, at);
    }

    fn unlink(&mut self, at: u32) {
        let Link { newer, older } = self.links[at as usize];
        self.set_older(newer, older);
        self.set_newer(older, newer);
    }

    fn set_older(&mut self, at: u32, older: u32) {
        match at {
            NIL => self.newest = older,
            _ => self.links[at as usize].older = older,
        }
    }

    fn set_newer(&mut self, at: u32, newer: u32) {
        match at {
            NIL => self.oldest = newer,
            _ => self.links[at as usize].newer = newer,
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(NIL)
    }

    /// Where a key is looked for first: its upper half, scaled to the slots there are.
    fn home(&self, hi: u64) -> u32 {
        let scaled = (hi >> 32) * u64::from(self.count());
        u32::try_from(scaled >> 32).unwrap_or(0)
    }

    fn following(&self, at: u32) -> u32 {
        if at + 1 == self.count() { 0 } else { at + 1 }
    }

    /// Steps from one position to another, going round.
    fn distance(&self, from: u32, to: u32) -> u32 {
        if to >= from {
            to - from
        } else {
            self.count() - from + to
        }
    }
}

impl Link {
    const NONE: Self = Self {
        newer: NIL,
        older: NIL,
    };
}

/// So many of them, their memory taken and written to: zeroed memory would only be promised.
fn filled<T: Copy>(count: usize, with: T) -> Result<Box<[T]>, TryReserveError> {
    let mut all = Vec::new();
    all.try_reserve_exact(count)?;
    all.resize(count, with);
    Ok(all.into_boxed_slice())
}
