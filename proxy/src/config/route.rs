//! The tables `[[proxy.route]]`: which requests, and what becomes of them.
//!
//! Not here: what becomes of them (`action`), and finding the route of a request (`route`).

use std::collections::BTreeMap;

use daemon::{
    diagnostic::nearest,
    site::{Table, findings::Findings},
};
use toml::Spanned;

use super::{
    Draft, Listener, Names, Network, Upstream,
    action::{self, Action},
    file::{self, OneOrMany},
    limit::{self, RouteLimits, Zone},
    settings,
};
use crate::{pattern::Pattern, template::Template};

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
    /// The headers a request must have: name in lower case, and value.
    pub headers: Vec<(String, Wanted)>,
    /// What must be in its query: name and value, as they stand there.
    pub queries: Vec<(String, Wanted)>,
    /// The clients it is for; empty: all.
    pub clients: Vec<Network>,
    /// What a server is asked for instead.
    pub rewrite: Option<Template>,
    /// What becomes of its requests.
    pub action: Action,
    /// How much a client may do.
    pub limits: RouteLimits,
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
    /// All that it is found in.
    Pattern(Pattern),
}

impl PathRule {
    /// How many groups of a path it gives.
    #[must_use]
    pub fn groups(&self) -> usize {
        match self {
            Self::Exact(_) => 0,
            Self::Prefix(_) => 1,
            Self::Pattern(pattern) => pattern.groups(),
        }
    }
}

/// What a header or a part of the query has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `*`: there.
    Any,
    /// Exactly this.
    Equal(String),
    /// `~PATTERN`: something that this is found in.
    Matches(Pattern),
}

impl Wanted {
    /// Whether a value is what is wanted.
    #[must_use]
    pub fn is(&self, value: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Equal(wanted) => wanted.as_bytes() == value,
            Self::Matches(pattern) => pattern.matches(value),
        }
    }
}

/// What routes name.
pub(super) type Named<'a> = (
    &'a [Draft<Upstream>],
    &'a [Draft<Listener>],
    &'a [Draft<Zone>],
);

pub(super) fn from_file(
    tables: Vec<Table<file::Route>>,
    named: Named<'_>,
    findings: &mut Findings,
) -> Option<Vec<Route>> {
    let mut names = Names::default();
    let routes: Vec<Option<Route>> = tables
        .into_iter()
        .map(|table| one(table, &mut names, named, findings))
        .collect();
    routes.into_iter().collect()
}

fn one(
    table: Table<file::Route>,
    names: &mut Names,
    (upstreams, listeners, zones): Named<'_>,
    findings: &mut Findings,
) -> Option<Route> {
    let Table { span, mut value } = table;
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
    let patterns = each(&value.regex, findings, |text, findings| {
        pattern(text, text.get_ref(), findings).map(PathRule::Pattern)
    });
    let paths = [exact, patterns, prefixes]
        .into_iter()
        .collect::<Option<Vec<_>>>();
    let paths = paths.map(|paths| paths.concat());
    let methods = each(&value.method, findings, method);
    let headers = wanted(&value.header, header_name, findings);
    let queries = wanted(&value.query, query_name, findings);
    let clients = each(&value.client, findings, settings::network);
    let known = paths.as_deref().unwrap_or_default();
    let action = action::from_file(&value, &span, (upstreams, known), findings);
    let rewrite = action::rewrite(&value, known, findings);
    let limits = limit::of_route(&mut value, zones, findings);
    Some(Route {
        name: name?,
        listeners: listeners?,
        hosts: hosts?,
        paths: paths?,
        methods: methods?,
        headers: headers?,
        queries: queries?,
        clients: clients?,
        rewrite: rewrite?,
        action: action?,
        limits: limits?,
    })
}

/// What a condition has, each read in the same way.
pub(super) fn each<T>(
    values: &Option<OneOrMany>,
    findings: &mut Findings,
    read: impl Fn(&Spanned<String>, &mut Findings) -> Option<T>,
) -> Option<Vec<T>> {
    let values = values.iter().flat_map(|values| &values.0);
    let read: Vec<Option<T>> = values.map(|value| read(value, findings)).collect();
    read.into_iter().collect()
}

/// The place of something that has to be defined elsewhere.
pub(super) fn named<T>(
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

/// What headers, or the query, have to be.
fn wanted(
    table: &Option<BTreeMap<Spanned<String>, Spanned<String>>>,
    name: impl Fn(&Spanned<String>, &mut Findings) -> Option<String>,
    findings: &mut Findings,
) -> Option<Vec<(String, Wanted)>> {
    let pairs = table.iter().flatten();
    let read: Vec<Option<(String, Wanted)>> = pairs
        .map(|(key, value)| {
            let name = name(key, findings);
            let text = value.get_ref();
            let wanted = match (text.as_str(), text.strip_prefix('~')) {
                ("*", _) => Some(Wanted::Any),
                (_, Some(text)) => pattern(value, text, findings).map(Wanted::Matches),
                (_, None) => Some(Wanted::Equal(text.clone())),
            };
            Some((name?, wanted?))
        })
        .collect();
    read.into_iter().collect()
}

fn header_name(name: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    let text = name.get_ref();
    if !settings::is_token(text) {
        let message = format!("`{text}` cannot name a header");
        return findings.refuse(name.span(), message, "write for example \"x-canary\"");
    }
    Some(text.to_ascii_lowercase())
}

fn query_name(name: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    let text = name.get_ref();
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"&=#?".contains(&b);
    if text.is_empty() || !text.bytes().all(is_plain) {
        let message = format!("`{text}` cannot name a part of a query");
        let help = "write it as it stands in a request: { debug = \"1\" } for ?debug=1";
        return findings.refuse(name.span(), message, help);
    }
    Some(text.clone())
}

fn pattern(value: &Spanned<String>, text: &str, findings: &mut Findings) -> Option<Pattern> {
    match Pattern::new(text) {
        Ok(pattern) => Some(pattern),
        Err(told) => findings.refuse(
            value.span(),
            format!("`{text}` {told}"),
            "write it in single quotes: '^/u/([0-9]+)$'; it is found anywhere unless ^ and $ say where",
        ),
    }
}
