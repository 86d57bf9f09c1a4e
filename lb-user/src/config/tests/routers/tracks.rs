//! What a priority depends on.

use std::{num::NonZeroU32, time::Duration};

use expect_test::expect;

use super::{PAIR, bad, pair, warned};
use crate::config::{
    Track, TrackTarget,
    tests::{good, refused},
};

const TRACK: &str = "service = \"web\"\nweight = 60";

fn track(text: &str) -> Track {
    let checked = good(&pair(TRACK, text));
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    checked.site.virtual_routers[0].tracks[0].clone()
}

#[test]
fn each_kind_can_be_said() {
    let interface = track("interface = \"eth9\"");
    assert_eq!(interface.what, TrackTarget::Interface("eth9".to_owned()));
    assert_eq!(interface.weight, None);
    let spec = |text: &str| match track(text).what {
        TrackTarget::Script { argv, spec } => (argv, spec),
        TrackTarget::Interface(_) | TrackTarget::Service { .. } => panic!("no script"),
    };
    let (argv, own) = spec("script = [\"/bin/check\", \"-v\"]\nweight = 253");
    assert_eq!(argv, ["/bin/check", "-v"]);
    let second = Duration::from_secs(1);
    assert_eq!((own.interval, own.timeout), (second, second));
    assert_eq!((own.rise.get(), own.fall.get()), (1, 1));
    let (_, own) = spec("script = [\"/c\"]\ninterval = \"5s\"\nrise = 2\nfall = 3");
    assert_eq!((own.interval, own.timeout), (second * 5, second * 5));
    assert_eq!((own.rise.get(), own.fall.get()), (2, 3));
    let service = track("service = \"web\"\nquorum = 2");
    let quorum = NonZeroU32::new(2).unwrap();
    assert_eq!(
        service.what,
        TrackTarget::Service {
            name: "web".to_owned(),
            quorum
        }
    );
}

