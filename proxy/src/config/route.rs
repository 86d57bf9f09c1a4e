//! The tables `[[proxy.route]]`: which requests, and what becomes of them.
//!
//! Not here: finding the route of a request (`route`).

use std::ops::Range;

use daemon::{
    diagnostic::{Diagnostic, nearest},
    site::{Table, findings::Findings},
};
use toml::Spanned;

use super::{
    Draft, Listener, Names, Upstream,
    file::{self, OneOrMany},
    settings,
};

/// Which requests, and what becomes of them. A request has to meet every condition; of a condition with
/// several values, one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name in logs and metrics.
    pub name: String,
    /// The listeners it is for, by their places; empty: all.
    pub listeners: Vec<usize>,
    /// The hosts it is for; empty: all.
    pub hosts: Vec<Host>,
    /// The paths it is for; empty: all.
    pub paths: Vec<PathRule>,
    /// The methods it is for; empty: all.
    pub methods: Vec<String>,
    /// The headers a request must have: name in lower case, and value; no value: any.
    pub headers: Vec<(String, Option<String>)>,
    /// What becomes of its requests.
    pub action: Action,
}

/// A host that clients ask for, in lower case and without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// This one.
    Exact(String),
    /// Every name that ends so: `.example.com`. The domain itself is not one of them.
    Wildcard(String),
}

/// Paths that clients ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// This one.
    Exact(String),
    /// All that begin with it, at a `/`: `/api` is the beginning of `/api` and `/api/x`, not of
    /// `/apix`.
    Prefix(String),
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A server of this upstream (its place in the site's list) answers it.
    Forward(usize),
    /// The client is sent elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to; `$host` and `$target` in it are those of the request.
        to: String,
    },
    /// It is answered here.
    Respond {
        /// The status.
        status: u16,
        /// The body, as `text/html` if it begins with `<`, else as `text/plain`.
        body: String,
    },
}

pub(super) fn from_file(
    tables: Vec<Table<file::Route>>,
    upstreams: &[Draft<Upstream>],
    listeners: &[Draft<Listener>],
    findings: &mut Findings,
) -> Option<Vec<Route>> {
    let mut names = Names::default();
    let routes: Vec<Option<Route>> = tables
        .into_iter()
        .map(|table| one(table, &mut names, (upstreams, listeners), findings))
        .collect();
    routes.into_iter().collect()
}

fn one(
    table: Table<file::Route>,
    names: &mut Names,
    (upstreams, listeners): (&[Draft<Upstream>], &[Draft<Listener>]),
    findings: &mut Findings,
) -> Option<Route> {
    let Table { span, value } = table;
    let name = findings.required(value.name.clone(), &span, "name", "\"site\"");
    let name = name.and_then(|name| names.take(&name, "route", findings));
    let listener = |text: &Spanned<String>, findings: &mut Findings| {
        named(text, "listener", listeners, findings)
    };
    let listeners = each(&value.listener, findings, listener);
    let hosts = each(&value.host, findings, host);
    let exact = each(&value.path, findings, |text, findings| {
        settings::absolute(text, findings).map(PathRule::Exact)
    });
    let prefixes = each(&value.prefix, findings, |text, findings| {
        settings::absolute(text, findings).map(PathRule::Prefix)
    });
    let methods = each(&value.method, findings, method);
    let headers: Vec<Option<(String, Option<String>)>> = value
        .header
        .iter()
        .flatten()
        .map(|(name, value)| header(name, value, findings))
        .collect();
    let action = action(&value, &span, upstreams, findings);
    Some(Route {
        name: name?,
        listeners: listeners?,
        hosts: hosts?,
        paths: [exact?, prefixes?].concat(),
        methods: methods?,
        headers: headers.into_iter().collect::<Option<_>>()?,
        action: action?,
    })
}

fn each<T>(
    values: &Option<OneOrMany>,
    findings: &mut Findings,
    read: impl Fn(&Spanned<String>, &mut Findings) -> Option<T>,
) -> Option<Vec<T>> {
    let values = values.iter().flat_map(|values| &values.0);
    let read: Vec<Option<T>> = values.map(|value| read(value, findings)).collect();
    read.into_iter().collect()
}

/// The place of something that has to be defined elsewhere.
fn named<T>(
    text: &Spanned<String>,
    what: &str,
    drafts: &[Draft<T>],
    findings: &mut Findings,
) -> Option<usize> {
    let name = text.get_ref();
    let names = || drafts.iter().filter_map(|draft| draft.name.as_deref());
    let place = drafts
        .iter()
        .position(|draft| draft.name.as_ref() == Some(name));
    if place.is_some() {
        return place;
    }
    let help = match nearest(name, names()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("define it: `[[proxy.{what}]]` with `name = \"{name}\"`"),
    };
    findings.refuse(text.span(), format!("there is no {what} `{name}`"), help)
}

