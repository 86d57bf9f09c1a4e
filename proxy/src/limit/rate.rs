//! Rates, bursts and delays as an operator writes them, and in the unit they are reckoned in: one
//! thousandth of a request, as in nginx.
//!
//! Not here: what is done with them (`req`).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The largest number of requests in a rate, a burst or a delay: its thousandths fit 32 bits.
pub const MOST: u32 = 4_000_000;

/// How many requests a client may make in the long run: `5r/s`, `12r/m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    requests: u32,
    per: Per,
    thousandths: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
}

impl Rate {
    fn new(requests: u32, per: Per) -> Self {
        let thousandths = match per {
            Per::Second => u64::from(requests) * 1000,
            Per::Minute => u64::from(requests) * 1000 / 60,
        };
        Self {
            requests,
            per,
            // At most MOST, so it fits.
            thousandths: u32::try_from(thousandths).unwrap_or(u32::MAX),
        }
    }

    /// Thousandths of a request a second, rounded down as nginx does: `12r/m` is 200, `7r/m` 116.
    #[must_use]
    pub fn thousandths(self) -> u32 {
        self.thousandths
    }

    /// What has drained from a client's bucket after `millis`, in thousandths, rounded down.
    pub(super) fn drained(self, millis: u64) -> u64 {
        u64::from(self.thousandths()).saturating_mul(millis) / 1000
    }

    /// After how many milliseconds at least `thousandths` have drained.
    pub(super) fn time_for(self, thousandths: u64) -> u64 {
        (thousandths * 1000).div_ceil(u64::from(self.thousandths()))
    }

    /// For how many milliseconds nginx delays a request that is `thousandths` too early.
    pub(super) fn delay_for(self, thousandths: u64) -> u64 {
        thousandths * 1000 / u64::from(self.thousandths())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => "s",
            Per::Minute => "m",
        };
        write!(f, "{}r/{per}", self.requests)
    }
}

/// Why a rate is none, and which bytes of it are to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct RateError {
    problem: RateProblem,
    span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum RateProblem {
    #[error("the number of requests is missing")]
    NoNumber,
    #[error("`{0}` is not a whole number of requests")]
    Number(String),
    #[error("a rate of 0 would let nobody in")]
    Zero,
    #[error("more than {MOST} requests are as good as no limit")]
    TooMany,
    #[error("`{0}` is not a unit of rates")]
    Unit(String),
}

impl RateError {
    /// The bytes of the rate's text that are wrong.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// `Nr/s`, `Nr/m`, or `N`, which nginx takes for `Nr/s`.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let at = |problem, span| RateError { problem, span };
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        // What comes before the unit, even where it is not all digits: `1.5r/s`, `-1r/s`.
        let end = text.find(['r', '/']).unwrap_or(text.len()).max(digits);
        let (number, unit) = text.split_at(end);
        if number.trim().is_empty() {
            return Err(at(RateProblem::NoNumber, 0..text.len()));
        }
        if digits < end {
            return Err(at(RateProblem::Number(number.to_owned()), 0..end));
        }
        let per = match unit {
            "" | "r/s" => Per::Second,
            "r/m" => Per::Minute,
            _ => return Err(at(RateProblem::Unit(unit.to_owned()), end..text.len())),
        };
        match number.parse::<u32>() {
            Ok(0) => Err(at(RateProblem::Zero, 0..end)),
            Ok(requests) if requests <= MOST => Ok(Self::new(requests, per)),
            Ok(_) | Err(_) => Err(at(RateProblem::TooMany, 0..end)),
        }
    }
}

/// Why a burst or a delay is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CountError {
    /// nginx refuses it too.
    #[error("0 is what holds where nothing is said: leave it out")]
    Zero,
    /// Its thousandths would not fit.
    #[error("more than {MOST} requests are as good as no limit")]
    TooMany,
}

fn thousandths(requests: u32) -> Result<u32, CountError> {
    match requests {
        0 => Err(CountError::Zero),
        1..=MOST => Ok(requests * 1000),
        _ => Err(CountError::TooMany),
    }
}

/// How many requests a client may be ahead of its rate; more are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burst(u32);

impl Burst {
    /// None: each request waits for its turn or is refused.
    pub const NONE: Self = Self(0);

    /// So many requests.
    ///
    /// # Errors
    /// On 0 and on more than [`MOST`].
    pub fn new(requests: u32) -> Result<Self, CountError> {
        thousandths(requests).map(Self)
    }

    /// In thousandths of a request.
    #[must_use]
    pub fn thousandths(self) -> u32 {
        self.0
    }
}

/// From where on a request within the burst is made to wait for its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay(u32);

impl Delay {
    /// Every request ahead of the rate waits: nginx's default.
    pub const ALWAYS: Self = Self(0);
    /// None waits: nginx's `nodelay`.
    pub const NEVER: Self = Self(u32::MAX);

    /// Those more than so many requests ahead wait: nginx's `delay=N`.
    ///
    /// # Errors
    /// On 0 and on more than [`MOST`].
    pub fn after(requests: u32) -> Result<Self, CountError> {
        thousandths(requests).map(Self)
    }

    /// In thousandths of a request.
    #[must_use]
    pub fn thousandths(self) -> u32 {
        self.0
    }
}
