//! The tables `[[proxy.upstream]]`: groups of servers that do the same work.
//!
//! Not here: choosing among them (`balance`), and their health now (`server`).

use std::{collections::BTreeMap, net::SocketAddr, ops::Range, time::Duration};

use daemon::{
    diagnostic::Diagnostic,
    duration::HumanDuration,
    site::{Table, findings::Findings},
};

use health::ProbeKind;

use super::{
    Draft, Names, file,
    health::{self as check, HealthCheck},
    page::{self, Maintenance},
    persistence::{self, Persistence},
    settings,
    tls::{self, UpstreamTls},
};
use crate::{limit::key::Part, preamble::Version};

/// Servers of an upstream at most: a choice looks at each.
pub const SERVERS_MAX: usize = 256;
/// The largest weight.
pub const WEIGHT_MAX: u16 = 1000;
/// What a server weighs where nothing is said.
pub const WEIGHT: u16 = 100;
/// Requests that may wait for a server where nothing is said.
const QUEUE: u32 = 1000;
/// For how long.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// Percent of the requests that may be tried again where nothing is said.
const BUDGET: u16 = 20;

/// A group of servers that do the same work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// How a server is chosen.
    pub balance: Balance,
    /// What of a request `balance = "hash"` goes by; a request without it goes by its client's address.
    pub hash: Option<Part>,
    /// A cookie that keeps clients with their servers.
    pub persistence: Option<Persistence>,
    /// Which PROXY header connections to its servers begin with.
    pub proxy_protocol: Option<Version>,
    /// Its servers are being worked on.
    pub maintenance: Option<Maintenance>,
    /// A server that comes back gets its whole share after this time only.
    pub slow_start: Duration,
    /// Requests that may wait for a server; 0: none.
    pub queue: u32,
    /// For how long.
    pub queue_timeout: Duration,
    /// So many percent of the requests may be tried again, beside a few a second.
    pub retry_budget: u16,
    /// How many other servers a request may be tried on.
    pub retries: u8,
    /// After so many failures in a row a server gets no requests for a time; 0: never.
    pub max_failures: u32,
    /// For how long at first; twice as long each time that it fails again.
    pub eject: Duration,
    /// Whether HTTP/2 is spoken to its servers, and nothing else.
    pub http2: bool,
    /// How TLS is spoken to them, if it is.
    pub tls: Option<UpstreamTls>,
    /// How servers are checked; `None`: not at all.
    pub health: Option<HealthCheck>,
    /// At least one; no two at the same address and port.
    pub servers: Vec<Server>,
}

/// How a server is chosen for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// `rr`: one after the other, by weight.
    #[default]
    RoundRobin,
    /// `lc`: the one with the fewest requests under way for its weight.
    LeastConnections,
    /// `p2c`: of two drawn by chance, the one with fewer requests under way for its weight.
    TwoChoices,
    /// `source`: by the client's address: the same server as long as it is there.
    Source,
    /// `hash`: the same by another part of the request.
    Hash,
}

impl Balance {
    const KNOWN: &[(&str, Self)] = &[
        ("rr", Self::RoundRobin),
        ("lc", Self::LeastConnections),
        ("p2c", Self::TwoChoices),
        ("source", Self::Source),
        ("hash", Self::Hash),
    ];
    const LATER: &[&str] = &["random"];
}

/// One server of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share, relative to the others'; 0: no new requests.
    pub weight: u16,
    /// Requests under way at most, from all threads; 0: any number.
    pub max_active: u32,
    /// Whether it serves only while no other server can.
    pub is_backup: bool,
}

pub(super) fn from_file(
    tables: Vec<Table<file::Upstream>>,
    findings: &mut Findings,
) -> Vec<Draft<Upstream>> {
    let mut names = Names::default();
    tables
        .into_iter()
        .map(|table| one(table, &mut names, findings))
        .collect()
}

