//! Zones and limits, good and bad.

use super::*;
use crate::{
    config::limit::{ConnectionLimit, RateLimit},
    limit::{Burst, Delay, Key, Part, Size, Status},
};

/// Zones of both kinds, behind the last route.
const ZONES: &str = "status = 301\n\
    [[proxy.zone]]\nname = \"login\"\nrate = \"12r/m\"\n\
    [[proxy.zone]]\nname = \"busy\"\nsize = \"1MB\"\nkey = [\"address/24/64\", \"header:X-Api-Key\"]\n";

/// The good file with these limits on its first route.
fn limited(limits: &str) -> String {
    let route = format!("upstream = \"apps\"\n{limits}\n\n[[proxy.route]]");
    with("upstream = \"apps\"\n\n[[proxy.route]]", &route).replacen("status = 301\n", ZONES, 1)
}

fn told(text: &str) -> String {
    match Site::parse(SourceFile::new("site.toml", text)) {
        Ok(checked) => checked.warnings.to_string(),
        Err(report) => report.to_string(),
    }
}

#[test]
fn the_documented_example_is_what_it_says() {
    let site = good(&limited(
        "limit = [{ zone = \"login\", burst = 11, nodelay = true }, { zone = \"busy\", connections = 4 }]\n\
         limit_status = 503\nlimit_dry_run = true\nlimit_headers = true",
    ));
    let [login, busy] = &*site.zones else {
        panic!("{:?}", site.zones)
    };
    assert_eq!(login.key, Key::address());
    assert_eq!(login.counts, Counts::Requests("12r/m".parse().unwrap()));
    assert_eq!(login.size.bytes(), 16 << 20);
    let parts = [
        Part::Prefix { v4: 24, v6: 64 },
        Part::Header("x-api-key".into()),
    ];
    assert_eq!(busy.key, Key::new(parts.to_vec()).unwrap());
    assert_eq!(busy.counts, Counts::UnderWay);
    assert_eq!(busy.size, Size::of_bytes(1 << 20).unwrap());
    let expected = RouteLimits {
        rates: vec![RateLimit {
            zone: 0,
            burst: Burst::new(11).unwrap(),
            delay: Delay::NEVER,
        }],
        connections: vec![ConnectionLimit { zone: 1, most: 4 }],
        status: Status::SERVICE_UNAVAILABLE,
        dry_run: true,
        headers: true,
    };
    assert_eq!(site.routes[0].limits, expected);
    assert_eq!(site.routes[1].limits, RouteLimits::default());
}

#[test]
fn what_is_not_said_is_nginxs_default_but_for_the_status() {
    let text = limited("limit = [{ zone = \"login\" }, { zone = \"busy\", connections = 4 }]");
    let limits = &good(&text).routes[0].limits;
    let [rate] = &*limits.rates else {
        panic!("{limits:?}")
    };
    assert_eq!((rate.burst, rate.delay), (Burst::NONE, Delay::ALWAYS));
    assert_eq!(limits.status, Status::TOO_MANY_REQUESTS);
    assert!(!limits.dry_run && !limits.headers);
}

/// A limit, what is told of it, and what is pointed at.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "{ zone = \"logn\" }",
        "there is no zone `logn`",
        "did you mean \"login\"?",
    ),
    ("{ burst = 1 }", "missing key `zone`", "zone = \"login\""),
    (
        "{ zone = \"login\", burst = 0 }",
        "burst 0 is out of range",
        "1 to 4000000",
    ),
    (
        "{ zone = \"login\", connections = 1 }",
        "zone `login` has a `rate`",
        "burst",
    ),
    (
        "{ zone = \"busy\" }",
        "missing key `connections`",
        "connections = 10",
    ),
    (
        "{ zone = \"busy\", connections = 0 }",
        "connections 0 is out of range",
        "1 to 65535",
    ),
    (
        "{ zone = \"busy\", burst = 2 }",
        "zone `busy` has no `rate`: there is no `burst`",
        "connections = N",
    ),
    (
        "{ zone = \"login\", burst = 9, delay = 3, nodelay = true }",
        "`delay` beside `nodelay`",
        "keep",
    ),
    (
        "{ zone = \"login\" }, { zone = \"login\", burst = 2 }",
        "a request would count twice",
        "the first",
    ),
    (
        "{ zone = \"login\", nodelay = true }",
        "warning: without a `burst` no request waits",
        "burst = N",
    ),
];

#[test]
fn mistakes_in_limits_are_told_with_the_remedy() {
    for (limits, what, help) in MISTAKES {
        let said = told(&limited(&format!("limit = [{limits}]")));
        assert!(
            said.contains(what) && said.contains(help),
            "{limits}:\n{said}"
        );
        assert!(said.contains("site.toml:34:"), "{limits}:\n{said}");
    }
}

#[test]
fn a_mistake_in_a_zone_is_pointed_at() {
    let text = limited("limit = [{ zone = \"login\" }, { zone = \"busy\", connections = 4 }]");
    expect![[r#"
        site.toml:43:11: error: `r/h` is not a unit of rates
           |
        43 | rate = "12r/h"
           |           ^^^
           = help: write requests a second or a minute: "5r/s", "12r/m"

        site.toml: 1 error"#]]
    .assert_eq(&told(&text.replace("12r/m", "12r/h")));
    expect![[r#"
        site.toml:47:25: error: `heder:X-Api-Key` is no part of a request that clients can be told apart by
           |
        47 | key = ["address/24/64", "heder:X-Api-Key"]
           |                         ^^^^^^^^^^^^^^^^^
           = help: there are "address", "address/24/64", "header:NAME", "cookie:NAME", "host" and "path"

        site.toml: 1 error"#]]
    .assert_eq(&told(&text.replace("header:X", "heder:X")));
    expect![[r#"
        site.toml:46:8: error: size `1KB` is out of range
           |
        46 | size = "1KB"
           |        ^^^^^
           = help: write "32KiB" to "64GiB"

        site.toml: 1 error"#]]
    .assert_eq(&told(&text.replace("1MB", "1KB")));
    let said = told(&text.replace("[\"address/24/64\", \"header:X-Api-Key\"]", "[]"));
    assert!(said.contains("44:1: error: a key without a part"), "{said}");
    let said = told(&text.replace("name = \"busy\"", "name = \"login\""));
    assert!(said.contains("zone `login` is defined twice"), "{said}");
}

#[test]
fn more_limits_than_a_request_can_have_are_refused() {
    let zone = |n| format!("[[proxy.zone]]\nname = \"z{n}\"\nrate = \"1r/s\"\n");
    let zones: String = (0..9).map(zone).collect();
    let limits: Vec<String> = (0..9).map(|n| format!("{{ zone = \"z{n}\" }}")).collect();
    let text = limited(&format!("limit = [{}]", limits.join(", "))) + &zones;
    let said = told(&text);
    assert!(
        said.contains("more than 8 limits of rates on a route"),
        "{said}"
    );
}

#[test]
fn what_has_no_effect_is_told() {
    let said = told(&limited(
        "limit_status = 503\nlimit = [{ zone = \"login\" }]",
    ));
    assert!(said.contains("warning: no route has zone `busy`"), "{said}");
    let said = told(&with("status = 301", "status = 301\nlimit_dry_run = true"));
    assert!(
        said.contains("warning: nothing is limited on this route"),
        "{said}"
    );
}
