//! Who counts as one client.

use super::*;

fn keyed(parts: &[&str]) -> Zone {
    let parts = parts.iter().map(|part| part.parse().unwrap());
    let key = Key::new(parts.collect()).unwrap();
    Zone::new("one", key, "12r/m".parse().unwrap(), Size::for_clients(1)).unwrap()
}

/// Whether both count as one client by these parts.
fn one(parts: &[&str], a: &Request, b: &Request) -> bool {
    let zone = keyed(parts);
    let (a, b) = (zone.client(a).unwrap(), zone.client(b).unwrap());
    a == b
}

#[test]
fn an_address_or_its_first_bits() {
    let same = |parts: &str, a: &str, b: &str| one(&[parts], &Request::from(a), &Request::from(b));
    assert!(same("address", "192.0.2.1", "192.0.2.1"));
    assert!(!same("address", "192.0.2.1", "192.0.2.2"));
    assert!(same("address", "192.0.2.1", "::ffff:192.0.2.1"));
    assert!(same("address/24/64", "192.0.2.1", "192.0.2.254"));
    assert!(!same("address/24/64", "192.0.2.1", "192.0.3.1"));
    assert!(same(
        "address/24/64",
        "2001:db8::1",
        "2001:db8::ffff:ffff:ffff:ffff"
    ));
    assert!(!same("address/24/64", "2001:db8::1", "2001:db8:0:1::1"));
    assert!(same("address/0/0", "192.0.2.1", "203.0.113.9"));
    assert!(!same("address/0/0", "192.0.2.1", "2001:db8::1"));
    assert!(!same("address/32/128", "192.0.2.1", "192.0.2.0"));
    assert!(!same("address/32/128", "2001:db8::1", "2001:db8::"));
}

#[test]
fn parts_count_together_and_their_borders_matter() {
    let request = |user: &str, app: &str| {
        let from = Request::from("192.0.2.1");
        from.header("x-user", user.as_bytes())
            .header("x-app", app.as_bytes())
    };
    let parts = ["header:x-user", "header:X-App"];
    assert!(one(&parts, &request("ann", "a"), &request("ann", "a")));
    assert!(!one(&parts, &request("ann", "a"), &request("ann", "b")));
    assert!(!one(&parts, &request("ab", "c"), &request("a", "bc")));
    // One that is missing counts as empty, and only all of them together as not limited.
    assert!(keyed(&parts).client(&request("", "a")).is_some());
    assert!(keyed(&parts).client(&request("", "")).is_none());
}

#[test]
fn a_cookie_and_what_is_asked_for() {
    let bare = Request::from("192.0.2.1");
    let (a, b) = (
        bare.clone().cookie("id", "a"),
        bare.clone().cookie("id", "b"),
    );
    assert!(!one(&["cookie:id"], &a, &b));
    assert!(one(&["cookie:id"], &a, &a));
    assert!(keyed(&["cookie:id"]).client(&bare).is_none());
    assert!(one(&["host"], &a, &b) && one(&["path"], &a, &b));
    assert!(!one(&["host", "cookie:id"], &a, &b));
}

#[test]
fn each_zone_hashes_with_its_own_secret() {
    let request = Request::from("192.0.2.1");
    let clients = [(); 2].map(|()| keyed(&["address"]).client(&request).unwrap());
    assert_ne!(clients[0], clients[1]);
}
