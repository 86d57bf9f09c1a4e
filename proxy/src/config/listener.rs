//! The tables `[[proxy.listener]]`: where clients connect.
//!
//! Not here: the sockets.

use std::{collections::BTreeMap, net::SocketAddr, ops::Range};

use daemon::{
    diagnostic::Diagnostic,
    site::{Table, findings::Findings},
};

use super::{Draft, Names, file};

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
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
    let listener = match (&name, address, port) {
        (Some(name), Some(address), Some(port)) => {
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
            })
        }
        (_, _, _) => None,
    };
    Draft {
        name,
        item: listener,
    }
}
