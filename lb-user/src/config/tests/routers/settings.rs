//! Names, numbers and what has a default.

use expect_test::expect;

use super::{PAIR, bad, pair, router, warned};
use crate::config::tests::{good, refused};

const INTERVAL: &str = "interval = \"1s\"";

#[test]
fn names() {
    bad(
        "name = \"site\"",
        "name = \"the site\"",
        &expect![[r#"
        site.toml:17:8: error: `the site` cannot name a virtual router
           |
        17 | name = "the site"
           |        ^^^^^^^^^^
           = help: write 1 to 63 letters, digits, `.`, `_` or `-`

        site.toml: 1 error"#]],
    );
    bad(
        "name = \"site\"\n",
        "",
        &expect![[r#"
        site.toml:16:1: error: missing key `name`
           |
        16 | [[virtual_router]]
           | ^^^^^^^^^^^^^^^^^^
           = help: add `name = "site"`

        site.toml: 1 error"#]],
    );
    refused(
        &format!(
            "{PAIR}[[virtual_router]]\nname = \"site\"\nvrid = 52\nvips = [\"192.0.2.101\"]\n"
        ),
        &expect![[r#"
            site.toml:36:8: error: virtual router `site` is defined twice
               |
            36 | name = "site"
               |        ^^^^^^
               = help: give each virtual router a name of its own
            site.toml:17:8: note: first defined here
               |
            17 | name = "site"
               |        ^^^^^^

            site.toml: 1 error"#]],
    );
    // Hosts name it, and are not told that there is none.
    bad(
        "name = \"site\"",
        "name = 5",
        &expect![[r#"
        site.toml:17:8: error: expected text in quotes, found the number 5
           |
        17 | name = 5
           |        ^
           = help: write it in quotes: "5"

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_vrid_has_8_bits_and_is_not_0() {
    bad(
        "vrid = 51",
        "vrid = 0",
        &expect![[r#"
        site.toml:18:8: error: VRID 0 is out of range
           |
        18 | vrid = 0
           |        ^
           = help: write 1 to 255

        site.toml: 1 error"#]],
    );
    bad(
        "vrid = 51",
        "vrid = 256",
        &expect![[r#"
        site.toml:18:8: error: VRID 256 is out of range
           |
        18 | vrid = 256
           |        ^^^
           = help: write 1 to 255

        site.toml: 1 error"#]],
    );
    bad(
        "vrid = 51\n",
        "",
        &expect![[r#"
        site.toml:16:1: error: missing key `vrid`
           |
        16 | [[virtual_router]]
           | ^^^^^^^^^^^^^^^^^^
           = help: add `vrid = 51`

        site.toml: 1 error"#]],
    );
}

#[test]
fn intervals_are_whole_centiseconds_of_12_bits() {
    bad(
        INTERVAL,
        "interval = \"15ms\"",
        &expect![[r#"
            site.toml:20:12: error: interval 15ms must be 10ms to 40.95s, in steps of 10ms
               |
            20 | interval = "15ms"
               |            ^^^^^^
               = help: write "20ms"

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "interval = \"0s\"",
        &expect![[r#"
        site.toml:20:12: error: interval 0s must be 10ms to 40.95s, in steps of 10ms
           |
        20 | interval = "0s"
           |            ^^^^
           = help: write for example "1s"

        site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "interval = \"41s\"",
        &expect![[r#"
        site.toml:20:12: error: interval 41s must be 10ms to 40.95s, in steps of 10ms
           |
        20 | interval = "41s"
           |            ^^^^^
           = help: write for example "1s"

        site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "interval = 1",
        &expect![[r#"
        site.toml:20:12: error: a duration without a unit
           |
        20 | interval = 1
           |            ^
           = help: write a unit: "1s"

        site.toml: 1 error"#]],
    );
    assert_eq!(router("interval = \"10ms\"").interval.centis(), 1);
    let longest = good(&pair(INTERVAL, "interval = \"40s 950ms\"")).site;
    assert_eq!(longest.virtual_routers[0].interval.centis(), 4095);
}

#[test]
fn a_stop_has_time_to_hand_over() {
    assert_eq!(router("interval = \"8s 160ms\"").interval.centis(), 816);
    warned(
        &pair(INTERVAL, "interval = \"8s 170ms\""),
        &expect![[r#"
            site.toml:20:12: warning: handing over at interval 8s 170ms takes up to 51s, and a stop waits for it no longer than 50s
               |
            20 | interval = "8s 170ms"
               |            ^^^^^^^^^^
               = help: write "8s" or less, or let `viaduct resign` hand over before a stop

            site.toml: 1 warning"#]],
    );
}

#[test]
fn who_does_not_preempt_does_not_wait_for_it() {
    bad(
        INTERVAL,
        "preempt = false\npreempt_delay = \"5s\"",
        &expect![[r#"
            site.toml:21:17: error: `preempt_delay` has no meaning where nobody preempts
               |
            21 | preempt_delay = "5s"
               |                 ^^^^
               = help: leave it out, or leave out `preempt = false`
            site.toml:20:11: note: said here
               |
            20 | preempt = false
               |           ^^^^^

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "preempt_delay = \"61m\"",
        &expect![[r#"
            site.toml:20:17: error: preempt_delay 1h 1m is out of range
               |
            20 | preempt_delay = "61m"
               |                 ^^^^^
               = help: write "0s" to "1h"

            site.toml: 1 error"#]],
    );
}

#[test]
fn words() {
    bad(
        INTERVAL,
        "mac = \"vmac\"",
        &expect![[r#"
        site.toml:20:7: error: unknown MAC `vmac`
           |
        20 | mac = "vmac"
           |       ^^^^^^
           = help: write "interface" or "virtual"

        site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "transport = \"unicats\"",
        &expect![[r#"
            site.toml:20:13: error: unknown transport `unicats`
               |
            20 | transport = "unicats"
               |             ^^^^^^^^^
               = help: did you mean "unicast"?

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "checksum = \"rfc9568\"",
        &expect![[r#"
            site.toml:20:12: error: unknown checksum `rfc9568`
               |
            20 | checksum = "rfc9568"
               |            ^^^^^^^^^
               = help: write "pseudo-header" or "message-only"

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "group = \"the group\"",
        &expect![[r#"
            site.toml:20:9: error: `the group` cannot name a group
               |
            20 | group = "the group"
               |         ^^^^^^^^^^^
               = help: write 1 to 63 letters, digits, `.`, `_` or `-`

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_notify_script_is_a_path() {
    bad(
        INTERVAL,
        "notify = \"notify.sh\"",
        &expect![[r#"
            site.toml:20:10: error: `notify.sh` is not an absolute path
               |
            20 | notify = "notify.sh"
               |          ^^^^^^^^^^^
               = help: write it from the root, without arguments: "/etc/viaduct/notify"

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "notify = \"\"",
        &expect![[r#"
        site.toml:20:10: error: `` is not an absolute path
           |
        20 | notify = ""
           |          ^^
           = help: write it from the root, without arguments: "/etc/viaduct/notify"

        site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "notify = \"/etc/\\u0000\"",
        &expect![[r#"
            site.toml:20:10: error: not a path that a file can have
               |
            20 | notify = "/etc/\u0000"
               |          ^^^^^^^^^^^^^
               = help: write for example "/etc/viaduct/notify"

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_notify_script_has_no_arguments_of_ours() {
    warned(
        &pair(INTERVAL, "notify = \"/etc/viaduct/notify -v\""),
        &expect![[r#"
            site.toml:20:10: warning: `/etc/viaduct/notify -v` is the path of a file, spaces and all
               |
            20 | notify = "/etc/viaduct/notify -v"
               |          ^^^^^^^^^^^^^^^^^^^^^^^^
               = help: if `/etc/viaduct/notify` is meant, do not write arguments into the same text

            site.toml: 1 warning"#]],
    );
}

#[test]
fn announcements_have_bounds() {
    bad(
        INTERVAL,
        "announce = { count = 0 }",
        &expect![[r#"
            site.toml:20:22: error: count 0 is out of range
               |
            20 | announce = { count = 0 }
               |                      ^
               = help: write 1 to 100

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "announce = { delay = \"2h\" }",
        &expect![[r#"
            site.toml:20:22: error: delay 2h is out of range
               |
            20 | announce = { delay = "2h" }
               |                      ^^^^
               = help: write "0s" to "1h"

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "announce = { refresh = \"10ms\" }",
        &expect![[r#"
            site.toml:20:24: error: refresh 10ms is out of range
               |
            20 | announce = { refresh = "10ms" }
               |                        ^^^^^^
               = help: write "1s" to "1day"

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "announce = { repeat = 5 }",
        &expect![[r#"
            site.toml:20:14: error: unknown key `repeat`
               |
            20 | announce = { repeat = 5 }
               |              ^^^^^^
               = help: known here: count, delay, refresh

            site.toml: 1 error"#]],
    );
    bad(
        INTERVAL,
        "announce = 5",
        &expect![[r#"
        site.toml:20:12: error: expected a table, found the number 5
           |
        20 | announce = 5
           |            ^

        site.toml: 1 error"#]],
    );
}

#[test]
fn unknown_keys_are_told() {
    bad(
        INTERVAL,
        "authentication = 1",
        &expect![[r#"
            site.toml:20:1: error: unknown key `authentication`
               |
            20 | authentication = 1
               | ^^^^^^^^^^^^^^
               = help: known here: name, vrid, vips, interval, preempt, preempt_delay, mac, transport, checksum, group, notify, announce, track

            site.toml: 1 error"#]],
    );
    bad(
        "vrid = 51",
        "virtual_router_id = 51",
        &expect![[r#"
        site.toml:16:1: error: missing key `vrid`
           |
        16 | [[virtual_router]]
           | ^^^^^^^^^^^^^^^^^^
           = help: add `vrid = 51`

        site.toml:18:1: error: unknown key `virtual_router_id`
           |
        18 | virtual_router_id = 51
           | ^^^^^^^^^^^^^^^^^
           = help: known here: name, vrid, vips, interval, preempt, preempt_delay, mac, transport, checksum, group, notify, announce, track

        site.toml: 2 errors"#]],
    );
}

#[test]
fn there_is_a_list_of_them() {
    // `[virtual_router]` is what one writes who has one.
    let text = pair("[[virtual_router]]", "[virtual_router]");
    refused(
        &text,
        &expect![[r#"
        site.toml:16:1: error: expected a list, found a table
           |
        16 | [virtual_router]
           | ^^^^^^^^^^^^^^^^
           = help: a list of tables is written `[[virtual_router]]`

        site.toml: 1 error"#]],
    );
}
