//! What is known of a server now, by its probes and by the requests it got. Shared by all threads; it
//! outlives a reload.
//!
//! Not here: probing (`prober`) and choosing (`balance`).

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    time::Duration,
};

use health::Verdict;

use crate::{
    balance,
    stats::{PerThread, ServerStats},
};

/// A server is kept away from requests no longer than this.
const EJECT_MAX: Duration = Duration::from_secs(60);

/// A server and what is known of it.
#[derive(Debug)]
pub struct ServerLife {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it draws lots with, and what cookies call it.
    pub seed: u64,
    /// What each thread counts of it.
    pub stats: PerThread<ServerStats>,
    verdict: AtomicU8,
    active: AtomicU32,
    /// Requests under way at most; 0: any number.
    max_active: AtomicU32,
    /// When its probes called it up after it was down, in milliseconds of the daemon's life.
    came_back: AtomicU64,
    /// Failures in a row.
    failures: AtomicU32,
    /// Ejections in a row.
    ejections: AtomicU32,
    /// Until when it gets no requests, in milliseconds of the daemon's life.
    ejected_until: AtomicU64,
}

impl ServerLife {
    /// A server that nothing is known of.
    #[must_use]
    pub fn new(address: SocketAddr, threads: usize) -> Self {
        Self {
            address,
            seed: balance::seed(address),
            stats: PerThread::new(threads),
            verdict: AtomicU8::new(0),
            active: AtomicU32::new(0),
            max_active: AtomicU32::new(0),
            came_back: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        }
    }

    /// What its probes say; without probes it stays `Checking`.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.verdict.load(Relaxed) {
            1 => Verdict::Up,
            2 => Verdict::Down,
            _ => Verdict::Checking,
        }
    }

    /// Its probes have said something new; so it came back now, if it did.
    pub fn judged(&self, verdict: Verdict, now: u64) {
        if verdict == Verdict::Up && self.verdict() == Verdict::Down {
            self.came_back.store(now, Relaxed);
        }
        self.set_verdict(verdict);
    }

    /// For how long it has been back after it was down or ejected, in milliseconds.
    #[must_use]
    pub fn back_for(&self, now: u64) -> u64 {
        let since = self.came_back.load(Relaxed);
        now.saturating_sub(since.max(self.ejected_until.load(Relaxed)))
    }

    /// A verdict without a probe.
    pub fn set_verdict(&self, verdict: Verdict) {
        let number = match verdict {
            Verdict::Checking => 0,
            Verdict::Up => 1,
            Verdict::Down => 2,
        };
        self.verdict.store(number, Relaxed);
    }

    /// Requests under way to it.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(SeqCst)
    }

    /// How many requests may be under way to it; 0: any number.
    pub fn set_max_active(&self, most: u32) {
        self.max_active.store(most, Relaxed);
    }

    fn most(&self) -> u32 {
        match self.max_active.load(Relaxed) {
            0 => u32::MAX,
            most => most,
        }
    }

    /// Whether it has as many requests as it may have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.active() >= self.most()
    }

    /// Whether it has more than it may have: a reload has lowered the limit.
    #[must_use]
    pub fn has_too_many(&self) -> bool {
        self.active() > self.most()
    }

    /// A request is sent to it, if it may have one more. Exact over all threads.
    #[must_use]
    pub fn try_begin(&self) -> bool {
        let most = self.most();
        if most == u32::MAX {
            self.active.fetch_add(1, SeqCst);
            return true;
        }
        let more = |active| (active < most).then_some(active + 1);
        self.active.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    /// A request to it has ended.
    pub fn end(&self) {
        self.active.fetch_sub(1, SeqCst);
    }

    /// Whether it gets no requests for what they showed.
    #[must_use]
    pub fn is_ejected(&self, now: u64) -> bool {
        self.ejected_until.load(Relaxed) > now
    }

    /// A request has shown that it works.
    pub fn succeeded(&self, now: u64) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if self.ejections.load(Relaxed) != 0 && !self.is_ejected(now) {
            self.ejections.store(0, Relaxed);
        }
    }

    /// A request has failed on it. After `limit` in a row (0: never) it gets none for `time`, twice as
    /// long with each ejection in a row. Says whether that is so now.
    pub fn failed(&self, now: u64, limit: u32, time: Duration) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        if limit == 0 || failures < limit || self.is_ejected(now) {
            return false;
        }
        let times = self.ejections.fetch_add(1, Relaxed).min(16);
        let time = time.saturating_mul(1 << times).min(EJECT_MAX);
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.ejected_until
            .store(now.saturating_add(millis), Relaxed);
        self.failures.store(0, Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn server() -> ServerLife {
        ServerLife::new(([127, 0, 0, 1], 80).into(), 1)
    }

    #[test]
    fn failures_in_a_row_eject_a_server_for_longer_each_time() {
        let server = server();
        assert!(!server.failed(0, 2, SECOND));
        server.succeeded(0);
        assert!(!server.failed(0, 2, SECOND));
        assert!(server.failed(0, 2, SECOND));
        assert!(server.is_ejected(999) && !server.is_ejected(1000));
        assert!(!server.failed(1000, 2, SECOND));
        assert!(server.failed(1000, 2, SECOND));
        assert!(server.is_ejected(2999) && !server.is_ejected(3000));
        server.succeeded(3000);
        assert!(!server.failed(3000, 2, SECOND));
        assert!(server.failed(3000, 2, SECOND));
        assert!(
            !server.is_ejected(4000),
            "a success makes it a second again"
        );
    }

    #[test]
    fn a_server_is_back_since_its_probes_or_its_ejection_say_so() {
        let server = server();
        server.judged(Verdict::Up, 5);
        assert_eq!(server.back_for(100), 100, "it was not away");
        server.judged(Verdict::Down, 10);
        server.judged(Verdict::Up, 50);
        assert_eq!(server.back_for(60), 10);
        assert!(server.failed(60, 1, SECOND));
        assert_eq!((server.back_for(1000), server.back_for(1070)), (0, 10));
    }

    #[test]
    fn without_a_limit_nothing_ejects() {
        let server = server();
        assert!((0..100).all(|_| !server.failed(0, 0, SECOND)));
    }
}
