//! The tables `[[proxy.listener]]`: where clients connect.
//!
//! Not here: the sockets.

use std::{collections::BTreeMap, net::SocketAddr, ops::Range};

use daemon::{
    diagnostic::Diagnostic,
    site::{Table, findings::Findings},
};

use toml::Spanned;

use super::{
    Draft, Names, Network, file,
    route::each,
    settings,
    tls::{self, ListenerTls},
};

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Connections at most; `None`: as many as all listeners may have.
    pub connections: Option<u32>,
    /// Connections of one client at most; `None`: any number.
    pub client_connections: Option<u16>,
    /// Whose connections begin with a PROXY header.
    pub proxy_protocol: Vec<Network>,
    /// Whether HTTP/2 is spoken where the client wants it.
    pub http2: bool,
    /// How TLS is spoken, if it is.
    pub tls: Option<ListenerTls>,
}

pub(super) fn from_file(
    tables: Vec<Table<file::Listener>>,
    findings: &mut Findings,
) -> Vec<Draft<Listener>> {
    let mut names = Names::default();
    let mut taken = BTreeMap::new();
    tables
        .into_iter()
        .map(|table| one(table, &mut names, &mut taken, findings))
        .collect()
}

fn one(
    table: Table<file::Listener>,
    names: &mut Names,
    taken: &mut BTreeMap<SocketAddr, Range<usize>>,
    findings: &mut Findings,
) -> Draft<Listener> {
    let Table { span, value } = table;
    let name = findings.required(value.name, &span, "name", "\"web\"");
    let name = name.and_then(|name| names.take(&name, "listener", findings));
    let address = findings.required(value.address, &span, "address", "\"0.0.0.0\"");
    let address = address.and_then(|address| findings.address(&address));
    let port = findings.required(value.port, &span, "port", "80");
    let port = port.and_then(|port| findings.port(&port));
    let connections = value.connections.as_ref();
    let connections =
        connections.map(|number| findings.number(number, "connections", (1, 1_000_000)));
    let client = value.client_connections.as_ref();
    let client = client.map(|number| findings.number(number, "client_connections", (1, u16::MAX)));
    let bounds = settings::given(connections).zip(settings::given(client));
    let proxies = each(&value.proxy_protocol, findings, settings::network);
    let http2 = value.http2.is_none_or(Spanned::into_inner);
    let tls = value.tls.map(|table| tls::listener(table, findings));
    let tls = settings::given(tls);
    let rest = bounds.zip(proxies).zip(tls);
    let listener = match (&name, address, port, rest) {
        (Some(name), Some(address), Some(port), Some(((bounds, proxy_protocol), tls))) => {
            let address = SocketAddr::new(address.into_inner(), port.into_inner());
            if let Some(first) = taken.insert(address, span.clone()) {
                findings.push(
                    Diagnostic::error(span, format!("two listeners at {address}"))
                        .help("remove one: routes may name several hosts")
                        .note(first, "the first"),
                );
            }
            Some(Listener {
                name: name.clone(),
                address,
                connections: bounds.0.map(Spanned::into_inner),
                client_connections: bounds.1.map(Spanned::into_inner),
                proxy_protocol,
                http2,
                tls,
            })
        }
        (_, _, _, _) => None,
    };
    Draft {
        name,
        item: listener,
    }
}
