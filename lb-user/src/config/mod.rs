//! The site file's tables that directors read, as values that hold only what can be served.
//!
//! In reading order: `file` mirrors the file key by key; [`words`], [`host`], [`health`] and
//! [`service`] are the domain, each built from its part of the file with every mistake noted;
//! `overlap` looks at services together; `findings` collects the notes. [`Site::parse`] runs it all.
//!
//! Not here: TOML and its errors, carets (daemon); the tables of the other daemons, which are known
//! by name only; whether an interface exists on this host; what is done with any of it.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use daemon::{
    diagnostic::{Diagnostic, Report},
    site::{self, Digest, ReadError},
    source::SourceFile,
};

mod file;
mod findings;
pub mod health;
pub mod host;
mod overlap;
pub mod service;
pub mod words;

use findings::Findings;
pub use health::HealthCheck;
pub use host::{Candidates, DirectorHost, Host, HostError};
pub use service::{RealServer, Service, Weight};
pub use words::{Encapsulation, Method, Protocol, Scheduler};

/// What a site file says to directors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What is common to all directors.
    pub director: DirectorSettings,
    /// The hosts by name.
    pub hosts: BTreeMap<String, Host>,
    /// The virtual services, in the order of the file; no two with the same name, nor with the same
    /// VIP, port and protocol.
    pub services: Vec<Service>,
}

/// The table `[director]`: what is common to all directors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorSettings {
    /// Where status and metrics are served over TCP.
    pub status: SocketAddr,
}

impl Default for DirectorSettings {
    fn default() -> Self {
        Self {
            status: SocketAddr::from(([127, 0, 0, 1], 9144)),
        }
    }
}

/// A site file that can be used.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it says.
    pub site: Site,
    /// What is allowed but hardly meant; often empty.
    pub warnings: Report,
    /// What it is known by among peers.
    pub digest: Digest,
}

/// Why a site file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has mistakes; displayed with carets.
    #[error(transparent)]
    Invalid(Box<Report>),
}

impl LoadError {
    /// One line for a log or the status: the first mistake and how many more there are.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Read(error) => error.to_string(),
            Self::Invalid(report) => report.summary(),
        }
    }
}

impl Site {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, or has mistakes.
    pub fn load(path: &Path) -> Result<Checked, LoadError> {
        let file = site::read(path)?;
        Self::parse(file.source).map_err(|report| LoadError::Invalid(Box::new(report)))
    }

    /// Checks a text; its name is what messages call it.
    ///
    /// # Errors
    /// All mistakes of the file, and its warnings among them.
    pub fn parse(source: SourceFile) -> Result<Checked, Report> {
        let decoded = site::decode::<file::File>(source.text());
        let mut findings = Findings::new(decoded.diagnostics, decoded.excused);
        let site = decoded
            .value
            .and_then(|file| from_file(file, &mut findings));
        let is_bad = findings.has_errors();
        let diagnostics = findings.into_diagnostics();
        let digest = Digest::of(source.text().as_bytes());
        let report = Report::new(source, diagnostics);
        match site {
            Some(site) if !is_bad => Ok(Checked {
                site,
                warnings: report,
                digest,
            }),
            Some(_) | None => Err(report),
        }
    }
}

/// `None` only where there are errors among the findings.
fn from_file(file: file::File, findings: &mut Findings) -> Option<Site> {
    let director = director_settings(file.director, findings);
    let hosts = host::from_file(file.hosts.unwrap_or_default(), findings);
    let services = service::from_file(file.service.unwrap_or_default(), findings);
    overlap::check(&services, findings);
    without_director(&hosts, &services, findings);
    let services: Option<Vec<Service>> = services.into_iter().map(|draft| draft.service).collect();
    Some(Site {
        director: director?,
        hosts,
        services: services?,
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

fn director_settings(
    table: Option<site::Table<file::Director>>,
    findings: &mut Findings,
) -> Option<DirectorSettings> {
    let Some(status) = table.and_then(|table| table.value.status) else {
        return Some(DirectorSettings::default());
    };
    let address: Result<SocketAddr, _> = status.get_ref().parse();
    match address {
        Ok(address) if address.port() == 0 => {
            findings.push(Diagnostic::error(status.span(), "port 0 cannot be asked"));
            None
        }
        Ok(address) => {
            if !address.ip().is_loopback() {
                let message = "status and metrics can be read by anyone who reaches this address";
                findings.push(
                    Diagnostic::warning(status.span(), message)
                        .help("keep it on the loopback interface: \"127.0.0.1:9144\""),
                );
            }
            Some(DirectorSettings { status: address })
        }
        Err(_) => {
            findings.push(
                Diagnostic::error(status.span(), "not an address with a port")
                    .help("write for example \"127.0.0.1:9144\""),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;
