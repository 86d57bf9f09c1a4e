//! How a request comes to a server: one is chosen and has room, or the request waits in the line of its
//! upstream until one has.
//!
//! Not here: the line (`queue`), and what is sent to the server (`forward`).

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use super::{
    connection::Client,
    plan::Local,
    watch::{Ticks, ticks},
    work::Work,
};
use crate::{
    queue::{Place, Queue},
    server::ServerLife,
};

/// A server with one request under way that is ours, as long as this is there.
pub(super) struct Busy<'a> {
    pub(super) life: &'a Arc<ServerLife>,
    /// Its place in its upstream.
    pub(super) place: usize,
    queue: &'a Queue,
    now: u64,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let Self { life, now, .. } = *self;
        let may_serve = life.verdict() != health::Verdict::Down && !life.is_ejected(now);
        self.queue.release(life, may_serve);
    }
}

/// Why there is no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    /// None is up.
    Down,
    /// All have as many requests as they may have, and there is no room to wait, or no time.
    Full,
    /// The client has gone.
    Client,
}

impl Client {
    /// A server for a request, at once or after a while.
    pub(super) async fn server<'l>(
        &mut self,
        local: &'l Local,
        work: &Work,
        upstream: usize,
    ) -> Result<Busy<'l>, Without> {
        if let Some(busy) = self.take(local, work, upstream) {
            return Ok(busy);
        }
        let config = &local.plan.site.upstreams[upstream];
        let now = local.plan.millis(work.facts.began);
        let servers = &local.plan.upstreams[upstream];
        let wanted = faithful(local, work, upstream).map(|place| servers.0[place].seed);
        if wanted.is_none() && !servers.is_bounded(config, now) {
            return Err(Without::Down);
        }
        let queue = &local.plan.queues[upstream];
        let place = queue.join(config.queue, wanted).ok_or(Without::Full)?;
        let until = self.core.tick.get() + ticks(config.queue_timeout);
        self.watch.again();
        self.watch.until(self.core.tick.get());
        // Whether the client is looked after: what it sends hides its end.
        let mut is_quiet = true;
        let mut may_look = true;
        let waited = poll_fn(|cx| {
            let all = (local, work, upstream);
            let found = self.poll_server(cx, all, (&place, until), &mut may_look);
            if found.is_pending() && is_quiet {
                match self.stream.poll_gone(cx) {
                    Poll::Pending => {}
                    Poll::Ready(true) => return Poll::Ready(Err(Without::Client)),
                    Poll::Ready(false) => is_quiet = false,
                }
            }
            found
        });
        let waited = waited.await;
        match waited {
            Ok(_) | Err(Without::Down) => {}
            Err(Without::Full) => drop(queue.counts.late.fetch_add(1, Relaxed)),
            Err(Without::Client) => drop(queue.counts.left.fetch_add(1, Relaxed)),
        }
        waited
    }

    fn poll_server<'l>(
        &self,
        cx: &mut Context<'_>,
        (local, work, upstream): (&'l Local, &Work, usize),
        (place, until): (&Place<'_>, Ticks),
        may_look: &mut bool,
    ) -> Poll<Result<Busy<'l>, Without>> {
        let queue = &local.plan.queues[upstream];
        if let Some(life) = place.poll(cx.waker()) {
            let lives = &local.plan.upstreams[upstream].0;
            let at = lives.iter().position(|one| Arc::ptr_eq(one, &life));
            if let Some(at) = at {
                return Poll::Ready(Ok(self.busy(local, work, (upstream, at))));
            }
            // One that a reload has added.
            queue.release(&life, true);
        }
        let now = self.core.tick.get();
        let is_turn = self.watch.is_over();
        if is_turn {
            self.watch.again();
            if now >= until {
                return Poll::Ready(Err(Without::Full));
            }
        }
        // What nobody tells: servers that come back.
        if is_turn || std::mem::take(may_look) {
            if let Some(busy) = self.take(local, work, upstream) {
                return Poll::Ready(Ok(busy));
            }
        }
        self.watch.until(now + 1);
        self.watch.park(cx);
        Poll::Pending
    }

    /// A server that has room, and one more request under way to it.
    pub(super) fn take<'l>(
        &self,
        local: &'l Local,
        work: &Work,
        upstream: usize,
    ) -> Option<Busy<'l>> {
        let lives = &local.plan.upstreams[upstream].0;
        // Another thread may have been faster, and then there is one server less with room.
        for _ in 0..=lives.len() {
            let place = match faithful(local, work, upstream) {
                Some(place) => place,
                None => self.choose(local, work, upstream)?,
            };
            if lives[place].try_begin() {
                return Some(self.busy(local, work, (upstream, place)));
            }
            if work.facts.wish.server == Some(lives[place].seed) {
                return None;
            }
        }
        None
    }

    fn busy<'l>(
        &self,
        local: &'l Local,
        work: &Work,
        (upstream, place): (usize, usize),
    ) -> Busy<'l> {
        Busy {
            life: &local.plan.upstreams[upstream].0[place],
            place,
            queue: &local.plan.queues[upstream],
            now: local.plan.millis(work.facts.began),
        }
    }

    fn choose(&self, local: &Local, work: &Work, upstream: usize) -> Option<usize> {
        let config = &local.plan.site.upstreams[upstream];
        let servers = &local.plan.upstreams[upstream];
        let now = local.plan.millis(work.facts.began);
        let mut memory = local.memories[upstream].borrow_mut();
        memory.choose(
            config.balance,
            work.facts.wish.key,
            servers.0.len(),
            servers.candidates(config, &work.tried, now),
        )
    }
}

/// The server that the client's cookie names, if it may serve.
fn faithful(local: &Local, work: &Work, upstream: usize) -> Option<usize> {
    let seed = work.facts.wish.server?;
    let now = local.plan.millis(work.facts.began);
    local.plan.upstreams[upstream].faithful(seed, &work.tried, now)
}
