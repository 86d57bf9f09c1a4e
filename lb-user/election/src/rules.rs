//! Times and quorums.
//!
//! Not here: what they are applied to.

use std::time::Duration;

/// Times of the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How often leases are asked for, and a stuck election is tried again.
    pub tick: Duration,
    /// How long a voter's grant holds, by the voter's clock.
    pub lease: Duration,
    /// How much shorter it holds by the proxy's clock: more than their clocks drift in a lease.
    pub margin: Duration,
    /// How long a server has to be silent before a voter agrees that it is gone.
    pub patience: Duration,
}

impl Default for Rules {
    /// A hung writer is replaced within 3 s: patience, then the rest of the leases, then two rounds.
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(200),
            lease: Duration::from_millis(1000),
            margin: Duration::from_millis(50),
            patience: Duration::from_millis(1500),
        }
    }
}

/// How many voters it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    voters: usize,
}

impl Quorum {
    /// Of so many voters, at least one.
    #[must_use]
    pub fn of(voters: usize) -> Self {
        Self {
            voters: voters.max(1),
        }
    }

    /// All of them.
    #[must_use]
    pub fn voters(self) -> usize {
        self.voters
    }

    /// To elect.
    #[must_use]
    pub fn majority(self) -> usize {
        self.voters / 2 + 1
    }

    /// To keep a writer: without these no majority is left.
    #[must_use]
    pub fn keeping(self) -> usize {
        self.voters - self.majority() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_elects_and_who_keeps_have_a_voter_in_common() {
        for voters in 1..20 {
            let quorum = Quorum::of(voters);
            assert_eq!(quorum.majority() + quorum.keeping(), voters + 1);
            assert!(2 * quorum.majority() > voters);
        }
        let of_four = Quorum::of(4);
        assert_eq!((of_four.majority(), of_four.keeping()), (3, 2));
    }
}
