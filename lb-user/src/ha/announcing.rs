//! When which VIP is announced: a burst at a takeover, another some seconds later, then a slow refresh.
//! The words and defaults are those of keepalived's `garp_*`.
//!
//! Not here: the frames ([`vrrp::announce`]), and who sends them.

use std::time::{Duration, Instant};

use crate::config::Announce;

/// Whoever announced so lately only says it once more: two that contend with each other, or somebody who
/// forges adverts, get no burst for each.
const LATELY: Duration = Duration::from_secs(1);

/// Where announcing stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Announcing {
    /// The next one; `None`: nothing is announced.
    at: Option<Instant>,
    /// The VIP that is next, by its place.
    place: usize,
    /// Rounds left, the one under way included.
    rounds: u8,
    /// Whether this is the first burst.
    is_first: bool,
    /// When the last burst began.
    burst_at: Option<Instant>,
}

impl Announcing {
    /// Begins now: with a burst, or, where that was lately, with a single round.
    pub(super) fn start(&mut self, now: Instant, plan: &Announce) {
        let is_lately = |at: Instant| now.saturating_duration_since(at) < LATELY;
        let is_lately = self.burst_at.is_some_and(is_lately);
        *self = Self {
            at: (plan.count > 0).then_some(now),
            place: 0,
            rounds: if is_lately { 1 } else { plan.count },
            is_first: true,
            burst_at: if is_lately { self.burst_at } else { Some(now) },
        };
    }

    /// Announces no more.
    pub(super) fn stop(&mut self) {
        self.at = None;
    }

    /// When the next one is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// The place of the VIP to announce now, of `vips`; ask again until there is none.
    pub(super) fn due(&mut self, now: Instant, plan: &Announce, vips: usize) -> Option<usize> {
        if self.at.is_none_or(|at| now < at) || vips == 0 {
            return None;
        }
        let place = self.place.min(vips - 1);
        self.place = place + 1;
        if self.place == vips {
            self.place = 0;
            self.rounds = self.rounds.saturating_sub(1);
            if self.rounds == 0 {
                self.rest(now, plan);
            }
        }
        Some(place)
    }

    /// After the last round of a burst.
    fn rest(&mut self, now: Instant, plan: &Announce) {
        if self.is_first && !plan.delay.is_zero() {
            self.at = Some(now + plan.delay);
            self.rounds = plan.count;
        } else {
            self.at = plan.refresh.map(|refresh| now + refresh);
            self.rounds = 1;
        }
        self.is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const PLAN: Announce = Announce {
        count: 2,
        delay: Duration::from_secs(5),
        refresh: Some(Duration::from_secs(60)),
    };

    fn all(announcing: &mut Announcing, now: Instant, plan: &Announce) -> Vec<usize> {
        std::iter::from_fn(|| announcing.due(now, plan, 3)).collect()
    }

    #[test]
    fn each_vip_is_announced_in_two_bursts_and_then_now_and_again() {
        let start = time::now();
        let mut announcing = Announcing::default();
        assert!(all(&mut announcing, start, &PLAN).is_empty());
        announcing.start(start, &PLAN);
        assert_eq!(all(&mut announcing, start, &PLAN), [0, 1, 2, 0, 1, 2]);
        let again = start + PLAN.delay;
        assert_eq!(announcing.deadline(), Some(again));
        assert_eq!(all(&mut announcing, again, &PLAN), [0, 1, 2, 0, 1, 2]);
        for n in 1..4 {
            let refresh = again + Duration::from_secs(60) * n;
            assert_eq!(announcing.deadline(), Some(refresh));
            assert_eq!(all(&mut announcing, refresh, &PLAN), [0, 1, 2]);
        }
    }

    #[test]
    fn there_is_one_burst_a_second_whatever_happens() {
        let start = time::now();
        let mut announcing = Announcing::default();
        announcing.start(start, &PLAN);
        assert_eq!(all(&mut announcing, start, &PLAN).len(), 6);
        for millis in [10, 500, 999] {
            let now = start + Duration::from_millis(millis);
            announcing.start(now, &PLAN);
            assert_eq!(
                all(&mut announcing, now, &PLAN),
                [0, 1, 2],
                "after {millis} ms"
            );
        }
        let now = start + LATELY;
        announcing.start(now, &PLAN);
        assert_eq!(all(&mut announcing, now, &PLAN).len(), 6);
    }

    #[test]
    fn what_is_not_wanted_is_left_out() {
        let start = time::now();
        let mut announcing = Announcing::default();
        let once = Announce {
            delay: Duration::ZERO,
            refresh: None,
            ..PLAN
        };
        announcing.start(start, &once);
        assert_eq!(all(&mut announcing, start, &once).len(), 6);
        assert_eq!(announcing.deadline(), None);
        announcing.start(start, &Announce { count: 0, ..PLAN });
        assert_eq!(announcing.deadline(), None);
    }

    #[test]
    fn a_router_that_steps_down_announces_no_more() {
        let start = time::now();
        let mut announcing = Announcing::default();
        announcing.start(start, &PLAN);
        assert_eq!(announcing.due(start, &PLAN, 3), Some(0));
        announcing.stop();
        assert_eq!(announcing.due(start, &PLAN, 3), None);
        announcing.start(start, &PLAN);
        assert_eq!(
            announcing.due(start, &PLAN, 3),
            Some(0),
            "from the first on"
        );
    }
}
