//! Services whose VIPs and ports meet: which may, and which may not.

use expect_test::expect;

use super::{GOOD, Site, good, refused};
use crate::config::Method;
use daemon::source::SourceFile;
use proptest::prelude::*;

/// A file with a dr service for each VIP and port as it is written.
fn services(all: &[(&str, &str)]) -> String {
    let head = "[hosts.lb1.director]\ninterfaces = [\"eth0\"]\n".to_owned();
    all.iter()
        .enumerate()
        .fold(head, |text, (nth, (vip, port))| {
            format!(
                "{text}[[service]]\nname = \"s{nth}\"\nvip = \"{vip}\"\nport = {port}\n\
             protocol = \"tcp\"\nmethod = \"dr\"\n[[service.real]]\naddress = \"10.77.0.11\"\n"
            )
        })
}

#[test]
fn the_narrower_may_lie_within_the_wider() {
    let text = services(&[
        ("10.80.0.1", "8050"),
        ("10.80.0.1", "\"all\""),
        ("10.80.0.1", "\"8000-8099\""),
        ("10.80.0.1", "\"8000-8010\""),
        ("10.80.0.1", "\"8020-8099\""),
        ("10.80.0.1", "\"1-65535\""),
        ("10.80.0.0/24", "\"8050-8200\""),
        ("10.80.0.0/16", "\"all\""),
        ("10.80.0.0/16", "80"),
    ]);
    let checked = good(&text);
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    assert_eq!(checked.site.services.len(), 9);
}

#[test]
fn ranges_that_cross_are_refused_with_both_places() {
    let text = services(&[
        ("10.80.0.1", "\"8050-8200\""),
        ("10.80.0.1", "\"8000-8099\""),
    ]);
    refused(
        &text,
        &expect![[r#"
            site.toml:14:8: error: overlapping services: ports 8050-8200 and 8000-8099 of 10.80.0.1 tcp have some in common, and neither has all of the other's
               |
            14 | port = "8000-8099"
               |        ^^^^^^^^^^^
               = help: keep the ranges apart, or let one lie within the other
            site.toml:6:8: note: the other range
               |
             6 | port = "8050-8200"
               |        ^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    let text = services(&[
        ("10.80.0.0/24", "\"8000-8099\""),
        ("10.80.0.0/24", "80"),
        ("10.80.0.0/24", "\"8099-8100\""),
    ]);
    refused(
        &text,
        &expect![[r#"
            site.toml:22:8: error: overlapping services: ports 8000-8099 and 8099-8100 of 10.80.0.0/24 tcp have some in common, and neither has all of the other's
               |
            22 | port = "8099-8100"
               |        ^^^^^^^^^^^
               = help: keep the ranges apart, or let one lie within the other
            site.toml:6:8: note: the other range
               |
             6 | port = "8000-8099"
               |        ^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn the_same_ranges_and_networks_are_served_once() {
    let text = services(&[
        ("10.80.0.0/24", "\"8000-8099\""),
        ("10.80.0.0/24", "\"all\""),
        ("10.80.0.0/24", "\"8000-8099\""),
        ("10.80.0.0/24", "\"all\""),
    ]);
    refused(
        &text,
        &expect![[r#"
        site.toml:21:7: error: overlapping services: 10.80.0.0/24:8000-8099 tcp is served already
           |
        21 | vip = "10.80.0.0/24"
           |       ^^^^^^^^^^^^^^
           = help: another VIP, port or protocol, or one service with all real servers
        site.toml:5:7: note: served here
           |
         5 | vip = "10.80.0.0/24"
           |       ^^^^^^^^^^^^^^

        site.toml:29:7: error: overlapping services: 10.80.0.0/24:all tcp is served already
           |
        29 | vip = "10.80.0.0/24"
           |       ^^^^^^^^^^^^^^
           = help: another VIP, port or protocol, or one service with all real servers
        site.toml:13:7: note: served here
           |
        13 | vip = "10.80.0.0/24"
           |       ^^^^^^^^^^^^^^

        site.toml: 2 errors"#]],
    );
}

#[test]
fn replies_of_nat_lead_to_one_service_also_from_ranges() {
    let text = services(&[("10.80.0.1", "\"8000-8099\""), ("10.80.0.2", "8080")]);
    let text = text.replace("\"dr\"", "\"nat\"");
    refused(
        &text,
        &expect![[r#"
        site.toml:18:11: error: real server 10.77.0.11:8080 tcp is in two nat services: whose are its replies?
           |
        18 | address = "10.77.0.11"
           |           ^^^^^^^^^^^^
           = help: let it listen at a port of its own for each service, or use method "dr"
        site.toml:10:11: note: first used here
           |
        10 | address = "10.77.0.11"
           |           ^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    let apart = text.replace("8080", "8100");
    assert_eq!(good(&apart).site.services[1].method, Method::Nat);
    let shared = GOOD
        .replace("port = 53\n", "port = \"5000-5999\"\n")
        .replace("\nport = 5353", "");
    let more = "[[service]]\nname = \"more\"\nvip = \"10.77.0.101\"\nport = \"all\"\n\
                protocol = \"udp\"\nmethod = \"nat\"\n[[service.real]]\naddress = \"10.77.0.21\"\n";
    refused(
        &format!("{shared}{more}"),
        &expect![[r#"
        site.toml:44:11: error: real server 10.77.0.21:all udp is in two nat services: whose are its replies?
           |
        44 | address = "10.77.0.21"
           |           ^^^^^^^^^^^^
           = help: let it listen at a port of its own for each service, or use method "dr"
        site.toml:36:11: note: first used here
           |
        36 | address = "10.77.0.21"
           |           ^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

proptest! {
    /// Ranges of one VIP are taken exactly where each two are apart or one lies within the other.
    #[test]
    fn crossing_is_found_wherever_it_is(
        ranges in proptest::collection::vec((1_u16..30, 0_u16..12), 1..7),
    ) {
        let ranges: Vec<(u16, u16)> = ranges.iter().map(|(first, more)| (*first, first + more)).collect();
        let nest = |a: &(u16, u16), b: &(u16, u16)| {
            let apart = a.1 < b.0 || b.1 < a.0;
            let within = |a: &(u16, u16), b: &(u16, u16)| b.0 <= a.0 && a.1 <= b.1;
            a != b && (apart || within(a, b) || within(b, a))
        };
        let fine = ranges.iter().enumerate().all(|(nth, a)| ranges[nth + 1..].iter().all(|b| nest(a, b)));
        let texts: Vec<String> = ranges.iter().map(|(a, b)| format!("\"{a}-{b}\"")).collect();
        let pairs: Vec<(&str, &str)> = texts.iter().map(|text| ("10.80.0.1", &**text)).collect();
        let parsed = Site::parse(SourceFile::new("site.toml", services(&pairs)));
        prop_assert_eq!(parsed.is_ok(), fine, "{:?}", ranges);
    }
}
