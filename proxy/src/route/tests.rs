//! Which route wins.

use super::*;
use crate::{
    config::{Action, RouteLimits},
    pattern::Pattern,
};

fn route(name: &str, hosts: &[&str], paths: &[&str]) -> Route {
    Route {
        name: name.to_owned(),
        listeners: vec![],
        hosts: hosts
            .iter()
            .map(|host| match host.strip_prefix('*') {
                Some(ending) => Host::Wildcard(ending.to_owned()),
                None => Host::Exact((*host).to_owned()),
            })
            .collect(),
        paths: paths
            .iter()
            .map(|path| match path.strip_prefix('=') {
                Some(exact) => PathRule::Exact(exact.to_owned()),
                None => match path.strip_prefix('~') {
                    Some(text) => PathRule::Pattern(Pattern::new(text).unwrap()),
                    None => PathRule::Prefix((*path).to_owned()),
                },
            })
            .collect(),
        methods: vec![],
        headers: vec![],
        queries: vec![],
        clients: vec![],
        rewrite: None,
        action: Action::Forward(0),
        limits: RouteLimits::default(),
    }
}

fn found<'r>(routes: &'r [Route], host: &str, path: &str, header: &str) -> &'r str {
    let headers = headers(header);
    let question = ask(host, path, header, &headers);
    let found = Router::new(routes).find(&question, routes);
    found.map_or("none", |found| &routes[found.route].name)
}

fn headers(value: &str) -> [httparse::Header<'_>; 1] {
    [httparse::Header {
        name: "X-Canary",
        value: value.as_bytes(),
    }]
}

fn ask<'a>(
    host: &'a str,
    target: &'a str,
    header: &str,
    headers: &'a [httparse::Header<'a>],
) -> Question<'a> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Question {
        listener: 0,
        host: host.as_bytes(),
        path: path.as_bytes(),
        query: query.as_bytes(),
        method: if header == "post" { b"POST" } else { b"GET" },
        client: [10, 0, 0, 1].into(),
        headers,
    }
}

#[test]
fn the_most_particular_host_wins_whatever_the_order() {
    let mut routes = vec![
        route("any", &[], &[]),
        route("wide", &["*.example.com"], &[]),
        route("narrow", &["*.a.example.com"], &[]),
        route("exact", &["www.example.com", "example.com"], &[]),
    ];
    for _ in 0..routes.len() {
        routes.rotate_left(1);
        let host = |host| found(&routes, host, "/", "");
        assert_eq!(host("www.example.com"), "exact");
        assert_eq!(host("WWW.Example.COM:8080"), "exact");
        assert_eq!(host("www.example.com."), "exact");
        assert_eq!(host("example.com"), "exact");
        assert_eq!(host("x.example.com"), "wide");
        assert_eq!(host("a.example.com"), "wide");
        assert_eq!(host("x.y.a.example.com"), "narrow");
        assert_eq!(host("example.org"), "any");
        assert_eq!(host(".example.com"), "any");
        assert_eq!(host(""), "any");
        assert_eq!(host(&"x".repeat(300)), "any");
    }
}

#[test]
fn the_most_particular_path_wins() {
    let routes = [
        route("any", &[], &[]),
        route("api", &[], &["/api"]),
        route("v1", &[], &["/api/v1/"]),
        route("exact", &[], &["=/api"]),
    ];
    let path = |path| found(&routes, "a", path, "");
    assert_eq!(path("/"), "any");
    assert_eq!(path("/api"), "exact");
    assert_eq!(path("/api/"), "api");
    assert_eq!(path("/apix"), "any");
    assert_eq!(path("/api/v1"), "api");
    assert_eq!(path("/api/v1/x"), "v1");
}

