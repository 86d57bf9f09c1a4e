//! Keys that may be left out: what they say, or their default.
//!
//! Not here: the notes themselves ([`daemon::site::findings`]).

use std::{fmt::Display, time::Duration};

pub(super) use daemon::site::findings::Findings;

use daemon::duration::HumanDuration;
use toml::Spanned;

/// [`Findings`] about keys that have a default.
pub(super) trait OrDefault {
    /// A whole number within a range.
    fn number_or<T>(
        &mut self,
        value: Option<&Spanned<i64>>,
        what: &str,
        range: (T, T),
        default: T,
    ) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display;

    /// A span of time within a range.
    fn time_or(
        &mut self,
        value: Option<&Spanned<HumanDuration>>,
        what: &str,
        range: (Duration, Duration),
        default: Duration,
    ) -> Option<Duration>;

    /// One of the words of a closed list.
    fn word_or<T: Copy>(
        &mut self,
        value: Option<&Spanned<String>>,
        what: &str,
        known: &[(&str, T)],
        default: T,
    ) -> Option<T>;
}

impl OrDefault for Findings {
    fn number_or<T>(
        &mut self,
        value: Option<&Spanned<i64>>,
        what: &str,
        range: (T, T),
        default: T,
    ) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        match value {
            Some(value) => self.number(value, what, range).map(Spanned::into_inner),
            None => Some(default),
        }
    }

    fn time_or(
        &mut self,
        value: Option<&Spanned<HumanDuration>>,
        what: &str,
        range: (Duration, Duration),
        default: Duration,
    ) -> Option<Duration> {
        match value {
            Some(value) => self.time(value, what, range),
            None => Some(default),
        }
    }

    fn word_or<T: Copy>(
        &mut self,
        value: Option<&Spanned<String>>,
        what: &str,
        known: &[(&str, T)],
        default: T,
    ) -> Option<T> {
        match value {
            Some(value) => self.word(value, what, known, &[]).map(Spanned::into_inner),
            None => Some(default),
        }
    }
}
