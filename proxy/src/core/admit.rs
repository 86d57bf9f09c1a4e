//! What a request with limits does before it goes on: it is judged, waits for its turn, and takes its
//! places.
//!
//! Not here: what the limits say (`policy`).

use std::{
    future::poll_fn,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use super::{
    Core, answer::Own, connection::Client, delay::LONGEST, plan::Local, watch::Ticks, work::Work,
};
use crate::{
    clock,
    limit::{ConnGuard, Millis, Places},
    policy::{Admission, Asked, Mark},
};

/// What limits have to do with a request.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// How long it waits.
    delay: Duration,
    /// The places to take then.
    places: Option<Places>,
    /// Those it has, until it is over.
    guard: Option<ConnGuard>,
    /// What the log is told.
    pub(super) mark: Option<Mark>,
    /// Header lines of its answer: what the client has left.
    pub(super) lines: Vec<u8>,
}

impl Held {
    /// Gives the places back, for the next request to begin anew.
    pub(super) fn release(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        *self = Self {
            lines,
            ..Self::default()
        };
    }

    /// Has the limits of its route judge a request; the answer where they refuse it.
    pub(super) fn ask(
        &mut self,
        core: &Core,
        local: &Local,
        route: usize,
        asked: &Asked<'_>,
    ) -> Option<Own> {
        let limited = local.plan.policy.of_route(route)?;
        let now = Millis(local.plan.millis(clock::now()));
        let verdict = limited.admit(core.index, asked, now, &mut self.lines);
        self.mark = verdict.mark;
        self.places = Some(verdict.places);
        match verdict.admission {
            Admission::After(delay) => {
                self.delay = delay;
                None
            }
            Admission::Refused(refused) => {
                self.places = None;
                Some(Own::refused(refused.status, refused.retry_after))
            }
        }
    }

    /// When its turn is; none where that is now.
    pub(super) fn turn(&self) -> Option<Instant> {
        let waits = !self.delay.is_zero();
        waits.then(|| clock::now() + self.delay.min(LONGEST))
    }

    /// Takes its places, when its turn has come; the answer where there are none.
    pub(super) fn enter(
        &mut self,
        core: &Core,
        local: &Local,
        route: Option<usize>,
    ) -> Option<Own> {
        let places = self.places.take()?;
        let limited = local.plan.policy.of_route(route?)?;
        match limited.enter(core.index, &places) {
            Ok(entry) => {
                self.guard = entry.guard;
                self.mark = entry.mark.or(self.mark);
                None
            }
            Err((refused, mark)) => {
                self.mark = Some(mark);
                Some(Own::refused(refused.status, refused.retry_after))
            }
        }
    }
}

/// What became of a request with limits.
pub(super) enum Admitted {
    /// It goes on.
    On,
    /// It is answered.
    Refused(Own),
    /// Its client is gone.
    Gone,
}

impl Client {
    /// Has a request wait and take its places, where its limits say so.
    pub(super) async fn admit(&mut self, local: &Local, work: &mut Work) -> Admitted {
        if let Some(turn) = work.held.turn()
            && !self.delay(work, turn).await
        {
            return Admitted::Gone;
        }
        let route = work.facts.route;
        match work.held.enter(&self.core, local, route) {
            None => Admitted::On,
            Some(own) => Admitted::Refused(own),
        }
    }

    /// Waits for a request's turn; says whether its client did, too. As in nginx, one that ends its stream
    /// is gone. What it sends meanwhile stays in the buffer.
    async fn delay(&mut self, work: &mut Work, turn: Instant) -> bool {
        let core = Rc::clone(&self.core);
        let delay = core.delays.until(turn);
        self.watch.again();
        self.watch.until(Ticks::MAX);
        poll_fn(|cx| {
            if delay.is_over(cx) {
                return Poll::Ready(true);
            }
            if self.stream.is_frames() {
                return self.stream.poll_gone(cx).map(|is_gone| !is_gone);
            }
            loop {
                let room = work.client.room();
                if room.is_empty() {
                    return Poll::Pending;
                }
                match self.stream.poll_read(cx, room) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                    Poll::Ready(Ok(bytes)) => work.client.end += bytes,
                }
            }
        })
        .await
    }
}
