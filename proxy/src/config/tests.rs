//! Site files good and bad, with the words and the place that a mistake is told in. A bad file is
//! [`GOOD`] with one thing changed.

use daemon::source::SourceFile;
use expect_test::{Expect, expect};

use super::*;

mod limit;

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
    let to = crate::template::Template::new("https://$host$target").unwrap();
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

#[test]
fn one_file_serves_all_hosts() {
    use daemon::host::Candidates;

    let named = |named| Candidates {
        named,
        hostname: Some("elsewhere"),
        addresses: &[],
    };
    // Nobody is named a proxy: any host may be one.
    let site = good(GOOD);
    assert_eq!(site.settings_of(&named(None)).unwrap(), site.settings);
    assert_eq!(
        site.settings_of(&named(Some("lb1"))).unwrap(),
        site.settings
    );
    let text = with(
        "[director]\n",
        "[hosts.p1]\naddresses = [\"10.77.0.21\"]\n[hosts.p1.proxy]\nthreads = 3\n\
         status = \"10.77.0.21:9145\"\n[hosts.p2.proxy]\n\
         [[virtual_router]]\nname = \"is theirs\"\n[director]\n",
    );
    let site = good(&text);
    let own = site.settings_of(&named(Some("p1"))).unwrap();
    assert_eq!(own.threads, Some(3));
    assert_eq!(own.status.to_string(), "10.77.0.21:9145");
    assert_eq!(site.settings_of(&named(Some("p2"))).unwrap(), site.settings);
    let address = ["10.77.0.21".parse().unwrap()];
    let by_address = Candidates {
        addresses: &address,
        ..Candidates::default()
    };
    assert_eq!(site.settings_of(&by_address).unwrap(), own);
    let refused = |candidates| site.settings_of(&candidates).unwrap_err().to_string();
    expect!["host lb1 is not a proxy: give it the table `[hosts.lb1.proxy]` (proxies: p1, p2)"]
        .assert_eq(&refused(named(Some("lb1"))));
    expect!["--host p3: no such host in the site file (did you mean p1? it has: lb1, p1, p2)"]
        .assert_eq(&refused(named(Some("p3"))));
    assert!(refused(named(None)).contains("this host is not in the site file"));
}

