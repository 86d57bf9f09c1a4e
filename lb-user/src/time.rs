//! The driver's clock: the one place that asks for the time. Everything else is told.

use std::time::{Instant, SystemTime};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the driver's clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock, for people to read.
#[expect(clippy::disallowed_methods, reason = "the driver's clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
