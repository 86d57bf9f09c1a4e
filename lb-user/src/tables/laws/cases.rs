//! Single cases of the laws, each with what it is about.

use super::*;

/// Five services of two real servers each, no two of the same.
fn five(weights: [u16; 2]) -> Wish {
    let service = |number: u8| {
        let real = |(last, weight)| RealWish {
            address: IpAddr::V4(Ipv4Addr::new(10, 1, number, last)),
            ..real_of(last, 80, weight)
        };
        let key = ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), number.into(), 6);
        ServiceWish {
            reals: (1..).zip(weights).map(real).collect(),
            ..ServiceWish::new(key, method::DR)
        }
    };
    Wish {
        interfaces: vec![interface()],
        services: (0..5).map(service).collect(),
        ..Wish::default()
    }
}

fn apply(loaded: &mut Tables, wanted: &Tables) {
    for op in diff(loaded, wanted) {
        loaded.apply(&op);
    }
    assert!(loaded == wanted);
}

#[test]
fn a_change_without_room_for_all_of_it_is_made_in_parts() {
    let mut memo = Memo::default();
    let mut loaded = complete(build(&five([1, 1]), &Tables::default(), &mut memo));
    // What others hold until this change leaves room for two rings.
    let taken = 5 * ring::SIZE_MIN;
    let others = vec![Slot::settled(0); (RING_SLOTS_MAX - taken - 2 * ring::SIZE_MIN) as usize];
    loaded.rings.insert(taken, others.into());
    let changed = five([1, 0]);
    let mut parts = Vec::new();
    loop {
        let Built { tables, deferred } = build(&changed, &loaded, &mut memo).unwrap();
        assert_whole(&tables, &mut Owners::new());
        assert_eq!(tables.services.len(), changed.services.len());
        apply(&mut loaded, &tables);
        parts.push(deferred);
        if deferred == 0 {
            break;
        }
    }
    assert_eq!(parts, [3, 0]);
    assert_serves(&changed, &loaded);
}

#[test]
fn services_of_the_same_servers_share_a_ring_whatever_their_ports() {
    let service = |port, weights: [u16; 2]| ServiceWish {
        reals: (1..)
            .zip(weights)
            .map(|(last, weight)| real_of(last, port, weight))
            .collect(),
        ..ServiceWish::new(
            ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), port, 6),
            method::DR,
        )
    };
    let wish = |weight| Wish {
        services: vec![
            service(80, [1, weight]),
            service(443, [1, weight]),
            service(25, [1, 2]),
        ],
        ..Wish::default()
    };
    let mut memo = Memo::default();
    let mut loaded = complete(build(&wish(1), &Tables::default(), &mut memo));
    assert_eq!((loaded.rings.len(), loaded.members.len()), (2, 3));
    for weight in [0, 3, 2] {
        let wanted = complete(build(&wish(weight), &loaded, &mut memo));
        apply(&mut loaded, &wanted);
        // The one of weights 1 and 2 has no memory of other weights: it stays alone.
        assert_eq!(loaded.rings.len(), 2, "weight {weight}");
    }
}

#[test]
fn two_ports_of_one_host_are_two_servers_of_the_ring() {
    let key = ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), 80, 6);
    let wish = Wish {
        services: vec![ServiceWish {
            reals: vec![real_of(1, 8080, 1), real_of(1, 8081, 1)],
            ..ServiceWish::new(key, method::NAT)
        }],
        ..Wish::default()
    };
    let tables = complete(build(&wish, &Tables::default(), &mut Memo::default()));
    let ring = tables.ring_of(tables.service(&key).unwrap());
    let of_first = ring.iter().filter(|slot| slot.current() == 0).count();
    assert_eq!(of_first * 2, ring.len());
}

#[test]
fn a_service_whose_ports_are_all_taken_out_of_it_is_not_there() {
    let key = |first, last| ServiceKey {
        first,
        last,
        ..ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), 0, 6)
    };
    let keys = [key(80, 81), key(80, 80), key(81, 81)];
    let wish = Wish {
        services: keys.map(|key| ServiceWish::new(key, method::DR)).to_vec(),
        ..Wish::default()
    };
    let tables = complete(build(&wish, &Tables::default(), &mut Memo::default()));
    assert_eq!(
        tables.index().into_keys().collect::<Vec<_>>(),
        [keys[1], keys[2]]
    );
}

#[test]
fn addresses_of_fullnat_stay_where_they_are_until_they_change() {
    let entry = |last| PoolEntry {
        address: Ipv4Addr::new(10, 0, 9, last).into(),
        first: 1024,
        count: 10,
    };
    let wish = |pool: &[u8]| Wish {
        services: vec![ServiceWish::new(
            ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), 80, 6),
            method::FULLNAT,
        )],
        pool: pool.iter().map(|last| entry(*last)).collect(),
        ..Wish::default()
    };
    let mut loaded = Tables::default();
    let mut starts: Vec<u32> = Vec::new();
    for pool in [&[1u8, 2][..], &[1, 2], &[1, 2, 3], &[3]] {
        let wanted = complete(build(&wish(pool), &loaded, &mut Memo::default()));
        apply(&mut loaded, &wanted);
        starts.extend(loaded.pool.keys());
        let maps = HostMaps::new(loaded.clone());
        let at = |port| found(&maps, &entry(3).address, port, 17);
        let expected = if pool.contains(&3) {
            Segment::POOL
        } else {
            Segment::NOTHING
        };
        assert_eq!((at(1033), at(1034)), (expected, Segment::NOTHING));
    }
    assert_eq!(starts, [0, 0, 2, 5]);
}

#[test]
fn replies_of_nat_are_found_by_real_server_and_port() {
    use lb_ebpf::lookups::{Lookups as _, find_address, find_port};
    let key = |first, last| ServiceKey {
        first,
        last,
        ..ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), 0, 6)
    };
    let nat = |key, port| ServiceWish {
        reals: vec![real_of(1, port, 1)],
        ..ServiceWish::new(key, method::NAT)
    };
    let wish = Wish {
        services: vec![nat(key(80, 80), 8080), nat(key(9000, 9009), 0)],
        ..Wish::default()
    };
    let tables = complete(build(&wish, &Tables::default(), &mut Memo::default()));
    let maps = HostMaps::new(tables.clone());
    let reply = |port| {
        let ports = find_address(&Ipv4Addr::new(10, 1, 0, 1).into(), |at| maps.nat_source(at))?;
        assert!(!ports.is_vip());
        let id = find_port(&maps, ports.of(6), port);
        maps.nat_reply(id).copied()
    };
    assert_eq!(reply(8080).unwrap().port, Be16::new(80));
    assert_eq!(
        reply(9009).unwrap().port,
        Be16::new(0),
        "its port is the service's"
    );
    let ids = tables
        .services
        .values()
        .map(|service| service.id)
        .collect::<BTreeSet<_>>();
    assert_eq!(
        ids,
        [8080, 9000].map(|port| reply(port).unwrap().service).into()
    );
    assert_eq!((reply(80), reply(9010)), (None, None));
}
