//! Who answered when, as spans of slots: a slot is a question and the time until the next. Pure.
//!
//! Not here: asking (`whohas`).

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
};

use serde::{Deserialize, Serialize};

use super::ask::Mac;

/// How many spans are written down.
const MOST: usize = 10_000;

/// What came of all questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Questions asked.
    pub slots: u64,
    /// Questions not asked, because the one who asks did not run when they were due.
    pub skipped: u64,
    /// Answers, by the MAC they gave.
    pub answers: BTreeMap<String, u64>,
    /// The slots in their order, those alike next to each other as one; at most ten thousand.
    pub spans: Vec<Span>,
}

/// Slots next to each other with the same answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// When the first was asked, in microseconds since 1970.
    pub from: u64,
    /// When the last was asked.
    pub until: u64,
    /// How many.
    pub slots: u64,
    /// Who answered in each, sorted; a MAC that answered twice is there twice.
    pub macs: Vec<String>,
}

/// How it goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Questions asked.
    pub slots: u64,
    /// Who answered lately.
    pub macs: Vec<String>,
    /// In how many slots in a row it was exactly these.
    pub streak: u64,
}

impl Asked {
    /// The number of slots from `since` on in which there were two answers or more.
    #[must_use]
    pub fn doubles(&self, since: u64) -> u64 {
        let spans = self.spans.iter().filter(|span| span.macs.len() > 1);
        spans
            .filter(|span| span.from >= since)
            .map(|span| span.slots)
            .sum()
    }

    /// The same of answers that differ: where each host has a MAC of its own, one who answers twice in a
    /// slot was only late in the one before.
    #[must_use]
    pub fn rivals(&self, since: u64) -> u64 {
        let two = |span: &&Span| {
            let mut macs = span.macs.iter();
            macs.next()
                .is_some_and(|first| macs.any(|other| other != first))
        };
        let spans = self.spans.iter().filter(two);
        spans
            .filter(|span| span.from >= since)
            .map(|span| span.slots)
            .sum()
    }

    /// When this MAC alone, or with others, first answered.
    #[must_use]
    pub fn first(&self, mac: &str) -> Option<u64> {
        let mut spans = self.spans.iter();
        let span = spans.find(|span| span.macs.iter().any(|one| one == mac))?;
        Some(span.from)
    }

    /// How often this MAC began to answer where others had answered without it.
    #[must_use]
    pub fn arrivals(&self, mac: &str) -> u64 {
        let answered = self.spans.iter().filter(|span| !span.macs.is_empty());
        let has: Vec<_> = answered
            .map(|span| span.macs.iter().any(|one| one == mac))
            .collect();
        has.windows(2).filter(|pair| !pair[0] && pair[1]).count() as u64
    }

    /// How often the one who answers changed.
    #[must_use]
    pub fn changes(&self) -> usize {
        let mut alone: Vec<_> = self
            .spans
            .iter()
            .filter(|span| span.macs.len() == 1)
            .collect();
        alone.dedup_by(|a, b| a.macs == b.macs);
        alone.len().saturating_sub(1)
    }
}

/// One question under way.
#[derive(Clone, Debug, Default)]
struct Slot {
    asked: u64,
    macs: Vec<Mac>,
}

/// Counts, question by question.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// The last two: an answer may come when the next question is already asked.
    open: VecDeque<Slot>,
    summary: Asked,
}

impl Slots {
    /// The next question is asked at this time.
    pub(super) fn asked(&mut self, now: u64) {
        self.summary.slots += 1;
        self.open.push_back(Slot {
            asked: now,
            macs: Vec::new(),
        });
        if self.open.len() > 2 {
            self.close();
        }
    }

    /// An answer came. It belongs to the question before the last when its MAC has answered the last,
    /// and that one not.
    pub(super) fn answered(&mut self, mac: Mac) {
        *self.summary.answers.entry(text(mac)).or_default() += 1;
        let mut open = self.open.iter_mut().rev();
        let Some(last) = open.next() else { return };
        match open.next() {
            Some(before) if last.macs.contains(&mac) && !before.macs.contains(&mac) => {
                before.macs.push(mac);
            }
            _ => last.macs.push(mac),
        }
    }