#[test]
fn a_track_looks_at_one_thing() {
    bad(
        TRACK,
        "weight = 60",
        &expect![[r#"
            site.toml:22:1: error: a track that looks at nothing
               |
            22 | [[virtual_router.track]]
               | ^^^^^^^^^^^^^^^^^^^^^^^^
               = help: write one of `interface`, `script` and `service`

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "service = \"web\"\ninterface = \"eth0\"",
        &expect![[r#"
            site.toml:24:13: error: a track looks at one thing
               |
            24 | interface = "eth0"
               |             ^^^^^^
               = help: write a `[[virtual_router.track]]` for each
            site.toml:23:11: note: looked at already
               |
            23 | service = "web"
               |           ^^^^^

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "servce = \"web\"",
        &expect![[r#"
            site.toml:23:1: error: unknown key `servce`
               |
            23 | servce = "web"
               | ^^^^^^
               = help: did you mean `service`?

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "interface = \"eth 0\"",
        &expect![[r#"
            site.toml:23:13: error: `eth 0` cannot name an interface
               |
            23 | interface = "eth 0"
               |             ^^^^^^^
               = help: 1 to 15 characters, without `/`, `:` and spaces; see `ip link`

            site.toml: 1 error"#]],
    );
}

#[test]
fn keys_belong_to_one_kind() {
    bad(
        TRACK,
        "interface = \"eth1\"\nquorum = 2",
        &expect![[r#"
            site.toml:24:10: error: `quorum` is only for the track of a service
               |
            24 | quorum = 2
               |          ^
               = help: leave it out

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "service = \"web\"\ninterval = \"1s\"\nfall = 2",
        &expect![[r#"
            site.toml:24:12: error: `interval` is only for the track of a script
               |
            24 | interval = "1s"
               |            ^^^^
               = help: leave it out

            site.toml:25:8: error: `fall` is only for the track of a script
               |
            25 | fall = 2
               |        ^
               = help: leave it out

            site.toml: 2 errors"#]],
    );
}

#[test]
fn weights_have_bounds() {
    bad(
        TRACK,
        "interface = \"eth1\"\nweight = 0",
        &expect![[r#"
            site.toml:24:10: error: a track of weight 0 would change nothing
               |
            24 | weight = 0
               |          ^
               = help: leave `weight` out: then the host takes no part while it fails

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "interface = \"eth1\"\nweight = 254",
        &expect![[r#"
            site.toml:24:10: error: weight 254 is out of range
               |
            24 | weight = 254
               |          ^^^
               = help: write 1 to 253

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "interface = \"eth1\"\nweight = -50",
        &expect![[r#"
            site.toml:24:10: error: weight -50 is out of range
               |
            24 | weight = -50
               |          ^^^
               = help: write 1 to 253

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_script_is_a_command() {
    bad(
        TRACK,
        "script = []",
        &expect![[r#"
            site.toml:23:10: error: a script without a program
               |
            23 | script = []
               |          ^^
               = help: write the program and its arguments: ["/usr/local/bin/check", "arg"]

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "script = [\"check\"]",
        &expect![[r#"
            site.toml:23:11: error: `check` is not an absolute path
               |
            23 | script = ["check"]
               |           ^^^^^^^
               = help: write it from the root: ["/usr/local/bin/check", "arg"]

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "script = \"/usr/local/bin/check arg\"",
        &expect![[r#"
            site.toml:23:10: error: expected a list, found the text "/usr/local/bin/check arg"
               |
            23 | script = "/usr/local/bin/check arg"
               |          ^^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: write a list: ["/usr/local/bin/check arg"]

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "script = [\"/c\", \"\\u0000\"]",
        &expect![[r#"
            site.toml:23:17: error: a word that no command can have
               |
            23 | script = ["/c", "\u0000"]
               |                 ^^^^^^^^
               = help: write up to 4095 bytes, none of them zero

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        &format!("script = [\"/c\"{}]", ", \"x\"".repeat(64)),
        &expect![[r#"
            site.toml:23:332: error: more than the 64 words of a command
               |
            23 | ..."x", "x", "x", "x", "x", "x", "x"]
               |                                  ^^^
               = help: write them into a script

            site.toml: 1 error"#]],
    );
}

#[test]
fn arguments_are_words_of_their_own() {
    warned(
        &pair(TRACK, "script = [\"/usr/local/bin/check arg\"]"),
        &expect![[r#"
            site.toml:23:11: warning: `/usr/local/bin/check arg` is the path of a file, spaces and all
               |
            23 | script = ["/usr/local/bin/check arg"]
               |           ^^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: if `/usr/local/bin/check` is meant, do not write arguments into the same text

            site.toml: 1 warning"#]],
    );
}

#[test]
fn a_script_has_its_time() {
    bad(
        TRACK,
        "script = [\"/c\"]\ninterval = \"1ms\"",
        &expect![[r#"
            site.toml:24:12: error: interval 1ms is out of range
               |
            24 | interval = "1ms"
               |            ^^^^^
               = help: write "10ms" to "1h"

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "script = [\"/c\"]\nrise = 0",
        &expect![[r#"
            site.toml:24:8: error: rise 0 is out of range
               |
            24 | rise = 0
               |        ^
               = help: write 1 to 1000

            site.toml: 1 error"#]],
    );
    warned(
        &pair(TRACK, "script = [\"/c\"]\ntimeout = \"2s\""),
        &expect![[r#"
            site.toml:24:11: warning: the timeout (2s) is longer than the interval (1s): a silent script is checked only every 2s
               |
            24 | timeout = "2s"
               |           ^^^^
               = help: make the timeout at most the interval

            site.toml: 1 warning"#]],
    );
}

#[test]
fn a_service_is_one_of_the_file() {
    bad(
        TRACK,
        "service = \"wbe\"",
        &expect![[r#"
            site.toml:23:11: error: no service is called `wbe`
               |
            23 | service = "wbe"
               |           ^^^^^
               = help: did you mean `web`?

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "service = \"mail\"",
        &expect![[r#"
            site.toml:23:11: error: no service is called `mail`
               |
            23 | service = "mail"
               |           ^^^^^^
               = help: write the `name` of a `[[service]]`

            site.toml: 1 error"#]],
    );
    // One without a name may be meant.
    bad(
        "name = \"web\"",
        "name = \"w w\"",
        &expect![[r#"
        site.toml:27:8: error: `w w` cannot name a service
           |
        27 | name = "w w"
           |        ^^^^^
           = help: write 1 to 63 letters, digits, `.`, `_` or `-`

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_quorum_can_be_reached() {
    bad(
        TRACK,
        "service = \"web\"\nquorum = 3",
        &expect![[r#"
            site.toml:24:10: error: the weights of web's real servers are 2 together, less than the quorum of 3
               |
            24 | quorum = 3
               |          ^
               = help: write 1 to 2
            site.toml:26:1: note: the service
               |
            26 | [[service]]
               | ^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    bad(
        TRACK,
        "service = \"web\"\nquorum = 0",
        &expect![[r#"
            site.toml:24:10: error: quorum 0 is out of range
               |
            24 | quorum = 0
               |          ^
               = help: write 1 to 4294967295

            site.toml: 1 error"#]],
    );
    let nobody = PAIR.replace("weight = 2", "weight = 0");
    refused(
        &nobody,
        &expect![[r#"
        site.toml:22:1: error: the weights of web's real servers are 0 together, less than the quorum of 1
           |
        22 | [[virtual_router.track]]
           | ^^^^^^^^^^^^^^^^^^^^^^^^
           = help: give its real servers weights, or leave the track out
        site.toml:26:1: note: the service
           |
        26 | [[service]]
           | ^^^^^^^^^^^

        site.toml:26:1: warning: all real servers have weight 0: no new flow will be served
           |
        26 | [[service]]
           | ^^^^^^^^^^^
           = help: give at least one a weight above 0

        site.toml: 1 error, 1 warning"#]],
    );
}

#[test]
fn there_is_a_bound_of_tracks() {
    let more = "[[virtual_router.track]]\ninterface = \"eth1\"\n";
    let text = |count| pair("[[service]]", &format!("{}[[service]]", more.repeat(count)));
    assert_eq!(good(&text(31)).site.virtual_routers[0].tracks.len(), 32);
    refused(
        &text(32),
        &expect![[r#"
        site.toml:88:1: error: more than the 32 tracks of a virtual router
           |
        88 | [[virtual_router.track]]
           | ^^^^^^^^^^^^^^^^^^^^^^^^
           = help: let one script look at several things

        site.toml: 1 error"#]],
    );
}
