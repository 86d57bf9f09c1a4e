//! From who is to be at which ports to the segments that a search finds them by.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use lb_ebpf::abi::Segment;

/// Some ports, and what is to be at them unless somebody more special is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First port.
    pub(super) first: u16,
    /// Last port.
    pub(super) last: u16,
    /// What is there: a [`Segment::index`].
    pub(super) index: u32,
    /// Bits of the address it is meant for: one that is meant for an address alone comes before
    /// one for a prefix, and that before one for a shorter prefix.
    pub(super) bits: u8,
}

impl Run {
    /// The greater, the more special: then by address, then by fewer ports.
    fn rank(&self) -> (u8, Reverse<u16>, u16, u32) {
        let width = Reverse(self.last - self.first);
        (self.bits, width, self.first, self.index)
    }
}

/// The segments of an address: disjoint, in the order of ports, the first from port 0 on; none where
/// there are no runs.
pub(super) fn segments(runs: &[Run]) -> Vec<Segment> {
    // Where each run begins, and where it is over.
    let mut edges: Vec<(u32, &Run)> = runs
        .iter()
        .flat_map(|run| [(u32::from(run.first), run), (u32::from(run.last) + 1, run)])
        .collect();
    edges.sort_by_key(|(port, _)| *port);
    let mut segments: Vec<Segment> = Vec::new();
    let mut there = BTreeSet::new();
    if edges.first().is_some_and(|(port, _)| *port > 0) {
        segments.push(Segment::new(0, Segment::NOTHING));
    }
    for edges in edges.chunk_by(|a, b| a.0 == b.0) {
        for (port, run) in edges {
            match u32::from(run.first) == *port {
                true => there.insert(run.rank()),
                false => there.remove(&run.rank()),
            };
        }
        // The edge after the last port of all is nobody's.
        let Some(port) = edges
            .first()
            .and_then(|(port, _)| u16::try_from(*port).ok())
        else {
            break;
        };
        let index = there.last().map_or(Segment::NOTHING, |best| best.3);
        if segments.last().is_none_or(|last| last.index != index) {
            segments.push(Segment::new(port, index));
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(first: u16, last: u16, index: u32, bits: u8) -> Run {
        Run {
            first,
            last,
            index,
            bits,
        }
    }

    fn found(segments: &[Segment], port: u16) -> u32 {
        let after = segments.partition_point(|segment| segment.from <= port);
        after
            .checked_sub(1)
            .map_or(Segment::NOTHING, |at| segments[at].index)
    }

    #[test]
    fn one_port_is_one_segment_between_two_of_nothing() {
        assert_eq!(
            segments(&[run(80, 80, 7, 128)]),
            [
                Segment::new(0, Segment::NOTHING),
                Segment::new(80, 7),
                Segment::new(81, Segment::NOTHING)
            ]
        );
        assert_eq!(segments(&[]), []);
    }

    #[test]
    fn all_ports_are_one_segment() {
        assert_eq!(segments(&[run(0, 65_535, 7, 128)]), [Segment::new(0, 7)]);
    }

    #[test]
    fn the_more_special_run_takes_its_ports_out_of_the_wider_one() {
        let runs = [
            run(0, 65_535, 1, 128),
            run(8000, 8099, 2, 128),
            run(8000, 8000, 3, 128),
            run(65_535, 65_535, 4, 128),
        ];
        assert_eq!(
            segments(&runs),
            [
                Segment::new(0, 1),
                Segment::new(8000, 3),
                Segment::new(8001, 2),
                Segment::new(8100, 1),
                Segment::new(65_535, 4)
            ]
        );
    }

    #[test]
    fn neighbours_with_the_same_answer_are_one_segment() {
        let runs = [run(80, 80, 1, 128), run(81, 81, 1, 128)];
        assert_eq!(segments(&runs).len(), 3);
    }

    #[test]
    fn an_address_comes_before_a_prefix_however_many_ports() {
        let runs = [run(0, 65_535, 1, 128), run(80, 80, 2, 120)];
        assert_eq!(segments(&runs), [Segment::new(0, 1)]);
    }

    proptest! {
        /// Every port leads to the most special run that has it.
        #[test]
        fn segments_answer_as_the_runs_do(
            runs in proptest::collection::vec((0u16..50, 0u16..20, 0u32..5, 126u8..=128), 0..8),
            port in 0u16..80,
        ) {
            let runs: Vec<Run> = runs
                .into_iter()
                .map(|(first, width, index, bits)| run(first, first + width, index, bits))
                .collect();
            let best = runs
                .iter()
                .filter(|run| (run.first..=run.last).contains(&port))
                .max_by_key(|run| run.rank());
            let segments = segments(&runs);
            prop_assert_eq!(found(&segments, port), best.map_or(Segment::NOTHING, |run| run.index));
            prop_assert!(segments.is_sorted_by(|a, b| a.from < b.from && a.index != b.index));
            prop_assert!(segments.first().is_none_or(|first| first.from == 0));
        }
    }
}
