//! Virtual services and their real servers.
//!
//! Not here: rules between services (`overlap`), and how any of it becomes maps.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Range,
    time::Duration,
};

use daemon::{diagnostic::Diagnostic, duration::HumanDuration, site::Table};
use lb_ebpf::abi::{REALS_MAX, SERVICES_MAX};
use toml::Spanned;

use super::{
    file,
    findings::Findings,
    health::{self, HealthCheck},
    words::{Encapsulation, Method, Protocol, Scheduler},
};

/// Real servers of one service at most: a ring of 65,536 slots still gives each more than 100.
pub const REALS_OF_A_SERVICE_MAX: usize = 512;
/// The shortest time after which a flow may be forgotten.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest: the data plane counts ticks of the kernel in 32 bits, which at 1000 Hz is 49 days.
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name; unique, and fit to be a label: `[A-Za-z0-9._-]`, at most 63.
    pub name: String,
    /// The address that clients use.
    pub vip: IpAddr,
    /// The port that clients use.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// How packets get to a real server.
    pub method: Method,
    /// How a real server is chosen.
    pub scheduler: Scheduler,
    /// How long a flow is remembered after its last packet: 1 s to 7 days.
    pub timeout: Duration,
    /// How its real servers are checked; without, they are always taken to be up.
    pub health: Option<HealthCheck>,
    /// Its real servers; no two with the same address and port.
    pub reals: Vec<RealServer>,
}

/// A real server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// Its address, of the VIP's family.
    pub address: IpAddr,
    /// Its port; the service's with [`Method::Dr`].
    pub port: u16,
    /// Its share of new flows.
    pub weight: Weight,
}