fn host(text: &Spanned<String>, findings: &mut Findings) -> Option<Host> {
    let host = text.get_ref().to_ascii_lowercase();
    let (name, is_wildcard) = match host.strip_prefix('*') {
        Some(rest) if rest.starts_with('.') && rest.len() > 1 => (rest, true),
        Some(_) | None => (host.as_str(), false),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-[:]".contains(c);
    let has_port = !name.starts_with('[') && name.contains(':');
    if name.is_empty() || name.len() > 253 || has_port || !name.chars().all(is_plain) {
        return findings.refuse(
            text.span(),
            format!("`{}` is not a host", text.get_ref()),
            "write \"www.example.com\", or \"*.example.com\" for all names below it; no port",
        );
    }
    Some(match is_wildcard {
        true => Host::Wildcard(name.to_owned()),
        false => Host::Exact(name.to_owned()),
    })
}

fn method(text: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    let method = text.get_ref();
    if method.is_empty() || method.len() > 32 || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        return findings.refuse(
            text.span(),
            format!("`{method}` is not a method"),
            "methods are written in capitals: \"GET\", \"POST\"",
        );
    }
    Some(method.clone())
}

fn header(
    name: &Spanned<String>,
    value: &Spanned<String>,
    findings: &mut Findings,
) -> Option<(String, Option<String>)> {
    let text = name.get_ref();
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(is_token) {
        let message = format!("`{text}` cannot name a header");
        return findings.refuse(name.span(), message, "write for example \"x-canary\"");
    }
    let wanted = value.get_ref();
    let wanted = (wanted != "*").then(|| wanted.clone());
    Some((text.to_ascii_lowercase(), wanted))
}

fn action(
    table: &file::Route,
    span: &Range<usize>,
    upstreams: &[Draft<Upstream>],
    findings: &mut Findings,
) -> Option<Action> {
    let status = table.status.as_ref();
    match (&table.upstream, &table.redirect, status) {
        (Some(upstream), None, None) => {
            misplaced_body(table, findings)?;
            named(upstream, "upstream", upstreams, findings).map(Action::Forward)
        }
        (None, Some(to), status) => {
            misplaced_body(table, findings)?;
            redirect(to, status, findings)
        }
        (None, None, Some(status)) => {
            let status = findings.number(status, "status", (200_u16, 599))?;
            let body = table.body.clone().map(Spanned::into_inner);
            Some(Action::Respond {
                status: status.into_inner(),
                body: body.unwrap_or_default(),
            })
        }
        (None, None, None) => {
            let known = ["upstream", "redirect", "status"];
            if !known.iter().any(|key| findings.is_excused(span, key)) {
                findings.push(
                    Diagnostic::error(span.clone(), "a route that leads nowhere").help(
                        "add `upstream = \"NAME\"`, `redirect = \"https://$host$target\"` or `status = 404`",
                    ),
                );
            }
            None
        }
        (Some(upstream), _, _) => findings.refuse(
            upstream.span(),
            "a route leads to one thing only",
            "keep one of `upstream`, `redirect` and `status`",
        ),
    }
}

/// `None` where there is a body that nobody would see.
fn misplaced_body(table: &file::Route, findings: &mut Findings) -> Option<()> {
    match &table.body {
        None => Some(()),
        Some(body) => findings.refuse(
            body.span(),
            "a body only goes with a `status` of its own",
            "leave it out",
        ),
    }
}

fn redirect(
    to: &Spanned<String>,
    status: Option<&Spanned<i64>>,
    findings: &mut Findings,
) -> Option<Action> {
    let known = [301, 302, 303, 307, 308];
    if let Some(status) = status.filter(|status| !known.contains(status.get_ref())) {
        return findings.refuse(
            status.span(),
            format!("{} is not the status of a redirect", status.get_ref()),
            "write 301, 302, 303, 307 or 308",
        );
    }
    let text = to.get_ref();
    let goes_somewhere = text.starts_with('/') || text.contains("://") || text.starts_with('$');
    if !goes_somewhere || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return findings.refuse(
            to.span(),
            format!("`{text}` is not where a client can be sent"),
            "write for example \"https://$host$target\" or \"/new/\"",
        );
    }
    let status = status.map_or(302, |status| {
        u16::try_from(*status.get_ref()).unwrap_or(302)
    });
    Some(Action::Redirect {
        status,
        to: text.clone(),
    })
}
