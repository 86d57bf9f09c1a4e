//! Durations as the site file writes them: `"250ms"`, `"1s"`, `"15m"`.
//!
//! Always with a unit: a bare `5` would be seconds in keepalived and milliseconds in HAProxy.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A duration read from text with a unit. Inside the daemons it is a plain [`Duration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor).map(Self)
    }
}

const EXAMPLES: &str = "a number and its unit: \"250ms\", \"5s\", \"15m\"";

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"5s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text).or_else(|_unfriendly| match text.trim().parse() {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::custom(format_args!(
                "not a duration\nhelp: write {EXAMPLES}"
            ))),
        })
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Duration, E> {
        let number = number.unsigned_abs();
        Err(E::custom(format_args!(
            "a duration without a unit\nhelp: write a unit: \"{number}s\""
        )))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Duration, E> {
        Err(E::custom(format_args!(
            "a duration without a unit\nhelp: write {EXAMPLES}"
        )))
    }
}
