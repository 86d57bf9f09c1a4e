//! Whether a request is within its limits: nginx's limit_req.
//!
//! Each rule is a test of its name in `tests/rules.rs`. All limits of a request are judged in one
//! go, under the locks of their zones: they charge all or none, whatever other cores do. (In nginx
//! two workers may both look before either charges.)
//!
//! Not here: waiting out a delay, writing the answer (`answer` has its numbers), logs.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::Millis;
use super::answer::{Quota, Refusal, Status, Word, seconds};
use super::key::{ClientKey, Subject};
use super::rate::{Burst, Delay};
use super::zone::{Clients, Peek, Zone};

/// The most limits on one request.
pub const MOST_LIMITS: usize = 8;

/// One limit: a zone, and how far a client may be ahead of its rate.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Who has made how many requests.
    pub zone: Arc<Zone>,
    /// How many requests ahead are let in.
    pub burst: Burst,
    /// From how many on they wait.
    pub delay: Delay,
}

/// The limits on the requests of a route, in the order in which they are judged.
#[derive(Clone, Debug)]
pub struct Limits {
    limits: Box<[Limit]>,
    /// Which zone is locked first: the same order for all, so that no two wait for each other.
    order: Box<[usize]>,
    status: Status,
    dry_run: bool,
}

/// Why limits can't be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// nginx's "is duplicate".
    #[error("zone `{0}` is named twice: a request would be charged twice; keep one of the two")]
    Duplicate(String),
    /// More than [`MOST_LIMITS`].
    #[error("{0} limits on one request; at most {MOST_LIMITS} are possible")]
    TooMany(usize),
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No limit applies: every key is empty.
    Unlimited,
    /// It goes on at once.
    Passed,
    /// It goes on after this time, without being judged again.
    Delayed(Duration),
    /// It is refused, and nothing was charged.
    Rejected {
        /// The same client's next request has a chance after this time.
        retry_after: Duration,
    },
}

/// What was decided, and what to say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// By the rules, whether or not they are enforced.
    pub outcome: Outcome,
    /// They are not: delayed and rejected requests go on at once.
    pub dry_run: bool,
    /// Which limit delayed or rejected it, counted from 0: the zone to name in the log.
    pub limit: usize,
    /// What that limit's client stands at, in thousandths of a request: what nginx logs.
    pub excess: u32,
    /// The limit that leaves the client the least, and what it stands at there.
    tightest: (usize, u32),
}

impl Limits {
    /// These limits. nginx's `limit_req_status` is `status`.
    ///
    /// # Errors
    /// When two name one zone, or there are too many.
    pub fn new(limits: Vec<Limit>, status: Status, dry_run: bool) -> Result<Self, LimitsError> {
        if limits.len() > MOST_LIMITS {
            return Err(LimitsError::TooMany(limits.len()));
        }
        for (n, limit) in limits.iter().enumerate() {
            if limits[..n]
                .iter()
                .any(|other| other.zone.shares(&limit.zone))
            {
                return Err(LimitsError::Duplicate(limit.zone.name().to_owned()));
            }
        }
        let mut order: Vec<usize> = (0..limits.len()).collect();
        order.sort_by_key(|&n| limits[n].zone.rank());
        Ok(Self {
            limits: limits.into(),
            order: order.into(),
            status,
            dry_run,
        })
    }

    /// The limits, in order.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Judges a request, and charges its client for it if it goes on. To be called once a request:
    /// not again after an internal redirect, a retry or a delay.
    #[must_use]
    pub fn decide(&self, now: Millis, subject: &impl Subject) -> Decision {
        if let [limit] = &*self.limits {
            return self.decide_alone(limit, now, limit.zone.client(subject));
        }
        let mut keys = [None; MOST_LIMITS];
        for (key, limit) in keys.iter_mut().zip(&self.limits) {
            *key = limit.zone.client(subject);
        }
        self.decide_for(now, &keys)
    }

