//! Room in a flat map: which stretches are taken, and where the next one goes.

use std::collections::BTreeMap;
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
}

impl Room {
    /// A map of `size` entries with the stretches that it holds now: they stay taken until the
    /// change is through, since packets may still read them.
    pub(super) fn new<T>(held: &BTreeMap<u32, Arc<[T]>>, size: u32) -> Self {
        let end = |start: u32, entries: &[T]| {
            start.saturating_add(u32::try_from(entries.len()).unwrap_or(u32::MAX))
        };
        Self {
            taken: held
                .iter()
                .map(|(start, all)| (*start, end(*start, all)))
                .collect(),
            size,
        }
    }

    /// Takes `len` entries: after the last stretch, else in the first hole that is large enough.
    ///
    /// Going on upwards instead of filling holes first keeps a stretch that was let go unused for
    /// as long as possible.
    pub(super) fn take(&mut self, len: u32) -> Option<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn room(stretches: &[(u32, usize)]) -> Room {
        let held = stretches
            .iter()
            .map(|(start, len)| (*start, vec![0u8; *len].into()))
            .collect();
        Room::new::<u8>(&held, 10)
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
