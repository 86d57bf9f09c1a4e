//! What is remembered of flows and clients, and for how long: the keys `timeout`, `syn_timeout`,
//! `fin_timeout`, `persistence` and `persistence_prefix` of a service.
//!
//! Not here: the remembering.

use std::time::Duration;

use daemon::{diagnostic::Diagnostic, duration::HumanDuration};
use toml::Spanned;

use super::{file, findings::Findings, vip::Vip, words::Protocol};

/// The shortest time after which something may be forgotten.
const MIN: Duration = Duration::from_secs(1);
/// The longest: the data plane counts ticks of the kernel in 32 bits, which at 1000 Hz is 49 days.
const MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a flow is remembered after its last packet: 1 s to 7 days each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// An established TCP connection, or a UDP flow.
    pub established: Duration,
    /// A TCP connection that is being opened; of no use to UDP.
    pub syn: Duration,
    /// A TCP connection that is being closed; of no use to UDP.
    pub fin: Duration,
}

impl Timeouts {
    /// Those of IPVS: 15 minutes for an established TCP connection, a minute for one that opens, two
    /// for one that closes; 5 minutes for UDP.
    #[must_use]
    pub const fn of(protocol: Protocol) -> Self {
        Self {
            established: match protocol {
                Protocol::Tcp => Duration::from_secs(15 * 60),
                Protocol::Udp => Duration::from_secs(5 * 60),
            },
            syn: Duration::from_secs(60),
            fin: Duration::from_secs(2 * 60),
        }
    }
}

/// A client comes back to the real server that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// If it does so within this time after its last packet: 1 s to 7 days.
    pub timeout: Duration,
    /// How many bits of its address count: 8 to 32 in IPv4, 16 to 128 in IPv6.
    pub prefix: u8,
}

/// `None` only where there are errors among the findings.
pub(super) fn timeouts(
    table: &file::Service,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<Timeouts> {
    let of_tcp = [
        ("syn_timeout", &table.syn_timeout),
        ("fin_timeout", &table.fin_timeout),
    ];
    if protocol == Some(Protocol::Udp) {
        for (key, value) in of_tcp {
            if let Some(value) = value {
                let message = format!("`{key}` has no meaning with protocol \"udp\"");
                findings.push(
                    Diagnostic::error(value.span(), message)
                        .help("leave it out: `timeout` is for all of a flow"),
                );
            }
        }
    }
    let [(_, syn), (_, fin)] = of_tcp;
    let established = time(table.timeout.as_ref(), "timeout", findings);
    let syn = time(syn.as_ref(), "syn_timeout", findings);
    let fin = time(fin.as_ref(), "fin_timeout", findings);
    let default = Timeouts::of(protocol?);
    Some(Timeouts {
        established: established?.unwrap_or(default.established),
        syn: syn?.unwrap_or(default.syn),
        fin: fin?.unwrap_or(default.fin),
    })
}

/// `Some(None)`: not given. `None`: given and wrong, or not to be judged without the VIP.
pub(super) fn persistence(
    table: &file::Service,
    vip: Option<Vip>,
    is_told: bool,
    findings: &mut Findings,
) -> Option<Option<Persistence>> {
    let timeout = time(table.persistence.as_ref(), "persistence", findings);
    if let (None, Some(prefix), false) = (&table.persistence, &table.persistence_prefix, is_told) {
        let help = "add `persistence = \"30m\"`, or leave it out";
        let message = "`persistence_prefix` has no meaning without `persistence`";
        return findings.refuse(prefix.span(), message, help);
    }
    let (least, most) = if vip?.is_ipv6() { (16, 128) } else { (8, 32) };
    let prefix = match &table.persistence_prefix {
        Some(value) => findings
            .number(value, "persistence_prefix", (least, most))?
            .into_inner(),
        None => most,
    };
    Some(timeout?.map(|timeout| Persistence { timeout, prefix }))
}

/// `Some(None)`: not given. `None`: given and wrong.
fn time(
    value: Option<&Spanned<HumanDuration>>,
    what: &str,
    findings: &mut Findings,
) -> Option<Option<Duration>> {
    let Some(value) = value else {
        return Some(None);
    };
    findings.time(value, what, (MIN, MAX)).map(Some)
}
