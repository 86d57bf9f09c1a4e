//! What a bucket of the flow table never does, whatever flows want it.

use std::net::Ipv4Addr;

use lb_ebpf::abi::Be16;
use lb_ebpf::flow::{self, New};
use lb_ebpf::lookups::Table;
use proptest::prelude::*;

use super::super::lookups::HostMaps;
use super::*;

/// Flows that all want one bucket: three times as many as it has ways.
fn crowd() -> Vec<FlowKey> {
    let key = |n: u32| FlowKey {
        source: Ipv4Addr::from(0x0a09_0000 + n).into(),
        destination: Ipv4Addr::new(10, 0, 0, 100).into(),
        source_port: Be16::new(40_000),
        destination_port: Be16::new(80),
        protocol: 6,
        kind: kind::FLOW,
        _pad: 0,
    };
    let bucket = |key: &FlowKey| flow::bucket(key, <HostMaps as Table>::BUCKET_MASK);
    let wanted = bucket(&key(0));
    let all = (0..).map(key).filter(|key| bucket(key) == wanted);
    all.take(3 * WAYS as usize).collect()
}

/// What a packet of a flow does to its entry.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// It is the flow's first: one is made where there is none.
    Begin,
    /// It gives the entry this state.
    Become(u8),
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        4 => Just(Does::Begin),
        3 => Just(Does::Become(state::ESTABLISHED)),
        1 => Just(Does::Become(state::CLOSING)),
        1 => Just(Does::Become(state::CLOSED)),
    ]
}

/// Flows whose entries are alive and in one of these states.
fn alive(maps: &HostMaps, now: u32, states: &[u8]) -> Vec<FlowKey> {
    let entries = maps.flows().entries();
    entries
        .filter(|(_, way, ..)| !way.is_expired(now) && states.contains(&way.state()))
        .map(|(_, _, key, _)| key)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(60)
    })]

    /// An established flow, or one that is about to end, is there until its time is over; and a new
    /// one finds no room only where all others are such.
    #[test]
    fn an_established_flow_is_never_lost(
        packets in proptest::collection::vec((0usize..3 * WAYS as usize, does(), 0u32..3), 1..300),
    ) {
        const STAY: [u8; 2] = [state::ESTABLISHED, state::CLOSING];
        let (maps, crowd) = (HostMaps::default(), crowd());
        let mut now = u32::MAX - 100;
        for (who, does, ticks) in packets {
            now = now.wrapping_add(ticks);
            let (key, expires) = (&crowd[who], now.wrapping_add(20));
            let before = alive(&maps, now, &STAY);
            match (flow::find(&maps, key, now), does) {
                (Some(found), Does::Become(state)) => flow::keep(&maps, &found, state, expires),
                (Some(_), Does::Begin) | (None, Does::Become(_)) => {}
                (None, Does::Begin) => {
                    let new = New { flow: Flow { real: 1, ..Flow::default() }, expires };
                    let recorded = flow::record(&maps, key, &new, now);
                    let is_full = before.len() == WAYS as usize;
                    prop_assert_eq!(recorded.is_none(), is_full, "{} stay", before.len());
                    let after = alive(&maps, now, &STAY);
                    prop_assert_eq!(&before, &after, "one that stays is gone");
                }
            }
            // Connections are counted as they are, also of those that gave way.
            let all = maps.flows().entries();
            let active = all.filter(|(_, way, ..)| way.state() == state::ESTABLISHED).count();
            let [counted, inactive] = &maps.connections[1];
            prop_assert_eq!(counted.load(Ordering::Relaxed) as usize, active);
            let all = counted.load(Ordering::Relaxed) + inactive.load(Ordering::Relaxed);
            prop_assert_eq!(all, maps.flows().fill());
        }
    }
}
