//! Concurrent requests: taken, given back, all or none.

use super::*;

fn conn_zone(key: &str, clients: u32) -> Arc<ConnZone> {
    let key = Key::new(vec![key.parse().unwrap()]).unwrap();
    Arc::new(ConnZone::new(key.to_string().as_str(), key, Size::for_clients(clients)).unwrap())
}

fn conn_limits(limits: &[(&Arc<ConnZone>, u16)]) -> Arc<ConnLimits> {
    let limits = limits.iter().map(|(zone, most)| ConnLimit {
        zone: Arc::clone(zone),
        most: *most,
    });
    Arc::new(ConnLimits::new(limits.collect(), Status::default(), false).unwrap())
}

#[test]
fn a_client_has_as_many_under_way_as_its_limit_and_each_that_ends_makes_room() {
    let zone = conn_zone("address", 10);
    let limits = conn_limits(&[(&zone, 2)]);
    let request = Request::from("192.0.2.1");
    let first = limits.enter(&request).unwrap();
    let second = limits.enter(&request).unwrap();
    let refused = limits.enter(&request).unwrap_err();
    assert_eq!((refused.status.code(), refused.limit), (429, 0));
    assert_eq!(refused.why, Why::Limit);
    // Another client is not concerned.
    drop(limits.enter(&Request::from("192.0.2.2")).unwrap());
    drop(first);
    let third = limits.enter(&request).unwrap();
    assert!(limits.enter(&request).is_err());
    drop((second, third));
    assert_eq!(zone.stats().clients, 0);
}

#[test]
fn what_a_later_limit_refuses_takes_no_place_in_an_earlier_one() {
    let (by_host, by_address) = (conn_zone("host", 10), conn_zone("address", 10));
    let limits = conn_limits(&[(&by_host, 3), (&by_address, 1)]);
    let guard = limits.enter(&Request::from("192.0.2.1")).unwrap();
    for _ in 0..10 {
        let refused = limits.enter(&Request::from("192.0.2.1")).unwrap_err();
        assert_eq!(refused.limit, 1);
    }
    let others = ["192.0.2.2", "192.0.2.3"].map(|from| limits.enter(&Request::from(from)).unwrap());
    let refused = limits.enter(&Request::from("192.0.2.4")).unwrap_err();
    assert_eq!(refused.limit, 0);
    drop((guard, others));
    assert_eq!(
        (by_host.stats().clients, by_address.stats().clients),
        (0, 0)
    );
}

#[test]
fn a_full_zone_refuses_new_clients_and_keeps_those_it_has() {
    let zone = conn_zone("address", 1);
    let limits = conn_limits(&[(&zone, 2)]);
    let capacity = zone.stats().capacity;
    let from = |n: u32| Request::from(&format!("192.0.2.{n}"));
    let guards: Vec<_> = (0..capacity)
        .map(|n| limits.enter(&from(n)).unwrap())
        .collect();
    let refused = limits.enter(&from(capacity)).unwrap_err();
    assert_eq!(refused.why, Why::Full);
    let again = limits.enter(&from(0)).unwrap();
    drop(guards);
    assert_eq!(zone.stats().clients, 1);
    drop(again);
    assert_eq!(zone.stats().clients, 0);
}

#[test]
fn a_request_without_the_key_is_not_limited() {
    let zone = conn_zone("header:x-user", 10);
    let limits = conn_limits(&[(&zone, 1)]);
    let nobody = Request::from("192.0.2.1");
    let guards = [(); 3].map(|()| limits.enter(&nobody).unwrap());
    let ann = nobody.header("x-user", "ann");
    let guard = limits.enter(&ann).unwrap();
    assert!(limits.enter(&ann).is_err());
    drop((guards, guard));
}

#[test]
fn a_reload_goes_on_counting_what_is_under_way() {
    let old = conn_zone("address", 10);
    let request = Request::from("192.0.2.1");
    let guard = conn_limits(&[(&old, 1)]).enter(&request).unwrap();
    let new = old.reloaded(Key::address(), Size::for_clients(10)).unwrap();
    let limits = conn_limits(&[(&Arc::new(new), 1)]);
    assert!(limits.enter(&request).is_err());
    drop(guard);
    assert!(limits.enter(&request).is_ok());
    let host = Key::new(vec![Part::Host]).unwrap();
    assert!(old.reloaded(host, Size::for_clients(10)).is_err());
}

#[test]
fn a_zone_twice_and_a_limit_of_nobody_are_refused() {
    let zone = conn_zone("address", 10);
    let limit = |most| ConnLimit {
        zone: Arc::clone(&zone),
        most,
    };
    let refuse = |limits| ConnLimits::new(limits, Status::default(), false).unwrap_err();
    let twice = refuse(vec![limit(1), limit(2)]).to_string();
    assert!(twice.contains("zone `address` is named twice"), "{twice}");
    let nobody = refuse(vec![limit(0)]).to_string();
    assert!(nobody.contains("at least 1"), "{nobody}");
}
