//! What is counted, by each thread for itself and summed when asked.
//!
//! A counter has one writer, so counting is a load and a store. Not here: names and labels (`metrics`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread adds to and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only the thread that owns it may.
    pub fn add(&self, number: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(number), Relaxed);
    }

    /// Takes from it what was added before.
    pub fn sub(&self, number: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(number), Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one thread counts of a server. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServerStats {
    /// Statements that went to it because they only read.
    pub reads: Counter,
    /// All other statements that went to it.
    pub writes: Counter,
    /// Connections opened.
    pub connects: Counter,
    /// Connections that could not be opened.
    pub refusals: Counter,
    /// Connections lost in the middle of a statement.
    pub losses: Counter,
    /// Connections given to another session than had them before.
    pub moves: Counter,
    /// Reads sent again to another server.
    pub retries: Counter,
    /// Waits for a position of the primary.
    pub waits: Counter,
    /// Of them, those that took too long.
    pub late_waits: Counter,
}

/// What one thread counts of itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ThreadStats {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections turned away because there were too many.
    pub turned_away: Counter,
    /// Logins refused.
    pub denied: Counter,
    /// Statements that waited for a connection to a server.
    pub queued: Counter,
    /// Of them, those that waited in vain.
    pub queue_timeouts: Counter,
    /// Statements that waited for a writer.
    pub writer_waits: Counter,
    /// Of them, those that waited in vain.
    pub writer_timeouts: Counter,
    /// Statements whose outcome nobody knows.
    pub unknown_outcomes: Counter,
    /// Transactions lost with their server.
    pub lost_transactions: Counter,
    /// Sessions ended because what they had on a server was lost.
    pub lost_sessions: Counter,
}

/// Something of each thread's own.
#[derive(Debug)]
pub struct PerThread<T>(Box<[T]>);

impl<T: Default> PerThread<T> {
    /// For so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| T::default()).collect())
    }

    /// That of one thread.
    #[must_use]
    pub fn of(&self, thread: usize) -> &T {
        &self.0[thread]
    }

    /// The sum of one counter over all threads.
    pub fn sum(&self, counter: impl Fn(&T) -> &Counter) -> u64 {
        self.0.iter().map(|one| counter(one).get()).sum()
    }
}
