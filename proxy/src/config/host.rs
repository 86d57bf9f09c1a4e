//! The tables `[hosts.NAME.proxy]`: what is one proxy's own.
//!
//! Where a file has such tables, only these hosts run a proxy; where it has none, any host may. Not here:
//! what the hosts are to other daemons.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use daemon::{
    host::{self, Candidates},
    site::{Table, findings::Findings},
};
use toml::Spanned;

use super::{Settings, Site, file, settings};

/// A host of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// How a daemon finds its own host when neither `--host` nor the hostname says.
    pub addresses: Vec<IpAddr>,
    /// What it is as a proxy, if it is one.
    pub proxy: Option<ProxyHost>,
}

/// What is one proxy's own; what is not given is as in `[proxy]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyHost {
    /// Where status and metrics are served.
    pub status: Option<SocketAddr>,
    /// How many threads serve.
    pub threads: Option<u16>,
}

/// Why a proxy cannot tell its own host, or is not wanted on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It cannot be told.
    #[error(transparent)]
    Which(#[from] host::HostError),
    /// The host is there, but without the table `proxy`, which others have.
    #[error(
        "host {name} is not a proxy: give it the table `[hosts.{name}.proxy]` (proxies: {})",
        .proxies.join(", ")
    )]
    NotAProxy {
        /// The host.
        name: String,
        /// The hosts that are proxies.
        proxies: Vec<String>,
    },
}

impl Site {
    /// The settings of the proxy on this host.
    ///
    /// # Errors
    /// There are hosts for proxies, and this is none of them; or `--host` names none.
    pub fn settings_of(&self, candidates: &Candidates<'_>) -> Result<Settings, HostError> {
        let mut settings = self.settings.clone();
        let is_proxy = |host: &Host| host.proxy.is_some();
        if candidates.named.is_none() && !self.hosts.values().any(is_proxy) {
            return Ok(settings);
        }
        let hosts = self.hosts.iter();
        let name = host::own(
            hosts.map(|(name, host)| (&**name, &host.addresses[..])),
            candidates,
        )?;
        let proxies = self.hosts.iter().filter(|(_, host)| is_proxy(host));
        let proxies: Vec<String> = proxies.map(|(name, _)| name.clone()).collect();
        match &self.hosts[name].proxy {
            Some(own) => {
                settings.status = own.status.unwrap_or(settings.status);
                settings.threads = own.threads.or(settings.threads);
                Ok(settings)
            }
            None if proxies.is_empty() => Ok(settings),
            None => Err(HostError::NotAProxy {
                name: name.to_owned(),
                proxies,
            }),
        }
    }
}

/// The hosts of the file; `None` if a proxy's table has a mistake.
pub(super) fn from_file(
    tables: BTreeMap<Spanned<String>, Table<file::Host>>,
    findings: &mut Findings,
) -> Option<BTreeMap<String, Host>> {
    let one = |(name, table): (Spanned<String>, Table<file::Host>)| {
        let addresses = table.value.addresses.unwrap_or_default();
        let addresses = addresses
            .iter()
            .map(|address| Some(findings.address(address)?.into_inner()));
        let addresses = addresses.collect::<Vec<_>>().into_iter().collect();
        let proxy = match table.value.proxy {
            Some(table) => Some(own(&table.value, findings)?),
            None => None,
        };
        let addresses: Option<Vec<IpAddr>> = addresses;
        Some((
            name.into_inner(),
            Host {
                addresses: addresses?,
                proxy,
            },
        ))
    };
    let hosts: Vec<_> = tables.into_iter().map(one).collect();
    hosts.into_iter().collect()
}

fn own(table: &file::ProxyHost, findings: &mut Findings) -> Option<ProxyHost> {
    let status = match &table.status {
        Some(text) => Some(settings::socket_address(text, findings)?),
        None => None,
    };
    let threads = match &table.threads {
        Some(threads) => Some(settings::threads(threads, findings)?),
        None => None,
    };
    Some(ProxyHost { status, threads })
}
