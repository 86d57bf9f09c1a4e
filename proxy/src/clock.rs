//! The daemon's clock: the one place that asks for the time. Everything else is told.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the driver's clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds and milliseconds since 1970, for people to read.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the driver's clock")]
pub fn wall() -> (u64, u32) {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    (since.as_secs(), since.subsec_millis())
}
