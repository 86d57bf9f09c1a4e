//! Virtual routers good and bad. A bad file is [`PAIR`] with one thing changed.

mod around;
mod groups;
mod owners;
mod parts;
mod settings;
mod tracks;
mod vips;

use std::{num::NonZeroU8, num::NonZeroU32, path::PathBuf, time::Duration};

use daemon::source::SourceFile;
use expect_test::Expect;
use proptest::prelude::*;
use vrrp::{ChecksumForm, Family, Interval, Preempt, Priority, Vrid};

use super::{good, refused};
use crate::config::{
    Announce, MacChoice, RouterHost, Site, Track, TrackTarget, Transport, VirtualRouter,
};

/// Two directors and what moves from one to the other, without a mistake or a warning.
const PAIR: &str = r#"[hosts.lb1]
addresses = ["192.0.2.2"]
[hosts.lb1.director]
interfaces = ["eth0", "eth1"]
[hosts.lb1.director.virtual_router.site]
interface = "eth0"
priority = 150

[hosts.lb2]
addresses = ["192.0.2.3"]
[hosts.lb2.director]
interfaces = ["eth0", "eth1"]
[hosts.lb2.director.virtual_router.site]
interface = "eth0"

[[virtual_router]]
name = "site"
vrid = 51
vips = ["192.0.2.100", "2001:db8::100"]
interval = "1s"

[[virtual_router.track]]
service = "web"
weight = 60

[[service]]
name = "web"
vip = "192.0.2.100"
port = 80
protocol = "tcp"
method = "dr"
[[service.real]]
address = "192.0.2.11"
weight = 2
"#;

/// [`PAIR`] with one text in place of another.
fn pair(from: &str, to: &str) -> String {
    assert!(PAIR.contains(from), "not in the pair's file: {from}");
    PAIR.replacen(from, to, 1)
}

/// [`PAIR`] with one change that makes it bad.
fn bad(from: &str, to: &str, expected: &Expect) {
    refused(&pair(from, to), expected);
}

/// What is warned of in a file that is taken.
fn warned(text: &str, expected: &Expect) {
    let checked = good(text);
    assert!(!checked.warnings.has_errors());
    expected.assert_eq(&checked.warnings.to_string());
}

/// The router of [`PAIR`] with more in its table.
fn router(more: &str) -> VirtualRouter {
    let checked = good(&pair("interval = \"1s\"", more));
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    checked.site.virtual_routers[0].clone()
}

#[test]
fn a_pair_says_what_it_says() {
    let checked = good(PAIR);
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    let site = checked.site;
    let expected = VirtualRouter {
        name: "site".to_owned(),
        vrid: Vrid::new(51).unwrap(),
        vips_v4: vec!["192.0.2.100".parse().unwrap()],
        vips_v6: vec![
            "fe80::200:5eff:fe00:233".parse().unwrap(),
            "2001:db8::100".parse().unwrap(),
        ],
        interval: Interval::DEFAULT,
        preempt: Preempt::After(Duration::ZERO),
        mac: MacChoice::Interface,
        transport: Transport::Multicast,
        checksum: ChecksumForm::PseudoHeader,
        group: None,
        notify: None,
        announce: Announce {
            count: 5,
            delay: Duration::from_secs(5),
            refresh: Some(Duration::from_secs(60)),
        },
        tracks: vec![Track {
            what: TrackTarget::Service {
                name: "web".to_owned(),
                quorum: NonZeroU32::MIN,
            },
            weight: NonZeroU8::new(60),
        }],
    };
    assert_eq!(site.virtual_routers, [expected]);
    let part = |priority| RouterHost {
        interface: "eth0".to_owned(),
        priority: Priority::backup(priority).unwrap(),
        address: None,
        address6: None,
    };
    let parts: Vec<_> = site.router_hosts("site").collect();
    assert_eq!(parts, [("lb1", &part(150)), ("lb2", &part(100))]);
    let own: Vec<_> = site.routers_of("lb2").collect();
    assert_eq!(own, [(&site.virtual_routers[0], &part(100))]);
    assert!(site.routers_of("lb3").next().is_none());
    let families: Vec<_> = site.virtual_routers[0].families().collect();
    assert_eq!(families, [Family::V4, Family::V6]);
}

#[test]
fn all_of_a_router_can_be_said() {
    let said = router(
        "interval = \"250ms\"\npreempt = true\npreempt_delay = \"30s\"\nmac = \"virtual\"\n\
         checksum = \"message-only\"\nnotify = \"/etc/viaduct/notify\"\n\
         announce = { count = 1, delay = \"0s\", refresh = \"0s\" }",
    );
    assert_eq!(said.interval.period(), Duration::from_millis(250));
    assert_eq!(said.preempt, Preempt::After(Duration::from_secs(30)));
    assert_eq!(said.mac, MacChoice::Virtual);
    assert_eq!(said.checksum, ChecksumForm::MessageOnly);
    assert_eq!(said.notify, Some(PathBuf::from("/etc/viaduct/notify")));
    let expected = Announce {
        count: 1,
        delay: Duration::ZERO,
        refresh: None,
    };
    assert_eq!(said.announce, expected);
    assert_eq!(router("preempt = false").preempt, Preempt::Never);
}

#[test]
fn what_was_read_is_what_the_protocol_takes() {
    let site = good(PAIR).site;
    let said = &site.virtual_routers[0];
    let priority = Priority::backup(150).unwrap();
    let peers = site.peers(said, "lb1", Family::V6);
    let params = said.params(priority, "fe80::2".parse().unwrap(), peers);
    let params = params.unwrap();
    assert_eq!(
        params.vips().iter().collect::<Vec<_>>(),
        said.vips(Family::V6)
    );
    assert_eq!(
        (params.interval(), params.peers()),
        (said.interval, &[][..])
    );
    let own_vip = said.params(priority, "192.0.2.100".parse().unwrap(), Vec::new());
    assert!(own_vip.is_err());
}

proptest! {
    /// One value of the pair's file replaced by any other.
    #[test]
    fn no_value_makes_it_panic(nth in 0_usize..40, value in prop_oneof![
        Just("1"), Just("-1"), Just("255"), Just("\"\""), Just("\"x\""), Just("[]"), Just("{}"),
        Just("false"), Just("[\"x\"]"), Just("[{}]"), Just("\"1s\""), Just("\"192.0.2.2\""),
        Just("[\"192.0.2.2\", \"fe80::1\"]"), Just("[[]]"), Just("\"site\""),
    ]) {
        let mut lines: Vec<String> = PAIR.lines().map(str::to_owned).collect();
        let nth = nth % lines.len();
        if let Some((key, _)) = lines[nth].clone().split_once(" = ") {
            lines[nth] = format!("{key} = {value}");
        }
        match Site::parse(SourceFile::new("site.toml", lines.join("\n"))) {
            Ok(_) => {}
            Err(report) => prop_assert!(report.has_errors()),
        }
    }

    /// Lines of it left out or twice.
    #[test]
    fn no_order_makes_it_panic(picked in proptest::collection::vec(0_usize..40, 0..60)) {
        let lines: Vec<&str> = PAIR.lines().collect();
        let text: Vec<&str> = picked.iter().map(|nth| lines[nth % lines.len()]).collect();
        if let Err(report) = Site::parse(SourceFile::new("site.toml", text.join("\n"))) {
            prop_assert!(report.has_errors());
        }
    }
}
