//! Requests that wait for their turn: one timer a thread, whatever their number, good to a millisecond as
//! in nginx.
//!
//! Not here: for how long (`policy`), and what a client does meanwhile (`admit`).

use std::{
    cell::{Cell, RefCell},
    task::{Context, Waker},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::clock;

/// No place in the heap.
const NONE: usize = usize::MAX;

/// Who waits, the one whose turn is next at the front: a binary heap. Each has a slot that knows its place
/// in it, so that one who goes away leaves nothing behind.
#[derive(Debug, Default)]
pub(super) struct Delays {
    heap: RefCell<Heap>,
    /// The front has changed.
    front: Notify,
}

#[derive(Debug, Default)]
struct Heap {
    /// The time, and the slot.
    order: Vec<(Instant, usize)>,
    slots: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    place: usize,
    waker: Option<Waker>,
}

/// One that waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Delay<'d> {
    delays: &'d Delays,
    slot: Cell<usize>,
}

impl Delays {
    /// Waits until then.
    pub(super) fn until(&self, time: Instant) -> Delay<'_> {
        let mut heap = self.heap.borrow_mut();
        let slot = heap.add(time);
        if heap.slots[slot].place == 0 {
            self.front.notify_one();
        }
        Delay {
            delays: self,
            slot: Cell::new(slot),
        }
    }

    /// How many wait.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.heap.borrow().order.len()
    }

    /// Whose turn is next.
    fn next(&self) -> Option<Instant> {
        self.heap.borrow().order.first().map(|(time, _)| *time)
    }

    /// Wakes those whose time has come.
    fn wake(&self, now: Instant) {
        let mut heap = self.heap.borrow_mut();
        while let Some(&(time, slot)) = heap.order.first() {
            if time > now {
                break;
            }
            heap.remove(0);
            if let Some(waker) = heap.slots[slot].waker.take() {
                waker.wake();
            }
        }
    }

    /// Wakes each at its time, as long as the thread runs.
    pub(super) async fn run(&self) {
        loop {
            match self.next() {
                Some(time) => {
                    tokio::select! {
                        () = tokio::time::sleep(time.saturating_duration_since(clock::now())) => {}
                        () = self.front.notified() => {}
                    }
                }
                None => self.front.notified().await,
            }
            self.wake(clock::now());
        }
    }
}

impl Delay<'_> {
    /// Whether its turn has come; else the task is woken when it has.
    pub(super) fn is_over(&self, cx: &Context<'_>) -> bool {
        let mut heap = self.delays.heap.borrow_mut();
        let slot = &mut heap.slots[self.slot.get()];
        if slot.place == NONE {
            return true;
        }
        match &slot.waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            Some(_) | None => slot.waker = Some(cx.waker().clone()),
        }
        false
    }
}

impl Drop for Delay<'_> {
    fn drop(&mut self) {
        let mut heap = self.delays.heap.borrow_mut();
        let slot = self.slot.get();
        let place = heap.slots[slot].place;
        if place != NONE {
            heap.remove(place);
        }
        heap.slots[slot].waker = None;
        heap.free.push(slot);
    }
}

impl Heap {
    fn add(&mut self, time: Instant) -> usize {
        let fresh = Slot {
            place: self.order.len(),
            waker: None,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = fresh;
                slot
            }
            None => {
                self.slots.push(fresh);
                self.slots.len() - 1
            }
        };
        self.order.push((time, slot));
        self.rise(self.order.len() - 1);
        slot
    }

    /// Takes one out; its slot stays.
    fn remove(&mut self, place: usize) {
        let last = self.order.len() - 1;
        self.swap(place, last);
        if let Some((_, slot)) = self.order.pop() {
            self.slots[slot].place = NONE;
        }
        if place < last {
            self.rise(place);
            self.sink(place);
        }
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.order[parent].0 <= self.order[place].0 {
                return;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = [2 * place + 1, 2 * place + 2];
            let sooner = children
                .into_iter()
                .filter(|child| *child < self.order.len())
                .min_by_key(|child| self.order[*child].0);
            match sooner {
                Some(child) if self.order[child].0 < self.order[place].0 => {
                    self.swap(child, place);
                    place = child;
                }
                Some(_) | None => return,
            }
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.order.swap(a, b);
        for place in [a, b] {
            let (_, slot) = self.order[place];
            self.slots[slot].place = place;
        }
    }
}

/// How long a request waits at most: what is longer is as good as for ever, and would not fit a clock.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    fn over(delay: &Delay<'_>) -> bool {
        delay.is_over(&Context::from_waker(Waker::noop()))
    }

    proptest! {
        #[test]
        fn each_waits_for_its_own_time_whoever_goes_away(
            times in prop::collection::vec((0_u64..100, any::<bool>()), 1..60),
            looks in prop::collection::vec(0_u64..110, 1..6),
        ) {
            let (delays, began) = (Delays::default(), clock::now());
            let at = |millis| began + Duration::from_millis(millis);
            let waiting: Vec<(u64, Option<Delay<'_>>)> = times
                .iter()
                .map(|(time, stays)| (*time, delays.until(at(*time)), *stays))
                .map(|(time, delay, stays)| (time, stays.then_some(delay)))
                .collect();
            let mut latest = None;
            for look in looks {
                delays.wake(at(look));
                latest = latest.max(Some(look));
                for (time, delay) in &waiting {
                    if let Some(delay) = delay {
                        prop_assert_eq!(over(delay), Some(*time) <= latest);
                    }
                }
            }
            let left = waiting.iter().filter(|(time, delay)| delay.is_some() && Some(*time) > latest);
            prop_assert_eq!(delays.len(), left.count());
            drop(waiting);
            prop_assert_eq!(delays.len(), 0);
            let heap = delays.heap.borrow();
            prop_assert_eq!(heap.free.len(), heap.slots.len());
        }
    }
}
