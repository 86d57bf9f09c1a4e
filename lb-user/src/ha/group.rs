//! Who goes together: a group takes over when all of it would, and steps down when one of it does
//! (keepalived's `vrrp_sync_group`).
//!
//! Pure: states and deadlines in, what to do out. Not here: who performs it ([`super::driver`]).

use std::time::Instant;

use vrrp::State;

/// What a group needs to know of one of its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Where it stands.
    pub(super) state: State,
    /// When its machine wants to be called.
    pub(super) deadline: Option<Instant>,
}

/// When an instance of a group is to be called: a backup not before all the group's backups are due.
///
/// One that is due alone waits. The others hear an active director, and where they do, this one has
/// lost its sight of it, but would take over less than a whole site.
pub(super) fn deadline(own: Standing, group: impl Iterator<Item = Standing>) -> Option<Instant> {
    let deadline = own.deadline?;
    if own.state != State::Backup {
        return Some(deadline);
    }
    let mut latest = deadline;
    for other in group {
        match other.state {
            State::Backup => latest = latest.max(other.deadline?),
            // It was told to follow, or will be.
            State::Active => {}
            // One that takes no part, or is leaving: the group is to leave as well.
            State::Initialize | State::Resigning => return None,
        }
    }
    Some(latest)
}

/// Which of the group's backups is called when they are due: the one that waited last. The others follow
/// it. It was not late, so its machine does not take it for one that overslept.
pub(super) fn first(group: impl Iterator<Item = (usize, Standing)>) -> Option<usize> {
    let backups = group.filter(|(_, standing)| standing.state == State::Backup);
    let latest = backups.max_by_key(|(_, standing)| standing.deadline);
    latest.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time;

    fn at(state: State, start: Instant, millis: u64) -> Standing {
        Standing {
            state,
            deadline: Some(start + Duration::from_millis(millis)),
        }
    }

    #[test]
    fn an_instance_alone_is_called_when_it_is_due() {
        let start = time::now();
        let own = at(State::Backup, start, 5);
        assert_eq!(deadline(own, std::iter::empty()), own.deadline);
    }

    #[test]
    fn a_backup_waits_for_the_other_backups_of_its_group() {
        let start = time::now();
        let own = at(State::Backup, start, 5);
        let later = at(State::Backup, start, 9);
        let earlier = at(State::Backup, start, 2);
        assert_eq!(deadline(own, [earlier, later].into_iter()), later.deadline);
        assert_eq!(deadline(later, [own].into_iter()), later.deadline);
        let group = [earlier, later, own].into_iter().enumerate();
        assert_eq!(
            first(group),
            Some(1),
            "the latest is called, the others follow"
        );
    }

    #[test]
    fn who_serves_does_not_wait_and_is_not_waited_for() {
        let start = time::now();
        let active = at(State::Active, start, 5);
        let backup = at(State::Backup, start, 9);
        assert_eq!(deadline(active, [backup].into_iter()), active.deadline);
        assert_eq!(deadline(backup, [active].into_iter()), backup.deadline);
    }

    #[test]
    fn a_group_of_which_one_takes_no_part_takes_nothing_over() {
        let start = time::now();
        let backup = at(State::Backup, start, 5);
        let out = Standing {
            state: State::Initialize,
            deadline: None,
        };
        for other in [out, at(State::Resigning, start, 1)] {
            assert_eq!(deadline(backup, [other].into_iter()), None);
        }
    }
}
