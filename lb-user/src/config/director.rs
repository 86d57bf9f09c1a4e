//! The table `[director]`: what is common to all directors.
//!
//! Not here: what is a single director's own (`host`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use daemon::{diagnostic::Diagnostic, site::Table};
use toml::Spanned;

use super::{
    file,
    findings::Findings,
    prefix::{self, Allowed},
    vip::unusable,
    words::Fragments,
};

/// What is common to all directors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorSettings {
    /// Where status and metrics are served over TCP.
    pub status: SocketAddr,
    /// What becomes of fragments for VIPs.
    pub fragments: Fragments,
    /// Where packets of method `tunnel` that are IPIP seem to come from; `None`: from the director's
    /// own address.
    pub tunnel_sources: Option<TunnelSources>,
}

/// An IPv4 network over whose addresses tunnels' outer sources are spread, by flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSources {
    /// Its first address: host bits are zero.
    pub address: Ipv4Addr,
    /// Its prefix length: 8 to 24.
    pub prefix: u8,
}

impl Default for DirectorSettings {
    fn default() -> Self {
        Self {
            status: SocketAddr::from(([127, 0, 0, 1], 9144)),
            fragments: Fragments::default(),
            tunnel_sources: None,
        }
    }
}

/// `None` only where there are errors among the findings.
pub(super) fn from_file(
    table: Option<Table<file::Director>>,
    findings: &mut Findings,
) -> Option<DirectorSettings> {
    let default = DirectorSettings::default();
    let Some(Table { value: table, .. }) = table else {
        return Some(default);
    };
    let status = match &table.status {
        Some(value) => status(value, findings),
        None => Some(default.status),
    };
    let fragments = match &table.fragments {
        Some(value) => {
            let word = findings.word(
                value,
                "treatment of fragments",
                Fragments::KNOWN,
                Fragments::LATER,
            );
            word.map(Spanned::into_inner)
        }
        None => Some(default.fragments),
    };
    let sources = match &table.tunnel_sources {
        Some(value) => tunnel_sources(value, findings).map(Some),
        None => Some(default.tunnel_sources),
    };
    Some(DirectorSettings {
        status: status?,
        fragments: fragments?,
        tunnel_sources: sources?,
    })
}

fn status(value: &Spanned<String>, findings: &mut Findings) -> Option<SocketAddr> {
    let Ok(address) = value.get_ref().parse::<SocketAddr>() else {
        return findings.refuse(
            value.span(),
            "not an address with a port",
            "write for example \"127.0.0.1:9144\"",
        );
    };
    if address.port() == 0 {
        findings.push(Diagnostic::error(value.span(), "port 0 cannot be asked"));
        return None;
    }
    if !address.ip().is_loopback() {
        let message = "status and metrics can be read by anyone who reaches this address";
        findings.push(
            Diagnostic::warning(value.span(), message)
                .help("keep it on the loopback interface: \"127.0.0.1:9144\""),
        );
    }
    Some(address)
}

const SOURCES: Allowed = Allowed {
    example: "10.200.0.0/16",
    v4: 8..=24,
    v6: None,
};

fn tunnel_sources(value: &Spanned<String>, findings: &mut Findings) -> Option<TunnelSources> {
    let (address, prefix) = prefix::read(value, &SOURCES, findings)?;
    let ends = [address, prefix::last(address, prefix)];
    if let Some(kind) = ends.into_iter().find_map(unusable) {
        let message = format!("packets cannot come from {kind} address, and one of these is");
        let help = format!(
            "write a network of your own such as \"{}\"",
            SOURCES.example
        );
        return findings.refuse(value.span(), message, help);
    }
    match address {
        IpAddr::V4(address) => Some(TunnelSources { address, prefix }),
        // Not allowed above.
        IpAddr::V6(_) => None,
    }
}
