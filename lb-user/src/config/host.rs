//! The hosts of a site, and what each is as a director.
//!
//! Not here: which of them this one is (daemon).

use std::{collections::BTreeMap, net::IpAddr, ops::Range};

use daemon::{diagnostic::Diagnostic, host::Candidates, site::Table};
use toml::Spanned;

use super::{
    Site, file,
    findings::Findings,
    pool::{self, PoolEntry},
    router::{PartDraft, RouterHost, parts},
};

/// A host of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// How a daemon finds its own host when neither `--host` nor the hostname says; no two hosts
    /// share one.
    pub addresses: Vec<IpAddr>,
    /// What it is as a director, if it is one.
    pub director: Option<DirectorHost>,
}

/// A host's table `director`: what is this director's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorHost {
    /// Where the XDP program goes; never empty.
    pub interfaces: Vec<String>,
    /// What method `fullnat` takes source addresses and ports from; no two entries meet.
    pub pool: Vec<PoolEntry>,
    /// Its part in virtual routers, by their names.
    pub routers: BTreeMap<String, RouterHost>,
}

/// The hosts as far as they could be read, with the places of what services may clash with.
pub(super) struct Drafts {
    /// Those with mistakes are there with what is right of them.
    pub(super) hosts: BTreeMap<String, Host>,
    /// All their addresses, each with its place.
    pub(super) owners: BTreeMap<IpAddr, Range<usize>>,
    pub(super) directors: Vec<DirectorDraft>,
}

/// What there is to know of a director before services are looked at.
pub(super) struct DirectorDraft {
    pub(super) host: String,
    /// Its header.
    pub(super) span: Range<usize>,
    /// What is right of it, with the place of each.
    pub(super) pool: Vec<Spanned<PoolEntry>>,
    /// Whether that is all of it.
    pub(super) is_whole: bool,
    /// The interfaces; `None` where they are missing or one of them is wrong.
    pub(super) interfaces: Option<Vec<String>>,
    pub(super) parts: Vec<PartDraft>,
}

/// Why a daemon cannot tell its own host, or is not wanted on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It cannot be told.
    #[error(transparent)]
    Which(#[from] daemon::host::HostError),
    /// The host is there, but without the table `director`.
    #[error(
        "host {name} is not a director: give it `[hosts.{name}.director]` with its `interfaces`{}",
        list_directors(.directors)
    )]
    NotADirector {
        /// The host.
        name: String,
        /// The hosts that are directors.
        directors: Vec<String>,
    },
}

fn list_directors(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" (directors: {})", names.join(", "))
    }
}

impl Site {
    /// Which host this is.
    ///
    /// # Errors
    /// As [`daemon::host::own`].
    pub fn own_host(&self, candidates: &Candidates<'_>) -> Result<(&str, &Host), HostError> {
        let hosts = self.hosts.iter();
        let hosts = hosts.map(|(name, host)| (&**name, &host.addresses[..]));
        let name = daemon::host::own(hosts, candidates)?;
        Ok((name, &self.hosts[name]))
    }

    /// The same for a host that has to be a director.
    ///
    /// # Errors
    /// As [`Site::own_host`], and a host that is none.
    pub fn own_director(
        &self,
        candidates: &Candidates<'_>,
    ) -> Result<(&str, &DirectorHost), HostError> {
        let (name, host) = self.own_host(candidates)?;
        let directors = || {
            let directors = self
                .hosts
                .iter()
                .filter(|(_, host)| host.director.is_some());
            directors.map(|(name, _)| name.clone()).collect()
        };
        let director = host
            .director
            .as_ref()
            .ok_or_else(|| HostError::NotADirector {
                name: name.to_owned(),
                directors: directors(),
            })?;
        Ok((name, director))
    }
}

