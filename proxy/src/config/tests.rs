//! Site files good and bad, with the words and the place that a mistake is told in. A bad file is
//! [`GOOD`] with one thing changed.

use daemon::source::SourceFile;
use expect_test::{Expect, expect};

use super::*;

/// A file without a mistake or a warning, with the tables of other daemons in it.
const GOOD: &str = r#"[hosts.lb1]
addresses = ["10.77.0.2"]
[director]
anything = "is theirs"
[[service]]
name = "web"

[proxy]
health = "/health"
trusted = ["10.77.0.0/24", "::1"]

[[proxy.listener]]
name = "web"
address = "0.0.0.0"
port = 80

[[proxy.upstream]]
name = "apps"
balance = "lc"
[proxy.upstream.health]
type = "http"
path = "/health"
[[proxy.upstream.server]]
address = "10.77.1.11"
[[proxy.upstream.server]]
address = "10.77.1.12"
port = 8080
weight = 50

[[proxy.route]]
name = "site"
host = ["www.example.com", "*.example.org"]
upstream = "apps"

[[proxy.route]]
name = "old"
prefix = "/old/"
redirect = "https://$host$target"
status = 301
"#;

fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "not in the good file: {from}");
    GOOD.replacen(from, to, 1)
}

fn good(text: &str) -> Site {
    let source = SourceFile::new("site.toml", text);
    let checked = Site::parse(source).unwrap_or_else(|report| panic!("{report}"));
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    checked.site
}

#[expect(clippy::needless_pass_by_value, reason = "as `expect!` gives it")]
fn bad(from: &str, to: &str, expected: Expect) {
    let text = with(from, to);
    match Site::parse(SourceFile::new("site.toml", text.clone())) {
        Ok(_) => panic!("taken:\n{text}"),
        Err(report) => expected.assert_eq(&report.to_string()),
    }
}

#[test]
fn a_good_file_is_taken_with_its_defaults() {
    let site = good(GOOD);
    assert_eq!(site.settings.timeouts, Timeouts::default());
    assert_eq!(site.settings.limits, Limits::default());
    assert_eq!(site.settings.health.as_deref(), Some("/health"));
    assert_eq!(site.listeners[0].address, ([0, 0, 0, 0], 80).into());
    let apps = &site.upstreams[0];
    assert_eq!((apps.balance, apps.retries), (Balance::LeastConnections, 1));
    assert_eq!(apps.servers[0].address, ([10, 77, 1, 11], 80).into());
    assert_eq!(apps.servers[1].weight, 50);
    assert!(apps.health.is_some());
    assert_eq!(site.routes[0].action, Action::Forward(0));
    let hosts = [
        Host::Exact("www.example.com".to_owned()),
        Host::Wildcard(".example.org".to_owned()),
    ];
    assert_eq!(site.routes[0].hosts, hosts);
    let to = "https://$host$target".to_owned();
    assert_eq!(site.routes[1].action, Action::Redirect { status: 301, to });
}

#[test]
fn networks_contain_their_addresses_and_no_others() {
    let trusted = good(GOOD).settings.trusted;
    let is_in = |text: &str| {
        trusted
            .iter()
            .any(|one| one.contains(text.parse().unwrap()))
    };
    assert!(is_in("10.77.0.0") && is_in("10.77.0.255") && is_in("::1"));
    assert!(is_in("::ffff:10.77.0.9"), "IPv4 written as IPv6");
    assert!(!is_in("10.77.1.0") && !is_in("::2") && !is_in("0.0.0.1"));
}

#[test]
fn a_misspelt_key_is_told_with_its_place() {
    bad(
        "balance",
        "balanse",
        expect![[r#"
            site.toml:19:1: error: unknown key `balanse`
               |
            19 | balanse = "lc"
               | ^^^^^^^
               = help: did you mean `balance`?

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_route_leads_to_something_that_is_there() {
    bad(
        "upstream = \"apps\"",
        "upstream = \"aps\"",
        expect![[r#"
            site.toml:33:12: error: there is no upstream `aps`
               |
            33 | upstream = "aps"
               |            ^^^^^
               = help: did you mean "apps"?

            site.toml: 1 error"#]],
    );
    bad(
        "upstream = \"apps\"",
        "",
        expect![[r#"
            site.toml:30:1: error: a route that leads nowhere
               |
            30 | [[proxy.route]]
               | ^^^^^^^^^^^^^^^
               = help: add `upstream = "NAME"`, `redirect = "https://$host$target"` or `status = 404`

            site.toml: 1 error"#]],
    );
}

#[test]
fn what_cannot_be_meant_is_told() {
    bad(
        "host = [\"www.example.com\"",
        "host = [\"www.example.com:80\"",
        expect![[r#"
            site.toml:32:9: error: `www.example.com:80` is not a host
               |
            32 | host = ["www.example.com:80", "*.example.org"]
               |         ^^^^^^^^^^^^^^^^^^^^
               = help: write "www.example.com", or "*.example.com" for all names below it; no port

            site.toml: 1 error"#]],
    );
    bad(
        "prefix = \"/old/\"",
        "prefix = \"old\"",
        expect![[r#"
            site.toml:37:10: error: path `old` does not start with `/`
               |
            37 | prefix = "old"
               |          ^^^^^
               = help: write "/old"

            site.toml: 1 error"#]],
    );
    bad(
        "health = \"/health\"\n",
        "limits = { body = \"100\" }\n",
        expect![[r#"
            site.toml:9:19: error: `100` is not a size
              |
            9 | limits = { body = "100" }
              |                   ^^^^^
              = help: write a number and its unit: "512B", "16KiB", "10MiB"

            site.toml: 1 error"#]],
    );
    bad(
        "address = \"10.77.1.12\"\nport = 8080",
        "address = \"10.77.1.11\"",
        expect![[r#"
            site.toml:25:1: error: server 10.77.1.11:80 is there twice
               |
            25 | [[proxy.upstream.server]]
               | ^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: remove one, and give the other a larger `weight`
            site.toml:23:1: note: the first
               |
            23 | [[proxy.upstream.server]]
               | ^^^^^^^^^^^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_file_without_a_proxy_says_so() {
    let report = Site::parse(SourceFile::new("site.toml", "[hosts.a]\n")).unwrap_err();
    expect!["site.toml:1:1: error: nothing for a proxy"].assert_eq(&report.summary());
    let report = Site::parse(SourceFile::new("site.toml", "[proxy]\n")).unwrap_err();
    let text = report.to_string();
    assert!(
        text.contains("there is no listener") && text.contains("there is no route"),
        "{text}"
    );
}
