//! `[[sqlproxy.server]]`: a MySQL or MariaDB server.
//!
//! Mycat's writeHost is a server of role `primary`, its readHost one of role `replica`; `maxCon` and
//! `minCon` are `max_connections` and `min_connections`, but over the first one waits in the queue.
//!
//! Not here: which of the primaries is the writer ([`crate::election`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use daemon::diagnostic::Diagnostic;
use daemon::site::Table;
use toml::Spanned;

use super::{
    file,
    findings::{Findings, OrDefault as _},
    user,
};
use crate::trust::Mode;

/// Servers at most.
pub const MOST: usize = 64;

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It can be the writer.
    Primary,
    /// It only reads.
    Replica,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name in status and metrics.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is for.
    pub role: Role,
    /// Its share of reads, relative to the others'; 0: none.
    pub weight: u16,
    /// Connections to it at most.
    pub max_connections: u32,
    /// Connections that are kept open to it.
    pub min_connections: u32,
    /// How it is met.
    pub tls: Mode,
    /// The authorities that its certificate has to be of, where that is looked at.
    pub tls_ca: Option<PathBuf>,
}

/// What is right of the servers, and whether that is all of them.
pub(super) fn from_file(
    tables: Vec<Table<file::Server>>,
    table: &Range<usize>,
    findings: &mut Findings,
) -> Option<Vec<Server>> {
    let places: Vec<Range<usize>> = tables.iter().map(|table| table.span.clone()).collect();
    if let Some(beyond) = places.get(MOST) {
        let message = format!("more than the {MOST} servers there can be");
        return findings.refuse(beyond.clone(), message, "split the site");
    }
    let read = tables.into_iter().map(|table| server(table, findings));
    let servers: Vec<Option<Server>> = read.collect();
    twice(&servers, &places, findings);
    let servers: Option<Vec<Server>> = servers.into_iter().collect();
    let servers = servers?;
    if !servers.iter().any(|server| server.role == Role::Primary) {
        let help = "add `[[sqlproxy.server]]` with `role = \"primary\"`";
        return findings.refuse(table.clone(), "no server is a primary", help);
    }
    Some(servers)
}

fn server(table: Table<file::Server>, findings: &mut Findings) -> Option<Server> {
    const ROLES: &[(&str, Role)] = &[("primary", Role::Primary), ("replica", Role::Replica)];
    let Table { span, value } = table;
    let name = findings.required(value.name.as_ref(), &span, "name", "\"db1\"");
    let name = name.and_then(|name| findings.name(name, "server"));
    let address = findings.required(
        value.address.as_ref(),
        &span,
        "address",
        "\"10.77.0.31:3306\"",
    );
    let address = address.and_then(|value| {
        let text = value.get_ref();
        let parsed = text.parse::<SocketAddr>().ok().filter(|to| to.port() != 0);
        parsed.or_else(|| {
            let message = format!("`{text}` is not an address with a port");
            let help = "write for example \"10.77.0.31:3306\" or \"[fd77::31]:3306\"";
            findings.refuse(value.span(), message, help)
        })
    });
    let role = findings.required(value.role.as_ref(), &span, "role", "\"primary\"");
    let role = role.and_then(|role| findings.word_or(Some(role), "role", ROLES, Role::Replica));
    let weight = findings.number_or(value.weight.as_ref(), "weight", (0, 10_000), 100);
    let most = value.max_connections.as_ref();
    let max_connections = findings.number_or(most, "max_connections", (1, 20_000), 200);
    let least = value.min_connections.as_ref();
    let min_connections = findings.number_or(least, "min_connections", (0, 20_000), 4);
    let (max_connections, min_connections) = (max_connections?, min_connections?);
    if let Some(least) = least.filter(|_| min_connections > max_connections) {
        let message = format!("min_connections {min_connections} is more than {max_connections}");
        return findings.refuse(
            least.span(),
            message,
            "raise `max_connections`, or lower this",
        );
    }
    let (tls, tls_ca) = trust(&value, &span, findings)?;
    Some(Server {
        tls,
        tls_ca,
        name: name?,
        address: address?,
        role: role?,
        weight: weight?,
        max_connections,
        min_connections: min_connections.min(max_connections),
    })
}

/// `tls`, and `tls_ca` where it is looked at.
fn trust(
    value: &file::Server,
    span: &Range<usize>,
    findings: &mut Findings,
) -> Option<(Mode, Option<PathBuf>)> {
    const MODES: &[(&str, Mode)] = &[
        ("off", Mode::Off),
        ("preferred", Mode::Preferred),
        ("verify-ca", Mode::VerifyCa),
        ("verify-identity", Mode::VerifyIdentity),
    ];
    let mode = findings.word_or(value.tls.as_ref(), "tls", MODES, Mode::Off)?;
    let authorities = match (&value.tls_ca, mode) {
        (Some(path), _) => Some(user::path(path, findings)?),
        (None, Mode::Off | Mode::Preferred) => None,
        (None, Mode::VerifyCa | Mode::VerifyIdentity) => {
            let place = value
                .tls
                .as_ref()
                .map_or_else(|| span.clone(), Spanned::span);
            let help = "add `tls_ca = \"/etc/viaduct/ca.pem\"`";
            return findings.refuse(place, "there are no authorities to verify by", help);
        }
    };
    Some((mode, authorities))
}

fn twice(servers: &[Option<Server>], places: &[Range<usize>], findings: &mut Findings) {
    let (mut names, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for (server, place) in servers.iter().zip(places) {
        let Some(server) = server else {
            continue;
        };
        let by_name = names.insert(server.name.clone(), place.clone());
        let by_address = addresses.insert(server.address, place.clone());
        let clash = by_name
            .map(|first| (first, format!("server `{}` is defined twice", server.name)))
            .or_else(|| {
                by_address.map(|first| (first, format!("{} is two servers", server.address)))
            });
        if let Some((first, message)) = clash {
            let help = "give each server a name and an address of its own";
            let diagnostic = Diagnostic::error(place.clone(), message).help(help);
            findings.push(diagnostic.note(first, "first defined here"));
        }
    }
}
