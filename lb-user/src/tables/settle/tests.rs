//! Slots that wait, settle, and are held.

use std::net::{IpAddr, Ipv4Addr};

use lb_ebpf::NextHop;
use lb_ebpf::abi::{Addr, Be16, Flow, Mac, Way as FlowWay, method, state};

use super::*;
use crate::tables::build::build;
use crate::tables::{Memo, RealWish, RouterWish, ServiceWish, Standing, Way, Wish, diff};

const TIMEOUT: Duration = Duration::from_secs(900);

fn wish(up: [bool; 2]) -> Wish {
    let real = |(last, up): (u8, bool)| RealWish {
        address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, last)),
        port: 80,
        weight: 1,
        drained: false,
        standing: if up { Standing::Up } else { Standing::Down },
        way: Some(Way::Via(NextHop {
            ifindex: 2,
            destination: Mac([2; 6]),
            source: Mac([4; 6]),
            vlan: 0,
        })),
        server_id: None,
    };
    let service = |key| ServiceWish {
        reals: (1..).zip(up).map(real).collect(),
        ..ServiceWish::new(key, method::DR)
    };
    Wish {
        services: [key(), other()].map(service).to_vec(),
        routers: vec![RouterWish {
            index: 4,
            ifindex: 2,
            mac: None,
            vips: [100, 200]
                .map(|last| Ipv4Addr::new(10, 0, 0, last).into())
                .to_vec(),
            local: vec![Ipv4Addr::new(10, 0, 0, 200).into()],
        }],
        ..Wish::default()
    }
}

fn key() -> ServiceKey {
    ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), 80, 6)
}

/// A service of the same real servers.
fn other() -> ServiceKey {
    ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), 443, 6)
}

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do to count from"
)]
fn start() -> Instant {
    Instant::now()
}

fn built(up: [bool; 2], previous: &Tables) -> Tables {
    build(&wish(up), previous, &mut Memo::default())
        .unwrap()
        .tables
}

/// One server went away: its slots are unsettled.
fn after_a_loss() -> Tables {
    let both = built([true, true], &Tables::default());
    built([true, false], &both)
}

#[test]
fn slots_settle_after_the_timeout_and_the_ring_is_as_new() {
    let (tables, start) = (after_a_loss(), start());
    let mut settling = Settling::default();
    settling.note(&tables, start);
    assert_eq!(settling.unsettled(&key()), 2048);
    assert!(
        settling
            .due(start + TIMEOUT - Duration::from_secs(1), |_| TIMEOUT)
            .is_empty()
    );
    let settled = settling
        .due(start + TIMEOUT, |_| TIMEOUT)
        .settle(&tables)
        .unwrap();
    let service = *settled.service(&key()).unwrap();
    assert!(
        settled
            .ring_of(&service)
            .iter()
            .all(|slot| !slot.is_unsettled())
    );
    assert_eq!(settled.rings.len(), 1, "shared, and the old ring is let go");
    assert_eq!(settled.service(&other()).unwrap().ring, service.ring);
    let is_local = |tables: &Tables| -> Vec<_> {
        tables.vips.values().map(|vip| vip.tcp.is_local()).collect()
    };
    assert_eq!(is_local(&settled), is_local(&tables));
    assert!(is_local(&settled).contains(&true));
    let owners: Vec<_> = settled.vips.values().map(|vip| vip.tcp.router()).collect();
    assert_eq!(owners, [5, 5], "VIPs stay their router's");
    let mut applied = tables.clone();
    diff(&tables, &settled)
        .iter()
        .for_each(|op| applied.apply(op));
    assert_eq!(applied, settled);
    settling.note(&settled, start + TIMEOUT);
    assert_eq!(settling.unsettled(&key()), 0);
}

#[test]
fn a_slot_that_changes_again_waits_from_its_first_change() {
    let (tables, start) = (after_a_loss(), start());
    let mut settling = Settling::default();
    settling.note(&tables, start);
    let again = built([true, true], &tables);
    settling.note(&again, start + TIMEOUT / 2);
    assert!(!settling.due(start + TIMEOUT, |_| TIMEOUT).is_empty());
}

