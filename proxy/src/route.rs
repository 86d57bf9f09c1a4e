//! Finds the route of a request.
//!
//! The most particular one wins: first by host (an exact one, then the longest wildcard, then any), then
//! by path (an exact one, then the longest beginning, then any), then by how many more conditions it has
//! (method, headers, listener), then by the order of the file. A route whose conditions are not all met
//! is passed over. Not here: what becomes of the request.

use std::{cmp::Reverse, collections::HashMap};

use crate::{
    config::{Host, PathRule, Route},
    h1::target::without_port,
};

/// What a request is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The listener it came by, by its place.
    pub listener: usize,
    /// The host it is for, perhaps with a port.
    pub host: &'a [u8],
    /// Its path, normalised.
    pub path: &'a [u8],
    /// Its method.
    pub method: &'a [u8],
    /// Its headers.
    pub headers: &'a [httparse::Header<'a>],
}

/// One way to a route: a route with several paths has as many.
#[derive(Clone, Debug)]
struct Way {
    route: usize,
    path: Option<PathRule>,
}

/// All routes, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct Router {
    exact: HashMap<Box<[u8]>, Vec<Way>>,
    wildcards: HashMap<Box<[u8]>, Vec<Way>>,
    any: Vec<Way>,
}

/// The longest host that can be in a route.
const HOST_MAX: usize = 255;

impl Router {
    /// The router of these routes.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let mut router = Self::default();
        for (place, route) in routes.iter().enumerate() {
            let paths = route.paths.iter().cloned().map(Some);
            let paths: Vec<Option<PathRule>> = match route.paths.is_empty() {
                true => vec![None],
                false => paths.collect(),
            };
            let ways = || {
                let way = |path: &Option<PathRule>| Way {
                    route: place,
                    path: path.clone(),
                };
                paths.iter().map(way).collect::<Vec<Way>>()
            };
            for host in &route.hosts {
                let (list, name) = match host {
                    Host::Exact(name) => (&mut router.exact, name),
                    Host::Wildcard(name) => (&mut router.wildcards, name),
                };
                list.entry(name.as_bytes().into())
                    .or_default()
                    .extend(ways());
            }
            if route.hosts.is_empty() {
                router.any.extend(ways());
            }
        }
        let lists = router
            .exact
            .values_mut()
            .chain(router.wildcards.values_mut());
        for list in lists.chain([&mut router.any]) {
            // Stable: what is equal stays in the order of the file.
            list.sort_by_key(|way| particular(way, &routes[way.route]));
        }
        router
    }

    /// The route of a request, by its place.
    #[must_use]
    pub fn find(&self, question: &Question<'_>, routes: &[Route]) -> Option<usize> {
        let pick = |list: &[Way]| {
            let mut ways = list.iter();
            ways.find(|way| way.fits(question, routes))
                .map(|way| way.route)
        };
        if self.exact.is_empty() && self.wildcards.is_empty() {
            return pick(&self.any);
        }
        let mut lower = [0; HOST_MAX];
        let host = without_port(question.host);
        let host = host.strip_suffix(b".").unwrap_or(host);
        let by_host = lower.get_mut(..host.len()).and_then(|lower| {
            lower.copy_from_slice(host);
            lower.make_ascii_lowercase();
            self.by_host(lower, pick)
        });
        by_host.or_else(|| pick(&self.any))
    }

    fn by_host(&self, host: &[u8], pick: impl Fn(&[Way]) -> Option<usize>) -> Option<usize> {
        let exact = self.exact.get(host).and_then(|list| pick(list));
        exact.or_else(|| {
            // From the longest ending to the shortest.
            let dots = host
                .iter()
                .enumerate()
                .filter(|(at, b)| **b == b'.' && *at > 0);
            let mut endings = dots.map(|(at, _)| &host[at..]);
            endings.find_map(|ending| pick(self.wildcards.get(ending)?))
        })
    }
}

/// The smaller, the earlier it is tried.
fn particular(way: &Way, route: &Route) -> (u8, Reverse<usize>, Reverse<usize>) {
    let (kind, length) = match &way.path {
        Some(PathRule::Exact(path)) => (0, path.len()),
        Some(PathRule::Prefix(prefix)) => (1, prefix.len()),
        None => (2, 0),
    };
    let conditions = route.headers.len()
        + usize::from(!route.methods.is_empty())
        + usize::from(!route.listeners.is_empty());
    (kind, Reverse(length), Reverse(conditions))
}

impl Way {
    fn fits(&self, question: &Question<'_>, routes: &[Route]) -> bool {
        let path_fits = match &self.path {
            None => true,
            Some(PathRule::Exact(path)) => path.as_bytes() == question.path,
            Some(PathRule::Prefix(prefix)) => begins(question.path, prefix.as_bytes()),
        };
        path_fits && meets(&routes[self.route], question)
    }
}

/// At a `/`: `/api` is the beginning of `/api` and `/api/x`, not of `/apix`.
fn begins(path: &[u8], prefix: &[u8]) -> bool {
    match path.strip_prefix(prefix) {
        Some([] | [b'/', ..]) => true,
        Some(_) => prefix.ends_with(b"/"),
        None => false,
    }
}

fn meets(route: &Route, question: &Question<'_>) -> bool {
    let has = |(name, value): &(String, Option<String>)| {
        let mut headers = question.headers.iter();
        headers.any(|header| {
            header.name.eq_ignore_ascii_case(name)
                && value
                    .as_ref()
                    .is_none_or(|value| value.as_bytes() == header.value)
        })
    };
    let methods = &route.methods;
    (methods.is_empty() || methods.iter().any(|one| one.as_bytes() == question.method))
        && (route.listeners.is_empty() || route.listeners.contains(&question.listener))
        && route.headers.iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Action;

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
                    None => PathRule::Prefix((*path).to_owned()),
                })
                .collect(),
            methods: vec![],
            headers: vec![],
            action: Action::Forward(0),
        }
    }

    fn found<'r>(routes: &'r [Route], host: &str, path: &str, header: &str) -> &'r str {
        let headers = [httparse::Header {
            name: "X-Canary",
            value: header.as_bytes(),
        }];
        let question = Question {
            listener: 0,
            host: host.as_bytes(),
            path: path.as_bytes(),
            method: if header == "post" { b"POST" } else { b"GET" },
            headers: &headers,
        };
        let place = Router::new(routes).find(&question, routes);
        place.map_or("none", |place| &routes[place].name)
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
        canary.headers = vec![("x-canary".to_owned(), Some("1".to_owned()))];
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
}
