//! The site file's tables that directors read, as values that hold only what can be served.
//!
//! In reading order: `file` mirrors the file key by key; the domain is [`director`] and [`host`] with
//! its [`pool`], and [`service`] with its [`vip`], [`ports`], [`words`], [`memory`], [`quic`],
//! [`health`] and [`real`] servers, each built from its part of the file with every mistake noted;
//! `overlap` looks at services together; [`router`] has the virtual routers and what may be said of
//! them together; `findings` collects the notes. [`Site::parse`] runs it all.
//!
//! Not here: TOML and its errors, carets (daemon); the tables of the other daemons, which are known
//! by name only; whether an interface exists on this host; what is done with any of it.

use std::{collections::BTreeMap, path::Path};

use daemon::{
    diagnostic::{Diagnostic, Report},
    site::{self, findings, prefix},
    source::SourceFile,
};

pub mod director;
mod file;
pub mod health;
pub mod host;
pub mod memory;
mod overlap;
pub mod pool;
pub mod ports;
pub mod quic;
pub mod real;
pub mod router;
pub mod service;
pub mod vip;
pub mod words;

pub use daemon::{host::Candidates, site::LoadError};
pub use director::{DirectorSettings, TunnelSources};
use findings::Findings;
pub use health::HealthCheck;
pub use host::{DirectorHost, Host, HostError};
pub use memory::{Persistence, Timeouts};
pub use pool::PoolEntry;
pub use ports::Ports;
pub use quic::{Quic, ServerId};
pub use real::{RealServer, Weight};
pub use router::{Announce, MacChoice, RouterHost, Track, TrackTarget, Transport, VirtualRouter};
pub use service::Service;
pub use vip::Vip;
pub(crate) use vip::unusable;
pub use words::{Encapsulation, Fragments, Method, Protocol, Scheduler};

/// What a site file says to directors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What is common to all directors.
    pub director: DirectorSettings,
    /// The hosts by name.
    pub hosts: BTreeMap<String, Host>,
    /// The virtual services, in the order of the file; no two with the same name, nor with the same
    /// VIP, ports and protocol. Where ports of one VIP and protocol meet, one service's contain the
    /// other's.
    pub services: Vec<Service>,
    /// The virtual routers, in the order of the file; no two with the same name or a VIP in common,
    /// nor with the same VRID in one family on an interface of a host.
    pub virtual_routers: Vec<VirtualRouter>,
    /// Who votes on the writer of the SQL servers, directors among them as witnesses.
    pub election: Option<election::channel::Election>,
}

/// A site file that can be used.
pub type Checked = site::Checked<Site>;

impl Site {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, or has mistakes.
    pub fn load(path: &Path) -> Result<Checked, LoadError> {
        Checked::load(path, Self::parse)
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
    let director = director::from_file(file.director, findings);
    let host::Drafts {
        hosts,
        owners,
        directors,
    } = host::from_file(file.hosts.unwrap_or_default(), findings);
    let services = service::from_file(file.service.unwrap_or_default(), findings);
    overlap::check(&services, findings);
    pool::check(&directors, &owners, &services, findings);
    without_director(&hosts, &services, findings);
    let routers = router::from_file(file.virtual_router.unwrap_or_default(), findings);
    let around = router::Around {
        hosts: &hosts,
        owners: &owners,
        directors: &directors,
        services: &services,
    };
    router::check(&routers, &around, findings);
    let election = match file.election {
        Some(table) => Some(election::channel::Election::from_file(table, findings)?),
        None => None,
    };
    let services: Option<Vec<Service>> = services.into_iter().map(|draft| draft.service).collect();
    let virtual_routers: Option<Vec<VirtualRouter>> =
        routers.into_iter().map(|draft| draft.router).collect();
    Some(Site {
        director: director?,
        hosts,
        services: services?,
        virtual_routers: virtual_routers?,
        election,
    })
}

fn without_director(
    hosts: &BTreeMap<String, Host>,
    services: &[service::Draft],
    findings: &mut Findings,
) {
    let has_director = hosts.values().any(|host| host.director.is_some());
    if let Some(first) = services
        .first()
        .filter(|_| !has_director && !findings.has_errors())
    {
        findings.push(
            Diagnostic::warning(
                first.span.clone(),
                "no host is a director: nothing serves this",
            )
            .help("add `[hosts.NAME.director]` with its `interfaces`"),
        );
    }
}

#[cfg(test)]
mod tests;
