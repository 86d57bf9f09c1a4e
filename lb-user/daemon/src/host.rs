//! Which host of the site file this one is: the one that `--host` names, else the one with this
//! hostname, else the one with an address of this host.
//!
//! In reading order: what may be found and what not, what the system says of this host, [`own`]. Not
//! here: what a host's table says to a daemon.

use std::net::IpAddr;

use crate::diagnostic::nearest;

/// What a daemon knows of the host it runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidates<'a> {
    /// `--host`.
    pub named: Option<&'a str>,
    /// The hostname, short or with its domain.
    pub hostname: Option<&'a str>,
    /// The addresses of its interfaces.
    pub addresses: &'a [IpAddr],
}

/// Why a daemon cannot tell its own host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// `--host` names none.
    #[error("--host {name}: no such host in the site file{}", list_known(.known, .name))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The hosts there are.
        known: Vec<String>,
    },
    /// Neither the hostname nor an address is in the file.
    #[error(
        "this host is not in the site file: neither its hostname{} nor one of its addresses is; \
         add it, or say which it is with --host{}",
        in_quotes(.hostname.as_deref()), list_known(.known, .hostname.as_deref().unwrap_or_default())
    )]
    NotFound {
        /// The hostname, if there is one.
        hostname: Option<String>,
        /// The hosts there are.
        known: Vec<String>,
    },
    /// Its addresses belong to several hosts of the file.
    #[error("this host has addresses of several hosts of the site file ({}): say which it is with --host", .0.join(", "))]
    Ambiguous(Vec<String>),
}

fn in_quotes(name: Option<&str>) -> String {
    name.map(|name| format!(" `{name}`")).unwrap_or_default()
}

fn list_known(known: &[String], name: &str) -> String {
    let names = known.iter().map(String::as_str);
    match nearest(name, names) {
        _ if known.is_empty() => " (it has no hosts)".to_owned(),
        Some(meant) => format!(" (did you mean {meant}? it has: {})", known.join(", ")),
        None => format!(" (it has: {})", known.join(", ")),
    }
}

/// The kernel's hostname, if it has a readable one.
#[must_use]
pub fn hostname() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// The IP addresses of all interfaces of this network namespace, loopback left out.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    let addresses = by_interface().unwrap_or_default().into_iter();
    addresses.map(|(_, address)| address).collect()
}

/// The same with the names of their interfaces, in the kernel's order.
///
/// # Errors
/// The kernel cannot be asked: no descriptor or memory is left.
pub fn by_interface() -> nix::Result<Vec<(String, IpAddr)>> {
    let addresses = nix::ifaddrs::getifaddrs()?
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let address = v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
            Some((interface.interface_name, address))
        })
        .filter(|(_, address)| !address.is_loopback());
    Ok(addresses.collect())
}

/// The name of this host among those of a site file, each given with its addresses. A hostname counts
/// as it is, or by its first part.
///
/// # Errors
/// Nothing that is known of it leads to one of them.
pub fn own<'h>(
    hosts: impl Iterator<Item = (&'h str, &'h [IpAddr])> + Clone,
    candidates: &Candidates<'_>,
) -> Result<&'h str, HostError> {
    let known = || hosts.clone().map(|(name, _)| name.to_owned()).collect();
    let called = |name: &str| {
        hosts
            .clone()
            .map(|(host, _)| host)
            .find(|host| *host == name)
    };
    if let Some(name) = candidates.named {
        return called(name).ok_or_else(|| HostError::Unknown {
            name: name.to_owned(),
            known: known(),
        });
    }
    let hostname = candidates.hostname;
    let short = hostname.and_then(|name| name.split('.').next());
    if let Some(found) = hostname.and_then(called).or_else(|| short.and_then(called)) {
        return Ok(found);
    }
    let has_ours = |addresses: &[IpAddr]| {
        let mut addresses = addresses.iter();
        addresses.any(|own| candidates.addresses.contains(own))
    };
    let ours: Vec<&str> = hosts
        .clone()
        .filter(|(_, addresses)| has_ours(addresses))
        .map(|(name, _)| name)
        .collect();
    match ours[..] {
        [own] => Ok(own),
        [] => Err(HostError::NotFound {
            hostname: hostname.map(str::to_owned),
            known: known(),
        }),
        _ => Err(HostError::Ambiguous(
            ours.into_iter().map(str::to_owned).collect(),
        )),
    }
}
