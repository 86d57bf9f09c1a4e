//! The site file's table `[proxy]`, as values that hold only what can be served.
//!
//! In reading order: `file` mirrors the file key by key; the domain is [`settings`], [`listener`],
//! [`upstream`] with its [`health`] check, [`limit`], [`route`], and what each [`host`] has of its own, each built from its part of the file
//! with every mistake noted. [`Site::parse`] runs it all.
//!
//! Not here: TOML and its errors, carets (daemon); the tables of the other daemons, which are known by
//! name only; what is done with any of it.

use std::{collections::BTreeMap, ops::Range, path::Path};

use daemon::{
    diagnostic::{Diagnostic, Report},
    site::{self, findings::Findings},
    source::SourceFile,
};

pub mod action;
mod file;
pub mod health;
pub mod host;
pub mod limit;
pub mod listener;
pub mod page;
pub mod persistence;
pub mod route;
pub mod settings;
pub mod size;
pub mod tls;
pub mod upstream;

use crate::secrets;

pub use action::Action;
pub use daemon::site::LoadError;
pub use health::HealthCheck;
pub use host::{Host as SiteHost, HostError, ProxyHost};
pub use limit::{Counts, RouteLimits, Zone};
pub use listener::Listener;
pub use page::Maintenance;
pub use persistence::{Persistence, SameSite};
pub use route::{Host, PathRule, Route, Wanted};
pub use settings::{Limits, Log, LogFormat, Network, Settings, Timeouts};
pub use tls::{Certificate, ListenerTls, Named, UpstreamTls};
pub use upstream::{Balance, Server, Upstream};

/// What a site file says to proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What is common to all of it; what is this host's own is in [`Site::settings_of`].
    pub settings: Settings,
    /// The hosts by name.
    pub hosts: BTreeMap<String, SiteHost>,
    /// Where clients connect; at least one, no two at the same address and port.
    pub listeners: Vec<Listener>,
    /// Groups of servers; no two of a name.
    pub upstreams: Vec<Upstream>,
    /// Clients that are remembered; no two of a name.
    pub zones: Vec<Zone>,
    /// What becomes of requests, in the order of the file; no two of a name. Upstreams are named by
    /// their place in `upstreams`, zones by theirs in `zones`.
    pub routes: Vec<Route>,
}

/// A site file that can be used.
pub type Checked = site::Checked<Site>;

impl Site {
    /// Reads and checks the file at `path`, and the files with certificates and keys that it names.
    ///
    /// # Errors
    /// A file that cannot be read, or has mistakes.
    pub fn load(path: &Path) -> Result<Checked, LoadError> {
        Checked::load(path, |source| {
            Checked::parse(source, |file, findings| {
                let site = from_file(file, findings)?;
                secrets::check(&site, findings);
                Some(site)
            })
        })
    }

    /// Checks a text; its name is what messages call it.
    ///
    /// # Errors
    /// All mistakes of the file, and its warnings among them.
    pub fn parse(source: SourceFile) -> Result<Checked, Report> {
        Checked::parse(source, from_file)
    }
}

/// `None` only where there are errors among the findings.
fn from_file(file: file::File, findings: &mut Findings) -> Option<Site> {
    let hosts = host::from_file(file.hosts.unwrap_or_default(), findings);
    let Some(mut proxy) = file.proxy else {
        if !findings.is_excused(&(0..0), "proxy") {
            findings.push(
                Diagnostic::error(0..0, "nothing for a proxy")
                    .help("add the table `[proxy]` with listeners, upstreams and routes"),
            );
        }
        return None;
    };
    let span = proxy.span.clone();
    let listeners = required(
        proxy.value.listener.take(),
        &span,
        "listener",
        "its `address` and `port`",
        findings,
    );
    let listeners = listener::from_file(listeners, findings);
    let upstreams = proxy.value.upstream.take().unwrap_or_default();
    let upstreams = upstream::from_file(upstreams, findings);
    let zones = proxy.value.zone.take().unwrap_or_default();
    let zone_spans: Vec<Range<usize>> = zones.iter().map(|table| table.span.clone()).collect();
    let zones = limit::zones(zones, findings);
    let routes = required(
        proxy.value.route.take(),
        &span,
        "route",
        "an `upstream`",
        findings,
    );
    let routes = route::from_file(routes, (&upstreams, &listeners, &zones), findings);
    if let Some(routes) = routes.as_ref().filter(|_| !findings.has_errors()) {
        limit::warn_unused(&zones, &zone_spans, routes, findings);
    }
    let settings = settings::from_file(proxy, findings);
    let upstreams: Option<Vec<Upstream>> = upstreams.into_iter().map(|draft| draft.item).collect();
    let zones: Option<Vec<Zone>> = zones.into_iter().map(|draft| draft.item).collect();
    let listeners: Option<Vec<Listener>> = listeners.into_iter().map(|draft| draft.item).collect();
    Some(Site {
        settings: settings?,
        hosts: hosts?,
        listeners: listeners?,
        upstreams: upstreams?,
        zones: zones?,
        routes: routes?,
    })
}

/// A list of tables that has to have one.
fn required<T>(
    tables: Option<Vec<T>>,
    proxy: &Range<usize>,
    key: &str,
    with: &str,
    findings: &mut Findings,
) -> Vec<T> {
    let tables = tables.unwrap_or_default();
    if tables.is_empty() && !findings.is_excused(proxy, key) {
        findings.push(
            Diagnostic::error(proxy.clone(), format!("there is no {key}"))
                .help(format!("add `[[proxy.{key}]]` with {with}")),
        );
    }
    tables
}

/// Something with a name, where it stands; none if there is a mistake in it.
struct Draft<T> {
    name: Option<String>,
    item: Option<T>,
}

/// The names of one kind of thing, each once.
#[derive(Default)]
struct Names(BTreeMap<String, Range<usize>>);

impl Names {
    /// A name that no other has.
    fn take(
        &mut self,
        value: &toml::Spanned<String>,
        what: &str,
        findings: &mut Findings,
    ) -> Option<String> {
        let name = findings.name(value, what)?;
        if let Some(first) = self.0.get(&name) {
            findings.push(
                Diagnostic::error(value.span(), format!("{what} `{name}` is defined twice"))
                    .help(format!("give each {what} a name of its own"))
                    .note(first.clone(), "first defined here"),
            );
            return None;
        }
        self.0.insert(name.clone(), value.span());
        Some(name)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod tls_tests;
