//! One router on a desk: time passes when told, adverts come when told.
//!
//! Not here: several routers ([`crate::sim`]).

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use vrrp::{Action, Actions, Heard, Input, Interval, Params, Preempt, Priority, Router, Vrid};

/// The VIP of all tests over IPv4.
pub(crate) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 100));

/// Any instant does as the start of time.
#[expect(
    clippy::disallowed_methods,
    reason = "a base for the test's own time line"
)]
pub(crate) fn base() -> Instant {
    Instant::now()
}

/// The address of a host.
pub(crate) fn host(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
}

/// A priority, 255 included.
pub(crate) fn priority(priority: u8) -> Priority {
    Priority::from_wire(priority).expect("not 0")
}

/// So many centiseconds.
pub(crate) fn interval(centis: u16) -> Interval {
    Interval::from_centis(centis).expect("an interval")
}

/// Virtual router 51 at `host(10)`, once a second.
pub(crate) fn params(of: u8) -> Params {
    let vrid = Vrid::new(51).expect("not 0");
    Params::new(vrid, priority(of), host(10), &[VIP]).expect("parameters")
}

/// The router, and what time it is there.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) router: Router,
    pub(crate) now: Instant,
}

impl Desk {
    /// In Initialize.
    pub(crate) fn new(params: Params) -> Self {
        Self {
            router: Router::new(params),
            now: base(),
        }
    }

    /// Started just now.
    pub(crate) fn backup(of: u8) -> Self {
        Self::started(params(of))
    }

    /// Started just now, and never preempting.
    pub(crate) fn meek(of: u8) -> Self {
        Self::started(params(of).with_preempt(Preempt::Never))
    }

    /// Started just now.
    pub(crate) fn started(params: Params) -> Self {
        let mut desk = Self::new(params);
        let _actions = desk.give(Input::Startup);
        desk
    }

    /// Active since just now, having heard nobody.
    pub(crate) fn active(of: u8) -> Self {
        let mut desk = Self::backup(of);
        if !priority(of).is_owner() {
            let _actions = desk.ring();
        }
        desk
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, span: Duration) -> &mut Self {
        self.now += span;
        self
    }

    /// Gives it an input now.
    pub(crate) fn give(&mut self, input: Input) -> Actions {
        self.router.handle(self.now, input)
    }

    /// Waits until its deadline and calls it.
    pub(crate) fn ring(&mut self) -> Actions {
        self.now = self.router.deadline().expect("a deadline");
        self.give(Input::Timer)
    }

    /// An advert once a second of another host; priority 0 resigns.
    pub(crate) fn hear(&mut self, from: u8, of: u8) -> Actions {
        self.hear_at(from, of, 100)
    }

    /// The same, with another interval.
    pub(crate) fn hear_at(&mut self, from: u8, of: u8, centis: u16) -> Actions {
        self.give(Input::Heard(Heard {
            from: host(from),
            priority: Priority::from_wire(of),
            interval: interval(centis),
        }))
    }

    /// How long until its deadline.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        self.router.deadline().map(|at| at - self.now)
    }
}

/// The short names of actions, in order: `adverts 100`, `lease 3s`, …
pub(crate) fn words(desk: &Desk, actions: &[Action]) -> Vec<String> {
    words_at(desk.now, actions)
}

/// The same, of what was done at `now`.
pub(crate) fn words_at(now: Instant, actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match *action {
        Action::TakeOver => "take over".to_owned(),
        Action::RenewLease { until } => format!("lease {:?}", until - now),
        Action::Advertise { priority } => {
            format!("advert {}", priority.map_or(0, Priority::get))
        }
        Action::Announce => "announce".to_owned(),
        Action::StepDown => "step down".to_owned(),
        Action::Changed { from, to, reason } => format!("{from} -> {to}: {}", reason.label()),
    };
    actions.iter().map(word).collect()
}
