//! The machine of one virtual router on one host (section 6.4), as a value: time and adverts go in,
//! [`Actions`] come out. What it does beyond the RFC's letter, and why:
//!
//! - **The lease.** Each advert entitles its sender to serve for three intervals. A backup waits for
//!   three and its skew, so whoever was stopped, hung or cut off has fallen silent before it is
//!   replaced. An active router that is called after the end of its lease was replaced, or will be:
//!   it steps down and waits as a backup instead of going on as a second active one.
//! - **A backup woken late** by more than an interval has perhaps not heard what was sent meanwhile. It
//!   waits once more for as long as a living active router can be silent.
//! - **Make before break.** [`Input::Resign`] sends the priority 0 that makes every backup, also one
//!   that does not preempt, take over within Skew_Time, but goes on serving until the successor's
//!   advert comes. [`Input::Offer`] is the same, and where nobody comes it is as if it had not been. A preempting router serves before it sends the advert that makes the other step
//!   down.
//! - **After two were active**, also for the moment of a planned move, the one that steps down sends a
//!   last advert of a lower priority, so that the other knows and announces itself again: at once, or
//!   with its next advert when it has just done so.
//! - **Groups.** Virtual routers that go together are told so by the driver: [`Input::Follow`],
//!   [`Input::Yield`].
//!
//! Not here: the wire, and who performs the actions.

use std::time::Instant;

use crate::{
    action::{Action, Actions, Input, Reason, State},
    advert::{Advert, Ends, MAX_LEN},
    backup::{Backup, Called},
    hear::Heard,
    interval::Interval,
    params::{Params, Priority},
};

/// How many adverts of priority 0 ask for a successor, an interval apart: one may be lost.
const RESIGNATIONS: u8 = 3;

/// The machine.
#[derive(Clone, Debug)]
pub struct Router {
    params: Params,
    phase: Phase,
}

/// The state, with what is known only in it. Each owns the only deadline there can be in it.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Initialize,
    Backup(Backup),
    Active(Active),
    Resigning(Resigning),
}

#[derive(Clone, Copy, Debug)]
struct Active {
    /// Adver_Timer.
    advertise_at: Instant,
    advertised_at: Instant,
    lease_until: Instant,
    announced_at: Instant,
    /// Another was active since then.
    owes_announcement: bool,
}

#[derive(Clone, Copy, Debug)]
struct Resigning {
    /// The next priority 0, or the end.
    next_at: Instant,
    left: u8,
    /// Goes on if nobody takes over.
    is_offer: bool,
    lease_until: Instant,
}

