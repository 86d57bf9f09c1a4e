//! The daemon's clock: the one place that asks for the time. Everything else is told.

use std::time::Instant;

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the driver's clock")]
pub fn now() -> Instant {
    Instant::now()
}
