//! Method `local`: this host is the real server.

use std::net::IpAddr;

use expect_test::{Expect, expect};

use super::{good, refused, with};
use crate::config::Method;

const REALS: &str = "[[service.real]]\naddress = \"10.77.0.11\"\nweight = 50\n\n\
                     [[service.real]]\naddress = \"10.77.0.12\"\n";

/// The good file with a first service that has method `local`, and more keys.
fn local(keys: &str) -> String {
    let method = "method = \"dr\"";
    with(REALS, "").replace(method, &format!("method = \"local\"\n{keys}"))
}

fn bad_keys(keys: &str, expected: &Expect) {
    refused(&local(keys), expected);
}

#[test]
fn this_host_is_its_real_server() {
    let checked = good(&local("timeout = \"5m\"\nsyn_timeout = \"10s\""));
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    let web = &checked.site.services[0];
    assert_eq!((web.method, web.reals.len()), (Method::Local, 0));
    let vip = IpAddr::from([10, 77, 0, 100]);
    let servers = web.servers();
    assert_eq!(
        (servers.len(), servers[0].address, servers[0].port),
        (1, vip, Some(80))
    );
    let dns = &checked.site.services[1];
    assert_eq!(*dns.servers(), dns.reals);
}

#[test]
fn it_has_no_real_servers() {
    let text = with("method = \"dr\"", "method = \"local\"");
    refused(
        &text,
        &expect![[r#"
        site.toml:21:1: error: a real server of a service of method "local", which this host serves itself
           |
        21 | [[service.real]]
           | ^^^^^^^^^^^^^^^^
           = help: leave it out, or use another method

        site.toml: 1 error"#]],
    );
}

#[test]
fn there_is_nobody_to_choose() {
    bad_keys(
        "scheduler = \"rr\"",
        &expect![[r#"
        site.toml:15:13: error: `scheduler` has no meaning with method "local"
           |
        15 | scheduler = "rr"
           |             ^^^^
           = help: leave it out: this host serves every flow itself

        site.toml: 1 error"#]],
    );
    bad_keys(
        "persistence = \"30m\"\npersistence_prefix = 24",
        &expect![[r#"
            site.toml:15:15: error: `persistence` has no meaning with method "local"
               |
            15 | persistence = "30m"
               |               ^^^^^
               = help: leave it out: this host serves every flow itself

            site.toml:16:22: error: `persistence_prefix` has no meaning with method "local"
               |
            16 | persistence_prefix = 24
               |                      ^^
               = help: leave it out: this host serves every flow itself

            site.toml: 2 errors"#]],
    );
    bad_keys(
        "track = true",
        &expect![[r#"
        site.toml:15:9: error: `track` has no meaning with method "local"
           |
        15 | track = true
           |         ^^^^
           = help: leave it out: this host serves every flow itself

        site.toml: 1 error"#]],
    );
    bad_keys(
        "tunnel = \"gue\"",
        &expect![[r#"
            site.toml:15:10: error: method "local" carries packets as they are
               |
            15 | tunnel = "gue"
               |          ^^^^^
               = help: leave it out, or use method "tunnel"

            site.toml: 1 error"#]],
    );
    let udp = local("quic = { config = 0, length = 4 }").replace("\"tcp\"", "\"udp\"");
    refused(
        &udp,
        &expect![[r#"
        site.toml:15:8: error: `quic` has no meaning with method "local"
           |
        15 | quic = { config = 0, length = 4 }
           |        ^^^^^^^^^^^^^^^^^^^^^^^^^^
           = help: leave it out: this host serves every flow itself

        site.toml: 1 error"#]],
    );
}

#[test]
fn its_check_goes_to_one_address() {
    let text = local("").replacen("10.77.0.100", "10.80.0.0/24", 1);
    refused(
        &text,
        &expect![[r#"
        site.toml:17:1: error: which of the VIPs of this host is to be probed?
           |
        17 | [service.health]
           | ^^^^^^^^^^^^^^^^
           = help: leave the check out, or write a service for the VIP to be checked
        site.toml:11:7: note: the VIPs
           |
        11 | vip = "10.80.0.0/24"
           |       ^^^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    let unchecked = text.replace(
        "[service.health]\ntype = \"http\"\npath = \"/health\"\ninterval = \"2s\"\n",
        "",
    );
    assert!(good(&unchecked).site.services[0].health.is_none());
}
