//! The VIPs of a virtual router.
//!
//! Not here: whether another router, a host or a pool has one of them (`between`, `around`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use daemon::diagnostic::Diagnostic;
use toml::Spanned;
use vrrp::{Family, Vrid};

use super::super::{findings::Findings, prefix, vip::unusable};

/// The VIPs as far as they could be read.
pub(super) struct Vips {
    /// Those that are right.
    pub(super) right: Vec<Spanned<IpAddr>>,
    /// Whether that is all.
    is_whole: bool,
}

impl Vips {
    /// By family, as adverts list them: the first IPv6 one is link-local (RFC 9568, section 5.2.9).
    pub(super) fn whole(&self, vrid: Vrid) -> Option<(Vec<Ipv4Addr>, Vec<Ipv6Addr>)> {
        if !self.is_whole {
            return None;
        }
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for vip in &self.right {
            match *vip.get_ref() {
                IpAddr::V4(vip) => v4.push(vip),
                IpAddr::V6(vip) => v6.push(vip),
            }
        }
        if !v6.is_empty() && !v6.iter().any(Ipv6Addr::is_unicast_link_local) {
            v6.push(link_local(vrid));
        }
        v6.sort_by_key(|vip| !vip.is_unicast_link_local());
        Some((v4, v6))
    }
}

/// The address that a host with the virtual MAC would make itself (RFC 4291, appendix A).
pub(super) fn link_local(vrid: Vrid) -> Ipv6Addr {
    let [a, b, c, d, e, f] = vrid.mac(Family::V6);
    let halves = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]];
    let [p, q, r, s] = halves.map(u16::from_be_bytes);
    Ipv6Addr::new(0xfe80, 0, 0, 0, p, q, r, s)
}

/// `is_excused`: one that was wrong has been told and taken out.
pub(super) fn from_file(
    values: Spanned<Vec<Spanned<String>>>,
    is_excused: bool,
    findings: &mut Findings,
) -> Vips {
    let none = |is_whole| Vips {
        right: Vec::new(),
        is_whole,
    };
    let place = values.span();
    let values = values.into_inner();
    if values.is_empty() && !is_excused {
        findings.push(
            Diagnostic::error(place, "a virtual router without a VIP")
                .help("write the addresses that it moves: [\"192.0.2.100\"]"),
        );
        return none(false);
    }
    let most: usize = Family::V4.most_vips() + Family::V6.most_vips();
    if let Some(beyond) = values.get(most) {
        let message = format!("more than the {most} VIPs of a virtual router");
        findings.push(Diagnostic::error(beyond.span(), message).help(SPLIT));
        return none(false);
    }
    let count = values.len();
    let mut seen: BTreeMap<IpAddr, Range<usize>> = BTreeMap::new();
    let mut right = Vec::new();
    for value in values {
        let Some(vip) = vip(&value, findings) else {
            continue;
        };
        match seen.insert(vip, value.span()) {
            Some(first) => findings.push(
                Diagnostic::error(value.span(), format!("VIP {vip} is given twice"))
                    .help("name it once")
                    .note(first, "first named here"),
            ),
            None => right.push(Spanned::new(value.span(), vip)),
        }
    }
    let fits = fit(&right, findings);
    Vips {
        is_whole: right.len() == count && !is_excused && fits,
        right,
    }
}

const SPLIT: &str = "split it into two virtual routers of one `group`";

/// Whether an advert holds those of each family.
fn fit(vips: &[Spanned<IpAddr>], findings: &mut Findings) -> bool {
    let of = |family| {
        let all = vips.iter();
        all.filter(move |vip| Family::of(*vip.get_ref()) == family)
    };
    let link_local = |vip: &Spanned<IpAddr>| matches!(vip.get_ref(), IpAddr::V6(vip) if vip.is_unicast_link_local());
    let derived = usize::from(!vips.iter().any(link_local));
    let mut fits = true;
    for (family, most, name) in [
        (Family::V4, Family::V4.most_vips(), "IPv4"),
        (Family::V6, Family::V6.most_vips() - derived, "IPv6"),
    ] {
        if let Some(beyond) = of(family).nth(most) {
            let message = format!("more than the {most} {name} VIPs that an advert has room for");
            let message = match derived {
                1 if family == Family::V6 => format!("{message} beside the link-local one"),
                _ => message,
            };
            findings.push(Diagnostic::error(beyond.span(), message).help(SPLIT));
            fits = false;
        }
    }
    fits
}

fn vip(value: &Spanned<String>, findings: &mut Findings) -> Option<IpAddr> {
    if let Some((message, help)) = written_otherwise(value.get_ref()) {
        return findings.refuse(value.span(), message, help);
    }
    let address = findings.address(value)?.into_inner();
    let is_link_local = matches!(address, IpAddr::V6(vip) if vip.is_unicast_link_local());
    match unusable(address).filter(|_| !is_link_local) {
        Some(kind) => {
            let message = format!("a VIP cannot be {kind} address");
            let help = "write the address that clients connect to";
            findings.refuse(value.span(), message, help)
        }
        None => Some(address),
    }
}

/// keepalived's `192.0.2.100/24 dev eth0`, and networks.
fn written_otherwise(text: &str) -> Option<(String, String)> {
    let first = text.split_whitespace().next()?;
    let (address, length) = match first.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (first, None),
    };
    let address: IpAddr = address.parse().ok()?;
    if let Some(length) = length.and_then(|length| length.parse::<u8>().ok()) {
        let bits = prefix::bits(address);
        if length < bits && prefix::first(address, length) == address {
            let message = format!("`{text}` is a network, and a virtual router moves addresses");
            let help = "write each address; a network needs none: it is routed to one of the VIPs";
            return Some((message, help.to_owned()));
        }
    } else if first == text {
        return None;
    }
    let message = format!("`{text}` is more than an address");
    Some((message, format!("write the address alone: \"{address}\"")))
}
