//! How long a connection may take, without a timer of its own: a deadline that its thread looks at four
//! times a second.
//!
//! Not here: what the deadlines are.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Waker},
    time::Duration,
};

/// How often deadlines are looked at.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// A moment, in ticks since the thread began.
pub(super) type Ticks = u32;

/// How many ticks a duration is, rounded up.
pub(super) fn ticks(duration: Duration) -> Ticks {
    let ticks = duration.as_millis().div_ceil(TICK.as_millis());
    // Half of what there is: a deadline is never in the past for that it wrapped.
    Ticks::try_from(ticks)
        .unwrap_or(Ticks::MAX)
        .min(Ticks::MAX / 2)
}

/// What a connection waits for, as far as its thread has to know.
#[derive(Debug)]
pub(super) struct Watch {
    deadline: Cell<Ticks>,
    is_idle: Cell<bool>,
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Default for Watch {
    /// Without a deadline: its task has not begun yet.
    fn default() -> Self {
        Self {
            deadline: Cell::new(Ticks::MAX),
            is_idle: Cell::new(false),
            is_over: Cell::new(false),
            waker: RefCell::new(None),
        }
    }
}

impl Watch {
    /// From now on it has until then.
    pub(super) fn until(&self, deadline: Ticks) {
        self.deadline.set(deadline);
    }

    /// Between two requests, or in one.
    pub(super) fn set_idle(&self, is_idle: bool) {
        self.is_idle.set(is_idle);
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Its time begins anew: what ended was one step of several.
    pub(super) fn again(&self) {
        self.is_over.set(false);
    }

    /// The task is about to wait.
    pub(super) fn park(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            Some(_) | None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Ends its time if the deadline has come.
    pub(super) fn look(&self, now: Ticks) {
        if self.deadline.get() <= now && !self.is_over.get() {
            self.end();
        }
    }

    /// Ends its time if it is between two requests.
    pub(super) fn end_idle(&self) {
        if self.is_idle.get() {
            self.end();
        }
    }

    fn end(&self) {
        self.is_over.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_no_deadline_before_its_task_sets_one() {
        let watch = Watch::default();
        watch.look(1_000_000);
        assert!(!watch.is_over());
        watch.until(5);
        watch.look(4);
        assert!(!watch.is_over());
        watch.look(5);
        assert!(watch.is_over());
        watch.again();
        assert!(!watch.is_over());
    }

    #[test]
    fn only_idle_connections_end_as_idle_ones() {
        let watch = Watch::default();
        watch.end_idle();
        assert!(!watch.is_over());
        watch.set_idle(true);
        watch.end_idle();
        assert!(watch.is_over());
    }

    #[test]
    fn ticks_are_rounded_up_and_bounded() {
        assert_eq!(ticks(Duration::from_millis(250)), 1);
        assert_eq!(ticks(Duration::from_millis(251)), 2);
        assert_eq!(ticks(Duration::MAX), Ticks::MAX / 2);
    }
}