impl RealServer {
    /// Address and port.
    #[must_use]
    pub fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
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

/// A service as far as it could be read, with the places of what other services may clash with.
pub(super) struct Draft {
    /// Its header.
    pub(super) span: Range<usize>,
    pub(super) name: Option<Spanned<String>>,
    pub(super) vip: Option<Spanned<IpAddr>>,
    pub(super) port: Option<Spanned<u16>>,
    pub(super) protocol: Option<Protocol>,
    pub(super) method: Option<Method>,
    pub(super) reals: Vec<RealDraft>,
    /// All of it; `None` only where there are errors among the findings.
    pub(super) service: Option<Service>,
}

/// A real server as far as it could be read.
pub(super) struct RealDraft {
    pub(super) address: Option<Spanned<IpAddr>>,
    /// Where it has none of its own, the service's.
    pub(super) port: Option<u16>,
    weight: Option<Weight>,
}

/// The services of the file.
pub(super) fn from_file(tables: Vec<Table<file::Service>>, findings: &mut Findings) -> Vec<Draft> {
    let too_many = |what: &str, max: u32| format!("more than the {max} {what} of this version");
    if let Some(table) = tables.get(SERVICES_MAX as usize) {
        findings.push(Diagnostic::error(
            table.span.clone(),
            too_many("services", SERVICES_MAX),
        ));
        return Vec::new();
    }
    let mut reals = 0;
    for table in &tables {
        reals += table.value.real.as_ref().map_or(0, Vec::len);
        if reals > REALS_MAX as usize {
            let message = too_many("real servers in all services", REALS_MAX);
            findings.push(Diagnostic::error(table.span.clone(), message));
            return Vec::new();
        }
    }
    tables
        .into_iter()
        .map(|table| draft(table, findings))
        .collect()
}

fn draft(table: Table<file::Service>, findings: &mut Findings) -> Draft {
    let Table { span, value: table } = table;
    let name = findings.required(table.name, &span, "name", "\"web\"");
    let name = name.and_then(|v| {
        findings
            .name(&v, "service")
            .map(|name| Spanned::new(v.span(), name))
    });
    let vip = findings.required(table.vip, &span, "vip", "\"10.77.0.100\"");
    let vip = vip.and_then(|value| vip_address(&value, findings));
    let port = findings.required(table.port, &span, "port", "80");
    let port = port.and_then(|value| findings.port(&value));
    let protocol = findings.required(table.protocol, &span, "protocol", "\"tcp\"");
    let protocol =
        protocol.and_then(|v| findings.word(&v, "protocol", Protocol::KNOWN, Protocol::LATER));
    let method = findings.required(table.method, &span, "method", "\"dr\"");
    let method = method.and_then(|v| findings.word(&v, "method", Method::KNOWN, Method::LATER));
    let (protocol, method) = (
        protocol.map(Spanned::into_inner),
        method.map(Spanned::into_inner),
    );
    let method = encapsulated(method, table.tunnel.as_ref(), findings);
    let scheduler = scheduler(table.scheduler.as_ref(), findings);
    let timeout = timeout(table.timeout.as_ref(), protocol, findings);
    // `Some(None)`: there is one, and it is wrong.
    let health = table.health.map(|table| health::from_file(table, findings));
    let mut draft = Draft {
        span,
        name,
        vip,
        port,
        protocol,
        method,
        reals: Vec::new(),
        service: None,
    };
    let reals = reals(table.real, &mut draft, findings);
    let health = match health {
        Some(None) => return draft,
        Some(Some(health)) => Some(health),
        None => None,
    };
    draft.service = whole(&draft, scheduler, timeout, health, reals);
    draft
}

/// The service, if nothing of it is missing.
fn whole(
    draft: &Draft,
    scheduler: Option<Scheduler>,
    timeout: Option<Duration>,
    health: Option<HealthCheck>,
    reals: Option<Vec<RealServer>>,
) -> Option<Service> {
    Some(Service {
        name: draft.name.as_ref()?.get_ref().clone(),
        vip: *draft.vip.as_ref()?.get_ref(),
        port: *draft.port.as_ref()?.get_ref(),
        protocol: draft.protocol?,
        method: draft.method?,
        scheduler: scheduler?,
        timeout: timeout?,
        health,
        reals: reals?,
    })
}

fn vip_address(value: &Spanned<String>, findings: &mut Findings) -> Option<Spanned<IpAddr>> {
    let vip = findings.address(value)?;
    unusable(*vip.get_ref()).map_or(Some(vip), |kind| {
        let message = format!("a VIP cannot be {kind} address");
        findings.refuse(
            value.span(),
            message,
            "write the address that clients connect to",
        )
    })
}

/// What keeps an address from being one host's on the network.
pub(crate) fn unusable(address: IpAddr) -> Option<&'static str> {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let kinds = [
        (address.is_unspecified(), "the unspecified"),
        (address.is_loopback(), "a loopback"),
        (address.is_multicast(), "a multicast"),
        (is_broadcast, "the broadcast"),
        (is_mapped, "an IPv4-mapped"),
        (is_link_local, "a link-local"),
    ];
    kinds
        .into_iter()
        .find(|(is_so, _)| *is_so)
        .map(|(_, kind)| kind)
}

/// The method with what `tunnel = …` says; only method "tunnel" may have that.
fn encapsulated(
    method: Option<Method>,
    tunnel: Option<&Spanned<String>>,
    findings: &mut Findings,
) -> Option<Method> {
    let (Some(method), Some(tunnel)) = (method, tunnel) else {
        return method;
    };
    if !matches!(method, Method::Tunnel(_)) {
        let message = format!("method \"{method}\" carries packets as they are");
        return findings.refuse(
            tunnel.span(),
            message,
            "leave it out, or use method \"tunnel\"",
        );
    }
    let word = findings.word(tunnel, "tunnel", Encapsulation::KNOWN, Encapsulation::LATER);
    word.map(|word| Method::Tunnel(word.into_inner()))
}

