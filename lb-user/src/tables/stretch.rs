//! Room: which stretches of a flat map are taken and where the next one goes, which ids are free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// No stretch of `RING_SLOTS` is free for a ring of so many slots.
    #[error("no room for a ring of {0} slots; use fewer services or fewer real servers a service")]
    RingSlots(u32),
    /// No stretch of `MEMBERS` is free.
    #[error("no room for {0} more real servers; use fewer real servers")]
    Members(u32),
    /// No stretch of `SEGMENTS` is free.
    #[error(
        "no room for {0} more runs of ports; use fewer services, or fewer real servers with nat"
    )]
    Segments(u32),
    /// Too many addresses whose searches begin at the same place.
    #[error(
        "no room for an address within {0} places; use fewer VIPs, or fewer real servers with nat"
    )]
    Addresses(u32),
    /// No stretch of `POOL` is free.
    #[error("no room for {0} addresses of fullnat; use fewer in `pool`")]
    Pool(u32),
    /// All VIP prefixes are taken.
    #[error("more than {0} VIPs that are prefixes")]
    Prefixes(u32),
    /// All service ids are taken.
    #[error("more than {0} virtual services")]
    Services(u32),
    /// All real server ids are taken.
    #[error("more than {0} real servers over all services")]
    Reals(u32),
}

/// The stretches of a flat map that are taken.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// Start → end (exclusive).
    taken: BTreeMap<u32, u32>,
    size: u32,
    /// Stretches begin at multiples of this.
    unit: u32,
}

impl Room {
    /// A map of `size` entries with the stretches that it holds now: they stay taken until the
    /// change is through, since packets may still read them.
    pub(super) fn new<T>(held: &BTreeMap<u32, Arc<[T]>>, size: u32, unit: u32) -> Self {
        let end = |start: u32, entries: &[T]| {
            let len = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            start
                .saturating_add(len)
                .checked_next_multiple_of(unit)
                .unwrap_or(u32::MAX)
        };
        Self {
            taken: held
                .iter()
                .map(|(start, all)| (*start, end(*start, all)))
                .collect(),
            size,
            unit,
        }
    }

    /// Takes `len` entries: after the last stretch, else in the first hole that is large enough.
    ///
    /// Going on upwards instead of filling holes first keeps a stretch that was let go unused for
    /// as long as possible.
    pub(super) fn take(&mut self, len: u32) -> Option<u32> {
        let len = len.checked_next_multiple_of(self.unit)?;
        let end = self.taken.last_key_value().map_or(0, |(_, end)| *end);
        let start = match len <= self.size.saturating_sub(end) {
            true => end,
            false => self.hole(len)?,
        };
        self.taken.insert(start, start + len);
        Some(start)
    }

    fn hole(&self, len: u32) -> Option<u32> {
        let mut free_from = 0;
        for (start, end) in &self.taken {
            if start - free_from >= len {
                return Some(free_from);
            }
            free_from = *end;
        }
        None
    }
}

/// Ids, or places, that are not in use. Those of entries that go are in use until the change is
/// through: see [`diff`](super::diff()).
#[derive(Debug)]
pub(super) struct Ids {
    in_use: BTreeSet<u32>,
    next: u32,
    max: u32,
}

impl Ids {
    pub(super) fn new(in_use: impl Iterator<Item = u32>, max: u32) -> Self {
        Self {
            in_use: in_use.collect(),
            next: 0,
            max,
        }
    }

    /// The lowest one that is free.
    pub(super) fn take(&mut self) -> Option<u32> {
        let id = (self.next..self.max).find(|id| !self.in_use.contains(id))?;
        self.next = id + 1;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(stretches: &[(u32, usize)]) -> Room {
        let held = stretches
            .iter()
            .map(|(start, len)| (*start, vec![0u8; *len].into()))
            .collect();
        Room::new::<u8>(&held, 10, 1)
    }

    #[test]
    fn stretches_begin_at_multiples_of_the_unit() {
        let held = BTreeMap::from([(0, Arc::from([0u8; 3]))]);
        let mut room = Room::new::<u8>(&held, 16, 4);
        assert_eq!(
            (room.take(5), room.take(4), room.take(1)),
            (Some(4), Some(12), None)
        );
    }

    #[test]
    fn a_stretch_never_overlaps_one_that_is_taken() {
        assert_eq!(room(&[]).take(10), Some(0));
        assert_eq!(room(&[]).take(11), None);
        assert_eq!(room(&[(0, 4)]).take(6), Some(4));
        assert_eq!(room(&[(4, 6)]).take(4), Some(0));
        assert_eq!(room(&[(4, 6)]).take(5), None);
        assert_eq!(room(&[(0, 2), (5, 5)]).take(3), Some(2));
        assert_eq!(room(&[(0, 2), (5, 5)]).take(4), None);
        let mut room = room(&[(0, 2)]);
        assert_eq!(
            (room.take(4), room.take(4), room.take(1)),
            (Some(2), Some(6), None)
        );
    }
}
