//! Which route a request would have, and why: the words of `viaduct-proxy check --explain`.
//!
//! The request is written as a client would send it and read by the same steps that serve. Nothing is
//! sent. Not here: finding the route (`route`).

use std::{
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    cli::Ask,
    config::{Action, Host, PathRule, Site, settings::HEADERS_MAX},
    h1::request::Request,
    route::{self, Found, Miss, Question, Router},
    template::Parts,
};

/// Tells what becomes of a request.
///
/// # Errors
/// A listener that is not there; in words.
pub fn explain(site: &Site, ask: &Ask) -> Result<String, String> {
    let listener = match &ask.listener {
        None => 0,
        Some(name) => {
            let mut listeners = site.listeners.iter();
            let place = listeners.position(|listener| listener.name == *name);
            place.ok_or_else(|| format!("there is no listener `{name}`"))?
        }
    };
    let head = head(ask);
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut target = Vec::new();
    let longest = site.settings.limits.target;
    let read = Request::parse(head.as_bytes(), &mut slots, longest)
        .and_then(|request| Ok((request.target.normalise(&mut target)?, request)));
    let (path, request) = match read {
        Ok(read) => read,
        Err(refusal) => {
            let status = refusal.status();
            return Ok(format!("refused with {status}, for any route: {refusal}\n"));
        }
    };
    let question = Question {
        listener,
        host: request.host.unwrap_or_default(),
        path: &target[..path],
        query: target.get(path + 1..).unwrap_or_default(),
        method: request.method,
        client: ask.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        headers: request.headers,
    };
    if site.settings.health.as_deref().map(str::as_bytes) == Some(question.path) {
        return Ok("answered by the proxy itself: it is the path `health`\n".to_owned());
    }
    let looked = Router::new(&site.routes).explain(&question, &site.routes);
    Ok(told(site, &looked, &question, &target))
}

/// The request as a client would send it.
fn head(ask: &Ask) -> String {
    let (host, target) = match ask.url.split_once("://") {
        Some((_, rest)) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (host, target) = rest.split_at(end);
            (host, if target.is_empty() { "/" } else { target })
        }
        None => ("", ask.url.as_str()),
    };
    let mut head = format!("{} {target} HTTP/1.1\r\n", ask.method);
    let has_host = |line: &&String| line.to_ascii_lowercase().starts_with("host:");
    if ask.headers.iter().find(has_host).is_none() {
        let host = if host.is_empty() { "localhost" } else { host };
        head += &format!("Host: {host}\r\n");
    }
    for line in &ask.headers {
        head += &format!("{line}\r\n");
    }
    head + "\r\n"
}

fn told(
    site: &Site,
    looked: &[(Found, Option<Miss>)],
    question: &Question<'_>,
    target: &[u8],
) -> String {
    let mut told = String::new();
    for (found, miss) in looked {
        let name = &site.routes[found.route].name;
        let line = match miss {
            Some(miss) => format!("passed over: {}", missed(site, *found, *miss)),
            None => format!("wins: {}", won(site, *found)),
        };
        told += &format!("route `{name}` {line}\n");
    }
    let last = match looked.last() {
        Some((found, None)) => becomes(site, *found, question, target),
        Some((_, Some(_))) | None => "answered with 404: no route is for it".to_owned(),
    };
    told + &last + "\n"
}

fn path_in_words(rule: &PathRule) -> String {
    match rule {
        PathRule::Exact(path) => format!("path {path}"),
        PathRule::Prefix(prefix) => format!("prefix {prefix}"),
        PathRule::Pattern(pattern) => format!("regex {}", pattern.as_str()),
    }
}

fn missed(site: &Site, found: Found, miss: Miss) -> String {
    let route = &site.routes[found.route];
    match miss {
        Miss::Path => {
            let rule = found.path.map(|path| path_in_words(&route.paths[path]));
            format!("it is for {}", rule.unwrap_or_default())
        }
        Miss::Method => format!("it is for method {}", route.methods.join(", ")),
        Miss::Listener => {
            let names = route
                .listeners
                .iter()
                .map(|&place| &*site.listeners[place].name);
            format!(
                "it is for listener {}",
                names.collect::<Vec<_>>().join(", ")
            )
        }
        Miss::Client => "it is for other clients (try --client ADDRESS)".to_owned(),
        Miss::Header(place) => format!("header {} is not as it wants it", route.headers[place].0),
        Miss::Query(place) => format!("query {} is not as it wants it", route.queries[place].0),
    }
}

