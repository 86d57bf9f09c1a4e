//! How many requests may be tried again: a share of all requests, and a few a second where there are
//! few requests. When all servers fail, trying again would only double their load.
//!
//! Each thread has one for each upstream. Not here: which requests may be sent twice at all.

/// Retries a second that any thread may make, however few requests it has.
const FLOOR: u64 = 10;
/// Retries that may be saved up: what a death of one among several servers costs at once.
const MOST: u64 = 100;
/// What a retry costs.
const ONE: u64 = 1000;

/// What is left for retries, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    left: u64,
    /// When the floor was added last, in milliseconds.
    at: u64,
}

impl Budget {
    /// With a second's floor in it.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            left: FLOOR * ONE,
            at: now,
        }
    }

    /// A request came; so many percent of one may be tried again for it.
    pub fn request(&mut self, percent: u16) {
        self.left = (self.left + u64::from(percent) * ONE / 100).min(MOST * ONE);
    }

    /// Takes a retry out of it, if there is one left.
    pub fn retry(&mut self, now: u64) -> bool {
        let since = now.saturating_sub(self.at).min(MOST * ONE / FLOOR);
        self.at = self.at.max(now);
        self.left = (self.left + since * FLOOR * ONE / 1000).min(MOST * ONE);
        let may = self.left >= ONE;
        if may {
            self.left -= ONE;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn retries(budget: &mut Budget, now: u64) -> usize {
        (0..10_000).take_while(|_| budget.retry(now)).count()
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_tried_again_and_ten_a_second_beside() {
        let mut budget = Budget::new(0);
        assert_eq!(retries(&mut budget, 0), 10);
        (0..100).for_each(|_| budget.request(20));
        assert_eq!(retries(&mut budget, 0), 20);
        assert_eq!(retries(&mut budget, 99), 0);
        assert_eq!(retries(&mut budget, 199), 1);
        assert_eq!(retries(&mut budget, 1199), 10);
        (0..100).for_each(|_| budget.request(0));
        assert_eq!(retries(&mut budget, 1199), 0);
    }

    #[test]
    fn no_more_than_a_hundred_are_saved_up() {
        let mut budget = Budget::new(0);
        (0..10_000).for_each(|_| budget.request(100));
        assert_eq!(retries(&mut budget, u64::MAX), 100);
        assert_eq!(retries(&mut budget, u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_the_share_and_the_floor(
            steps in proptest::collection::vec((0_u64..300, 0_u32..30, 0_u32..30), 1..60),
            percent in 0_u16..150,
        ) {
            let mut budget = Budget::new(0);
            let (mut now, mut requests, mut made) = (0, 0_u64, 0_u64);
            for (wait, some, tries) in steps {
                now += wait;
                (0..some).for_each(|_| budget.request(percent));
                requests += u64::from(some);
                made += (0..tries).filter(|_| budget.retry(now)).count() as u64;
                let most = FLOOR * ONE + requests * u64::from(percent) * 10 + now * FLOOR;
                prop_assert!(made * ONE <= most, "{made} of {requests} at {now}");
            }
        }
    }
}
