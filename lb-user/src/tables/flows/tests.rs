//! Sweeping and forgetting over a small table.

use std::net::Ipv4Addr;

use lb_ebpf::abi::Be16;
use proptest::prelude::*;

use super::*;

/// The words of a table of 4 buckets and 8 real servers.
struct Words {
    ways: Vec<Line>,
    entries: Vec<Line>,
    connections: Vec<[AtomicU32; 2]>,
}

impl Words {
    fn new() -> Self {
        let lines = |count| std::iter::repeat_with(Line::default).take(count).collect();
        Self {
            ways: lines(4),
            entries: lines(32),
            connections: std::iter::repeat_with(Default::default).take(8).collect(),
        }
    }

    fn table(&self) -> FlowTable<'_> {
        FlowTable {
            ways: &self.ways,
            entries: &self.entries,
            connections: &self.connections,
        }
    }

    fn count(&self, real: usize) -> (u32, u32) {
        let [active, inactive] = &self.connections[real];
        (
            active.load(Ordering::Relaxed),
            inactive.load(Ordering::Relaxed),
        )
    }
}

fn key(port: u16, kind: u8) -> FlowKey {
    FlowKey {
        source: Ipv4Addr::new(10, 9, 9, 9).into(),
        destination: Ipv4Addr::new(10, 0, 0, 100).into(),
        source_port: Be16::new(port),
        destination_port: Be16::new(80),
        protocol: 6,
        kind,
        _pad: 0,
    }
}

fn flow(real: u32) -> Flow {
    Flow {
        service: 3,
        real,
        ..Flow::default()
    }
}

#[test]
fn entries_come_back_as_they_were_put() {
    let words = Words::new();
    let way = Way::new(0xabcdef, state::ESTABLISHED, 77);
    words.table().put(31, way, &key(1, kind::FLOW), &flow(5));
    let all: Vec<Entry> = words.table().entries().collect();
    assert_eq!(all, [(31, way, key(1, kind::FLOW), flow(5))]);
    assert_eq!(words.table().fill(), 1);
}

#[test]
fn a_sweep_frees_what_has_expired_and_counts_it_no_more() {
    let words = Words::new();
    let put = |at, state, expires, kind, real| {
        let port = u16::try_from(at).unwrap();
        words.table().put(
            at,
            Way::new(at, state, expires),
            &key(port, kind),
            &flow(real),
        );
    };
    put(0, state::ESTABLISHED, 100, kind::FLOW, 1);
    put(1, state::ESTABLISHED, 101, kind::FLOW, 1);
    put(2, state::CLOSING, 90, kind::FLOW, 1);
    put(3, state::NEW, 90, kind::CLIENT, 1);
    put(9, state::NEW, 90, kind::FLOW, 2);
    for [active, inactive] in &words.connections {
        active.store(2, Ordering::Relaxed);
        inactive.store(1, Ordering::Relaxed);
    }
    let swept = Sweeper::default().sweep(words.table(), 101);
    assert_eq!(swept, Swept { freed: 4, left: 1 });
    assert_eq!(
        (words.count(1), words.count(2), words.count(3)),
        ((1, 0), (2, 0), (2, 1))
    );
    let left: Vec<u32> = words.table().entries().map(|(at, ..)| at).collect();
    assert_eq!(left, [1]);
}

#[test]
fn a_count_never_falls_below_zero() {
    let words = Words::new();
    words
        .table()
        .put(0, Way::new(1, state::NEW, 5), &key(1, kind::FLOW), &flow(7));
    words.table().put(
        1,
        Way::new(1, state::NEW, 5),
        &key(2, kind::FLOW),
        &flow(999),
    );
    assert_eq!(Sweeper::default().sweep(words.table(), 6).freed, 2);
    assert_eq!(words.count(7), (0, 0));
}

#[test]
fn a_way_whose_writer_was_killed_is_freed_after_a_round() {
    let words = Words::new();
    let busy = |tag| words.ways[0][0].store(Way::new(tag, state::BUSY, 0).0, Ordering::Relaxed);
    let mut sweeper = Sweeper::default();
    busy(1);
    assert_eq!(sweeper.sweep(words.table(), 0), Swept::default());
    busy(2);
    assert_eq!(
        sweeper.sweep(words.table(), 0),
        Swept::default(),
        "another writer"
    );
    assert_eq!(sweeper.sweep(words.table(), 0), Swept { freed: 1, left: 0 });
    assert_eq!(words.table().entries().count(), 0);
}

#[test]
fn what_is_named_is_forgotten_whatever_its_time() {
    let words = Words::new();
    for (at, real) in [(0, 1), (8, 2), (9, 1)] {
        words.table().put(
            at,
            Way::new(1, state::ESTABLISHED, 1000),
            &key(1, kind::FLOW),
            &flow(real),
        );
    }
    words.connections[1][0].store(2, Ordering::Relaxed);
    assert_eq!(words.table().forget(|_, flow| flow.real == 1), 2);
    assert_eq!(words.count(1), (0, 0));
    assert_eq!(words.table().fill(), 1);
}

proptest! {
    /// After a sweep exactly the live entries are left, and the counts are those of the live ones.
    #[test]
    fn counts_stay_those_of_the_entries(
        all in proptest::collection::btree_map(0u32..32, (2u8..6, 0u32..20, 0u32..8), 0..32),
        now in 0u32..25,
    ) {
        let words = Words::new();
        for (at, (state, expires, real)) in &all {
            words.table().put(*at, Way::new(*at, *state, *expires), &key(1, kind::FLOW), &flow(*real));
            let [active, inactive] = &words.connections[*real as usize];
            let count = if *state == state::ESTABLISHED { active } else { inactive };
            count.fetch_add(1, Ordering::Relaxed);
        }
        Sweeper::default().sweep(words.table(), now);
        let left: Vec<u32> = words.table().entries().map(|(at, ..)| at).collect();
        let live: Vec<u32> = all.iter().filter(|(_, (_, expires, _))| now <= *expires).map(|(at, _)| *at).collect();
        prop_assert_eq!(&left, &live);
        for real in 0..8 {
            let of_real = words.table().entries().filter(|(.., flow)| flow.real as usize == real);
            let (active, inactive): (Vec<_>, Vec<_>) = of_real.partition(|(_, way, ..)| way.state() == state::ESTABLISHED);
            let (is_active, is_inactive) = words.count(real);
            prop_assert_eq!((is_active as usize, is_inactive as usize), (active.len(), inactive.len()));
        }
    }
}