fn won(site: &Site, found: Found) -> String {
    let route = &site.routes[found.route];
    let mut why: Vec<String> = Vec::new();
    let hosts = route.hosts.iter().map(|host| match host {
        Host::Exact(name) => name.clone(),
        Host::Wildcard(name) => format!("*{name}"),
    });
    let hosts: Vec<String> = hosts.collect();
    if !hosts.is_empty() {
        why.push(format!("host {}", hosts.join(", ")));
    }
    why.extend(found.path.map(|path| path_in_words(&route.paths[path])));
    let more = route.headers.len()
        + route.queries.len()
        + usize::from(!route.methods.is_empty())
        + usize::from(!route.listeners.is_empty())
        + usize::from(!route.clients.is_empty());
    match more {
        0 if why.is_empty() => why.push("it is for everything".to_owned()),
        0 => {}
        1 => why.push("1 more condition".to_owned()),
        more => why.push(format!("{more} more conditions")),
    }
    why.join(", ")
}

fn becomes(site: &Site, found: Found, question: &Question<'_>, target: &[u8]) -> String {
    let route = &site.routes[found.route];
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let rule = found.path.map(|path| &route.paths[path]);
    let parts = Parts {
        host: question.host,
        target,
        path: question.path.len(),
        groups: route::groups(rule, question.path),
    };
    match &route.action {
        Action::Forward(place) => {
            let upstream = &site.upstreams[*place];
            let longest = site.settings.limits.target;
            let asked = match &route.rewrite {
                None => Ok(target.to_vec()),
                Some(template) => template.target(question.method, &parts, longest),
            };
            let maintenance = match upstream.maintenance {
                Some(_) => ", which is under maintenance",
                None => "",
            };
            match asked {
                Ok(target) => format!(
                    "goes to upstream `{}` as {}{maintenance}",
                    upstream.name,
                    text(&target)
                ),
                Err(refusal) => format!("refused with {}: {refusal}", refusal.status()),
            }
        }
        Action::Redirect { status, to } => {
            let mut location = Vec::new();
            to.write(&parts, &mut location);
            format!("redirected with {status} to {}", text(&location))
        }
        Action::Respond { status, .. } => format!("answered with {status}"),
    }
}

#[cfg(test)]
mod tests {
    use daemon::source::SourceFile;

    use super::*;

    const SITE: &str = r#"[proxy]
health = "/health"
[[proxy.listener]]
name = "web"
address = "::"
port = 80
[[proxy.upstream]]
name = "apps"
[[proxy.upstream.server]]
address = "10.77.1.11"
[[proxy.route]]
name = "users"
host = "www.example.com"
regex = '^/u/([0-9]+)$'
upstream = "apps"
rewrite = "/users?id=$1"
[[proxy.route]]
name = "canary"
prefix = "/api/"
header = { x-canary = "~^(1|yes)$" }
upstream = "apps"
rewrite = "/v2/$1"
[[proxy.route]]
name = "api"
method = ["GET", "HEAD"]
prefix = "/api"
upstream = "apps"
[[proxy.route]]
name = "old"
prefix = "/old/"
redirect = "https://$host/new/$1"
"#;

    fn explained(method: &str, url: &str, headers: &[&str]) -> String {
        let checked = Site::parse(SourceFile::new("site.toml", SITE));
        let checked = checked.unwrap_or_else(|report| panic!("{report}"));
        let ask = Ask {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: headers.iter().map(|&line| line.to_owned()).collect(),
            listener: None,
            client: None,
        };
        explain(&checked.site, &ask).unwrap()
    }

    #[test]
    fn who_wins_and_why_is_told_with_what_becomes_of_it() {
        assert_eq!(
            explained("GET", "http://www.example.com/u/42?x", &[]),
            "route `users` wins: host www.example.com, regex ^/u/([0-9]+)$\n\
             goes to upstream `apps` as /users?id=42\n"
        );
        assert_eq!(
            explained("GET", "/api/x?y=z", &[]),
            "route `canary` passed over: header x-canary is not as it wants it\n\
             route `old` passed over: it is for prefix /old/\n\
             route `api` wins: prefix /api, 1 more condition\n\
             goes to upstream `apps` as /api/x?y=z\n"
        );
        assert!(
            explained("PUT", "/api/x?y=z", &["X-Canary: yes"])
                .ends_with("goes to upstream `apps` as /v2/x?y=z\n")
        );
        let none = explained("PUT", "/api/x", &[]);
        assert!(
            none.contains("route `api` passed over: it is for method GET, HEAD\n"),
            "{none}"
        );
        assert!(
            none.ends_with("answered with 404: no route is for it\n"),
            "{none}"
        );
        assert!(
            explained("GET", "http://a:81/old/x", &[])
                .ends_with("redirected with 302 to https://a:81/new/x\n")
        );
        assert!(explained("GET", "/a/../b", &[]).starts_with("refused with 400"));
        assert!(explained("GET", "/health", &[]).starts_with("answered by the proxy"));
    }
}
