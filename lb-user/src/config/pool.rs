//! The key `pool` of a director: where method `fullnat` takes source addresses and ports from.
//!
//! Not here: whether the host has these addresses and keeps off these ports (preflight).

use std::{collections::BTreeMap, fmt, net::IpAddr, ops::Range};

use daemon::diagnostic::Diagnostic;
use toml::Spanned;

use super::{
    findings::Findings,
    host::DirectorDraft,
    overlap::Vips,
    ports::{self, Ports},
    service::Draft,
    vip::{Vip, unusable},
    words::Method,
};

/// Entries of one director at most.
pub const ENTRIES_MAX: usize = 64;
/// Of an address that the pool has for itself.
const PORTS: Ports = Ports {
    first: 1024,
    last: u16::MAX,
};

/// An address with the ports of it that the pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolEntry {
    /// The address.
    pub address: IpAddr,
    /// The ports; 1024 to 65535 of an address that is the pool's own.
    pub ports: Ports,
}

impl PoolEntry {
    /// Whether the address is the pool's alone.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ports == PORTS
    }
}

impl fmt::Display for PoolEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Vip::single(self.address).at(self.ports))
    }
}

/// What is right of a director's pool, and whether that is all of it.
pub(super) fn from_file(
    values: Option<Spanned<Vec<Spanned<String>>>>,
    table: &Range<usize>,
    findings: &mut Findings,
) -> (Vec<Spanned<PoolEntry>>, bool) {
    let Some(values) = values else {
        return (Vec::new(), !findings.is_excused(table, "pool"));
    };
    let (count, is_told) = (values.get_ref().len(), findings.is_excused(table, "pool"));
    if count == 0 && !is_told {
        findings.push(
            Diagnostic::error(values.span(), "a pool without an address")
                .help("leave it out, or write for example [\"10.77.0.2:20000-29999\"]"),
        );
        return (Vec::new(), false);
    }
    if let Some(first) = values.get_ref().get(ENTRIES_MAX) {
        let message = format!("more than the {ENTRIES_MAX} entries of a pool");
        findings.push(Diagnostic::error(first.span(), message).help("write longer ranges"));
        return (Vec::new(), false);
    }
    let entries: Vec<_> = values
        .get_ref()
        .iter()
        .filter_map(|value| entry(value, findings))
        .collect();
    let is_whole = entries.len() == count && !is_told;
    (entries, is_whole)
}

fn entry(value: &Spanned<String>, findings: &mut Findings) -> Option<Spanned<PoolEntry>> {
    let text = value.get_ref();
    let (address, range) = split(text);
    let Ok(address) = address.parse::<IpAddr>() else {
        let message = format!("`{text}` is not an address with ports");
        return findings.refuse(value.span(), message, meant(text));
    };
    if let Some(kind) = unusable(address) {
        let message = format!("a pool cannot have {kind} address");
        let help = "write an address that real servers can answer to";
        return findings.refuse(value.span(), message, help);
    }
    let ports = match range.map(ports::range) {
        None => PORTS,
        Some(Ok(ports)) => ports,
        Some(Err(ports::Wrong::Form)) => {
            let message = format!("`{text}` is not an address with ports");
            return findings.refuse(value.span(), message, meant(text));
        }
        Some(Err(ports::Wrong::Beyond)) => {
            let message = format!("the ports of {text} are out of range");
            return findings.refuse(value.span(), message, "write ports from 1 to 65535");
        }
        Some(Err(ports::Wrong::Backwards(ports))) => {
            let message = format!("the ports of {text} end before they start");
            let help = format!("write \"{}\"", PoolEntry { address, ports });
            return findings.refuse(value.span(), message, help);
        }
    };
    Some(Spanned::new(value.span(), PoolEntry { address, ports }))
}

/// The address, and the ports after it; an IPv6 address with ports is in brackets.
fn split(text: &str) -> (&str, Option<&str>) {
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once("]:") {
            Some((address, range)) => (address, Some(range)),
            None => (rest.strip_suffix(']').unwrap_or(text), None),
        };
    }
    match text.split_once(':') {
        Some((address, range)) if !range.contains(':') => (address, Some(range)),
        Some(_) | None => (text, None),
    }
}

fn meant(text: &str) -> String {
    let bare = text.rsplit_once(':').and_then(|(address, range)| {
        let ports = ports::range(range).ok().filter(|_| range.contains('-'))?;
        let address = address.parse().ok()?;
        Some(PoolEntry { address, ports })
    });
    match bare {
        Some(entry) => format!("write \"{entry}\""),
        None => "write an address, or one with a range of its ports: \"10.77.0.200\", \
                 \"10.77.0.2:20000-29999\", \"[fd77::2]:20000-29999\""
            .to_owned(),
    }
}

