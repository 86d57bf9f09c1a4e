//! Virtual services.
//!
//! Not here: their real servers (`real`), rules between services (`overlap`), and how any of it
//! becomes maps.

use std::{borrow::Cow, ops::Range};

use daemon::{diagnostic::Diagnostic, site::Table};
use health::ProbeKind;
use lb_ebpf::abi::{REALS_MAX, SERVICES_MAX};
use lb_ebpf::schedule::MEMBERS_SEEN;
use toml::Spanned;

use super::{
    file,
    findings::Findings,
    health::{self as check, HealthCheck},
    memory::{self, Persistence, Timeouts},
    ports::{self, Ports},
    quic::{self, Quic},
    real::{self, RealDraft, RealServer, Weight},
    vip::{self, Vip},
    words::{Encapsulation, Method, Protocol, Scheduler},
};

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name; unique, and fit to be a label: `[A-Za-z0-9._-]`, at most 63.
    pub name: String,
    /// The address or addresses that clients use; one with [`Method::Nat`].
    pub vip: Vip,
    /// The ports that clients use.
    pub ports: Ports,
    /// The protocol.
    pub protocol: Protocol,
    /// How packets get to a real server.
    pub method: Method,
    /// How a real server is chosen.
    pub scheduler: Scheduler,
    /// How long a flow is remembered after its last packet.
    pub timeouts: Timeouts,
    /// Whether and how long a client comes back to the real server that it had.
    pub persistence: Option<Persistence>,
    /// Whether every flow is remembered, also where the ring alone would do.
    pub track: bool,
    /// How QUIC's connection ids say which real server is meant; UDP only.
    pub quic: Option<Quic>,
    /// How its real servers are checked; without, they are always taken to be up. With a port where
    /// the service has several, and at one address where it is [`Method::Local`].
    pub health: Option<HealthCheck>,
    /// Its real servers; no two with the same address and port. None with [`Method::Local`].
    pub reals: Vec<RealServer>,
}

impl Service {
    /// Where its packets go: its real servers, or with [`Method::Local`] this host, which is one at
    /// the VIP.
    #[must_use]
    pub fn servers(&self) -> Cow<'_, [RealServer]> {
        if self.method != Method::Local {
            return Cow::Borrowed(&self.reals);
        }
        Cow::Owned(vec![RealServer {
            address: self.vip.address,
            port: self.ports.single(),
            weight: Weight::default(),
            server_id: None,
        }])
    }
}

/// A service as far as it could be read, with the places of what may clash with others.
pub(super) struct Draft {
    /// Its header.
    pub(super) span: Range<usize>,
    pub(super) name: Option<Spanned<String>>,
    pub(super) vip: Option<Spanned<Vip>>,
    pub(super) ports: Option<Spanned<Ports>>,
    pub(super) protocol: Option<Protocol>,
    pub(super) method: Option<Spanned<Method>>,
    /// `Some(None)`: not given. `None`: given and wrong.
    pub(super) quic: Option<Option<Spanned<Quic>>>,
    pub(super) reals: Vec<RealDraft>,
    /// All of it; `None` only where there are errors among the findings.
    pub(super) service: Option<Service>,
}

impl Draft {
    pub(super) fn method(&self) -> Option<Method> {
        self.method.as_ref().map(|method| *method.get_ref())
    }
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
    let Table {
        span,
        value: mut table,
    } = table;
    let mut draft = identity(&mut table, span, findings);
    many_addresses(&draft, findings);
    if draft.method() == Some(Method::Local) {
        needless(&table, findings);
    }
    let quic = quic::from_file(table.quic.take(), draft.protocol, findings);
    draft.quic = quic.filter(|_| !findings.is_excused(&draft.span, "quic"));
    let settings = settings(&table, &draft, findings);
    countable(&table, settings.scheduler, findings);
    let health = health(table.health, &draft, findings);
    let reals = real::from_file(table.real, &mut draft, findings);
    draft.service = whole(&draft, settings, health, reals);
    draft
}

