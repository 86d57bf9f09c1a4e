//! Requests that wait because every server of their upstream has as many as it may have at once.
//!
//! One line for all threads, first come first served: who is done with a server hands its place there to
//! the first that can use it, so the number under way stays what it is and nobody overtakes. While nobody
//! waits, the line costs a look at a number. It is bounded; whoever leaves makes room.
//!
//! Places that become free in another way (a server comes back, a reload raises a limit) are found by
//! those who wait when they look themselves, four times a second, in any order. Not here: that looking,
//! and the client (`core::waiting`).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    task::Waker,
};

use crate::server::ServerLife;

/// The line before the servers of an upstream. It outlives a reload.
#[derive(Debug, Default)]
pub struct Queue {
    /// How many are in the line: read without a lock.
    waiting: AtomicU32,
    line: Mutex<VecDeque<Arc<Ticket>>>,
    /// What became of those who came.
    pub counts: Counts,
}

/// What became of requests that had to wait.
#[derive(Debug, Default)]
pub struct Counts {
    /// They got a place in the line.
    pub queued: AtomicU64,
    /// There was no room in it.
    pub full: AtomicU64,
    /// It took too long.
    pub late: AtomicU64,
    /// The client did not wait.
    pub left: AtomicU64,
}

/// Someone in the line.
#[derive(Debug)]
struct Ticket {
    /// The only server that will do, by its seed.
    wanted: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    /// It has this server, and one of the requests under way to it is its own.
    Granted(Arc<ServerLife>),
    Gone,
}

/// A place in the line; left when it is dropped.
#[derive(Debug)]
pub struct Place<'q> {
    queue: &'q Queue,
    ticket: Arc<Ticket>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here can be half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(SeqCst)
    }

    /// Takes a place at the end, if there are fewer than `most` before it. Whoever has it looks once more
    /// for a server before it waits: one may have become free just before.
    pub fn join(&self, most: u32, wanted: Option<u64>) -> Option<Place<'_>> {
        let ticket = Arc::new(Ticket {
            wanted,
            state: Mutex::new(State::Waiting(None)),
        });
        let mut line = lock(&self.line);
        if line.len() >= most as usize {
            self.counts.full.fetch_add(1, Relaxed);
            return None;
        }
        line.push_back(Arc::clone(&ticket));
        self.waiting.fetch_add(1, SeqCst);
        self.counts.queued.fetch_add(1, Relaxed);
        Some(Place {
            queue: self,
            ticket,
        })
    }

    /// A request to this server has ended. If it `may_serve`, the next in the line has its place.
    pub fn release(&self, life: &Arc<ServerLife>, may_serve: bool) {
        if self.waiting() > 0 && may_serve && self.hand_over(life) {
            return;
        }
        life.end();
        // Who joined after the look above and looked for a server before the end has seen neither.
        if self.waiting() > 0 && may_serve && life.try_begin() && !self.hand_over(life) {
            life.end();
        }
    }

    /// Gives a place at a server, which is taken, to the first that can use it.
    fn hand_over(&self, life: &Arc<ServerLife>) -> bool {
        if life.has_too_many() {
            return false;
        }
        let mut line = lock(&self.line);
        let fits = |ticket: &Arc<Ticket>| ticket.wanted.is_none_or(|seed| seed == life.seed);
        let Some(ticket) = line.iter().position(fits).and_then(|at| line.remove(at)) else {
            return false;
        };
        self.waiting.fetch_sub(1, SeqCst);
        let before = std::mem::replace(&mut *lock(&ticket.state), State::Granted(Arc::clone(life)));
        drop(line);
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
        true
    }
}

impl Place<'_> {
    /// The server that was handed over, with one request under way to it already; else it is told by
    /// `waker` when there is one.
    #[must_use]
    pub fn poll(&self, waker: &Waker) -> Option<Arc<ServerLife>> {
        let mut state = lock(&self.ticket.state);
        match std::mem::replace(&mut *state, State::Gone) {
            State::Granted(life) => Some(life),
            State::Gone => None,
            State::Waiting(known) => {
                let known = known.filter(|known| known.will_wake(waker));
                *state = State::Waiting(Some(known.unwrap_or_else(|| waker.clone())));
                None
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut line = lock(&self.queue.line);
        let at = line.iter().position(|one| Arc::ptr_eq(one, &self.ticket));
        if let Some(at) = at {
            drop(line.remove(at));
            self.queue.waiting.fetch_sub(1, SeqCst);
        }
        let state = std::mem::replace(&mut *lock(&self.ticket.state), State::Gone);
        drop(line);
        if let State::Granted(life) = state {
            self.queue.release(&life, true);
        }
    }
}

#[cfg(test)]
mod tests;