fn one(
    table: Table<file::Upstream>,
    names: &mut Names,
    findings: &mut Findings,
) -> Draft<Upstream> {
    let Table { span, value } = table;
    let name = findings.required(value.name, &span, "name", "\"web\"");
    let name = name.and_then(|name| names.take(&name, "upstream", findings));
    let balance = balance(value.balance.as_ref(), findings);
    let hash = hash(value.hash.as_ref(), balance, findings);
    let persistence = value.persistence;
    let persistence = persistence.map(|table| persistence::from_file(table, findings));
    let speaks = value.proxy_protocol.as_ref().map(toml::Spanned::span);
    let proxy_protocol = value.proxy_protocol.as_ref();
    let proxy_protocol = proxy_protocol.map(|word| version(word, findings));
    let maintenance = value.maintenance;
    let maintenance = maintenance.map(|table| page::maintenance(table, findings));
    let overload = overload(
        (&value.slow_start, &value.queue),
        (&value.queue_timeout, &value.retry_budget),
        findings,
    );
    let retries = settings::number(value.retries.as_ref(), "retries", 1_u8, (0, 10), findings);
    let max_failures = settings::number(
        value.max_failures.as_ref(),
        "max_failures",
        5_u32,
        (0, 1000),
        findings,
    );
    let eject = Duration::from_secs(1);
    let eject = settings::time(value.eject.as_ref(), "eject", eject, findings);
    let speech = Speech {
        http2: value.http2.is_some_and(toml::Spanned::into_inner),
        is_tls: value.tls.is_some(),
        proxy_protocol: speaks,
    };
    let tls = value.tls.map(|table| tls::upstream(table, findings));
    let health = value.health.map(|table| speech.health(table, findings));
    speech.check(findings);
    let servers = servers(value.server, &span, findings);
    let queue = value.queue.as_ref().map(toml::Spanned::span);
    let queue = queue.or_else(|| value.queue_timeout.as_ref().map(toml::Spanned::span));
    odd(
        servers.as_deref().unwrap_or_default(),
        (span, queue),
        findings,
    );
    let draft = || {
        let proxy_protocol = settings::given(proxy_protocol)?;
        let (slow_start, queue, queue_timeout, retry_budget) = overload?;
        Some(Upstream {
            name: name.clone()?,
            balance: balance?,
            hash: hash?,
            persistence: settings::given(persistence)?,
            maintenance: settings::given(maintenance)?,
            proxy_protocol,
            slow_start,
            queue,
            queue_timeout,
            retry_budget,
            retries: retries?,
            max_failures: max_failures?,
            eject: eject?,
            http2: speech.http2,
            tls: settings::given(tls)?,
            health: settings::given(health)?.map(|check| check.behind(proxy_protocol)),
            servers: servers?,
        })
    };
    let item = draft();
    Draft { name, item }
}

fn balance(word: Option<&toml::Spanned<String>>, findings: &mut Findings) -> Option<Balance> {
    let Some(word) = word else {
        return Some(Balance::default());
    };
    let balance = findings.word(word, "balance", Balance::KNOWN, Balance::LATER);
    balance.map(toml::Spanned::into_inner)
}

/// Of the PROXY protocol.
fn version(word: &toml::Spanned<String>, findings: &mut Findings) -> Option<Version> {
    let known = [("v1", Version::V1), ("v2", Version::V2)];
    let version = findings.word(word, "version", &known, &[]);
    version.map(toml::Spanned::into_inner)
}

/// What is spoken with servers, where not everything goes together.
struct Speech {
    http2: bool,
    is_tls: bool,
    proxy_protocol: Option<Range<usize>>,
}

impl Speech {
    fn check(&self, findings: &mut Findings) {
        if let (true, Some(span)) = (self.http2, &self.proxy_protocol) {
            let what =
                "connections of HTTP/2 are shared by clients, and a PROXY header speaks for one";
            findings.push(Diagnostic::error(span.clone(), what).help("leave out one of both"));
        }
    }

    fn health(&self, table: Table<file::Health>, findings: &mut Findings) -> Option<HealthCheck> {
        let span = table.span.clone();
        let check = check::from_file(table, findings)?;
        if matches!(check.probe, ProbeKind::Http(_)) && (self.http2 || self.is_tls) {
            let what =
                "a check of type \"http\" asks in plain HTTP/1.1, which these servers do not speak";
            findings.push(Diagnostic::error(span, what).help("write `type = \"tcp\"`"));
        }
        Some(check)
    }
}

/// What can be meant but seldom is.
fn odd(
    servers: &[Server],
    (span, queue): (Range<usize>, Option<Range<usize>>),
    findings: &mut Findings,
) {
    if let Some(queue) = queue.filter(|_| servers.iter().all(|server| server.max_active == 0)) {
        findings.push(
            Diagnostic::warning(queue, "nothing will wait: no server has a limit")
                .help("add `max_active = 100` to its servers, or leave this out"),
        );
    }
    if !servers.is_empty() && servers.iter().all(|server| server.is_backup) {
        findings.push(
            Diagnostic::warning(span, "every server is a backup: they serve as if none were")
                .help("remove `backup = true` from those that are to serve first"),
        );
    }
}

