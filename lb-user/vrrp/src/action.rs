//! What goes into the machine, and what comes out.
//!
//! Not here: the machine itself ([`crate::router`]).

use std::{fmt, ops::Deref, time::Instant};

use crate::{hear::Heard, params::Priority};

/// What the driver tells the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The interface is up and the data plane could serve: take part.
    Startup,
    /// Take no part any more, at once: the interface is gone, or the process ends and may not wait.
    Shutdown,
    /// Hand over to another director and then take no part: a planned stop, or a drain. The VIPs are
    /// served until somebody else serves them. [`Input::Startup`] takes it back.
    Resign,
    /// The same by an operator's word, who means the other director to serve: where there is none, go on.
    Offer,
    /// Another virtual router of the same group has taken over: be active as well.
    Follow,
    /// Another virtual router of the same group is no longer active: be a backup as well.
    Yield,
    /// The deadline has come, and all that was received until now has been handed in: after a stall,
    /// what waits in the socket says more than the clock. Early or superfluous calls do nothing.
    Timer,
    /// An advert was heard.
    Heard(Heard),
}

/// What the machine wants done, in this order. Each says what, the driver knows how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the data plane ready to serve the VIPs, before anybody is told that it does.
    TakeOver,
    /// Serve until then. After it the data plane falls silent by itself, whatever has become of this
    /// process; round down to its clock.
    RenewLease {
        /// The end of it.
        until: Instant,
    },
    /// Send an advert of this priority; none resigns. See [`Router::advert`](crate::Router::advert).
    Advertise {
        /// The priority to send.
        priority: Option<Priority>,
    },
    /// Tell clients and switches where the VIPs are now: a burst of gratuitous ARP or unsolicited NA,
    /// then a slow refresh.
    Announce,
    /// Stop answering for the VIPs, lease or no lease; what is still addressed to this host is
    /// forwarded for a while.
    StepDown,
    /// The state has changed: one line in the log, the notify script.
    Changed {
        /// The state until now.
        from: State,
        /// The state from now on.
        to: State,
        /// Why.
        reason: Reason,
    },
}

/// Where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It takes no part.
    Initialize,
    /// It waits for the active router to fall silent.
    Backup,
    /// It serves the VIPs.
    Active,
    /// It serves the VIPs until the successor it has asked for does.
    Resigning,
}

impl State {
    /// The word for it in status, logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
            Self::Resigning => "resigning",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a state was left. `Display` is for people, [`Reason::label`] for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// The driver said so.
    #[error("started")]
    Startup,
    /// The driver said so.
    #[error("stopped")]
    Shutdown,
    /// The driver said so.
    #[error("asked to resign")]
    Resign,
    /// Nothing was heard for Active_Down_Interval.
    #[error("no active director was heard")]
    Silence,
    /// The active router sent priority 0.
    #[error("the active director resigned")]
    ActiveResigned,
    /// The active router has a lower priority.
    #[error("the active director has a lower priority")]
    Preempting,
    /// A router of higher priority, or of the same and a greater address, is active.
    #[error("a better director is active")]
    Beaten,
    /// The lease had run out when the machine was called: another has taken over, or will.
    #[error("woken too late")]
    WokenLate,
    /// The other virtual routers of its group had done so.
    #[error("its group goes together")]
    Group,
    /// Resigned, and another is active.
    #[error("another director has taken over")]
    Succeeded,
    /// Resigned, and nobody took over.
    #[error("no other director took over")]
    NoSuccessor,
}

impl Reason {
    /// A short, stable word for a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Shutdown => "shutdown",
            Self::Resign => "resign",
            Self::Silence => "silence",
            Self::ActiveResigned => "active_resigned",
            Self::Preempting => "preempting",
            Self::Beaten => "beaten",
            Self::WokenLate => "woken_late",
            Self::Group => "group",
            Self::Succeeded => "succeeded",
            Self::NoSuccessor => "no_successor",
        }
    }
}

/// No input leads to more: falling out of a lease has 2, and a takeover 5.
const MOST: usize = 8;

/// What one input led to, in order. A slice that lives on the stack.
#[derive(Clone, Copy)]
pub struct Actions {
    actions: [Action; MOST],
    count: usize,
}

impl Default for Actions {
    fn default() -> Self {
        Self {
            actions: [Action::StepDown; MOST],
            count: 0,
        }
    }
}

impl Actions {
    pub(crate) fn push(&mut self, action: Action) {
        debug_assert!(self.count < MOST, "{self:?} and {action:?}");
        if let Some(place) = self.actions.get_mut(self.count) {
            *place = action;
            self.count += 1;
        }
    }
}

impl Deref for Actions {
    type Target = [Action];

    fn deref(&self) -> &[Action] {
        &self.actions[..self.count]
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