fn scheduler(value: Option<&Spanned<String>>, findings: &mut Findings) -> Option<Scheduler> {
    let Some(value) = value else {
        return Some(Scheduler::default());
    };
    let word = findings.word(value, "scheduler", Scheduler::KNOWN, Scheduler::LATER);
    word.map(Spanned::into_inner)
}

/// The default is that of IPVS: 15 minutes for an established TCP connection, 5 for UDP.
fn timeout(
    value: Option<&Spanned<HumanDuration>>,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<Duration> {
    let Some(value) = value else {
        return match protocol? {
            Protocol::Tcp => Some(Duration::from_secs(15 * 60)),
            Protocol::Udp => Some(Duration::from_secs(5 * 60)),
        };
    };
    let timeout = value.get_ref().0;
    if timeout < MIN_TIMEOUT || timeout > MAX_TIMEOUT {
        let message = format!("timeout {} is out of range", value.get_ref());
        return findings.refuse(value.span(), message, "write \"1s\" to \"7days\"");
    }
    Some(timeout)
}

/// Reads the real servers into the draft; all of them, if none has a mistake.
fn reals(
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

impl RealDraft {
    fn whole(&self) -> Option<RealServer> {
        let address = *self.address.as_ref()?.get_ref();
        Some(RealServer {
            address,
            port: self.port?,
            weight: self.weight?,
        })
    }
}

fn real(table: Table<file::Real>, draft: &Draft, findings: &mut Findings) -> RealDraft {
    let Table { span, value: table } = table;
    let address = findings.required(table.address, &span, "address", "\"10.77.0.11\"");
    let address = address.and_then(|value| real_address(&value, draft, findings));
    let port = match &table.port {
        Some(port) => real_port(port, draft, findings),
        // A misspelt or wrong one has been told; the service's would be a guess.
        None if findings.is_excused(&span, "port") => None,
        None => draft.port.as_ref().map(|port| *port.get_ref()),
    };
    let weight = match &table.weight {
        Some(weight) => {
            let weight = findings.number(weight, "weight", (0, u16::MAX));
            weight.map(|weight| Weight(weight.into_inner()))
        }
        None => Some(Weight::default()),
    };
    RealDraft {
        address,
        port,
        weight,
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
    let is_carried = matches!(draft.method, Some(Method::Tunnel(_)));
    if vip.is_some_and(|vip| vip != own) && !is_carried {
        let (own, vip) = (family(own), family(!own));
        let message = format!("an {own} real server in an {vip} service");
        return findings.refuse(value.span(), message, format!("write its {vip} address"));
    }
    Some(address)
}

fn real_port(value: &Spanned<i64>, draft: &Draft, findings: &mut Findings) -> Option<u16> {
    let port = findings.port(value)?.into_inner();
    let Some(service) = &draft.port else {
        return Some(port);
    };
    let keeps = draft.method.filter(|method| *method != Method::Nat);
    if let (Some(method), true) = (keeps, port != *service.get_ref()) {
        findings.push(
            Diagnostic::error(
                value.span(),
                format!("method \"{method}\" cannot change the port"),
            )
            .help(format!(
                "write {}, leave it out, or use method \"nat\"",
                service.get_ref()
            ))
            .note(service.span(), "the service's port"),
        );
        return None;
    }
    Some(port)
}

/// One address and port is one real server.
fn twice(drafts: &[RealDraft], findings: &mut Findings) {
    let mut seen: BTreeMap<SocketAddr, Range<usize>> = BTreeMap::new();
    for draft in drafts {
        let (Some(address), Some(port)) = (&draft.address, draft.port) else {
            continue;
        };
        let endpoint = SocketAddr::new(*address.get_ref(), port);
        if let Some(first) = seen.insert(endpoint, address.span()) {
            findings.push(
                Diagnostic::error(
                    address.span(),
                    format!("real server {endpoint} is named twice"),
                )
                .help("name it once, with the sum of the weights")
                .note(first, "first named here"),
            );
        }
    }
}
