//! Words and durations of `[[service]]` that are none, or none yet.

use expect_test::expect;

use super::{bad, good, with};
use crate::config::{Encapsulation, Method};

#[test]
fn protocols() {
    bad(
        "\"tcp\"",
        "\"tpc\"",
        &expect![[r#"
        site.toml:13:12: error: unknown protocol `tpc`
           |
        13 | protocol = "tpc"
           |            ^^^^^
           = help: did you mean "tcp"?

        site.toml: 1 error"#]],
    );
    bad(
        "\"tcp\"",
        "\"TCP\"",
        &expect![[r#"
        site.toml:13:12: error: unknown protocol `TCP`
           |
        13 | protocol = "TCP"
           |            ^^^^^
           = help: did you mean "tcp"?

        site.toml: 1 error"#]],
    );
    bad(
        "\"tcp\"",
        "\"sctp\"",
        &expect![[r#"
        site.toml:13:12: error: protocol `sctp` is not in this version
           |
        13 | protocol = "sctp"
           |            ^^^^^^
           = help: write "tcp" or "udp"

        site.toml: 1 error"#]],
    );
}

#[test]
fn methods_and_schedulers() {
    bad(
        "\"dr\"",
        "\"direct\"",
        &expect![[r#"
            site.toml:14:10: error: unknown method `direct`
               |
            14 | method = "direct"
               |          ^^^^^^^^
               = help: write "nat" or "fullnat" or "dr" or "tunnel" or "local"

            site.toml: 1 error"#]],
    );
    bad(
        "method = \"dr\"",
        "method = \"dr\"\ntunnel = \"gue\"",
        &expect![[r#"
        site.toml:15:10: error: method "dr" carries packets as they are
           |
        15 | tunnel = "gue"
           |          ^^^^^
           = help: leave it out, or use method "tunnel"

        site.toml: 1 error"#]],
    );
    bad(
        "method = \"dr\"",
        "method = \"tunnel\"\ntunnel = \"gre\"",
        &expect![[r#"
        site.toml:15:10: error: tunnel `gre` is not in this version
           |
        15 | tunnel = "gre"
           |          ^^^^^
           = help: write "ipip" or "gue"

        site.toml: 1 error"#]],
    );
    bad(
        "method = \"dr\"",
        "method = \"dr\"\nscheduler = \"sed\"",
        &expect![[r#"
            site.toml:15:13: error: scheduler `sed` is not in this version
               |
            15 | scheduler = "sed"
               |             ^^^^^
               = help: write "maglev" or "rr" or "wrr" or "lc" or "wlc" or "sh"

            site.toml: 1 error"#]],
    );
    bad(
        "method = \"dr\"",
        "method = \"dr\"\nscheduler = \"magleв\"",
        &expect![[r#"
        site.toml:15:13: error: unknown scheduler `magleв`
           |
        15 | scheduler = "magleв"
           |             ^^^^^^^^
           = help: did you mean "maglev"?

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_tunnel_leads_to_real_servers_of_either_family() {
    let text = with("method = \"dr\"", "method = \"tunnel\"\ntunnel = \"gue\"");
    let text = text.replace("\"10.77.0.11\"", "\"2001:db8::11\"");
    assert_eq!(
        good(&text).site.services[0].method,
        Method::Tunnel(Encapsulation::Gue)
    );
}

#[test]
fn timeouts() {
    bad(
        "method = \"dr\"",
        "method = \"dr\"\ntimeout = 900",
        &expect![[r#"
        site.toml:15:11: error: a duration without a unit
           |
        15 | timeout = 900
           |           ^^^
           = help: write a unit: "900s"

        site.toml: 1 error"#]],
    );
    bad(
        "method = \"dr\"",
        "method = \"dr\"\ntimeout = \"0s\"",
        &expect![[r#"
            site.toml:15:11: error: timeout 0s is out of range
               |
            15 | timeout = "0s"
               |           ^^^^
               = help: write "1s" to "7days"

            site.toml: 1 error"#]],
    );
    bad(
        "method = \"dr\"",
        "method = \"dr\"\ntimeout = \"8days\"",
        &expect![[r#"
            site.toml:15:11: error: timeout 8days is out of range
               |
            15 | timeout = "8days"
               |           ^^^^^^^
               = help: write "1s" to "7days"

            site.toml: 1 error"#]],
    );
}
