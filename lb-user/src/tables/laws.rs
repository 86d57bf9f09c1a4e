//! The laws of the tables, over random histories of wishes.

use std::net::{IpAddr, Ipv4Addr};

use lb_ebpf::NextHop;
use lb_ebpf::abi::{Be16, Endpoint, Interface, Mac, REAL_UP, Slot, method};
use proptest::prelude::*;

use super::build::build;
use super::*;

const INTERFACE: u32 = 2;

fn hop(last: u8) -> NextHop {
    NextHop {
        ifindex: INTERFACE,
        destination: Mac([2, 0, 0, 0, 0, last]),
        source: Mac([2; 6]),
    }
}

fn interface() -> Interface {
    Interface {
        ifindex: INTERFACE,
        flags: 0,
        mac: Mac([2; 6]),
        _pad: [0; 2],
    }
}

fn real() -> impl Strategy<Value = RealWish> {
    (1u8..12, 0u16..4, any::<bool>(), any::<bool>()).prop_map(|(last, weight, up, resolved)| {
        RealWish {
            address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, last)),
            port: 80,
            weight,
            standing: if up { Standing::Up } else { Standing::Down },
            way: resolved.then(|| Way::Via(hop(last))),
        }
    })
}

prop_compose! {
    fn service()(port in 1u16..5, nat in any::<bool>(), mut reals in proptest::collection::vec(real(), 0..6))
        -> ServiceWish {
        reals.sort_by_key(|real| real.address);
        reals.dedup_by_key(|real| real.address);
        ServiceWish {
            key: Endpoint::new(Ipv4Addr::new(10, 0, 0, 100).into(), Be16::new(port), 6),
            method: if nat { method::NAT } else { method::DR },
            timeout: 100,
            reals,
        }
    }
}

prop_compose! {
    fn wish()(mut services in proptest::collection::vec(service(), 0..4)) -> Wish {
        services.sort_by_key(|service| service.key);
        services.dedup_by_key(|service| service.key);
        Wish { interfaces: vec![interface()], services }
    }
}

/// Nothing that a packet can reach is absent.
fn assert_whole(tables: &Tables) {
    for (key, service) in &tables.services {
        let ring = tables
            .rings
            .get(&service.ring)
            .unwrap_or_else(|| panic!("{key:?} has no ring"));
        assert_eq!(ring.len(), service.ring_len as usize);
        let members = tables.members_of(service);
        for slot in ring.iter() {
            for member in [slot.current(), slot.settled_owner()] {
                if member == Slot::NOBODY {
                    continue;
                }
                let id = members.get(usize::from(member)).copied();
                let id = id.unwrap_or_else(|| panic!("{key:?}: no member {member}"));
                let real = tables
                    .reals
                    .get(&id)
                    .unwrap_or_else(|| panic!("{key:?}: no real {id}"));
                assert_eq!(real.service, service.id);
            }
        }
    }
    for reply in tables.nat_replies.values() {
        assert!(tables.reals.contains_key(&reply.real));
    }
}

/// New flows go to servers that are up, resolved and weighted, and to nobody only if there is none.
fn assert_serves(wish: &Wish, tables: &Tables) {
    for service in &wish.services {
        let programmed = &tables.services[&service.key];
        let members = tables.members_of(programmed);
        let willing = service
            .reals
            .iter()
            .filter(|r| r.weight > 0 && r.standing == Standing::Up && r.way.is_some())
            .count();
        let mut owners = std::collections::BTreeSet::new();
        for slot in tables.ring_of(programmed).iter() {
            owners.insert(slot.current());
        }
        if willing == 0 {
            assert_eq!(owners.into_iter().collect::<Vec<_>>(), [Slot::NOBODY]);
            continue;
        }
        assert_eq!(owners.len(), willing);
        for owner in owners {
            assert!(tables.reals[&members[usize::from(owner)]].flags & REAL_UP != 0);
        }
    }
}

fn complete(built: Result<Built, Full>) -> Tables {
    let built = built.unwrap();
    assert_eq!(built.deferred, 0);
    built.tables
}

/// Services for three quarters of all ring slots, each with two servers of the same weights.
fn many(weights: [u16; 2]) -> Wish {
    let real = |(last, weight)| RealWish {
        address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, last)),
        port: 80,
        weight,
        standing: Standing::Up,
        way: Some(Way::Via(hop(last))),
    };
    let service = |port| ServiceWish {
        key: Endpoint::new(Ipv4Addr::new(10, 0, 0, 100).into(), Be16::new(port), 6),
        method: method::DR,
        timeout: 100,
        reals: (1..).zip(weights).map(real).collect(),
    };
    Wish {
        interfaces: vec![interface()],
        services: (0..1536).map(service).collect(),
    }
}

#[test]
fn a_change_without_room_for_all_of_it_is_made_in_parts() {
    let mut memo = Memo::default();
    let mut loaded = complete(build(&many([1, 1]), &Tables::default(), &mut memo));
    let changed = many([1, 0]);
    let mut parts = Vec::new();
    loop {
        let Built { tables, deferred } = build(&changed, &loaded, &mut memo).unwrap();
        assert_whole(&tables);
        assert_eq!(tables.services.len(), changed.services.len());
        for op in diff(&loaded, &tables) {
            loaded.apply(&op);
        }
        assert!(loaded == tables);
        parts.push(deferred);
        if deferred == 0 {
            break;
        }
    }
    assert_eq!(parts, [1024, 512, 0]);
    assert_serves(&changed, &loaded);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_step_of_every_history_is_safe(wishes in proptest::collection::vec(wish(), 1..6)) {
        let mut loaded = Tables::default();
        let mut memo = Memo::default();
        for wish in &wishes {
            let wanted = complete(build(wish, &loaded, &mut memo));
            prop_assert!(wanted == complete(build(wish, &loaded, &mut Memo::default())));
            assert_whole(&wanted);
            assert_serves(wish, &wanted);
            for reply in wanted.nat_replies.values() {
                prop_assert!(wanted.services.values().any(|service| service.id == reply.service));
            }
            prop_assert!(diff(&wanted, &wanted).is_empty());
            for op in diff(&loaded, &wanted) {
                if let MapOp::PutSlots { at, .. } = op {
                    prop_assert!(!loaded.rings.contains_key(&at), "a ring in use is written over");
                }
                loaded.apply(&op);
                // Members that were left a moment ago may be gone only when nothing points to them.
                assert_whole(&loaded);
            }
            prop_assert!(loaded == wanted);
            prop_assert!(complete(build(wish, &loaded, &mut memo)) == wanted, "the same wish changes nothing");
        }
    }

    #[test]
    fn what_stays_keeps_its_ids_and_places(first in wish(), second in wish()) {
        let before = complete(build(&first, &Tables::default(), &mut Memo::default()));
        let after = complete(build(&second, &before, &mut Memo::default()));
        for (key, old) in &before.services {
            let Some(new) = after.services.get(key) else { continue };
            prop_assert_eq!(old.id, new.id);
            let (old_members, new_members) = (before.members_of(old), after.members_of(new));
            for (at, id) in old_members.iter().enumerate() {
                if after.reals.contains_key(id) {
                    prop_assert_eq!(new_members.get(at), Some(id));
                }
            }
        }
    }
}
