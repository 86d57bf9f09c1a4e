//! What the answers to a steady stream of questions say of an outage. Pure: numbers in, a summary
//! out.
//!
//! Not here: asking (`probe`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::probe::Progress;

/// How many intervals a wait for an answer must last to be written down.
const WORTH_TELLING: u32 = 3;

/// How many waits are written down.
const MOST: usize = 1000;

/// What came of all questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// Questions sent.
    pub sent: u64,
    /// Questions never answered.
    pub lost: u64,
    /// Second answers to the same question.
    pub twice: u64,
    /// Questions not sent, because the one who asks did not run when they were due.
    pub skipped: u64,
    /// The longest time between two questions, in microseconds: an outage is not known better than this.
    pub stall: u64,
    /// The longest time in which questions waited and no answer to any came, in microseconds.
    pub longest: u64,
    /// Such times of three intervals or more, in their order; at most a thousand.
    pub outages: Vec<Outage>,
}

/// A time without answers: from the first question that had to wait to the next answer to any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// When it began, in microseconds since 1970.
    pub from: u64,
    /// When it ended.
    pub until: u64,
    /// Whether it ended by the end of the questions, not by an answer.
    pub open: bool,
}

/// Counts, question by question.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    worth: u64,
    sent: Vec<u64>,
    answered: Vec<bool>,
    answers: u64,
    streak: u64,
    /// The first question since the last answer.
    waiting: usize,
    summary: Probed,
}

impl Tally {
    /// With room for all questions: nothing grows while it is measured.
    pub(super) fn new(interval: Duration, count: u32) -> Self {
        let worth = (interval * WORTH_TELLING).as_micros();
        Self {
            worth: u64::try_from(worth).unwrap_or(u64::MAX),
            sent: Vec::with_capacity(count as usize),
            answered: Vec::with_capacity(count as usize),
            answers: 0,
            streak: 0,
            waiting: 0,
            summary: Probed::default(),
        }
    }

    /// The next question is sent at this time; gives its number.
    pub(super) fn sent(&mut self, now: u64) -> u32 {
        let since = now.saturating_sub(self.sent.last().copied().unwrap_or(now));
        self.summary.stall = self.summary.stall.max(since);
        self.sent.push(now);
        self.answered.push(false);
        u32::try_from(self.sent.len() - 1).unwrap_or(u32::MAX)
    }

    /// An answer came at this time.
    pub(super) fn answered(&mut self, number: u32, at: u64) {
        let Some(answered) = self.answered.get_mut(number as usize) else {
            return;
        };
        if std::mem::replace(answered, true) {
            self.summary.twice += 1;
            return;
        }
        self.answers += 1;
        self.streak += 1;
        if let Some(from) = self.sent.get(self.waiting).copied() {
            self.waited(from, at, false);
        }
        while self.sent.get(self.waiting).is_some_and(|sent| *sent <= at) {
            self.waiting += 1;
        }
    }

    fn waited(&mut self, from: u64, until: u64, open: bool) {
        let wait = until.saturating_sub(from);
        self.summary.longest = self.summary.longest.max(wait);
        if wait >= self.worth {
            self.streak = 0;
            if self.summary.outages.len() < MOST {
                self.summary.outages.push(Outage { from, until, open });
            }
        }
    }

    /// How it goes.
    pub(super) fn progress(&self) -> Progress {
        // The last few may still be under way.
        let waits = self.sent.len() - self.waiting > WORTH_TELLING as usize;
        Progress {
            sent: self.sent.len() as u64,
            answered: self.answers,
            streak: if waits { 0 } else { self.streak },
        }
    }

    /// What came of it all, when no more answers can come.
    pub(super) fn end(mut self, now: u64, skipped: u64) -> Probed {
        if let Some(from) = self.sent.get(self.waiting).copied() {
            self.waited(from, now, true);
        }
        Probed {
            sent: self.sent.len() as u64,
            lost: self.sent.len() as u64 - self.answers,
            skipped,
            ..self.summary
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1000;

    /// Questions each millisecond; `answer` says when that of each millisecond is answered.
    fn asked(milliseconds: u64, answer: impl Fn(u64) -> Option<u64>) -> Probed {
        let mut tally = Tally::new(Duration::from_millis(1), 1000);
        for now in 0..2 * milliseconds {
            if now < milliseconds {
                tally.sent(now * MS);
            }
            for number in 0..milliseconds {
                if answer(number) == Some(now) {
                    tally.answered(u32::try_from(number).unwrap(), now * MS + 100);
                }
            }
        }
        tally.end(2 * milliseconds * MS, 0)
    }

    #[test]
    fn all_answered_at_once_is_no_outage() {
        let probed = asked(100, Some);
        assert_eq!((probed.sent, probed.lost, probed.longest), (100, 0, 100));
        assert!(probed.outages.is_empty(), "{probed:?}");
    }

    #[test]
    fn an_outage_lasts_from_the_first_question_lost_to_the_next_answer() {
        let probed = asked(100, |number| {
            (!(20..60).contains(&number)).then_some(number)
        });
        let outage = Outage {
            from: 20 * MS,
            until: 60 * MS + 100,
            open: false,
        };
        assert_eq!((probed.lost, probed.longest), (40, 40 * MS + 100));
        assert_eq!(probed.outages, [outage]);
    }

    #[test]
    fn questions_answered_late_are_an_outage_in_which_none_is_lost() {
        let probed = asked(100, |number| {
            Some(if (20..60).contains(&number) {
                60
            } else {
                number
            })
        });
        assert_eq!((probed.lost, probed.longest), (0, 40 * MS + 100));
        assert_eq!(probed.outages.len(), 1, "{probed:?}");
    }

    #[test]
    fn an_outage_without_end_is_told_as_open() {
        let probed = asked(100, |number| (number < 90).then_some(number));
        assert_eq!(probed.lost, 10);
        assert!(probed.outages[0].open, "{probed:?}");
    }

    #[test]
    fn one_who_asks_too_seldom_makes_no_outage() {
        let mut tally = Tally::new(Duration::from_millis(1), 10);
        for at in [0, 1, 500, 501] {
            let number = tally.sent(at * MS);
            tally.answered(number, at * MS + 50);
        }
        assert_eq!(tally.progress().streak, 4);
        let probed = tally.end(600 * MS, 498);
        assert_eq!((probed.longest, probed.stall), (50, 499 * MS));
    }

    #[test]
    fn the_streak_breaks_with_an_outage_and_while_one_lasts() {
        let mut tally = Tally::new(Duration::from_millis(1), 100);
        for at in 0..10 {
            let number = tally.sent(at * MS);
            if at < 5 {
                tally.answered(number, at * MS);
            }
        }
        assert_eq!(tally.progress().streak, 0);
        let number = tally.sent(10 * MS);
        tally.answered(number, 10 * MS);
        tally.answered(number, 10 * MS);
        assert_eq!(tally.progress().streak, 0);
        let number = tally.sent(11 * MS);
        tally.answered(number, 11 * MS);
        assert_eq!(tally.progress().streak, 1);
        assert_eq!(tally.end(12 * MS, 0).twice, 1);
    }
}
