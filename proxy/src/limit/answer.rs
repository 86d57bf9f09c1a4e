//! What a limited client is told: the status of a refusal, when to come back, and what is left.
//!
//! The numbers are those of draft-ietf-httpapi-ratelimit-headers-10 (`RateLimit-Policy:
//! "name";q=12;w=60` and `RateLimit: "name";r=11;t=5`) and of RFC 9110 10.2.3 (Retry-After). nginx
//! sends none of them.
//!
//! Not here: the response itself.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use super::rate::{Burst, Rate};

/// The status of a refusal: 400 to 599, as in nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u16);

/// Why a status is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a refusal's status is 400 to 599, not {0}; 429 is the usual one, 503 is nginx's")]
pub struct StatusError(u16);

impl Status {
    /// RFC 6585 4: what a limit answers where nothing is said.
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    /// nginx's default.
    pub const SERVICE_UNAVAILABLE: Self = Self(503);

    /// This status.
    ///
    /// # Errors
    /// When it is not one of a failure.
    pub fn new(code: u16) -> Result<Self, StatusError> {
        match code {
            400..=599 => Ok(Self(code)),
            _ => Err(StatusError(code)),
        }
    }

    /// As a number.
    #[must_use]
    pub fn code(self) -> u16 {
        self.0
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::TOO_MANY_REQUESTS
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was said to a request: nginx's `$limit_req_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It went on at once.
    Passed,
    /// It waited.
    Delayed,
    /// It was refused.
    Rejected,
    /// In a dry run: it would have waited.
    DelayedDryRun,
    /// In a dry run: it would have been refused.
    RejectedDryRun,
}

impl Word {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Passed,
        Self::Delayed,
        Self::Rejected,
        Self::DelayedDryRun,
        Self::RejectedDryRun,
    ];

    /// As nginx has it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Delayed => "DELAYED",
            Self::Rejected => "REJECTED",
            Self::DelayedDryRun => "DELAYED_DRY_RUN",
            Self::RejectedDryRun => "REJECTED_DRY_RUN",
        }
    }

    /// As metrics have it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Delayed => "delayed",
            Self::Rejected => "refused",
            Self::DelayedDryRun => "delayed_dry_run",
            Self::RejectedDryRun => "refused_dry_run",
        }
    }
}

/// What a refused client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The response's status.
    pub status: Status,
    /// Retry-After, in seconds, rounded up: never 0.
    pub retry_after: u64,
}

/// What a client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// `q`: requests that an idle client can make at once.
    pub limit: u32,
    /// `w`: seconds in which the rate brings back as many.
    pub window: u64,
    /// `r`: requests it can make now.
    pub remaining: u32,
    /// `t`: seconds until it can make `limit` again, if it makes none until then.
    pub reset: u64,
}

impl Quota {
    /// After a request that was charged and left the client at `excess`.
    pub(super) fn charged(rate: Rate, burst: Burst, excess: u32) -> Self {
        Self::at(rate, burst, u64::from(excess), {
            burst.thousandths().saturating_sub(excess) / 1000
        })
    }

    /// After one that would have left it at `excess`.
    pub(super) fn rejected(rate: Rate, burst: Burst, excess: u32) -> Self {
        Self::at(rate, burst, u64::from(excess).saturating_sub(1000), 0)
    }

    /// Writes it as header lines; names need no quoting.
    pub fn write(&self, name: &str, out: &mut Vec<u8>) {
        let Self {
            limit,
            window,
            remaining,
            reset,
        } = self;
        // Writing into memory cannot fail.
        drop(write!(
            out,
            "RateLimit-Policy: \"{name}\";q={limit};w={window}\r\n\
             RateLimit: \"{name}\";r={remaining};t={reset}\r\n"
        ));
    }

    fn at(rate: Rate, burst: Burst, excess: u64, remaining: u32) -> Self {
        let limit = burst.thousandths() / 1000 + 1;
        let within = |thousandths| seconds(Duration::from_millis(rate.time_for(thousandths)));
        Self {
            limit,
            window: within(u64::from(limit) * 1000),
            remaining,
            reset: within(excess + 1000),
        }
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
