//! The tables `[hosts.NAME.director.virtual_router.ROUTER]`: a host's part in a virtual router.
//!
//! Not here: whether there is such a router, and what hosts may not say together (`between`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use daemon::site::Table;
use toml::Spanned;
use vrrp::{Family, Priority};

use super::super::{file, findings::Findings, vip::unusable};

/// keepalived's and the RFC's.
const DEFAULT: u8 = 100;

/// A host's part in a virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterHost {
    /// Where adverts are sent and heard, and where the VIPs are; one of the director's.
    pub interface: String,
    /// Who wins; the owner's only where VIPs are addresses of the host.
    pub priority: Priority,
    /// Where adverts over IPv4 come from; `None`: the interface's first address. There with
    /// [`super::Transport::Unicast`], if the router has VIPs of this family.
    pub address: Option<Ipv4Addr>,
    /// The same for IPv6, link-local.
    pub address6: Option<Ipv6Addr>,
}

impl RouterHost {
    /// Where adverts of a family come from, where the file says so.
    #[must_use]
    pub fn primary(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.address.map(IpAddr::V4),
            Family::V6 => self.address6.map(IpAddr::V6),
        }
    }
}

/// A part as far as it could be read, with its places.
pub(in super::super) struct PartDraft {
    pub(super) router: Spanned<String>,
    /// Its header.
    pub(super) span: Range<usize>,
    pub(super) interface: Option<Spanned<String>>,
    /// With the header's place, where it is the default.
    pub(super) priority: Option<Spanned<Priority>>,
    /// `Some(None)`: not given. `None`: given and wrong.
    address: Option<Option<Spanned<Ipv4Addr>>>,
    address6: Option<Option<Spanned<Ipv6Addr>>>,
}

impl PartDraft {
    /// The part by the router's name, if nothing of it is missing.
    pub(in super::super) fn whole(&self) -> Option<(String, RouterHost)> {
        let part = RouterHost {
            interface: self.interface.as_ref()?.get_ref().clone(),
            priority: *self.priority.as_ref()?.get_ref(),
            address: self.address.as_ref()?.as_ref().map(|a| *a.get_ref()),
            address6: self.address6.as_ref()?.as_ref().map(|a| *a.get_ref()),
        };
        Some((self.router.get_ref().clone(), part))
    }

    /// Where its adverts of a family come from. `Some(None)`: not given. `None`: given and wrong.
    pub(super) fn primary(&self, family: Family) -> Option<Option<Spanned<IpAddr>>> {
        fn widen<A: Copy + Into<IpAddr>>(address: &Spanned<A>) -> Spanned<IpAddr> {
            Spanned::new(address.span(), (*address.get_ref()).into())
        }
        match family {
            Family::V4 => self.address.as_ref().map(|a| a.as_ref().map(widen)),
            Family::V6 => self.address6.as_ref().map(|a| a.as_ref().map(widen)),
        }
    }
}

/// A director's parts.
pub(in super::super) fn parts(
    tables: Option<BTreeMap<Spanned<String>, Table<file::RouterHost>>>,
    findings: &mut Findings,
) -> Vec<PartDraft> {
    let tables = tables.unwrap_or_default();
    tables
        .into_iter()
        .map(|(router, table)| part(router, table, findings))
        .collect()
}

fn part(
    router: Spanned<String>,
    table: Table<file::RouterHost>,
    findings: &mut Findings,
) -> PartDraft {
    let Table { span, value: table } = table;
    let interface = findings.required(table.interface, &span, "interface", "\"eth0\"");
    let priority = match &table.priority {
        Some(value) => findings.number(value, "priority", (1, u8::MAX)),
        None if findings.is_excused(&span, "priority") => None,
        None => Some(Spanned::new(span.clone(), DEFAULT)),
    };
    let priority = priority.and_then(|number| {
        let priority = Priority::from_wire(*number.get_ref())?;
        Some(Spanned::new(number.span(), priority))
    });
    let address = match &table.address {
        Some(value) => address(value, findings).map(Some),
        None => (!findings.is_excused(&span, "address")).then_some(None),
    };
    let address6 = match &table.address6 {
        Some(value) => address6(value, findings).map(Some),
        None => (!findings.is_excused(&span, "address6")).then_some(None),
    };
    PartDraft {
        router,
        span,
        interface,
        priority,
        address,
        address6,
    }
}

fn address(value: &Spanned<String>, findings: &mut Findings) -> Option<Spanned<Ipv4Addr>> {
    let address = findings.address(value)?.into_inner();
    if let Some(kind) = unusable(address).filter(|_| address.is_ipv4()) {
        let message = format!("adverts cannot come from {kind} address");
        let help = "write an address of this host's interface";
        return findings.refuse(value.span(), message, help);
    }
    match address {
        IpAddr::V4(address) => Some(Spanned::new(value.span(), address)),
        IpAddr::V6(address) => {
            let message = format!("{address} is not where adverts over IPv4 can come from");
            let help = "write an IPv4 address; that for IPv6 is `address6`";
            findings.refuse(value.span(), message, help)
        }
    }
}

/// RFC 9568, section 7.2: adverts over IPv6 come from a link-local address.
fn address6(value: &Spanned<String>, findings: &mut Findings) -> Option<Spanned<Ipv6Addr>> {
    let text = value.get_ref();
    if let Some((address, _)) = text.split_once('%') {
        let message = format!("`{text}` names an interface too");
        let help = format!("write the address alone: \"{address}\"");
        return findings.refuse(value.span(), message, help);
    }
    let address = findings.address(value)?.into_inner();
    match address {
        IpAddr::V6(own) if own.is_unicast_link_local() => Some(Spanned::new(value.span(), own)),
        IpAddr::V4(_) | IpAddr::V6(_) => {
            let message = format!("{address} is not link-local, and adverts over IPv6 have to be");
            let help = "write the interface's address in fe80::/10; see `ip -6 address`";
            findings.refuse(value.span(), message, help)
        }
    }
}
