//! What is counted, by each thread for itself and summed when asked.
//!
//! A counter has one writer, so counting is a load and a store. Not here: names and labels (`metrics`).

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::h1::Refusal;

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

/// Upper ends of the latency buckets, in microseconds.
pub const BUCKETS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How long requests took.
#[derive(Debug, Default)]
pub struct Latency {
    /// Requests in each bucket; the last one has no end.
    pub buckets: [Counter; BUCKETS.len() + 1],
    /// Microseconds in all.
    pub micros: Counter,
}

impl Latency {
    /// Counts a request.
    pub fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|&end| micros <= end);
        self.buckets[bucket.unwrap_or(BUCKETS.len())].add(1);
        self.micros.add(micros);
    }
}

/// What one thread counts of a route. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct RouteStats {
    /// Answers by the first digit of their status, from 1 to 5.
    pub answers: [Counter; 5],
    /// Bytes of request bodies.
    pub bytes_in: Counter,
    /// Bytes of answers' bodies.
    pub bytes_out: Counter,
    /// Requests that broke off before their answer was whole.
    pub broken: Counter,
    /// How long they took.
    pub latency: Latency,
}

/// What one thread counts of a server. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServerStats {
    /// Requests sent to it.
    pub requests: Counter,
    /// Requests that failed on it, of which some went to another server then.
    pub failures: Counter,
    /// Requests that were sent again to another connection.
    pub retries: Counter,
    /// Connections opened to it.
    pub connects: Counter,
}

/// What one thread counts of itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ThreadStats {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed again.
    pub closed: Counter,
    /// Connections turned away because there were too many.
    pub turned_away: Counter,
    /// Requests refused, by [`Refusal::ALL`].
    pub refused: [Counter; Refusal::ALL.len()],
    /// Lines that the access log had no room for.
    pub log_lost: Counter,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_goes_into_the_bucket_that_ends_behind_it() {
        let latency = Latency::default();
        for micros in [1, 500, 501, 99_000_000] {
            latency.add(Duration::from_micros(micros));
        }
        assert_eq!(latency.buckets[0].get(), 2);
        assert_eq!(latency.buckets[1].get(), 1);
        assert_eq!(latency.buckets[BUCKETS.len()].get(), 1);
        assert_eq!(latency.micros.get(), 99_001_002);
    }

    #[test]
    fn sums_are_over_all_threads() {
        let stats: PerThread<ServerStats> = PerThread::new(3);
        stats.of(0).requests.add(2);
        stats.of(2).requests.add(5);
        assert_eq!(stats.sum(|one| &one.requests), 7);
    }
}
