//! Rings and turns that were filled before: filling a ring costs a heap operation a slot, and most
//! changes are about one service.

use std::collections::HashMap;
use std::sync::Arc;

use lb_ebpf::abi::Slot;

use super::ring::{self, Candidate};
use super::turns;

/// What was filled for the last wish, by what it was made of: services of the same real servers
/// share it, and a wish that differs in one service costs one ring.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    rings: Generations<(u32, Vec<Candidate>), u16>,
    turns: Generations<(bool, Vec<Candidate>), Slot>,
}

impl Memo {
    /// Another wish: what the one before the last needed is forgotten.
    pub(super) fn begin(&mut self) {
        self.rings.begin();
        self.turns.begin();
    }

    /// The owners of the slots of a ring, without its history.
    pub(super) fn owners(&mut self, candidates: &[Candidate], size: u32) -> Arc<[u16]> {
        let made_of = (size, candidates.to_vec());
        self.rings
            .get(made_of, || ring::fill(candidates, size).into())
    }

    /// Turns: by weight, or one each.
    pub(super) fn turns(&mut self, candidates: &[Candidate], by_weight: bool) -> Arc<[Slot]> {
        let made_of = (by_weight, candidates.to_vec());
        self.turns.get(made_of, || match by_weight {
            true => turns::weighted(candidates),
            false => turns::equal(candidates),
        })
    }
}

/// What this wish and the last one needed.
#[derive(Clone, Debug)]
struct Generations<K, T> {
    now: HashMap<K, Arc<[T]>>,
    last: HashMap<K, Arc<[T]>>,
}

impl<K, T> Default for Generations<K, T> {
    fn default() -> Self {
        Self {
            now: HashMap::new(),
            last: HashMap::new(),
        }
    }
}

impl<K: std::hash::Hash + Eq, T> Generations<K, T> {
    fn begin(&mut self) {
        self.last = std::mem::take(&mut self.now);
    }

    fn get(&mut self, key: K, make: impl FnOnce() -> Arc<[T]>) -> Arc<[T]> {
        if let Some(known) = self.now.get(&key) {
            return Arc::clone(known);
        }
        let value = self.last.remove(&key).unwrap_or_else(make);
        self.now.insert(key, Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_wishes_in_a_row_need_is_made_once() {
        let mut made = 0;
        let mut generations: Generations<u8, u8> = Generations::default();
        let mut get = |generations: &mut Generations<u8, u8>| {
            let value = generations.get(1, || {
                made += 1;
                [1].into()
            });
            assert_eq!(*value, [1]);
            made
        };
        assert_eq!((get(&mut generations), get(&mut generations)), (1, 1));
        generations.begin();
        assert_eq!(get(&mut generations), 1);
        generations.begin();
        generations.begin();
        assert_eq!(get(&mut generations), 2);
    }
}
