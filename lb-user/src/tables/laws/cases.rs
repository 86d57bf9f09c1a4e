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

/// A virtual router on [`INTERFACE`] with these VIPs.
fn owner(index: u16, mac: Option<Mac>, vips: &[u8]) -> RouterWish {
    let vips = vips
        .iter()
        .map(|last| Ipv4Addr::new(10, 0, 0, *last).into());
    RouterWish {
        index,
        ifindex: INTERFACE,
        mac,
        vips: vips.collect(),
        local: Vec::new(),
    }
}

fn of_routers(routers: Vec<RouterWish>) -> Wish {
    Wish {
        routers,
        ..five([1, 1])
    }
}

fn vip(tables: &Tables, last: u8) -> Option<(u32, u32, bool)> {
    let address = Addr::from(Ipv4Addr::new(10, 0, 0, last));
    let mut entries = tables.vips.values();
    let entry = entries.find(|entry| entry.address == address && entry.tcp.is_there())?;
    Some((entry.tcp.router(), entry.tcp.len(), entry.tcp.is_local()))
}

#[test]
fn a_router_that_goes_takes_its_number_along_and_leaves_the_services() {
    let mut memo = Memo::default();
    let mut loaded = Tables::default();
    let steps = [
        // A VIP with services and one without; then one of them alone, another router's; then none.
        (vec![owner(7, None, &[100, 200])], Some(8), Some(8)),
        (vec![owner(3, None, &[200])], Some(0), Some(4)),
        (vec![], Some(0), None),
    ];
    for (routers, served, bare) in steps {
        let wanted = complete(build(&of_routers(routers), &loaded, &mut memo));
        apply(&mut loaded, &wanted);
        assert_eq!(vip(&loaded, 100).map(|vip| vip.0), served);
        assert!(vip(&loaded, 100).is_some_and(|vip| vip.1 > 0));
        assert_eq!(vip(&loaded, 200), bare.map(|router| (router, 0, false)));
    }
    assert!(loaded.routers.is_empty());
}

#[test]
fn a_lease_goes_on_while_its_router_stays_where_it_is() {
    let mut memo = Memo::default();
    let virtual_mac = Some(Mac([0, 0, 0x5e, 0, 1, 7]));
    let away = RouterWish {
        ifindex: INTERFACE + 1,
        ..owner(7, virtual_mac, &[100])
    };
    let first = of_routers(vec![owner(7, None, &[100])]);
    let loaded = complete(build(&first, &Tables::default(), &mut memo));
    let fresh = |routers, loaded: &Tables, memo: &mut Memo| {
        let wanted = complete(build(&of_routers(routers), loaded, memo));
        diff(loaded, &wanted).iter().find_map(|op| {
            if let MapOp::PutRouter { at, fresh, .. } = op {
                return Some((*at, *fresh));
            }
            None
        })
    };
    let more = vec![owner(7, None, &[100, 200])];
    assert_eq!(
        fresh(more, &loaded, &mut memo),
        None,
        "nothing of it changes"
    );
    let renamed = vec![owner(7, virtual_mac, &[100])];
    assert_eq!(fresh(renamed, &loaded, &mut memo), Some((7, false)));
    assert_eq!(fresh(vec![away], &loaded, &mut memo), Some((7, true)));
    let other = vec![owner(6, None, &[100])];
    assert_eq!(fresh(other, &loaded, &mut memo), Some((6, true)));
}

#[test]
fn a_virtual_address_is_that_of_the_vlan_that_its_router_is_in() {
    let vlan = Interface {
        ifindex: 30,
        flags: 0,
        mac: Mac([3; 6]),
        vlan: 12,
        egress: INTERFACE,
    };
    let mac = Mac([0, 0, 0x5e, 0, 1, 7]);
    let on = |index, ifindex, mac| RouterWish {
        ifindex,
        ..owner(index, mac, &[])
    };
    let wish = Wish {
        interfaces: vec![interface(), vlan],
        ..of_routers(vec![
            on(0, INTERFACE, Some(mac)),
            on(1, 30, Some(mac)),
            on(2, 30, None),
            on(3, 99, Some(mac)),
        ])
    };
    let tables = complete(build(&wish, &Tables::default(), &mut Memo::default()));
    let macs: Vec<_> = tables
        .virtual_macs
        .iter()
        .map(|(m, r)| (m.vlan, *r))
        .collect();
    assert_eq!(
        macs,
        [(0, 0), (12, 1)],
        "one on an interface that is not there has none"
    );
    assert!(
        tables
            .virtual_macs
            .keys()
            .all(|m| (m.ifindex, m.mac) == (INTERFACE, mac))
    );
    let router = tables.routers[&2];
    assert_eq!(
        (router.mac, router.ifindex, router.vlan),
        (vlan.mac, INTERFACE, 12)
    );
    assert_eq!(tables.routers[&3].ifindex, 0);
}

#[test]
fn a_routers_vip_says_whether_it_is_an_address_of_the_host() {
    let mut memo = Memo::default();
    let with = |local: &[u8]| {
        let address = |last: &u8| Ipv4Addr::new(10, 0, 0, *last).into();
        of_routers(vec![RouterWish {
            local: local.iter().map(address).collect(),
            ..owner(0, None, &[100, 200])
        }])
    };
    let mut loaded = Tables::default();
    // One with services, and one without; what is no VIP of the router is nothing.
    for (local, own) in [
        (&[100][..], (true, false)),
        (&[200, 201], (false, true)),
        (&[], (false, false)),
    ] {
        let wanted = complete(build(&with(local), &loaded, &mut memo));
        apply(&mut loaded, &wanted);
        let said = |last| vip(&loaded, last).is_some_and(|vip| vip.2);
        assert_eq!((said(100), said(200)), own);
        assert_eq!(vip(&loaded, 201), None);
    }
}

#[test]
fn a_routers_vip_says_whether_one_of_its_services_is_local() {
    let local = |wish: &mut Wish, at: usize| wish.services[at].reals[0].way = Some(Way::Local);
    let mut memo = Memo::default();
    let mut wish = of_routers(vec![owner(0, None, &[100])]);
    let tables = complete(build(&wish, &Tables::default(), &mut memo));
    assert_eq!(vip(&tables, 100).map(|vip| vip.2), Some(false));
    local(&mut wish, 3);
    let tables = complete(build(&wish, &tables, &mut memo));
    assert_eq!(vip(&tables, 100).map(|vip| vip.2), Some(true));
    wish.routers.clear();
    let tables = complete(build(&wish, &tables, &mut memo));
    assert_eq!(
        vip(&tables, 100).map(|vip| (vip.0, vip.2)),
        Some((0, false))
    );
}
