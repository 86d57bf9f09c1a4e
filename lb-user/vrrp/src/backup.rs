//! The Backup state (section 6.4.2): what it waits for, until when, and what an advert changes.
//!
//! Not here: the other states, and the transitions between them ([`crate::router`]).

use std::time::Instant;

use crate::{
    action::Reason,
    hear::Heard,
    interval::Interval,
    params::{Params, Preempt, Priority},
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Backup {
    /// When the Active_Down_Timer was set. How long it runs follows from the rest, so that another
    /// priority changes it by the difference in skew.
    since: Instant,
    waiting: Waiting,
    /// Active_Adver_Interval.
    interval: Interval,
    /// An active router of lower priority is tolerated until then.
    preempt_at: Option<Instant>,
}

/// What a backup waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// The active router to fall silent.
    Silence,
    /// The same, while one of lower priority is not listened to.
    Preempting,
    /// Its turn among the backups: the active router has resigned.
    Turn,
    /// An advert it may have slept through.
    Sign,
}

/// What a call by the timer means.
pub(crate) enum Called {
    /// It goes on waiting.
    Early,
    /// It takes over.
    Over(Reason),
    /// So late that it may have missed something: it listens once more, as this one. Once: else an
    /// overloaded host that is the last one would never serve.
    Overslept(Backup),
}

impl Backup {
    /// One that has just begun to listen.
    pub(crate) fn new(now: Instant, interval: Interval) -> Self {
        Self {
            since: now,
            waiting: Waiting::Silence,
            interval,
            preempt_at: None,
        }
    }

    /// When it takes over, unless it hears something.
    pub(crate) fn deadline(&self, priority: Priority) -> Instant {
        let interval = self.interval;
        self.since
            + match self.waiting {
                Waiting::Silence | Waiting::Preempting => interval.active_down(priority),
                Waiting::Turn => interval.skew(priority),
                Waiting::Sign => interval.period() + interval.skew(priority),
            }
    }

    /// What its being called at `now` means.
    pub(crate) fn called(self, now: Instant, priority: Priority) -> Called {
        let Some(late) = now.checked_duration_since(self.deadline(priority)) else {
            return Called::Early;
        };
        let overslept = late > self.interval.period();
        match self.waiting {
            Waiting::Silence | Waiting::Preempting | Waiting::Turn if overslept => {
                Called::Overslept(Self {
                    since: now,
                    waiting: Waiting::Sign,
                    ..self
                })
            }
            Waiting::Silence | Waiting::Sign => Called::Over(Reason::Silence),
            Waiting::Preempting => Called::Over(Reason::Preempting),
            Waiting::Turn => Called::Over(Reason::ActiveResigned),
        }
    }

    /// An advert of the active router (section 6.4.2).
    pub(crate) fn after(self, now: Instant, heard: Heard, params: &Params) -> Self {
        match heard.priority {
            None => Self {
                since: now,
                waiting: Waiting::Turn,
                preempt_at: None,
                ..self
            },
            Some(theirs) if theirs < params.priority => self.below(now, heard, params),
            Some(_) => Self {
                since: now,
                waiting: Waiting::Silence,
                interval: heard.interval,
                preempt_at: None,
            },
        }
    }

    /// The active router has a lower priority: follow it, or leave it unheard and time out.
    fn below(self, now: Instant, heard: Heard, params: &Params) -> Self {
        let preempt_at = match params.preempt {
            Preempt::After(_) | Preempt::Never if params.priority.is_owner() => Some(now),
            Preempt::After(delay) => Some(self.preempt_at.unwrap_or(now + delay)),
            Preempt::Never => None,
        };
        match preempt_at {
            Some(at) if at <= now => Self {
                waiting: match self.waiting {
                    Waiting::Silence => Waiting::Preempting,
                    other @ (Waiting::Preempting | Waiting::Turn | Waiting::Sign) => other,
                },
                preempt_at,
                ..self
            },
            Some(_) | None => Self {
                since: now,
                waiting: Waiting::Silence,
                interval: heard.interval,
                preempt_at,
            },
        }
    }
}
