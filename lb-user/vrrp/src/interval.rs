//! The time between two adverts, and every other span of the protocol, which all derive from it.
//!
//! The wire has centiseconds in 12 bits. Here they are exact: a backup of priority 100 at adverts of
//! 10 ms skews by 6.09375 ms, not by 0 or 1 of a coarser unit; else backups of different priority
//! would take over together.
//!
//! Not here: who measures time.

use std::{fmt, time::Duration};

use crate::params::Priority;

/// How many intervals of silence make a backup take over, and how long an advert entitles its
/// sender to serve.
const LIVES: u32 = 3;

/// How many intervals the priority-0 advert of a router that resigns entitles it to go on serving:
/// a successor takes over within one, and its advert needs its way.
const LIVES_RESIGNING: u32 = 2;

/// The time between two adverts: 10 ms to 40.95 s in steps of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u16);

impl Interval {
    /// One second, the RFC's default.
    pub const DEFAULT: Self = Self(100);

    /// 10 ms, the shortest.
    pub const MIN: Self = Self(1);

    /// 40.95 s, the longest: its field has 12 bits.
    pub const MAX: Self = Self(0xfff);

    /// So many centiseconds; none if 0 or more than 12 bits hold.
    #[must_use]
    pub const fn from_centis(centis: u16) -> Option<Self> {
        if centis == 0 || centis > Self::MAX.0 {
            None
        } else {
            Some(Self(centis))
        }
    }

    /// As in the field `Max Advertise Interval`.
    #[must_use]
    pub const fn centis(self) -> u16 {
        self.0
    }

    /// As a span of time.
    #[must_use]
    pub const fn period(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }

    /// Skew_Time: by how much later than the best possible backup one of `priority` takes over.
    #[must_use]
    pub fn skew(self, priority: Priority) -> Duration {
        self.period() * (256 - u32::from(priority.get())) / 256
    }

    /// Active_Down_Interval: the silence after which a backup of `priority` takes over.
    #[must_use]
    pub fn active_down(self, priority: Priority) -> Duration {
        self.period() * LIVES + self.skew(priority)
    }

    /// How long after an advert its sender may serve without another. Shorter than any backup's
    /// [`Interval::active_down`], so that whoever falls silent has stopped before it is replaced.
    #[must_use]
    pub fn lease(self) -> Duration {
        self.period() * LIVES
    }

    /// The same after an advert of priority 0.
    #[must_use]
    pub fn resigning_lease(self) -> Duration {
        self.period() * LIVES_RESIGNING
    }
}

/// A span of time that is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 10ms to 40.95s, in steps of 10ms")]
pub struct NotAnInterval;

impl TryFrom<Duration> for Interval {
    type Error = NotAnInterval;

    fn try_from(span: Duration) -> Result<Self, NotAnInterval> {
        let exact = span.as_nanos().is_multiple_of(10_000_000);
        u16::try_from(span.as_millis() / 10)
            .ok()
            .filter(|_| exact)
            .and_then(Self::from_centis)
            .ok_or(NotAnInterval)
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.period(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_centiseconds_of_12_bits_are_intervals() {
        let interval = |span| Interval::try_from(span).ok().map(Interval::centis);
        assert_eq!(interval(Duration::from_millis(10)), Some(1));
        assert_eq!(interval(Duration::from_millis(40_950)), Some(4095));
        for span in [
            Duration::ZERO,
            Duration::from_millis(9),
            Duration::from_millis(15),
            Duration::from_nanos(10_000_001),
            Duration::from_millis(40_960),
            Duration::from_secs(10_000),
            Duration::MAX,
        ] {
            assert_eq!(interval(span), None, "{span:?}");
        }
    }

    #[test]
    fn skew_is_exact_below_a_millisecond() {
        let priority = |n| Priority::backup(n).expect("a priority");
        let skew = |centis, n| Interval(centis).skew(priority(n)).as_nanos();
        assert_eq!(skew(1, 100), 6_093_750);
        assert_eq!(skew(1, 101), 6_054_687);
        assert_eq!(skew(100, 100), 609_375_000);
        assert_eq!(skew(4095, 1), 40_790_039_062);
        assert_eq!(
            Interval(100).active_down(Priority::OWNER).as_nanos(),
            3_003_906_250
        );
    }

    #[test]
    fn a_lease_ends_before_any_backup_takes_over() {
        for centis in 1..=Interval::MAX.centis() {
            let interval = Interval(centis);
            assert!(interval.lease() < interval.active_down(Priority::OWNER));
        }
    }
}
