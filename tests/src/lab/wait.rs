//! Waiting for events, and the lab's only clock and only sleep.
//!
//! Not here: what is waited for. Time spent is never asserted: a deadline only turns a hang into
//! a failure with a name.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

/// How often a condition is looked at again. Short against every deadline, long against the cost
/// of a look.
const POLL: Duration = Duration::from_millis(10);

/// How long things may take that normally take well under a second.
pub const SOON: Duration = Duration::from_secs(60);

/// Calls `look` until it gives a value, at most for `deadline`.
///
/// # Errors
/// When the deadline passes (naming `what` was waited for), or when `look` itself fails.
pub fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = now() + deadline;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if now() >= end {
            bail!("waited {deadline:?} in vain for {what}");
        }
        pause();
    }
}

/// Lets time pass, for what is measured over time and has no event to wait for.
pub fn linger(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "this module is the lab's clock")]
    std::thread::sleep(time);
}

/// Microseconds since 1970, for putting events seen by several processes of this machine in order.
#[must_use]
pub fn unix_micros() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "this module is the lab's clock")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this module is the lab's clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "processes and kernels send us no event: poll"
)]
fn pause() {
    std::thread::sleep(POLL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_names_what_was_waited_for() {
        let error = eventually(Duration::ZERO, "a pig to fly", || Ok(None::<()>)).unwrap_err();
        assert!(error.to_string().contains("a pig to fly"), "{error}");
    }

    #[test]
    fn the_value_found_is_returned() {
        let mut looks = 0;
        let found = eventually(SOON, "the third look", || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.unwrap(), 3);
    }
}
