//! How a probe can end: a closed list, because it is the label of a metric and the reason an
//! operator reads in `viaduct status`.
//!
//! Not here: what an outcome means for the target; that is [`crate::monitor`]'s.

use std::fmt;

/// What one probe said about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The target answered as it should.
    Passed,
    /// It did not, and why.
    Failed(Failure),
}

impl Outcome {
    /// A short, stable word for a metric label: `passed`, or the failure's own label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(failure) => failure.label(),
        }
    }
}

impl Outcome {
    /// Whether it says anything about the target. A probe that this host could not make, or whose
    /// end was never heard of, says nothing: a shortage here must not take healthy targets down.
    #[must_use]
    pub fn is_evidence(self) -> bool {
        !matches!(self, Self::Failed(Failure::Local | Failure::Lost))
    }
}

impl From<Result<(), Failure>> for Outcome {
    fn from(result: Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(failure) => Self::Failed(failure),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

/// Why a probe failed. `Display` is for people, [`Failure::label`] for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// No verdict within the spec's timeout.
    #[error("timeout")]
    Timeout,
    /// The host answered that nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The connection was reset while it was being used.
    #[error("connection reset")]
    Reset,
    /// No way to the host: no route, no neighbour, or the network said so.
    #[error("host unreachable")]
    Unreachable,
    /// The peer closed the connection before its answer was complete.
    #[error("closed before the answer was complete")]
    Closed,
    /// The answer is not HTTP.
    #[error("malformed response")]
    Malformed,
    /// The head of the answer is larger than a probe accepts.
    #[error("response head too large")]
    TooLarge,
    /// An HTTP status outside the accepted ranges.
    #[error("status {0}")]
    Status(u16),
    /// This host could not even try: no file descriptor, port or permission left. Not the target's
    /// fault, but nothing was learned about it either.
    #[error("probe could not start on this host")]
    Local,
    /// The driver never reported the probe's end. Seen only if its task died.
    #[error("probe result was lost")]
    Lost,
}

impl Failure {
    /// A short, stable word for a metric label. The status number is left out: it would make as many
    /// time series as there are numbers.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Status(_) => "status",
            Self::Local => "local",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Outcome};

    #[test]
    fn labels_are_safe_and_text_is_for_people() {
        assert_eq!(Outcome::Failed(Failure::Status(503)).label(), "status");
        assert_eq!(
            Outcome::Failed(Failure::Status(503)).to_string(),
            "status 503"
        );
        assert_eq!(
            Outcome::from(Err(Failure::Refused)).to_string(),
            "connection refused"
        );
        assert_eq!(Outcome::from(Ok(())).label(), "passed");
    }
}
