//! A site file before it is in force: read, found fit for this host, or refused with the reason.
//!
//! Nothing is changed here. Not here: putting it into force ([`super::reload`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use tracing::{info, warn};

use super::reconcile::ReconcileError;
use crate::config::{Candidates, Checked, HostError, LoadError, Site};
use crate::network::{Network, netlink};
use crate::preflight::{Facts, Want};
use crate::{datapath, preflight};

/// Why the daemon does not start, or a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The site file.
    #[error(transparent)]
    Site(#[from] LoadError),
    /// This host in it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What the host lacks.
    #[error("{}", list(.0))]
    Wants(Vec<Want>),
    /// An interface that is not there.
    #[error("interface {name} does not exist; this host has {}", .known.join(", "))]
    NoInterface {
        /// What the site file says.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The data plane.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
    /// The network's state.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The tables.
    #[error(transparent)]
    Full(#[from] crate::tables::Full),
    /// The maps.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The address of the status page.
    #[error(
        "status = \"{address}\" can't be listened on: {source}; \
         write a free address under [director]"
    )]
    Status {
        /// What the site file says.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The protocol thread.
    #[error("the VRRP thread cannot be started: {0}")]
    Thread(std::io::Error),
    /// Two interfaces that share a slot of the table.
    #[error(
        "interfaces {0} and {1} can't be served together: their indices differ by a multiple of 4096; create one of them anew"
    )]
    Collision(String, String),
}

impl StartError {
    /// Whether the site file is what is wrong: the process then ends with EX_USAGE.
    pub const fn is_site(&self) -> bool {
        matches!(self, Self::Site(_) | Self::Host(_))
    }
}

fn list(wants: &[Want]) -> String {
    wants
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Reads a site file and finds this host in it; `told` where the host was named.
pub(super) fn read(
    path: &Path,
    named: Option<&str>,
    facts: &Facts,
) -> Result<(Checked, String), StartError> {
    let checked = Site::load(path)?;
    let hostname = daemon::host::hostname();
    let candidates = Candidates {
        named,
        hostname: hostname.as_deref(),
        addresses: &facts.addresses,
    };
    let host = checked.site.own_director(&candidates)?.0.to_owned();
    let wants = facts.wants(&checked.site);
    if !wants.is_empty() {
        return Err(StartError::Wants(wants));
    }
    Ok((checked, host))
}

/// Says what is not wrong enough to refuse the file.
pub(super) fn warn_of(checked: &Checked, host: &str, facts: &Facts) {
    for diagnostic in checked.warnings.diagnostics() {
        warn!(help = diagnostic.help.as_deref(), "{}", diagnostic.message);
    }
    for doubt in preflight::scripts::doubts_of(&checked.site, host) {
        warn!("{doubt}");
    }
    for doubt in facts.router_doubts(&checked.site, host) {
        warn!("{doubt}");
    }
    for hint in facts.router_hints(&checked.site, host) {
        info!("{hint}");
    }
    let host = checked.site.hosts.get(host);
    let director = host.and_then(|host| host.director.as_ref());
    for doubt in director
        .into_iter()
        .flat_map(|director| facts.doubts(director))
    {
        warn!("{doubt}");
    }
    for vip in facts.unanswered(&checked.site) {
        warn!(
            %vip,
            "no interface of this host has this VIP, so nobody answers ARP for it: \
             add it with `ip address add {vip}/32 dev INTERFACE`"
        );
    }
}

/// Interfaces by name, with their indices.
pub(super) type Interfaces = BTreeMap<String, u32>;

/// The interfaces that the site file wants served on this host, by name.
pub(super) fn interfaces(
    site: &Site,
    host: &str,
    network: &Network,
) -> Result<Interfaces, StartError> {
    let director = site.hosts.get(host).and_then(|host| host.director.as_ref());
    let mut found = Interfaces::new();
    for name in director
        .into_iter()
        .flat_map(|director| &director.interfaces)
    {
        let Some((ifindex, _)) = network.link(name) else {
            let known = network
                .links
                .values()
                .map(|link| link.name.clone())
                .collect();
            return Err(StartError::NoInterface {
                name: name.clone(),
                known,
            });
        };
        let same_slot = |other: &u32| {
            *other % lb_ebpf::abi::INTERFACE_SLOTS == ifindex % lb_ebpf::abi::INTERFACE_SLOTS
        };
        if let Some((other, _)) = found.iter().find(|(_, other)| same_slot(other)) {
            return Err(StartError::Collision(other.clone(), name.clone()));
        }
        found.insert(name.clone(), ifindex);
    }
    Ok(found)
}