#[test]
fn the_halves_of_a_slot_wait_as_long_as_it_would_have() {
    let (start, later) = (start(), start() + TIMEOUT / 2);
    let old = [Slot::unsettled(1, 0), Slot::settled(1)];
    let before = Waiting {
        ring: 0,
        len: 2,
        since: unsettled_since(&old, None, start),
    };
    let new = [
        Slot::unsettled(1, 0),
        Slot::unsettled(2, 0),
        Slot::settled(1),
        Slot::unsettled(2, 1),
    ];
    let since = unsettled_since(&new, Some(&before), later);
    assert_eq!(*since, [(0, start), (1, start), (3, later)]);
}

/// A flow, or a client, whose slot of the ring is unsettled.
fn unsettled(tables: &Tables, service: &Service, kind: u8) -> FlowKey {
    let key = |port: u16| FlowKey {
        source: Addr::from(Ipv4Addr::from(0x0a09_0000 + u32::from(port))),
        destination: key().vip.address,
        source_port: Be16::new(port),
        destination_port: Be16::new(80),
        protocol: 6,
        kind,
        _pad: 0,
    };
    let is_unsettled = |key: &FlowKey| {
        let at = slot(key, service).unwrap();
        tables.ring_of(service)[at as usize].is_unsettled()
    };
    (1024..).map(key).find(is_unsettled).unwrap()
}

fn entry(tables: &Tables, key: FlowKey, service: u32, member: usize) -> Entry {
    let reals = tables.members_of(tables.service(&self::key()).unwrap());
    let flow = Flow {
        service,
        real: reals[member],
        ..Flow::default()
    };
    (0, FlowWay::new(1, state::ESTABLISHED, 6000), key, flow)
}

/// Slots of the first service that would settle.
fn count(due: &Due) -> usize {
    let due = due.0.get(&key());
    due.map_or(0, |due| {
        due.slots.iter().filter(|at| due.contains(**at)).count()
    })
}

#[test]
fn a_live_flow_on_another_server_holds_its_slot_and_an_expired_one_does_not() {
    let (tables, start) = (after_a_loss(), start());
    let mut settling = Settling::default();
    settling.note(&tables, start);
    let service = tables.service(&key()).unwrap();
    let due = settling.due(start + TIMEOUT, |_| TIMEOUT);
    let flow = unsettled(&tables, service, kind::FLOW);
    for (member, now, expected) in [(1, 5500, 2047), (1, 6001, 2048), (0, 5500, 2048)] {
        let mut held = due.clone();
        let entry = entry(&tables, flow, service.id, member);
        held.hold(&tables, [entry].into_iter(), now);
        assert_eq!(count(&held), expected, "member {member} at tick {now}");
        let mut settled = held.settle(&tables).unwrap();
        let left = |tables: &Tables, key| {
            let ring = tables.ring_of(tables.service(&key).unwrap());
            ring.iter().filter(|slot| slot.is_unsettled()).count()
        };
        assert_eq!(left(&settled, key()), 2048 - expected);
        assert_eq!(left(&settled, other()), 0, "that flow is not its");
        settled = held.settle(&settled).unwrap();
        assert_eq!(left(&settled, key()), 2048 - expected);
    }
}

#[test]
fn a_client_that_stays_holds_its_slot_where_clients_are_hashed() {
    let start = start();
    let mut wishes = [[true, true], [true, false]].map(wish);
    for wish in &mut wishes {
        wish.services[0].scheduler = crate::tables::Scheduler::Sh;
    }
    let [before, after] = wishes;
    let mut memo = Memo::default();
    let before = build(&before, &Tables::default(), &mut memo)
        .unwrap()
        .tables;
    let tables = build(&after, &before, &mut memo).unwrap().tables;
    let mut settling = Settling::default();
    settling.note(&tables, start);
    let service = tables.service(&key()).unwrap();
    let due = settling.due(start + TIMEOUT, |_| TIMEOUT);
    for (kind, expected) in [
        (kind::FLOW, 2047),
        (kind::CLIENT, 2047),
        (kind::FRAGMENT, 2048),
    ] {
        let mut held = due.clone();
        let of_client = unsettled(&tables, service, kind::CLIENT);
        let key = FlowKey { kind, ..of_client };
        let entry = entry(&tables, key, service.id, 1);
        held.hold(&tables, [entry].into_iter(), 5500);
        assert_eq!(count(&held), expected, "kind {kind}");
    }
}