/// Notes where pools clash with each other, with hosts and with services.
pub(super) fn check(
    directors: &[DirectorDraft],
    owners: &BTreeMap<IpAddr, Range<usize>>,
    services: &[Draft],
    findings: &mut Findings,
) {
    let entries: Vec<&Spanned<PoolEntry>> = directors.iter().flat_map(|d| &d.pool).collect();
    twice(&entries, findings);
    let vips = Vips::of(services);
    for entry in entries {
        whole_hosts(entry, owners, findings);
        at_a_vip(entry, &vips, findings);
    }
    missing(directors, services, findings);
}

/// A reply to an address and port has to lead to one flow, and to the director that has it.
fn twice(entries: &[&Spanned<PoolEntry>], findings: &mut Findings) {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(|entry| (entry.get_ref().address, entry.get_ref().ports));
    // Of those before, the one that reaches farthest.
    let mut widest: Option<&Spanned<PoolEntry>> = None;
    for entry in sorted {
        let (address, ports) = (entry.get_ref().address, entry.get_ref().ports);
        let before = widest.filter(|w| w.get_ref().address == address);
        if let Some(other) = before.filter(|w| w.get_ref().ports.meets(ports)) {
            let (first, second) = in_order(other, entry);
            let message = format!("{} and {} share ports", first.get_ref(), second.get_ref());
            findings.push(
                Diagnostic::error(second.span(), message)
                    .help("give each entry ports of its own")
                    .note(first.span(), "the other"),
            );
        }
        if before.is_none_or(|w| w.get_ref().ports.last < ports.last) {
            widest = Some(entry);
        }
    }
}

fn in_order<'a, T>(a: &'a Spanned<T>, b: &'a Spanned<T>) -> (&'a Spanned<T>, &'a Spanned<T>) {
    if a.span().start <= b.span().start {
        (a, b)
    } else {
        (b, a)
    }
}

/// A host's own stack needs ports of its address too.
fn whole_hosts(
    entry: &Spanned<PoolEntry>,
    owners: &BTreeMap<IpAddr, Range<usize>>,
    findings: &mut Findings,
) {
    let PoolEntry { address, ports } = *entry.get_ref();
    if let Some(owner) = owners.get(&address).filter(|_| ports == PORTS) {
        let reserved = Ports {
            first: 20000,
            last: 29999,
        };
        let help = Vip::single(address).at(reserved);
        findings.push(
            Diagnostic::error(
                entry.span(),
                format!("{address} is a host's own address, and would be the pool's alone"),
            )
            .help(format!("take a range of its ports: \"{help}\""))
            .note(owner.clone(), "the host's"),
        );
    }
}

fn at_a_vip(entry: &Spanned<PoolEntry>, vips: &Vips<'_>, findings: &mut Findings) {
    let PoolEntry { address, ports } = *entry.get_ref();
    let clash = vips.holding(address).find_map(|(vip, service)| {
        let served = service.ports.as_ref()?;
        served.get_ref().meets(ports).then_some((vip, served))
    });
    if let Some((vip, served)) = clash {
        let service = vip.get_ref().at(*served.get_ref());
        let message = format!("{} is served as {service}", entry.get_ref());
        findings.push(
            Diagnostic::error(entry.span(), message)
                .help("take another address, or ports without a service")
                .note(vip.span(), "the VIP"),
        );
    }
}

/// Every director needs source addresses for every fullnat service.
fn missing(directors: &[DirectorDraft], services: &[Draft], findings: &mut Findings) {
    for (is_ipv6, family, example) in [
        (false, "IPv4", "10.77.0.2:20000-29999"),
        (true, "IPv6", "[fd77::2]:20000-29999"),
    ] {
        let of_family = |draft: &&Draft| {
            let vip = draft.vip.as_ref().map(|vip| vip.get_ref().is_ipv6());
            draft.method() == Some(Method::Fullnat) && vip == Some(is_ipv6)
        };
        let method = services
            .iter()
            .find(of_family)
            .and_then(|s| s.method.as_ref());
        let Some(method) = method else {
            continue;
        };
        for director in directors.iter().filter(|director| director.is_whole) {
            let mut pool = director.pool.iter();
            if pool.any(|entry| entry.get_ref().address.is_ipv6() == is_ipv6) {
                continue;
            }
            let host = &director.host;
            let message = format!(
                "fullnat needs {family} addresses, and director {host} has no pool of them"
            );
            findings.push(
                Diagnostic::error(director.span.clone(), message)
                    .help(format!("add for example `pool = [\"{example}\"]`"))
                    .note(method.span(), "fullnat is used here"),
            );
        }
    }
}