    /// The same for clients known by their keys, one a limit; where there is none, that limit does
    /// not apply.
    #[must_use]
    pub fn decide_for(&self, now: Millis, keys: &[Option<ClientKey>]) -> Decision {
        if let [limit] = &*self.limits {
            return self.decide_alone(limit, now, keys.first().copied().flatten());
        }
        let mut locked: [Option<MutexGuard<'_, Clients>>; MOST_LIMITS] = [const { None }; _];
        for &n in &self.order {
            if keys.get(n).is_some_and(Option::is_some) {
                locked[n] = Some(self.limits[n].zone.lock());
            }
        }
        let mut peeks: [Option<Peek>; MOST_LIMITS] = [None; _];
        for (n, limit) in self.limits.iter().enumerate() {
            let Some((clients, key)) = locked[n].as_mut().zip(keys[n]) else {
                continue;
            };
            // There is always room for one: a zone holds at least one client.
            let Some(peek) = clients.peek(limit.zone.rate(), key, now) else {
                continue;
            };
            if peek.excess > u64::from(limit.burst.thousandths()) {
                return self.rejected(n, &peek);
            }
            peeks[n] = Some(peek);
        }
        self.charged(now, &mut locked, &peeks)
    }

    fn rejected(&self, n: usize, peek: &Peek) -> Decision {
        let limit = &self.limits[n];
        let wait = peek.wait(limit.zone.rate(), limit.burst.thousandths());
        let excess = thousandths(peek.excess);
        Decision {
            outcome: Outcome::Rejected {
                retry_after: Duration::from_millis(wait),
            },
            dry_run: self.dry_run,
            limit: n,
            excess,
            tightest: (n, excess),
        }
    }

    /// All limits agree: charges each, the last first, as nginx does; the longest delay wins.
    fn charged(
        &self,
        now: Millis,
        locked: &mut [Option<MutexGuard<'_, Clients>>],
        peeks: &[Option<Peek>],
    ) -> Decision {
        let mut tally = Tally::new(self.dry_run);
        for (n, limit) in self.limits.iter().enumerate().rev() {
            if let Some((clients, peek)) = locked[n].as_mut().zip(peeks[n]) {
                clients.charge(peek, now);
                tally.add(n, limit, thousandths(peek.excess));
            }
        }
        tally.decision
    }

    /// One limit alone, which is the usual case: the same, without the bookkeeping.
    fn decide_alone(&self, limit: &Limit, now: Millis, key: Option<ClientKey>) -> Decision {
        let mut tally = Tally::new(self.dry_run);
        let Some(key) = key else {
            return tally.decision;
        };
        let mut clients = limit.zone.lock();
        let Some(peek) = clients.peek(limit.zone.rate(), key, now) else {
            return tally.decision;
        };
        if peek.excess > u64::from(limit.burst.thousandths()) {
            drop(clients);
            return self.rejected(0, &peek);
        }
        clients.charge(peek, now);
        drop(clients);
        tally.add(0, limit, thousandths(peek.excess));
        tally.decision
    }

    /// What a rejected client is told; none where the request goes on.
    #[must_use]
    pub fn refusal(&self, decision: &Decision) -> Option<Refusal> {
        match decision.outcome {
            Outcome::Rejected { retry_after } if !decision.dry_run => Some(Refusal {
                status: self.status,
                retry_after: seconds(retry_after).max(1),
            }),
            Outcome::Rejected { .. }
            | Outcome::Unlimited
            | Outcome::Passed
            | Outcome::Delayed(_) => None,
        }
    }

    /// What the client has left by its tightest limit, and which that is; none where no limit applied.
    #[must_use]
    pub fn quota(&self, decision: &Decision) -> Option<(&Limit, Quota)> {
        let (n, excess) = decision.tightest;
        let limit = self.limits.get(n)?;
        let rate = limit.zone.rate();
        let quota = match decision.outcome {
            Outcome::Unlimited => return None,
            Outcome::Passed | Outcome::Delayed(_) => Quota::charged(rate, limit.burst, excess),
            Outcome::Rejected { .. } => Quota::rejected(rate, limit.burst, excess),
        };
        Some((limit, quota))
    }
}

impl Decision {
    /// How long the request has to wait; none where it is refused.
    #[must_use]
    pub fn admitted(&self) -> Option<Duration> {
        match self.outcome {
            _ if self.dry_run => Some(Duration::ZERO),
            Outcome::Unlimited | Outcome::Passed => Some(Duration::ZERO),
            Outcome::Delayed(delay) => Some(delay),
            Outcome::Rejected { .. } => None,
        }
    }

    /// What was said to it; nothing where no limit applied.
    #[must_use]
    pub fn word(&self) -> Option<Word> {
        match (self.outcome, self.dry_run) {
            (Outcome::Unlimited, _) => None,
            (Outcome::Passed, _) => Some(Word::Passed),
            (Outcome::Delayed(_), false) => Some(Word::Delayed),
            (Outcome::Delayed(_), true) => Some(Word::DelayedDryRun),
            (Outcome::Rejected { .. }, false) => Some(Word::Rejected),
            (Outcome::Rejected { .. }, true) => Some(Word::RejectedDryRun),
        }
    }

    /// Which limit says so, counted from 0: of a request that passes, the one that leaves its client
    /// the least.
    #[must_use]
    pub fn told_by(&self) -> usize {
        match self.outcome {
            Outcome::Unlimited | Outcome::Passed => self.tightest.0,
            Outcome::Delayed(_) | Outcome::Rejected { .. } => self.limit,
        }
    }
}

/// The decision of limits that all let the request in.
struct Tally {
    decision: Decision,
    longest: u64,
    least: u32,
}

impl Tally {
    fn new(dry_run: bool) -> Self {
        let decision = Decision {
            outcome: Outcome::Unlimited,
            dry_run,
            limit: 0,
            excess: 0,
            tightest: (0, 0),
        };
        Self {
            decision,
            longest: 0,
            least: u32::MAX,
        }
    }

    fn add(&mut self, n: usize, limit: &Limit, excess: u32) {
        let Self {
            decision,
            longest,
            least,
        } = self;
        if decision.outcome == Outcome::Unlimited {
            decision.outcome = Outcome::Passed;
        }
        let left = limit.burst.thousandths().saturating_sub(excess);
        if left < *least {
            *least = left;
            decision.tightest = (n, excess);
        }
        let early = excess.saturating_sub(limit.delay.thousandths());
        if early == 0 {
            return;
        }
        let delay = limit.zone.rate().delay_for(u64::from(early));
        if delay > *longest {
            *longest = delay;
            (decision.limit, decision.excess) = (n, excess);
            decision.outcome = Outcome::Delayed(Duration::from_millis(delay));
        }
    }
}

/// What is within a burst, or one request above one, fits.
fn thousandths(excess: u64) -> u32 {
    u32::try_from(excess).unwrap_or(u32::MAX)
}
