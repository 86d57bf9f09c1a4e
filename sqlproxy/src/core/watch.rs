//! What a session waits for, as far as its thread has to know: a deadline without a timer of its own,
//! looked at four times a second, and a server that may die meanwhile.
//!
//! Not here: what is done when the waiting is over.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use crate::faces::Face;

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

/// Why a waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Its time is over.
    Late,
    /// The server waited for is dead.
    ServerGone,
    /// Somebody killed the session, or the process ends.
    Killed,
    /// It is between two statements, and the process is to stop.
    Drained,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watch {
    face: Option<Arc<Face>>,
    deadline: Cell<Ticks>,
    is_idle: Cell<bool>,
    server: Cell<Option<usize>>,
    over: Cell<Option<Over>>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// Of a session; without one, of a question of the proxy's own.
    pub(super) fn new(face: Option<Arc<Face>>) -> Self {
        Self {
            face,
            deadline: Cell::new(Ticks::MAX),
            is_idle: Cell::new(false),
            server: Cell::new(None),
            over: Cell::new(None),
            waker: RefCell::new(None),
        }
    }

    /// Whether it is of the session with this number.
    pub(super) fn is_of(&self, id: u32) -> bool {
        self.face.as_ref().is_some_and(|face| face.id == id)
    }

    /// From now on it has until then.
    pub(super) fn until(&self, deadline: Ticks) {
        self.deadline.set(deadline);
    }

    /// It waits for the client's next statement.
    pub(super) fn waits_for_client(&self) {
        self.is_idle.set(true);
        self.server.set(None);
    }

    /// It waits for this server.
    pub(super) fn waits_for(&self, server: Option<usize>) {
        self.is_idle.set(false);
        self.server.set(server);
        if self.over.get() == Some(Over::ServerGone) {
            self.over.set(None);
        }
    }

    /// Whether the waiting is over.
    pub(super) fn over(&self) -> Option<Over> {
        self.over.get()
    }

    /// The task is about to wait.
    pub(super) fn park(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            Some(_) | None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Ends its waiting if the deadline has come.
    pub(super) fn look(&self, now: Ticks) {
        if self.face.as_ref().is_some_and(|face| face.is_killed()) {
            self.kill();
        } else if self.deadline.get() <= now && self.over.get().is_none() {
            self.end(Over::Late);
        }
    }

    /// Ends its waiting if it waits for this server.
    pub(super) fn gone(&self, server: usize) {
        if self.server.get() == Some(server) && self.over.get().is_none() {
            self.end(Over::ServerGone);
        }
    }

    /// Ends its waiting if it is between two statements, and nothing ties it.
    pub(super) fn drain(&self) {
        let is_tied = |face: &Arc<Face>| !face.pins().is_empty();
        if self.is_idle.get() && !self.face.as_ref().is_some_and(is_tied) {
            self.end(Over::Drained);
        }
    }

    /// Ends its waiting for good.
    pub(super) fn kill(&self) {
        self.end(Over::Killed);
    }

    fn end(&self, why: Over) {
        self.over.set(Some(why));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_deadline_before_one_is_set() {
        let watch = Watch::new(None);
        watch.look(1_000_000);
        assert_eq!(watch.over(), None);
        watch.until(5);
        watch.look(4);
        assert_eq!(watch.over(), None);
        watch.look(5);
        assert_eq!(watch.over(), Some(Over::Late));
    }

    #[test]
    fn only_who_waits_for_a_server_hears_of_its_end() {
        let watch = Watch::new(None);
        watch.waits_for_client();
        watch.gone(0);
        assert_eq!(watch.over(), None);
        watch.waits_for(Some(1));
        watch.gone(0);
        watch.drain();
        assert_eq!(watch.over(), None);
        watch.gone(1);
        assert_eq!(watch.over(), Some(Over::ServerGone));
        watch.waits_for(Some(0));
        assert_eq!(watch.over(), None, "another server, another waiting");
        watch.waits_for_client();
        watch.drain();
        assert_eq!(watch.over(), Some(Over::Drained));
    }

    #[test]
    fn ticks_are_rounded_up_and_bounded() {
        assert_eq!(ticks(Duration::from_millis(250)), 1);
        assert_eq!(ticks(Duration::from_millis(251)), 2);
        assert_eq!(ticks(Duration::MAX), Ticks::MAX / 2);
    }
}
