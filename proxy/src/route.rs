//! Finds the route of a request.
//!
//! The most particular one wins: first by host (an exact one, then the longest wildcard, then any), then
//! by path (an exact one, then a pattern, then the longest beginning, then any), then by how many more
//! conditions it has (method, headers, query, listener, client), then by the order of the file. A route
//! whose conditions are not all met is passed over. Not here: what becomes of the request.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr};

use crate::{
    config::{Host, PathRule, Route, Wanted},
    h1::target::without_port,
    pattern::Groups,
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
    /// Its query, as it came and without the `?`.
    pub query: &'a [u8],
    /// Its method.
    pub method: &'a [u8],
    /// Whose it is.
    pub client: IpAddr,
    /// Its headers.
    pub headers: &'a [httparse::Header<'a>],
}

/// One way to a route: a route with several paths has as many.
#[derive(Clone, Debug)]
struct Way {
    found: Found,
    path: Option<PathRule>,
}

/// A route, and by which of its paths it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The route, by its place.
    pub route: usize,
    /// The path, by its place in the route; none where the route is for all.
    pub path: Option<usize>,
}

/// What a request does not have that a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Its path.
    Path,
    /// Its method.
    Method,
    /// Its listener.
    Listener,
    /// Its client.
    Client,
    /// The header at this place.
    Header(usize),
    /// The part of the query at this place.
    Query(usize),
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
            let ways = || -> Vec<Way> {
                let way = |path: Option<usize>| Way {
                    found: Found { route: place, path },
                    path: path.map(|path| route.paths[path].clone()),
                };
                match route.paths.len() {
                    0 => vec![way(None)],
                    count => (0..count).map(Some).map(way).collect(),
                }
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
            list.sort_by_key(|way| particular(way, &routes[way.found.route]));
        }
        router
    }

    /// The route of a request.
    #[must_use]
    pub fn find(&self, question: &Question<'_>, routes: &[Route]) -> Option<Found> {
        self.walk(question.host, |list| {
            let mut ways = list.iter();
            let way = ways.find(|way| way.misses(question, routes).is_none());
            way.map(|way| way.found)
        })
    }

    /// Every way that was looked at for a request until one was found, in that order, and what it missed.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>, routes: &[Route]) -> Vec<(Found, Option<Miss>)> {
        let mut looked = Vec::new();
        self.walk(question.host, |list| {
            let mut ways = list.iter();
            ways.find_map(|way| {
                let miss = way.misses(question, routes);
                looked.push((way.found, miss));
                miss.is_none().then_some(())
            })
        });
        looked
    }

    /// Goes through the ways that a host has, the most particular first, until one is picked.
    fn walk<T>(&self, host: &[u8], mut pick: impl FnMut(&[Way]) -> Option<T>) -> Option<T> {
        if self.exact.is_empty() && self.wildcards.is_empty() {
            return pick(&self.any);
        }
        let mut lower = [0; HOST_MAX];
        let host = without_port(host);
        let host = host.strip_suffix(b".").unwrap_or(host);
        let by_host = lower.get_mut(..host.len()).and_then(|lower| {
            lower.copy_from_slice(host);
            lower.make_ascii_lowercase();
            self.by_host(lower, &mut pick)
        });
        by_host.or_else(|| pick(&self.any))
    }

    fn by_host<T>(&self, host: &[u8], pick: &mut impl FnMut(&[Way]) -> Option<T>) -> Option<T> {
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
        Some(PathRule::Pattern(_)) => (1, 0),
        Some(PathRule::Prefix(prefix)) => (2, prefix.len()),
        None => (3, 0),
    };
    let conditions = route.headers.len()
        + route.queries.len()
        + usize::from(!route.methods.is_empty())
        + usize::from(!route.listeners.is_empty())
        + usize::from(!route.clients.is_empty());
    (kind, Reverse(length), Reverse(conditions))
}

impl Way {
    /// What a request does not have that it needs here.
    fn misses(&self, question: &Question<'_>, routes: &[Route]) -> Option<Miss> {
        let path_fits = match &self.path {
            None => true,
            Some(PathRule::Exact(path)) => path.as_bytes() == question.path,
            Some(PathRule::Prefix(prefix)) => begins(question.path, prefix.as_bytes()),
            Some(PathRule::Pattern(pattern)) => pattern.matches(question.path),
        };
        match path_fits {
            true => misses(&routes[self.found.route], question),
            false => Some(Miss::Path),
        }
    }
}

/// What a path gives to `$1` and so on by the rule it was found by. A pattern allocates.
#[must_use]
pub fn groups<'p>(rule: Option<&PathRule>, path: &'p [u8]) -> Groups<'p> {
    let mut groups = Groups::default();
    match rule {
        Some(PathRule::Pattern(pattern)) => groups = pattern.capture(path),
        Some(PathRule::Prefix(prefix)) => groups.0[1] = path.get(prefix.len()..),
        Some(PathRule::Exact(_)) | None => {}
    }
    groups
}

/// At a `/`: `/api` is the beginning of `/api` and `/api/x`, not of `/apix`.
fn begins(path: &[u8], prefix: &[u8]) -> bool {
    match path.strip_prefix(prefix) {
        Some([] | [b'/', ..]) => true,
        Some(_) => prefix.ends_with(b"/"),
        None => false,
    }
}

fn misses(route: &Route, question: &Question<'_>) -> Option<Miss> {
    let has_header = |(name, wanted): &(String, Wanted)| {
        let mut headers = question.headers.iter();
        headers.any(|header| header.name.eq_ignore_ascii_case(name) && wanted.is(header.value))
    };
    let has_query = |(name, wanted): &(String, Wanted)| {
        let mut pairs = question.query.split(|&byte| byte == b'&');
        pairs.any(|pair| match pair.strip_prefix(name.as_bytes()) {
            Some([]) => wanted.is(b""),
            Some([b'=', value @ ..]) => wanted.is(value),
            Some(_) | None => false,
        })
    };
    let methods = &route.methods;
    let listeners = &route.listeners;
    let clients = &route.clients;
    if !methods.is_empty() && !methods.iter().any(|one| one.as_bytes() == question.method) {
        return Some(Miss::Method);
    }
    if !listeners.is_empty() && !listeners.contains(&question.listener) {
        return Some(Miss::Listener);
    }
    if !clients.is_empty() && !clients.iter().any(|one| one.contains(question.client)) {
        return Some(Miss::Client);
    }
    let header = route.headers.iter().position(|header| !has_header(header));
    let query = || route.queries.iter().position(|query| !has_query(query));
    header
        .map(Miss::Header)
        .or_else(|| query().map(Miss::Query))
}

#[cfg(test)]
mod tests;
