//! Real servers of a service.
//!
//! Not here: rules between services (`overlap`), and whether a real server can be reached.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use daemon::{diagnostic::Diagnostic, site::Table};
use toml::Spanned;

use super::{
    file,
    findings::Findings,
    quic::{self, ServerId},
    service::Draft,
    vip::unusable,
    words::Method,
};

/// Real servers of one service at most: a ring of 65,536 slots still gives each more than 100.
pub const REALS_OF_A_SERVICE_MAX: usize = 512;

/// A real server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// Its address, of the VIP's family but for [`Method::Tunnel`].
    pub address: IpAddr,
    /// Its port; `None` where the client's is kept, which is so in services of several ports.
    pub port: Option<u16>,
    /// Its share of new flows.
    pub weight: Weight,
    /// What it is known by in QUIC connection ids; there where the service says how to read it.
    pub server_id: Option<ServerId>,
}

impl RealServer {
    /// Address and port, by which it is known in its service; port 0 where the client's is kept.
    #[must_use]
    pub fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port.unwrap_or(0))
    }
}

/// A real server's share of new flows, in proportion to the weights of the others. Zero: quiescent,
/// flows it has go on and it gets no new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub u16);

impl Default for Weight {
    fn default() -> Self {
        Self(100)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A real server as far as it could be read.
pub(super) struct RealDraft {
    pub(super) address: Option<Spanned<IpAddr>>,
    /// Where it has none of its own, the service's. `Some(None)`: the client's is kept.
    pub(super) port: Option<Option<u16>>,
    weight: Option<Weight>,
    server_id: Option<Option<Spanned<ServerId>>>,
}

impl RealDraft {
    fn whole(&self) -> Option<RealServer> {
        let server_id = self.server_id.as_ref()?.as_ref();
        Some(RealServer {
            address: *self.address.as_ref()?.get_ref(),
            port: self.port?,
            weight: self.weight?,
            server_id: server_id.map(|id| *id.get_ref()),
        })
    }
}

/// Reads the real servers into the draft of their service; all of them, if none has a mistake.
pub(super) fn from_file(
    tables: Option<Vec<Table<file::Real>>>,
    draft: &mut Draft,
    findings: &mut Findings,
) -> Option<Vec<RealServer>> {
    let is_told = findings.is_excused(&draft.span, "real");
    let tables = tables.unwrap_or_default();
    if let Some(table) = tables.get(REALS_OF_A_SERVICE_MAX) {
        let message = format!("more than the {REALS_OF_A_SERVICE_MAX} real servers of a service");
        return findings.refuse(table.span.clone(), message, "split the service");
    }
    if draft.method() == Some(Method::Local) {
        return none(&tables, findings);
    }
    if tables.is_empty() && !is_told {
        findings.push(
            Diagnostic::warning(draft.span.clone(), "no real servers: nothing will answer")
                .help("add `[[service.real]]` with an `address`"),
        );
    }
    let drafts: Vec<RealDraft> = tables
        .into_iter()
        .map(|table| real(table, draft, findings))
        .collect();
    let reals: Option<Vec<RealServer>> = drafts.iter().map(RealDraft::whole).collect();
    twice(&drafts, findings);
    if reals
        .as_ref()
        .is_some_and(|r| !r.is_empty() && r.iter().all(|r| r.weight == Weight(0)))
    {
        let message = "all real servers have weight 0: no new flow will be served";
        findings.push(
            Diagnostic::warning(draft.span.clone(), message)
                .help("give at least one a weight above 0"),
        );
    }
    draft.reals = drafts;
    reals
}

/// Of a service whose real server is this host.
fn none(tables: &[Table<file::Real>], findings: &mut Findings) -> Option<Vec<RealServer>> {
    let Some(table) = tables.first() else {
        return Some(Vec::new());
    };
    let message = "a real server of a service of method \"local\", which this host serves itself";
    let help = "leave it out, or use another method";
    findings.refuse(table.span.clone(), message, help)
}

fn real(table: Table<file::Real>, draft: &Draft, findings: &mut Findings) -> RealDraft {
    let Table { span, value: table } = table;
    let address = findings.required(table.address, &span, "address", "\"10.77.0.11\"");
    let address = address.and_then(|value| real_address(&value, draft, findings));
    let port = match &table.port {
        Some(port) => real_port(port, draft, findings).map(Some),
        // A misspelt or wrong one has been told; the service's would be a guess.
        None if findings.is_excused(&span, "port") => None,
        None => draft.ports.as_ref().map(|ports| ports.get_ref().single()),
    };
    let weight = match &table.weight {
        Some(weight) => {
            let weight = findings.number(weight, "weight", (0, u16::MAX));
            weight.map(|weight| Weight(weight.into_inner()))
        }
        None => Some(Weight::default()),
    };
    let server_id = quic::server_id(table.server_id, &span, draft.quic.as_ref(), findings);
    RealDraft {
        address,
        port,
        weight,
        server_id,
    }
}

fn real_address(
    value: &Spanned<String>,
    draft: &Draft,
    findings: &mut Findings,
) -> Option<Spanned<IpAddr>> {
    let address = findings.address(value)?;
    if let Some(kind) = unusable(*address.get_ref()) {
        let message = format!("a real server cannot have {kind} address");
        return findings.refuse(value.span(), message, "write its address on the network");
    }
    let family = |is_ipv6| if is_ipv6 { "IPv6" } else { "IPv4" };
    let own = address.get_ref().is_ipv6();
    let vip = draft.vip.as_ref().map(|vip| vip.get_ref().is_ipv6());
    let is_carried = matches!(draft.method(), Some(Method::Tunnel(_)));
    if vip.is_some_and(|vip| vip != own) && !is_carried {
        let (own, vip) = (family(own), family(!own));
        let message = format!("an {own} real server in an {vip} service");
        return findings.refuse(value.span(), message, format!("write its {vip} address"));
    }
    Some(address)
}

fn real_port(value: &Spanned<i64>, draft: &Draft, findings: &mut Findings) -> Option<u16> {
    let port = findings.port(value)?.into_inner();
    let Some(service) = &draft.ports else {
        return Some(port);
    };
    let Some(single) = service.get_ref().single() else {
        findings.push(
            Diagnostic::error(
                value.span(),
                "a port of its own, where the service has several: the client's is kept",
            )
            .help("leave it out, or write a service for each port")
            .note(service.span(), "the service's ports"),
        );
        return None;
    };
    let keeps = draft.method().filter(|method| !method.can_change_ports());
    if let (Some(method), true) = (keeps, port != single) {
        let message = format!("method \"{method}\" cannot change the port");
        findings.push(
            Diagnostic::error(value.span(), message)
                .help(format!(
                    "write {single}, leave it out, or use method \"nat\""
                ))
                .note(service.span(), "the service's port"),
        );
        return None;
    }
    Some(port)
}

/// One address and port is one real server, and so is one server id.
fn twice(drafts: &[RealDraft], findings: &mut Findings) {
    let mut seen: BTreeMap<(IpAddr, Option<u16>), Range<usize>> = BTreeMap::new();
    let mut ids: BTreeMap<ServerId, Range<usize>> = BTreeMap::new();
    for draft in drafts {
        if let (Some(address), Some(port)) = (&draft.address, draft.port) {
            let key = (*address.get_ref(), port);
            let first = seen.insert(key, address.span());
            if let Some(first) = first {
                findings.push(named_twice(address, port, first));
            }
        }
        if let Some(Some(id)) = &draft.server_id {
            let first = ids.insert(*id.get_ref(), id.span());
            if let Some(first) = first {
                let message = format!("server id `{}` is given twice", id.get_ref());
                findings.push(
                    Diagnostic::error(id.span(), message)
                        .help("give each real server one of its own")
                        .note(first, "first given here"),
                );
            }
        }
    }
}

fn named_twice(address: &Spanned<IpAddr>, port: Option<u16>, first: Range<usize>) -> Diagnostic {
    let name = match port {
        Some(port) => SocketAddr::new(*address.get_ref(), port).to_string(),
        None => address.get_ref().to_string(),
    };
    Diagnostic::error(address.span(), format!("real server {name} is named twice"))
        .help("name it once, with the sum of the weights")
        .note(first, "first named here")
}