#[test]
fn what_nobody_can_go_by_is_told() {
    bad(
        "balance = \"lc\"",
        "balance = \"lc\"\nhash = \"path\"",
        expect![[r#"
            site.toml:20:8: error: nothing goes by this hash
               |
            20 | hash = "path"
               |        ^^^^^^
               = help: add `balance = "hash"`, or leave it out

            site.toml: 1 error"#]],
    );
    bad(
        "balance = \"lc\"",
        "balance = \"hash\"\nhash = \"heather:x\"",
        expect![[r#"
            site.toml:20:8: error: `heather:x` is no part of a request
               |
            20 | hash = "heather:x"
               |        ^^^^^^^^^^^
               = help: write "path", "host", "header:NAME" or "cookie:NAME"

            site.toml: 1 error"#]],
    );
    bad(
        "balance = \"lc\"",
        "balance = \"hash\"\nhash = \"address\"",
        expect![[r#"
            site.toml:20:8: error: that is what `balance = "source"` does
               |
            20 | hash = "address"
               |        ^^^^^^^^^
               = help: write "path", "host", "header:NAME" or "cookie:NAME"

            site.toml: 1 error"#]],
    );
    bad(
        "[proxy.upstream.health]",
        "[proxy.upstream.persistence]\ncookie = \"a b\"\n[proxy.upstream.health]",
        expect![[r#"
            site.toml:21:10: error: `a b` cannot name a cookie
               |
            21 | cookie = "a b"
               |          ^^^^^
               = help: write for example "server"

            site.toml: 1 error"#]],
    );
    bad(
        "[proxy.upstream.health]",
        "[proxy.upstream.persistence]\ncookie = \"srv\"\nsame_site = \"none\"\n[proxy.upstream.health]",
        expect![[r#"
            site.toml:22:13: error: browsers refuse a cookie with `same_site = "none"` that is not secure
               |
            22 | same_site = "none"
               |             ^^^^^^
               = help: add `secure = true`

            site.toml: 1 error"#]],
    );
    bad(
        "[proxy.upstream.health]",
        "[proxy.upstream.maintenance]\npage = \"/nowhere/down.html\"\n[proxy.upstream.health]",
        expect![[r#"
            site.toml:21:8: error: `/nowhere/down.html` cannot be read: No such file or directory (os error 2)
               |
            21 | page = "/nowhere/down.html"
               |        ^^^^^^^^^^^^^^^^^^^^
               = help: it has to be text that the user of the proxy may read

            site.toml: 1 error"#]],
    );
}

#[test]
fn patterns_and_texts_of_routes_are_read_with_the_file() {
    let old = "prefix = \"/old/\"\nredirect = \"https://$host$target\"\nstatus = 301";
    bad(
        old,
        "regex = '^/u/(['\nstatus = 404",
        expect![[r#"
        site.toml:37:9: error: `^/u/([` is no regular expression: unclosed character class
           |
        37 | regex = '^/u/(['
           |         ^^^^^^^^
           = help: write it in single quotes: '^/u/([0-9]+)$'; it is found anywhere unless ^ and $ say where

        site.toml: 1 error"#]],
    );
    bad(
        old,
        "prefix = \"/old/\"\nredirect = \"https://$hst/\"",
        expect![[r#"
            site.toml:38:12: error: `https://$hst/` has `$hst`, which is nothing: there are $host, $target, $path, $query, $1 to $9, and $$
               |
            38 | redirect = "https://$hst/"
               |            ^^^^^^^^^^^^^^^
               = help: write `$$` for a dollar

            site.toml: 1 error"#]],
    );
    bad(
        old,
        "prefix = \"/old/\"\nupstream = \"apps\"\nrewrite = \"/new/$2\"",
        expect![[r#"
            site.toml:39:11: error: `/new/$2` has $2, which not every path of this route gives
               |
            39 | rewrite = "/new/$2"
               |           ^^^^^^^^^
               = help: $1 to $9 are the groups of `regex`; of a `prefix`, $1 is what follows it

            site.toml: 1 error"#]],
    );
    bad(
        old,
        "prefix = \"/old/\"\nupstream = \"apps\"\nrewrite = \"new\"",
        expect![[r#"
            site.toml:39:11: error: `new` is not what a server can be asked for
               |
            39 | rewrite = "new"
               |           ^^^^^
               = help: write a path: "/new/$1", where $1 is what follows the route's `prefix`

            site.toml: 1 error"#]],
    );
    bad(
        old,
        "prefix = \"/old/\"\nstatus = 404\nrewrite = \"/new\"",
        expect![[r#"
            site.toml:39:11: error: only what a server is asked for can be rewritten
               |
            39 | rewrite = "/new"
               |           ^^^^^^
               = help: add `upstream = "NAME"`, or leave it out

            site.toml: 1 error"#]],
    );
}

#[test]
fn what_does_not_go_together_in_a_route_is_told() {
    let old = "prefix = \"/old/\"\nredirect = \"https://$host$target\"\nstatus = 301";
    bad(
        old,
        "upstream = \"apps\"\nretry_after = \"5s\"",
        expect![[r#"
            site.toml:38:15: error: a body only goes with a `status` of its own
               |
            38 | retry_after = "5s"
               |               ^^^^
               = help: leave it out

            site.toml: 1 error"#]],
    );
    bad(
        old,
        "upstream = \"apps\"\nheader = { x = \"~(\" }",
        expect![[r#"
            site.toml:38:16: error: `(` is no regular expression: unclosed group
               |
            38 | header = { x = "~(" }
               |                ^^^^
               = help: write it in single quotes: '^/u/([0-9]+)$'; it is found anywhere unless ^ and $ say where

            site.toml: 1 error"#]],
    );
    bad(
        old,
        "upstream = \"apps\"\nquery = { \"a=b\" = \"*\" }",
        expect![[r#"
            site.toml:38:11: error: `a=b` cannot name a part of a query
               |
            38 | query = { "a=b" = "*" }
               |           ^^^^^
               = help: write it as it stands in a request: { debug = "1" } for ?debug=1

            site.toml: 1 error"#]],
    );
}

#[test]
fn what_a_route_may_be_asked_about_is_read() {
    let old = "prefix = \"/old/\"\nredirect = \"https://$host$target\"\nstatus = 301";
    let new = "regex = ['^/a/(.*)', '^/b/(.*)']\nprefix = \"/c/\"\nclient = \"10.0.0.0/8\"\n\
        query = { debug = \"*\", v = \"~^[0-9]+$\" }\nupstream = \"apps\"\nrewrite = \"/x/$1?y\"";
    let site = good(&with(old, new));
    let route = &site.routes[1];
    assert_eq!((route.paths.len(), route.clients.len()), (3, 1));
    let [(debug, any), (v, digits)] = &route.queries[..] else {
        panic!("{:?}", route.queries);
    };
    assert_eq!((&**debug, any, &**v), ("debug", &Wanted::Any, "v"));
    assert!(digits.is(b"12") && !digits.is(b"1x"));
    assert_eq!(
        route.rewrite.as_ref().map(|rewrite| rewrite.as_str()),
        Some("/x/$1?y")
    );
}

/// The warnings of a file that is taken.
fn warned(from: &str, to: &str) -> String {
    let checked = Site::parse(SourceFile::new("site.toml", with(from, to)));
    let checked = checked.unwrap_or_else(|report| panic!("{report}"));
    checked.warnings.to_string()
}

#[test]
fn what_can_be_meant_but_seldom_is_is_warned_about() {
    let told = warned(
        "balance = \"lc\"",
        "balance = \"lc\"\nqueue_timeout = \"1s\"",
    );
    assert!(told.contains("20:17: warning: nothing will wait"), "{told}");
    let server = "address = \"10.77.1.12\"\nport = 8080";
    let one = warned(server, &format!("{server}\nbackup = true"));
    assert!(one.contains("nothing wrong"), "{one}");
    let both = with(server, &format!("{server}\nbackup = true"));
    let first = "address = \"10.77.1.11\"";
    let both = both.replace(first, &format!("{first}\nbackup = true"));
    let checked = Site::parse(SourceFile::new("site.toml", both)).unwrap();
    let told = checked.warnings.to_string();
    assert!(
        told.contains("17:1: warning: every server is a backup"),
        "{told}"
    );
}