    fn close(&mut self) {
        let Some(mut slot) = self.open.pop_front() else {
            return;
        };
        slot.macs.sort_unstable();
        let macs: Vec<_> = slot.macs.into_iter().map(text).collect();
        let spans = &mut self.summary.spans;
        if let Some(span) = spans.last_mut().filter(|span| span.macs == macs) {
            span.until = slot.asked;
            span.slots += 1;
        } else if spans.len() < MOST {
            spans.push(Span {
                from: slot.asked,
                until: slot.asked,
                slots: 1,
                macs,
            });
        }
    }

    /// How it goes.
    pub(super) fn progress(&self) -> Progress {
        let last = self.summary.spans.last().cloned().unwrap_or_default();
        Progress {
            slots: self.summary.slots,
            macs: last.macs,
            streak: last.slots,
        }
    }

    /// What came of it all.
    pub(super) fn end(mut self, skipped: u64) -> Asked {
        while !self.open.is_empty() {
            self.close();
        }
        self.summary.skipped = skipped;
        self.summary
    }
}

fn text(mac: Mac) -> String {
    let mut text = String::with_capacity(17);
    for (at, byte) in mac.iter().enumerate() {
        let colon = if at == 0 { "" } else { ":" };
        write!(text, "{colon}{byte:02x}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = [2, 0, 0, 0, 0, 1];
    const B: Mac = [2, 0, 0, 0, 0, 2];

    /// Asks once for each list, and gets its answers.
    fn asked(answers: &[&[Mac]]) -> Asked {
        let mut slots = Slots::default();
        for (now, answers) in (1..).zip(answers) {
            slots.asked(now);
            answers.iter().for_each(|mac| slots.answered(*mac));
        }
        slots.end(0)
    }

    fn shape(asked: &Asked) -> Vec<(u64, usize)> {
        asked
            .spans
            .iter()
            .map(|span| (span.slots, span.macs.len()))
            .collect()
    }

    #[test]
    fn a_takeover_is_three_spans() {
        let asked = asked(&[&[A], &[A], &[], &[], &[], &[B]]);
        assert_eq!(shape(&asked), [(2, 1), (3, 0), (1, 1)]);
        assert_eq!(asked.first("02:00:00:00:00:02"), Some(6));
        assert_eq!((asked.changes(), asked.doubles(0)), (1, 0));
    }

    #[test]
    fn two_who_answer_are_counted_from_when_it_matters() {
        let asked = asked(&[&[A], &[A, B], &[B], &[A, B], &[B, A], &[B]]);
        assert_eq!(shape(&asked), [(1, 1), (1, 2), (1, 1), (2, 2), (1, 1)]);
        assert_eq!((asked.doubles(0), asked.doubles(3)), (3, 2));
    }

    #[test]
    fn one_mac_from_two_hosts_is_two_answers() {
        // As of a virtual MAC that two directors hold.
        assert_eq!(asked(&[&[A, A], &[A, A], &[A, A]]).doubles(0), 3);
    }

    #[test]
    fn a_late_answer_belongs_to_its_question() {
        assert_eq!(shape(&asked(&[&[A], &[], &[A, A], &[A]])), [(4, 1)]);
    }

    #[test]
    fn a_mac_arrives_once_however_often_it_is_missed() {
        let asked = asked(&[&[A], &[], &[A, B], &[], &[B], &[A], &[B]]);
        assert_eq!(asked.arrivals("02:00:00:00:00:02"), 2);
        assert_eq!(asked.arrivals("02:00:00:00:00:01"), 1);
    }

    #[test]
    fn the_answerers_coming_back_is_a_second_change() {
        assert_eq!(asked(&[&[A], &[B], &[A, B], &[B], &[A]]).changes(), 2);
    }
}