/// What `balance = "hash"` goes by.
#[expect(clippy::option_option, reason = "three cases: absent, wrong, right")]
fn hash(
    value: Option<&toml::Spanned<String>>,
    balance: Option<Balance>,
    findings: &mut Findings,
) -> Option<Option<Part>> {
    let known = "write \"path\", \"host\", \"header:NAME\" or \"cookie:NAME\"";
    let Some(text) = value else {
        return Some(None);
    };
    if balance.is_some_and(|balance| balance != Balance::Hash) {
        let help = "add `balance = \"hash\"`, or leave it out";
        return findings.refuse(text.span(), "nothing goes by this hash", help);
    }
    match text.get_ref().parse() {
        Ok(part @ (Part::Header(_) | Part::Cookie(_) | Part::Host | Part::Path)) => {
            Some(Some(part))
        }
        Ok(Part::Address | Part::Prefix { .. }) => findings.refuse(
            text.span(),
            "that is what `balance = \"source\"` does",
            known,
        ),
        Err(_) => {
            let message = format!("`{}` is no part of a request", text.get_ref());
            findings.refuse(text.span(), message, known)
        }
    }
}

fn overload(
    (slow_start, queue): (
        &Option<toml::Spanned<HumanDuration>>,
        &Option<toml::Spanned<i64>>,
    ),
    (timeout, budget): (
        &Option<toml::Spanned<HumanDuration>>,
        &Option<toml::Spanned<i64>>,
    ),
    findings: &mut Findings,
) -> Option<(Duration, u32, Duration, u16)> {
    let slow_start = settings::time(slow_start.as_ref(), "slow_start", Duration::ZERO, findings);
    let queue = settings::number(queue.as_ref(), "queue", QUEUE, (0, 100_000), findings);
    let timeout = settings::time(timeout.as_ref(), "queue_timeout", QUEUE_TIMEOUT, findings);
    let budget = settings::number(budget.as_ref(), "retry_budget", BUDGET, (0, 1000), findings);
    Some((slow_start?, queue?, timeout?, budget?))
}

fn servers(
    tables: Option<Vec<Table<file::Server>>>,
    span: &Range<usize>,
    findings: &mut Findings,
) -> Option<Vec<Server>> {
    let tables = tables.unwrap_or_default();
    if tables.is_empty() && !findings.is_excused(span, "server") {
        return findings.refuse(
            span.clone(),
            "an upstream without servers",
            "add `[[proxy.upstream.server]]` with an `address`",
        );
    }
    if let Some(first_beyond) = tables.get(SERVERS_MAX) {
        return findings.refuse(
            first_beyond.span.clone(),
            format!("more than {SERVERS_MAX} servers"),
            "make several upstreams of it",
        );
    }
    let mut taken = BTreeMap::new();
    let servers: Vec<Option<Server>> = tables
        .into_iter()
        .map(|table| server(table, &mut taken, findings))
        .collect();
    servers.into_iter().collect()
}

fn server(
    table: Table<file::Server>,
    taken: &mut BTreeMap<SocketAddr, Range<usize>>,
    findings: &mut Findings,
) -> Option<Server> {
    let Table { span, value } = table;
    let address = findings.required(value.address, &span, "address", "\"10.77.1.11\"");
    let address = address.and_then(|address| findings.address(&address));
    let port = match &value.port {
        Some(port) => findings.port(port).map(toml::Spanned::into_inner),
        None => Some(80),
    };
    let range = (0, WEIGHT_MAX);
    let weight = settings::number(value.weight.as_ref(), "weight", WEIGHT, range, findings);
    let most = value.max_active.as_ref();
    let max_active = settings::number(most, "max_active", 0_u32, (0, 1_000_000), findings);
    let address = SocketAddr::new(address?.into_inner(), port?);
    if let Some(first) = taken.insert(address, span.clone()) {
        findings.push(
            Diagnostic::error(span, format!("server {address} is there twice"))
                .help("remove one, and give the other a larger `weight`")
                .note(first, "the first"),
        );
        return None;
    }
    Some(Server {
        address,
        weight: weight?,
        max_active: max_active?,
        is_backup: value.backup.is_some_and(toml::Spanned::into_inner),
    })
}
