//! `fragments` and `tunnel_sources` of all directors, and the words of services that are no longer
//! for later.

use std::net::Ipv4Addr;

use expect_test::expect;

use super::{bad, good, with};
use crate::config::{Fragments, Scheduler, TunnelSources};

const STATUS: &str = "status = \"127.0.0.1:9144\"";

#[test]
fn settings_of_all_directors_have_defaults() {
    let director = good(&with(STATUS, "")).site.director;
    assert_eq!(director.fragments, Fragments::Forward);
    assert_eq!(director.tunnel_sources, None);
    let text = "fragments = \"pass\"\ntunnel_sources = \"10.200.0.0/16\"";
    let director = good(&with(STATUS, text)).site.director;
    assert_eq!(director.fragments, Fragments::Pass);
    let expected = TunnelSources {
        address: Ipv4Addr::new(10, 200, 0, 0),
        prefix: 16,
    };
    assert_eq!(director.tunnel_sources, Some(expected));
}

#[test]
fn fragments_are_forwarded_or_passed() {
    bad(
        STATUS,
        "fragments = \"drop\"",
        &expect![[r#"
            site.toml:7:13: error: unknown treatment of fragments `drop`
              |
            7 | fragments = "drop"
              |             ^^^^^^
              = help: write "forward" or "pass"

            site.toml: 1 error"#]],
    );
    bad(
        STATUS,
        "fragments = \"foward\"",
        &expect![[r#"
            site.toml:7:13: error: unknown treatment of fragments `foward`
              |
            7 | fragments = "foward"
              |             ^^^^^^^^
              = help: did you mean "forward"?

            site.toml: 1 error"#]],
    );
    bad(
        STATUS,
        "fragments = true",
        &expect![[r#"
        site.toml:7:13: error: expected text in quotes, found `true`
          |
        7 | fragments = true
          |             ^^^^
          = help: write it in quotes: "true"

        site.toml: 1 error"#]],
    );
}

#[test]
fn tunnel_sources_are_a_network_of_ipv4() {
    for (network, expected) in [
        (
            "10.200.0.0",
            expect![[r#"
            site.toml:7:18: error: `10.200.0.0` is not an address and the length of its prefix
              |
            7 | tunnel_sources = "10.200.0.0"
              |                  ^^^^^^^^^^^^
              = help: write for example "10.200.0.0/16"

            site.toml: 1 error"#]],
        ),
        (
            "10.200.0.1/16",
            expect![[r#"
            site.toml:7:18: error: `10.200.0.1/16` has bits set beyond its prefix
              |
            7 | tunnel_sources = "10.200.0.1/16"
              |                  ^^^^^^^^^^^^^^^
              = help: write "10.200.0.0/16"

            site.toml: 1 error"#]],
        ),
        (
            "fd77::/64",
            expect![[r#"
            site.toml:7:18: error: `fd77::/64` is not IPv4
              |
            7 | tunnel_sources = "fd77::/64"
              |                  ^^^^^^^^^^^
              = help: write for example "10.200.0.0/16"

            site.toml: 1 error"#]],
        ),
        (
            "lb1",
            expect![[r#"
            site.toml:7:18: error: `lb1` is not an address and the length of its prefix
              |
            7 | tunnel_sources = "lb1"
              |                  ^^^^^
              = help: write for example "10.200.0.0/16"

            site.toml: 1 error"#]],
        ),
    ] {
        bad(
            STATUS,
            &format!("tunnel_sources = \"{network}\""),
            &expected,
        );
    }
}

#[test]
fn tunnel_sources_have_limits() {
    for (network, expected) in [
        (
            "10.200.0.0/25",
            expect![[r#"
            site.toml:7:18: error: prefix length 25 is out of range
              |
            7 | tunnel_sources = "10.200.0.0/25"
              |                  ^^^^^^^^^^^^^^^
              = help: write /8 to /24

            site.toml: 1 error"#]],
        ),
        (
            "10.0.0.0/7",
            expect![[r#"
            site.toml:7:18: error: prefix length 7 is out of range
              |
            7 | tunnel_sources = "10.0.0.0/7"
              |                  ^^^^^^^^^^^^
              = help: write /8 to /24

            site.toml: 1 error"#]],
        ),
        (
            "224.0.0.0/16",
            expect![[r#"
            site.toml:7:18: error: packets cannot come from a multicast address, and one of these is
              |
            7 | tunnel_sources = "224.0.0.0/16"
              |                  ^^^^^^^^^^^^^^
              = help: write a network of your own such as "10.200.0.0/16"

            site.toml: 1 error"#]],
        ),
        (
            "0.0.0.0/8",
            expect![[r#"
            site.toml:7:18: error: packets cannot come from the unspecified address, and one of these is
              |
            7 | tunnel_sources = "0.0.0.0/8"
              |                  ^^^^^^^^^^^
              = help: write a network of your own such as "10.200.0.0/16"

            site.toml: 1 error"#]],
        ),
    ] {
        bad(
            STATUS,
            &format!("tunnel_sources = \"{network}\""),
            &expected,
        );
    }
}

#[test]
fn all_schedulers_are_there() {
    for (word, scheduler) in Scheduler::KNOWN {
        let text = with(
            "method = \"dr\"",
            &format!("method = \"dr\"\nscheduler = \"{word}\""),
        );
        assert_eq!(good(&text).site.services[0].scheduler, *scheduler);
        assert_eq!(scheduler.word(), *word);
    }
}