/// The hosts of the file.
pub(super) fn from_file(
    tables: BTreeMap<Spanned<String>, Table<file::Host>>,
    findings: &mut Findings,
) -> Drafts {
    let mut owners: BTreeMap<IpAddr, Range<usize>> = BTreeMap::new();
    let (mut hosts, mut directors) = (BTreeMap::new(), Vec::new());
    for (name, table) in tables {
        // A wrong name is noted, and what is in the table is looked at all the same.
        let known = findings.name(&name, "host").unwrap_or_default();
        let addresses = addresses(
            table.value.addresses.unwrap_or_default(),
            &mut owners,
            findings,
        );
        let director = table.value.director.map(|mut table| {
            let (pool, is_whole) = pool::from_file(table.value.pool.take(), &table.span, findings);
            let entries = pool.iter().map(|entry| *entry.get_ref()).collect();
            let parts = parts(table.value.virtual_router.take(), findings);
            let routers = parts.iter().filter_map(PartDraft::whole).collect();
            let written = table.value.interfaces.as_ref();
            let written = written.map(|written| {
                let names = written.get_ref().iter();
                names.map(|name| name.get_ref().clone()).collect()
            });
            let is_right = |names: &Vec<String>| names.iter().all(|name| is_interface_name(name));
            let is_told = findings.is_excused(&table.span, "interfaces");
            directors.push(DirectorDraft {
                host: known.clone(),
                span: table.span.clone(),
                pool,
                is_whole,
                interfaces: written.filter(is_right).filter(|_| !is_told),
                parts,
            });
            DirectorHost {
                interfaces: interfaces(table, findings),
                pool: entries,
                routers,
            }
        });
        hosts.insert(
            known,
            Host {
                addresses,
                director,
            },
        );
    }
    Drafts {
        hosts,
        owners,
        directors,
    }
}

fn addresses(
    values: Vec<Spanned<String>>,
    owners: &mut BTreeMap<IpAddr, Range<usize>>,
    findings: &mut Findings,
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for value in values {
        let Some(address) = findings.address(&value) else {
            continue;
        };
        let address = address.into_inner();
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
            let message = format!("`{address}` does not tell one host from another");
            findings.push(
                Diagnostic::error(value.span(), message)
                    .help("write an address that only this host has"),
            );
            continue;
        }
        match owners.insert(address, value.span()) {
            Some(first) => findings.push(
                Diagnostic::error(value.span(), format!("address `{address}` is given twice"))
                    .help("an address belongs to one host")
                    .note(first, "first given here"),
            ),
            None => addresses.push(address),
        }
    }
    addresses
}

fn interfaces(table: Table<file::DirectorHost>, findings: &mut Findings) -> Vec<String> {
    let Table { span, value } = table;
    let values = findings.required(value.interfaces, &span, "interfaces", "[\"eth0\"]");
    let values = values.map(|values| {
        if values.get_ref().is_empty() {
            findings.push(
                Diagnostic::error(
                    values.span(),
                    "no interface: this director would see no packet",
                )
                .help("name the interfaces that clients reach: [\"eth0\"]"),
            );
        }
        values.into_inner()
    });
    let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
    let mut interfaces = Vec::new();
    for value in values.unwrap_or_default() {
        let name = value.get_ref().clone();
        if !is_interface_name(&name) {
            findings.push(
                Diagnostic::error(value.span(), format!("`{name}` cannot name an interface"))
                    .help("1 to 15 characters, without `/`, `:` and spaces; see `ip link`"),
            );
            continue;
        }
        match seen.insert(name.clone(), value.span()) {
            Some(first) => findings.push(
                Diagnostic::error(value.span(), format!("interface `{name}` is named twice"))
                    .help("name it once")
                    .note(first, "first named here"),
            ),
            None => interfaces.push(name),
        }
    }
    interfaces
}

/// What the kernel takes (`dev_valid_name` in net/core/dev.c; IFNAMSIZ counts a final zero).
pub(super) fn is_interface_name(name: &str) -> bool {
    let is_bad = |c: char| matches!(c, '/' | ':' | '\0') || c.is_whitespace() || c == '\u{b}';
    (1..=15).contains(&name.len()) && name != "." && name != ".." && !name.contains(is_bad)
}
