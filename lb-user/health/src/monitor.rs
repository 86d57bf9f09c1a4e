//! The state machine of one target: when its next probe is due, and what a row of results means.
//!
//! A value: time and results go in, actions come out, and the driver performs them. Rules:
//!
//! - A new target is [`Verdict::Checking`]. Its first passed probe makes it up, whatever `rise` is:
//!   a director that starts in front of healthy servers should not make its users wait. `fall`
//!   failed probes make it down. (keepalived starts a target up, and with `alpha` down; whether a
//!   target that is still being checked gets traffic is the caller's to say.)
//! - Up, `fall` failed probes in a row make it down; a passed one starts the count anew.
//! - Down, `rise` passed probes in a row make it up; a failed one starts the count anew.
//! - At most one probe is in flight. The driver owes a result within the spec's timeout; if none has
//!   come a [`GRACE`] after that, the probe is given up ([`Failure::Lost`]), says nothing, and the schedule
//!   goes on, so a dead task cannot wedge a target.
//!
//! Not here: probing itself, and what a verdict does to traffic.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{
    outcome::{Failure, Outcome},
    spec::Spec,
};

/// How long past the timeout a result may still come: the driver's own timer and task switch.
pub const GRACE: Duration = Duration::from_secs(1);

/// What is known about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Too few results for a verdict yet.
    Checking,
    /// It answers as it should.
    Up,
    /// It does not.
    Down,
}

impl Verdict {
    /// The word for it in status, logs and metrics: `checking`, `up` or `down`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the driver tells the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The deadline has come. Early or superfluous calls do nothing.
    Timer,
    /// The probe in flight has ended. Ignored when none is: a result that comes after its probe was
    /// given up is old news.
    Result(Outcome),
}

/// What the machine wants done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a probe with the spec's timeout and report its end as [`Input::Result`]. If an earlier
    /// probe of this target is somehow still running, drop it.
    StartProbe,
    /// The verdict has changed.
    Changed {
        /// The verdict until now.
        from: Verdict,
        /// The verdict from now on.
        to: Verdict,
        /// The result that tipped it.
        reason: Outcome,
    },
}

/// A verdict and the results in a row that speak against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Checking { failures: u32 },
    Up { failures: u32 },
    Down { successes: u32 },
}

/// Where the schedule stands. Each phase owns the only deadline there can be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No probe in flight; the next one starts then.
    Waiting { probe_at: Instant },
    /// One is in flight; without a result by `give_up_at` it counts as lost.
    Probing {
        give_up_at: Instant,
        next_at: Instant,
    },
}

/// The machine of one target.
#[derive(Clone, Debug)]
pub struct Monitor {
    spec: Spec,
    state: State,
    phase: Phase,
    last: Option<Outcome>,
}

impl Monitor {
    /// A target nothing is known about. Its first probe is due `jitter` after `now`: the driver
    /// spreads the targets over the interval, so that they are not all probed at the same instant.
    #[must_use]
    pub fn new(spec: Spec, now: Instant, jitter: Duration) -> Self {
        Self::resume(spec, Verdict::Checking, now, jitter)
    }

    /// A target whose verdict is known from before: its spec has changed, or the daemon was
    /// restarted. The counts start anew.
    #[must_use]
    pub fn resume(spec: Spec, verdict: Verdict, now: Instant, jitter: Duration) -> Self {
        let phase = Phase::Waiting {
            probe_at: now + jitter,
        };
        Self {
            spec,
            state: State::fresh(verdict),
            phase,
            last: None,
        }
    }

    /// What it probes by.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What is known now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.state.verdict()
    }

    /// The latest result, which need not agree with the verdict: an up target may have just failed
    /// a probe.
    #[must_use]
    pub fn last(&self) -> Option<Outcome> {
        self.last
    }

    /// When [`Input::Timer`] is due next. There is always a next time, and it is replaced by every
    /// [`Monitor::handle`].
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match self.phase {
            Phase::Waiting { probe_at } => probe_at,
            Phase::Probing { give_up_at, .. } => give_up_at,
        }
    }

    /// Takes one input at `now` and says what to do about it.
    #[must_use = "actions are what the driver has to do"]
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Action> {
        match (self.phase, input) {
            (Phase::Waiting { probe_at }, Input::Timer) if now >= probe_at => self.start(now),
            (
                Phase::Probing {
                    give_up_at,
                    next_at,
                },
                Input::Timer,
            ) if now >= give_up_at => self.finish(now, next_at, Outcome::Failed(Failure::Lost)),
            (Phase::Probing { next_at, .. }, Input::Result(outcome)) => {
                self.finish(now, next_at, outcome)
            }
            (Phase::Waiting { .. } | Phase::Probing { .. }, Input::Timer)
            | (Phase::Waiting { .. }, Input::Result(_)) => Vec::new(),
        }
    }

    fn start(&mut self, now: Instant) -> Vec<Action> {
        self.phase = Phase::Probing {
            give_up_at: now + self.spec.timeout + GRACE,
            next_at: now + self.spec.interval,
        };
        vec![Action::StartProbe]
    }

    fn finish(&mut self, now: Instant, next_at: Instant, outcome: Outcome) -> Vec<Action> {
        self.phase = Phase::Waiting {
            probe_at: next_at.max(now),
        };
        self.last = Some(outcome);
        if !outcome.is_evidence() {
            return Vec::new();
        }
        let from = self.verdict();
        self.state = self.state.after(outcome, &self.spec);
        let to = self.verdict();
        if from == to {
            Vec::new()
        } else {
            vec![Action::Changed {
                from,
                to,
                reason: outcome,
            }]
        }
    }
}

impl State {
    fn fresh(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Checking => Self::Checking { failures: 0 },
            Verdict::Up => Self::Up { failures: 0 },
            Verdict::Down => Self::Down { successes: 0 },
        }
    }

    fn verdict(self) -> Verdict {
        match self {
            Self::Checking { .. } => Verdict::Checking,
            Self::Up { .. } => Verdict::Up,
            Self::Down { .. } => Verdict::Down,
        }
    }

    /// Hysteresis, all of it.
    fn after(self, outcome: Outcome, spec: &Spec) -> Self {
        let (rise, fall) = (spec.rise.get(), spec.fall.get());
        match (self, outcome) {
            (Self::Checking { .. } | Self::Up { .. }, Outcome::Passed) => Self::fresh(Verdict::Up),
            (Self::Checking { failures } | Self::Up { failures }, Outcome::Failed(_))
                if failures + 1 >= fall =>
            {
                Self::fresh(Verdict::Down)
            }
            (Self::Checking { failures }, Outcome::Failed(_)) => Self::Checking {
                failures: failures + 1,
            },
            (Self::Up { failures }, Outcome::Failed(_)) => Self::Up {
                failures: failures + 1,
            },
            (Self::Down { .. }, Outcome::Failed(_)) => Self::fresh(Verdict::Down),
            (Self::Down { successes }, Outcome::Passed) if successes + 1 >= rise => {
                Self::fresh(Verdict::Up)
            }
            (Self::Down { successes }, Outcome::Passed) => Self::Down {
                successes: successes + 1,
            },
        }
    }
}

#[cfg(test)]
mod tests;