impl Router {
    /// One that takes no part yet.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self {
            params,
            phase: Phase::Initialize,
        }
    }

    /// What is configured, with the priority of now.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Initialize => State::Initialize,
            Phase::Backup(_) => State::Backup,
            Phase::Active(_) => State::Active,
            Phase::Resigning(_) => State::Resigning,
        }
    }

    /// When [`Input::Timer`] is due next; replaced by every call that changes anything.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Initialize => None,
            Phase::Backup(backup) => Some(backup.deadline(self.params.priority)),
            Phase::Active(active) => Some(active.advertise_at),
            Phase::Resigning(resigning) => Some(resigning.next_at),
        }
    }

    /// The advert that [`Action::Advertise`] asks for.
    #[must_use]
    pub fn advert(&self, priority: Option<Priority>) -> Advert<'_> {
        Advert {
            vrid: self.params.vrid,
            priority,
            interval: self.params.interval,
            vips: self.params.vips(),
        }
    }

    /// The same as bytes, with the configured form of checksum.
    pub fn encode<'b>(
        &self,
        priority: Option<Priority>,
        ends: Ends,
        buffer: &'b mut [u8; MAX_LEN],
    ) -> &'b [u8] {
        let advert = self.advert(priority);
        advert.encode(ends, self.params.checksum, buffer)
    }

    /// Tracking has found another priority. It is in the next advert, and in the skew at once.
    pub fn set_priority(&mut self, priority: Priority) {
        self.params.priority = priority;
    }

    /// Takes other parameters (a reload) without leaving the state. An active router tells of them
    /// at once.
    #[must_use = "actions are what the driver has to do"]
    pub fn reconfigure(&mut self, now: Instant, params: Params) -> Actions {
        let mut actions = Actions::default();
        self.expire(now, &mut actions);
        let moved = params.vips != self.params.vips || params.primary != self.params.primary;
        let changed = params != self.params;
        self.params = params;
        if let Phase::Active(active) = self.phase {
            if changed {
                self.advertise(now, active, &mut actions);
            }
            if moved {
                self.announce(now, &mut actions);
            }
        }
        actions
    }

    /// Takes one input at `now` and says what to do about it.
    #[must_use = "actions are what the driver has to do"]
    pub fn handle(&mut self, now: Instant, input: Input) -> Actions {
        let mut actions = Actions::default();
        self.expire(now, &mut actions);
        match (self.phase, input) {
            (Phase::Initialize | Phase::Resigning(_), Input::Startup) => {
                self.start(now, &mut actions);
            }
            (Phase::Initialize, Input::Shutdown | Input::Resign | Input::Offer | Input::Timer)
            | (Phase::Initialize, Input::Heard(_))
            | (Phase::Backup(_) | Phase::Active(_), Input::Startup)
            | (Phase::Initialize | Phase::Resigning(_), Input::Follow | Input::Yield)
            | (Phase::Backup(_), Input::Yield)
            | (Phase::Active(_), Input::Follow)
            | (Phase::Resigning(_), Input::Offer) => {}

            (Phase::Backup(_), Input::Shutdown) => self.leave(Reason::Shutdown, &mut actions),
            (Phase::Backup(_), Input::Resign | Input::Offer) => {
                self.leave(Reason::Resign, &mut actions);
            }
            (Phase::Backup(_), Input::Follow) => self.take_over(now, Reason::Group, &mut actions),
            (Phase::Backup(backup), Input::Timer) => self.wait_is_over(now, backup, &mut actions),
            (Phase::Backup(backup), Input::Heard(heard)) => {
                self.phase = Phase::Backup(backup.after(now, heard, &self.params));
            }

            (Phase::Active(_), Input::Shutdown) => {
                actions.push(Action::StepDown);
                actions.push(Action::Advertise { priority: None });
                self.leave(Reason::Shutdown, &mut actions);
            }
            (Phase::Active(_), Input::Resign | Input::Offer) => {
                self.resign(now, RESIGNATIONS, input == Input::Offer, &mut actions);
                self.changed(State::Active, Reason::Resign, &mut actions);
            }
            (Phase::Active(_), Input::Yield) => self.make_way(now, &mut actions),
            (Phase::Active(active), Input::Timer) => self.beat(now, active, &mut actions),
            (Phase::Active(active), Input::Heard(heard)) => {
                self.contend(now, active, heard, &mut actions);
            }

            (Phase::Resigning(resigning), Input::Resign) => {
                self.phase = Phase::Resigning(Resigning {
                    is_offer: false,
                    ..resigning
                });
            }
            (Phase::Resigning(_), Input::Shutdown) => {
                actions.push(Action::StepDown);
                self.leave(Reason::Shutdown, &mut actions);
            }
            (Phase::Resigning(resigning), Input::Timer) => {
                self.ask_again(now, resigning, &mut actions);
            }
            (Phase::Resigning(_), Input::Heard(heard)) => self.succeeded(heard, &mut actions),
        }
        actions
    }

    /// Whoever is called after the end of its lease serves no more.
    fn expire(&mut self, now: Instant, actions: &mut Actions) {
        match self.phase {
            Phase::Initialize | Phase::Backup(_) => {}
            Phase::Active(active) => {
                if now >= active.lease_until {
                    actions.push(Action::StepDown);
                    self.back_up(now, self.params.interval, Reason::WokenLate, actions);
                }
            }
            Phase::Resigning(resigning) => {
                if now >= resigning.lease_until {
                    actions.push(Action::StepDown);
                    if resigning.is_offer {
                        self.back_up(now, self.params.interval, Reason::WokenLate, actions);
                    } else {
                        self.leave(Reason::NoSuccessor, actions);
                    }
                }
            }
        }
    }

    /// Section 6.4.1; and back from resigning, in which the VIPs were served all along.
    fn start(&mut self, now: Instant, actions: &mut Actions) {
        let served = matches!(self.phase, Phase::Resigning(_));
        if served || self.params.priority.is_owner() {
            self.take_over(now, Reason::Startup, actions);
        } else {
            self.back_up(now, self.params.interval, Reason::Startup, actions);
        }
    }

    fn take_over(&mut self, now: Instant, reason: Reason, actions: &mut Actions) {
        let from = self.state();
        actions.push(Action::TakeOver);
        let active = Active {
            advertise_at: now,
            advertised_at: now,
            lease_until: now,
            announced_at: now,
            owes_announcement: false,
        };
        self.advertise(now, active, actions);
        actions.push(Action::Announce);
        self.changed(from, reason, actions);
    }

    fn back_up(&mut self, now: Instant, interval: Interval, why: Reason, actions: &mut Actions) {
        let from = self.state();
        self.phase = Phase::Backup(Backup::new(now, interval));
        self.changed(from, why, actions);
    }

    fn leave(&mut self, reason: Reason, actions: &mut Actions) {
        let from = self.state();
        self.phase = Phase::Initialize;
        self.changed(from, reason, actions);
    }

    fn changed(&self, from: State, reason: Reason, actions: &mut Actions) {
        actions.push(Action::Changed {
            from,
            to: self.state(),
            reason,
        });
    }

    fn wait_is_over(&mut self, now: Instant, backup: Backup, actions: &mut Actions) {
        match backup.called(now, self.params.priority) {
            Called::Early => {}
            Called::Over(reason) => self.take_over(now, reason, actions),
            Called::Overslept(listening) => self.phase = Phase::Backup(listening),
        }
    }

    /// Adver_Timer. Its beat is kept: one that comes late does not make the next come later.
    fn beat(&mut self, now: Instant, active: Active, actions: &mut Actions) {
        if now < active.advertise_at {
            return;
        }
        let period = self.params.interval.period();
        let gap = now.saturating_duration_since(active.advertised_at) >= period * 2;
        self.advertise(now, active, actions);
        self.keep_beat(now, active.advertise_at + period);
        if active.owes_announcement || gap {
            self.announce(now, actions);
        }
    }

    /// The next advert comes at `next`, unless that is over.
    fn keep_beat(&mut self, now: Instant, next: Instant) {
        if let Phase::Active(active) = &mut self.phase {
            if next > now {
                active.advertise_at = next;
            }
        }
    }

    /// Sends an advert, and with it begins another lease.
    fn advertise(&mut self, now: Instant, active: Active, actions: &mut Actions) {
        let interval = self.params.interval;
        let until = now + interval.lease();
        self.phase = Phase::Active(Active {
            advertise_at: now + interval.period(),
            advertised_at: now,
            lease_until: until,
            ..active
        });
        actions.push(Action::RenewLease { until });
        actions.push(Action::Advertise {
            priority: Some(self.params.priority),
        });
    }

    fn announce(&mut self, now: Instant, actions: &mut Actions) {
        if let Phase::Active(active) = &mut self.phase {
            active.announced_at = now;
            active.owes_announcement = false;
            actions.push(Action::Announce);
        }
    }

    /// An advert of another active router (section 6.4.3).
    fn contend(&mut self, now: Instant, active: Active, heard: Heard, actions: &mut Actions) {
        let ours = (self.params.priority, self.params.primary);
        match heard.priority {
            Some(theirs) if (theirs, heard.from) > ours => {
                actions.push(Action::StepDown);
                actions.push(Action::Advertise {
                    priority: Some(self.params.priority),
                });
                self.back_up(now, heard.interval, Reason::Beaten, actions);
            }
            Some(_) => {
                self.advertise(now, active, actions);
                self.keep_beat(now, active.advertise_at);
                self.assert_again(now, actions);
            }
            None => {
                self.advertise(now, active, actions);
                self.assert_again(now, actions);
            }
        }
    }

    /// Clients may have listened to the other: announce, but not more than once an interval.
    fn assert_again(&mut self, now: Instant, actions: &mut Actions) {
        let period = self.params.interval.period();
        if let Phase::Active(active) = &mut self.phase {
            if now.saturating_duration_since(active.announced_at) >= period {
                self.announce(now, actions);
            } else {
                active.owes_announcement = true;
            }
        }
    }

    /// The group is another director's. That one's routers go together too, so it needs no more than
    /// to be told.
    fn make_way(&mut self, now: Instant, actions: &mut Actions) {
        actions.push(Action::StepDown);
        actions.push(Action::Advertise { priority: None });
        self.back_up(now, self.params.interval, Reason::Group, actions);
    }

    fn resign(&mut self, now: Instant, left: u8, is_offer: bool, actions: &mut Actions) {
        let interval = self.params.interval;
        let until = now + interval.resigning_lease();
        let left = left.saturating_sub(1);
        self.phase = Phase::Resigning(Resigning {
            next_at: if left == 0 && !is_offer {
                until
            } else {
                now + interval.period()
            },
            left,
            is_offer,
            lease_until: until,
        });
        actions.push(Action::RenewLease { until });
        actions.push(Action::Advertise { priority: None });
    }

    /// Another serves. It has announced itself while this router still answered: a last advert has
    /// it do so again. No priority but the least is below every successor's, and for a successor of
    /// that one there is none.
    fn succeeded(&mut self, heard: Heard, actions: &mut Actions) {
        let Some(theirs) = heard.priority else {
            return;
        };
        actions.push(Action::StepDown);
        if theirs > Priority::LEAST {
            actions.push(Action::Advertise {
                priority: Some(Priority::LEAST),
            });
        }
        self.leave(Reason::Succeeded, actions);
    }

    /// The end of the lease is the end of the last wait: [`Router::expire`] has seen to it. An offer
    /// that nobody took ends before it does.
    fn ask_again(&mut self, now: Instant, resigning: Resigning, actions: &mut Actions) {
        if now < resigning.next_at {
            return;
        }
        if resigning.is_offer && resigning.left == 0 {
            self.take_over(now, Reason::NoSuccessor, actions);
        } else {
            self.resign(now, resigning.left, resigning.is_offer, actions);
        }
    }
}
