//! The tables `[[proxy.upstream]]`: groups of servers that do the same work.
//!
//! Not here: choosing among them (`balance`), and their health now (`server`).

use std::{collections::BTreeMap, net::SocketAddr, ops::Range, time::Duration};

use daemon::{
    diagnostic::Diagnostic,
    site::{Table, findings::Findings},
};

use super::{
    Draft, Names, file,
    health::{self, HealthCheck},
    settings,
};

/// Servers of an upstream at most: a choice looks at each.
pub const SERVERS_MAX: usize = 256;
/// The largest weight.
pub const WEIGHT_MAX: u16 = 1000;
/// What a server weighs where nothing is said.
pub const WEIGHT: u16 = 100;

/// A group of servers that do the same work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// How a server is chosen.
    pub balance: Balance,
    /// How many other servers a request may be tried on.
    pub retries: u8,
    /// After so many failures in a row a server gets no requests for a time; 0: never.
    pub max_failures: u32,
    /// For how long at first; twice as long each time that it fails again.
    pub eject: Duration,
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
    /// `source`: by the client's address: the same server as long as it is there.
    Source,
}

impl Balance {
    const KNOWN: &[(&str, Self)] = &[
        ("rr", Self::RoundRobin),
        ("lc", Self::LeastConnections),
        ("source", Self::Source),
    ];
    const LATER: &[&str] = &["p2c", "hash", "cookie", "random"];
}

/// One server of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share, relative to the others'; 0: no new requests.
    pub weight: u16,
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
    let balance = match &value.balance {
        Some(word) => findings
            .word(word, "balance", Balance::KNOWN, Balance::LATER)
            .map(toml::Spanned::into_inner),
        None => Some(Balance::default()),
    };
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
    let is_checked = value.health.is_some();
    let health = value.health.map(|table| health::from_file(table, findings));
    let servers = servers(value.server, &span, findings);
    let draft = || {
        Some(Upstream {
            name: name.clone()?,
            balance: balance?,
            retries: retries?,
            max_failures: max_failures?,
            eject: eject?,
            health: match (is_checked, health) {
                (true, health) => Some(health??),
                (false, _) => None,
            },
            servers: servers?,
        })
    };
    let item = draft();
    Draft { name, item }
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
    })
}
