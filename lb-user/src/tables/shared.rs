//! Places of rings and turns in their flat map: what is the same stands there once, whoever uses it.
//!
//! A stretch in use is never written; one that nobody uses any more is free with the next change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lb_ebpf::abi::{RING_SLOTS_MAX, SLOTS_PER_LINE, Slot};
use zerocopy::IntoBytes as _;

use super::stretch::{Full, Room};

/// A place, and what stands there.
type Stretch = (u32, Arc<[Slot]>);

/// The stretches of slots while tables are made.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    previous: &'a BTreeMap<u32, Arc<[Slot]>>,
    room: Room,
    /// By a hash of their slots; filled when it is first asked.
    known: HashMap<u64, Vec<Stretch>>,
}

impl<'a> Shared<'a> {
    /// All of `previous` is taken until the change is through.
    pub(super) fn new(previous: &'a BTreeMap<u32, Arc<[Slot]>>) -> Self {
        Self {
            previous,
            room: Room::new(previous, RING_SLOTS_MAX, SLOTS_PER_LINE),
            known: HashMap::new(),
        }
    }

    /// Where these slots stand: at `before` if it is they that stand there, else where they stand
    /// already for others, else in a free stretch.
    pub(super) fn place(&mut self, before: Option<u32>, slots: &Arc<[Slot]>) -> Result<u32, Full> {
        if slots.is_empty() {
            return Ok(0);
        }
        if let Some(at) = before.filter(|at| self.previous.get(at) == Some(slots)) {
            return Ok(at);
        }
        if self.known.is_empty() {
            for (at, slots) in self.previous {
                self.known
                    .entry(hash(slots))
                    .or_default()
                    .push((*at, Arc::clone(slots)));
            }
        }
        let alike = self.known.entry(hash(slots)).or_default();
        if let Some((at, _)) = alike.iter().find(|(_, others)| others == slots) {
            return Ok(*at);
        }
        let len = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let at = self.room.take(len).ok_or(Full::RingSlots(len))?;
        alike.push((at, Arc::clone(slots)));
        Ok(at)
    }
}

/// A quick hash of many slots; what it finds is compared.
fn hash(slots: &[Slot]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = slots.as_bytes().split_at(slots.len() / 2 * 8);
    for word in words.chunks_exact(8).chain([rest]) {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        hash = (hash ^ u64::from_le_bytes(bytes)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash ^= hash >> 32;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(owner: u16, len: usize) -> Arc<[Slot]> {
        vec![Slot::settled(owner); len].into()
    }

    #[test]
    fn what_is_the_same_stands_once_and_what_stayed_stays() {
        let previous = BTreeMap::from([(0, slots(0, 16)), (16, slots(1, 16)), (32, slots(1, 16))]);
        let mut shared = Shared::new(&previous);
        assert_eq!(
            shared.place(Some(32), &slots(1, 16)),
            Ok(32),
            "it was there"
        );
        assert_eq!(
            shared.place(Some(0), &slots(1, 16)),
            Ok(16),
            "as others have it"
        );
        assert_eq!(shared.place(Some(0), &slots(2, 5)), Ok(48));
        assert_eq!(shared.place(None, &slots(2, 5)), Ok(48));
        assert_eq!(
            shared.place(None, &slots(2, 6)),
            Ok(64),
            "after a whole line"
        );
        assert_eq!(shared.place(None, &slots(2, 0)), Ok(0));
    }

    #[test]
    fn the_hash_sees_every_slot() {
        for at in 0..5 {
            let mut other = slots(1, 5).to_vec();
            other[at] = Slot::settled(2);
            assert_ne!(hash(&other), hash(&slots(1, 5)), "slot {at}");
        }
    }
}
