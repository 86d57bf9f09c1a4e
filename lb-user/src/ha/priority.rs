//! A host's priority in a virtual router, as its tracks leave it.
//!
//! Not here: what is tracked, and the looking.

use std::num::NonZeroU8;

use vrrp::Priority;

/// What a host is in a virtual router, by its tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes no part: a track without a weight fails (keepalived's fault state).
    Fault,
    /// It takes part with this priority.
    Priority(Priority),
}

/// The standing of a host whose priority in the site file is `base`, by its tracks: the weight of each
/// and whether it is failing.
///
/// Weights of failing tracks add up, and what they leave is 1 at least; the owner's priority never
/// changes (keepalived's `vrrp_set_effective_priority`). A failing track without a weight is a fault,
/// also the owner's (its `down_instance`).
#[must_use]
pub fn effective(
    base: Priority,
    tracks: impl IntoIterator<Item = (Option<NonZeroU8>, bool)>,
) -> Standing {
    let mut left = base.get();
    for (weight, is_failing) in tracks {
        match weight {
            _ if !is_failing => {}
            None => return Standing::Fault,
            Some(weight) => left = left.saturating_sub(weight.get()),
        }
    }
    Standing::Priority(if base.is_owner() {
        base
    } else {
        Priority::backup(left).unwrap_or(Priority::LEAST)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standing(base: u8, tracks: &[(u8, bool)]) -> Standing {
        let base = Priority::from_wire(base).expect("a priority");
        let tracks = tracks
            .iter()
            .map(|(weight, is_failing)| (NonZeroU8::new(*weight), *is_failing));
        effective(base, tracks)
    }

    fn at(priority: u8) -> Standing {
        Standing::Priority(Priority::from_wire(priority).expect("a priority"))
    }

    #[test]
    fn weights_of_what_fails_are_taken_off() {
        assert_eq!(standing(150, &[]), at(150));
        assert_eq!(standing(150, &[(50, false)]), at(150));
        assert_eq!(standing(150, &[(50, true), (20, true), (7, false)]), at(80));
        assert_eq!(standing(150, &[(100, true), (100, true)]), at(1));
        assert_eq!(standing(150, &[(0, false)]), at(150));
        assert_eq!(standing(150, &[(50, true), (0, true)]), Standing::Fault);
    }

    #[test]
    fn the_owners_priority_never_changes() {
        assert_eq!(standing(255, &[(50, true)]), at(255));
        assert_eq!(standing(255, &[(0, true)]), Standing::Fault);
    }

    /// As keepalived adds: signed, and cut to 1..254 once, at the end.
    fn reckoned(base: u8, tracks: &[(u8, bool)]) -> Standing {
        let mut failing = tracks.iter().filter(|(_, is_failing)| *is_failing);
        if failing.clone().any(|(weight, _)| *weight == 0) {
            return Standing::Fault;
        }
        if base == 255 {
            return at(255);
        }
        let total = failing.try_fold(i32::from(base), |left, (weight, _)| {
            left.checked_sub(i32::from(*weight))
        });
        at(u8::try_from(total.expect("no overflow").clamp(1, 254)).expect("a priority"))
    }

    proptest! {
        #[test]
        fn it_is_what_keepalived_makes_of_it(
            base in 1_u8..,
            tracks in proptest::collection::vec((0_u8..=253, any::<bool>()), 0..32),
        ) {
            prop_assert_eq!(standing(base, &tracks), reckoned(base, &tracks));
        }

        #[test]
        fn their_order_says_nothing_and_a_failure_never_raises_it(
            base in 1_u8..,
            mut tracks in proptest::collection::vec((1_u8..=253, any::<bool>()), 1..32),
        ) {
            let before = standing(base, &tracks);
            tracks.reverse();
            prop_assert_eq!(standing(base, &tracks), before);
            tracks[0].1 = true;
            let (Standing::Priority(before), Standing::Priority(after)) = (before, standing(base, &tracks)) else {
                panic!("a fault without a track that makes one");
            };
            prop_assert!(after <= before);
        }
    }
}