/// What it is called, which packets are for it, and how they go on.
fn identity(table: &mut file::Service, span: Range<usize>, findings: &mut Findings) -> Draft {
    let name = findings.required(table.name.take(), &span, "name", "\"web\"");
    let name = name.and_then(|v| {
        findings
            .name(&v, "service")
            .map(|name| Spanned::new(v.span(), name))
    });
    let vip = findings.required(table.vip.take(), &span, "vip", "\"10.77.0.100\"");
    let vip = vip.and_then(|value| vip::from_file(&value, findings));
    let ports = findings.required(table.port.take(), &span, "port", "80");
    let ports = ports.and_then(|value| ports::from_file(&value, findings));
    let protocol = findings.required(table.protocol.take(), &span, "protocol", "\"tcp\"");
    let protocol =
        protocol.and_then(|v| findings.word(&v, "protocol", Protocol::KNOWN, Protocol::LATER));
    let method = findings.required(table.method.take(), &span, "method", "\"dr\"");
    let method = method.and_then(|v| findings.word(&v, "method", Method::KNOWN, Method::LATER));
    Draft {
        name,
        vip,
        ports,
        protocol: protocol.map(Spanned::into_inner),
        method: encapsulated(method, table.tunnel.as_ref(), findings),
        quic: None,
        reals: Vec::new(),
        service: None,
        span,
    }
}

/// The method with what `tunnel = …` says; only method "tunnel" may have that.
fn encapsulated(
    method: Option<Spanned<Method>>,
    tunnel: Option<&Spanned<String>>,
    findings: &mut Findings,
) -> Option<Spanned<Method>> {
    let (Some(known), Some(tunnel)) = (&method, tunnel) else {
        return method;
    };
    if !matches!(known.get_ref(), Method::Tunnel(_)) {
        let message = format!("method \"{}\" carries packets as they are", known.get_ref());
        findings.push(
            Diagnostic::error(tunnel.span(), message)
                .help("leave it out, or use method \"tunnel\""),
        );
        return method;
    }
    let word = findings.word(tunnel, "tunnel", Encapsulation::KNOWN, Encapsulation::LATER)?;
    Some(Spanned::new(
        known.span(),
        Method::Tunnel(word.into_inner()),
    ))
}

/// Replies of nat are told by the real server's address and port alone.
fn many_addresses(draft: &Draft, findings: &mut Findings) {
    let (Some(vip), Some(method)) = (&draft.vip, &draft.method) else {
        return;
    };
    if *method.get_ref() == Method::Nat && !vip.get_ref().is_single() {
        let message = "method \"nat\" with many VIPs: a reply could not tell which it is from";
        findings.push(
            Diagnostic::error(vip.span(), message)
                .help("use method \"fullnat\", or write a service for each VIP")
                .note(method.span(), "the method"),
        );
    }
}

/// A service that this host serves itself has nobody to choose.
fn needless(table: &file::Service, findings: &mut Findings) {
    let place = [
        ("scheduler", table.scheduler.as_ref().map(Spanned::span)),
        ("persistence", table.persistence.as_ref().map(Spanned::span)),
        (
            "persistence_prefix",
            table.persistence_prefix.as_ref().map(Spanned::span),
        ),
        ("track", table.track.as_ref().map(Spanned::span)),
        ("quic", table.quic.as_ref().map(|quic| quic.span.clone())),
    ];
    for (key, span) in place {
        if let Some(span) = span {
            let message = format!("`{key}` has no meaning with method \"local\"");
            let help = "leave it out: this host serves every flow itself";
            findings.push(Diagnostic::error(span, message).help(help));
        }
    }
}

/// How real servers are chosen and what is remembered of it; `None`: a mistake.
struct Settings {
    scheduler: Option<Scheduler>,
    timeouts: Option<Timeouts>,
    persistence: Option<Option<Persistence>>,
    track: bool,
}