#[test]
fn a_route_whose_conditions_are_not_met_is_passed_over() {
    let mut canary = route("canary", &["a"], &["/x"]);
    canary.headers = vec![("x-canary".to_owned(), Wanted::Equal("1".to_owned()))];
    let mut post = route("post", &["a"], &["/x"]);
    post.methods = vec!["POST".to_owned()];
    let mut elsewhere = route("elsewhere", &["a"], &["=/x"]);
    elsewhere.listeners = vec![1];
    let routes = [route("plain", &["a"], &["/x"]), canary, post, elsewhere];
    assert_eq!(found(&routes, "a", "/x", "1"), "canary");
    assert_eq!(found(&routes, "a", "/x", "2"), "plain");
    assert_eq!(found(&routes, "a", "/x", "post"), "post");
    assert_eq!(found(&routes, "a", "/y", ""), "none");
}

#[test]
fn a_pattern_comes_after_an_exact_path_and_before_a_prefix() {
    let mut second = route("second", &[], &["~^/img/"]);
    second.headers = vec![("x-canary".to_owned(), Wanted::Any)];
    let routes = [
        route("long", &[], &["/img/large/and/longer"]),
        route("first", &[], &[r"~\.png$"]),
        second,
        route("exact", &[], &["=/img/a.png"]),
    ];
    let path = |path| found(&routes, "a", path, "x");
    assert_eq!(path("/img/a.png"), "exact");
    assert_eq!(path("/b.png"), "first");
    assert_eq!(path("/img/b.png"), "second", "it has one more condition");
    assert_eq!(path("/img/large/and/longer"), "second");
    assert_eq!(path("/b.gif"), "none");
}

#[test]
fn a_query_and_a_client_may_decide() {
    let mut debug = route("debug", &[], &[]);
    debug.queries = vec![("debug".to_owned(), Wanted::Equal("1".to_owned()))];
    let mut flag = route("flag", &[], &["/f"]);
    flag.queries = vec![("on".to_owned(), Wanted::Any)];
    let mut near = route("near", &[], &["/near"]);
    near.clients = vec![crate::config::Network {
        first: [10, 0, 0, 0].into(),
        last: [10, 0, 0, 255].into(),
    }];
    let mut far = near.clone();
    far.name = "far".to_owned();
    far.clients[0].first = [10, 0, 0, 2].into();
    let routes = [route("any", &[], &[]), debug, flag, far, near];
    let path = |path| found(&routes, "a", path, "");
    assert_eq!(path("/?debug=1"), "debug");
    assert_eq!(path("/?a&debug=1&b"), "debug");
    assert_eq!(path("/?debug=11"), "any");
    assert_eq!(path("/?xdebug=1"), "any");
    assert_eq!(path("/f?on"), "flag");
    assert_eq!(path("/f?on=x"), "flag");
    assert_eq!(path("/f?only"), "any");
    assert_eq!(path("/near"), "near");
}

#[test]
fn whoever_was_passed_over_is_explained() {
    let mut canary = route("canary", &["a"], &["/x"]);
    canary.headers = vec![("x-canary".to_owned(), Wanted::Equal("1".to_owned()))];
    let routes = [
        route("plain", &[], &["/y", "/x"]),
        canary,
        route("other", &["b"], &[]),
    ];
    let headers = headers("2");
    let looked = Router::new(&routes).explain(&ask("a", "/x/z", "", &headers), &routes);
    let looked: Vec<_> = looked
        .iter()
        .map(|(found, miss)| (&*routes[found.route].name, found.path, *miss))
        .collect();
    assert_eq!(
        looked,
        [
            ("canary", Some(0), Some(Miss::Header(0))),
            ("plain", Some(0), Some(Miss::Path)),
            ("plain", Some(1), None),
        ]
    );
}

#[test]
fn a_prefix_gives_what_follows_it_and_a_pattern_its_groups() {
    let prefix = PathRule::Prefix("/old/".to_owned());
    assert_eq!(groups(Some(&prefix), b"/old/a/b").0[1], Some(&b"a/b"[..]));
    let pattern = PathRule::Pattern(Pattern::new("^/(.)(.)").unwrap());
    assert_eq!(groups(Some(&pattern), b"/ab").0[2], Some(&b"b"[..]));
    assert_eq!(groups(None, b"/ab"), Groups::default());
}