fn settings(table: &file::Service, draft: &Draft, findings: &mut Findings) -> Settings {
    let vip = draft.vip.as_ref().map(|vip| *vip.get_ref());
    let is_told = findings.is_excused(&draft.span, "persistence");
    Settings {
        scheduler: scheduler(table.scheduler.as_ref(), findings),
        timeouts: memory::timeouts(table, draft.protocol, findings),
        persistence: memory::persistence(table, vip, is_told, findings),
        track: table.track.as_ref().is_some_and(|track| *track.get_ref()),
    }
}

fn scheduler(value: Option<&Spanned<String>>, findings: &mut Findings) -> Option<Scheduler> {
    let Some(value) = value else {
        return Some(Scheduler::default());
    };
    let word = findings.word(value, "scheduler", Scheduler::KNOWN, Scheduler::LATER);
    word.map(Spanned::into_inner)
}

/// Schedulers that compare connections look at each real server for each new flow.
fn countable(table: &file::Service, scheduler: Option<Scheduler>, findings: &mut Findings) {
    let (Some(value), Some(Scheduler::Lc | Scheduler::Wlc)) = (&table.scheduler, scheduler) else {
        return;
    };
    let count = table.real.as_ref().map_or(0, Vec::len);
    if count > usize::from(MEMBERS_SEEN) {
        let message = format!(
            "scheduler \"{}\" compares {MEMBERS_SEEN} real servers at most, and there are {count}",
            value.get_ref()
        );
        let help = "use \"maglev\" or \"wrr\", which have no such limit";
        findings.push(Diagnostic::error(value.span(), message).help(help));
    }
}

/// `Some(None)`: there is none. `None`: there is one, and it is wrong.
fn health(
    table: Option<Table<file::Health>>,
    draft: &Draft,
    findings: &mut Findings,
) -> Option<Option<HealthCheck>> {
    let Some(table) = table else {
        return Some(None);
    };
    let span = table.span.clone();
    let has_port = table.value.port.is_some() || findings.is_excused(&span, "port");
    let check = check::from_file(table, findings)?;
    if !asks_an_endpoint(&check.probe) {
        return Some(Some(check));
    }
    let several = |ports: &&Spanned<Ports>| ports.get_ref().single().is_none() && !has_port;
    if let Some(ports) = draft.ports.as_ref().filter(several) {
        findings.push(
            Diagnostic::error(span.clone(), "missing key `port`: the service has several")
                .help("add the `port` to probe")
                .note(ports.span(), "the service's ports"),
        );
    }
    let is_local = draft.method() == Some(Method::Local);
    let many = |vip: &&Spanned<Vip>| is_local && !vip.get_ref().is_single();
    if let Some(vip) = draft.vip.as_ref().filter(many) {
        findings.push(
            Diagnostic::error(span, "which of the VIPs of this host is to be probed?")
                .help("leave the check out, or write a service for the VIP to be checked")
                .note(vip.span(), "the VIPs"),
        );
    }
    Some(Some(check))
}

/// Whether a probe goes to an address and a port.
fn asks_an_endpoint(probe: &ProbeKind) -> bool {
    match probe {
        ProbeKind::Tcp | ProbeKind::Http(_) => true,
    }
}

/// The service, if nothing of it is missing.
fn whole(
    draft: &Draft,
    settings: Settings,
    health: Option<Option<HealthCheck>>,
    reals: Option<Vec<RealServer>>,
) -> Option<Service> {
    let quic = draft.quic.as_ref()?.as_ref();
    Some(Service {
        name: draft.name.as_ref()?.get_ref().clone(),
        vip: *draft.vip.as_ref()?.get_ref(),
        ports: *draft.ports.as_ref()?.get_ref(),
        protocol: draft.protocol?,
        method: draft.method()?,
        scheduler: settings.scheduler?,
        timeouts: settings.timeouts?,
        persistence: settings.persistence?,
        track: settings.track,
        quic: quic.map(|quic| *quic.get_ref()),
        health: health?,
        reals: reals?,
    })
}
