//! One frame of the table: what comes in, what must become of it, and how that differs from what
//! did.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use lb_ebpf::abi::{Addr, Reason, Traffic, method};

use super::anatomy;
use super::served::Served;
use super::site::LAN;
use super::stage::{Seen, Stage, xdp};

/// A frame and what must become of it. The name is a sentence.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) ingress: u32,
    pub(super) input: Vec<u8>,
    pub(super) code: u32,
    egress: Option<u32>,
    pub(super) reason: Reason,
    output: Vec<u8>,
    counts: Option<Counts>,
    unresolved: Option<IpAddr>,
}

/// Whose counters a frame makes grow.
#[derive(Clone, Copy, Debug)]
enum Counts {
    Request {
        service: Served,
        opens: bool,
        ends: bool,
    },
    Reply {
        service: Served,
    },
}

/// A frame that passes to the stack, as it came.
pub(super) fn passes(name: impl Into<String>, reason: Reason, input: impl Into<Vec<u8>>) -> Case {
    Case::untouched(name, reason, xdp::PASS, input.into())
}

/// A frame that is dropped.
pub(super) fn drops(name: impl Into<String>, reason: Reason, input: impl Into<Vec<u8>>) -> Case {
    Case::untouched(name, reason, xdp::DROP, input.into())
}

/// A client's frame that goes to the real server of `service`, as `output`.
pub(super) fn forwards(
    name: impl Into<String>,
    service: &Served,
    input: impl Into<Vec<u8>>,
    output: impl Into<Vec<u8>>,
) -> Case {
    let reason = match service.method {
        method::NAT => Reason::ForwardedNat,
        method::TUNNEL => Reason::ForwardedTunnel,
        method::FULLNAT => Reason::ForwardedFullnat,
        _ => Reason::ForwardedDr,
    };
    let counts = Counts::Request {
        service: *service,
        opens: false,
        ends: false,
    };
    Case::untouched(name, reason, xdp::TX, input.into())
        .becoming(output.into())
        .by(service.next_hop.ifindex)
        .counting(counts)
}

/// A client's frame that stays here, since this host is the real server of `service`.
pub(super) fn stays(name: impl Into<String>, service: &Served, input: impl Into<Vec<u8>>) -> Case {
    let counts = Counts::Request {
        service: *service,
        opens: false,
        ends: false,
    };
    passes(name, Reason::ForwardedLocal, input).counting(counts)
}

/// A client's frame that is too long for the way, answered by `output`.
pub(super) fn tells(
    name: impl Into<String>,
    input: impl Into<Vec<u8>>,
    output: impl Into<Vec<u8>>,
) -> Case {
    Case::untouched(name, Reason::TooBigTold, xdp::TX, input.into()).becoming(output.into())
}

/// A reply of the real server of `service` that goes to its client, as `output`.
pub(super) fn replies(
    name: impl Into<String>,
    service: &Served,
    input: impl Into<Vec<u8>>,
    output: impl Into<Vec<u8>>,
) -> Case {
    let reason = match service.method {
        method::FULLNAT => Reason::RepliedFullnat,
        _ => Reason::RepliedNat,
    };
    Case::untouched(name, reason, xdp::TX, input.into())
        .becoming(output.into())
        .counting(Counts::Reply { service: *service })
}

/// A frame that asks something, answered by `output`.
pub(super) fn answers(
    name: impl Into<String>,
    reason: Reason,
    input: impl Into<Vec<u8>>,
    output: impl Into<Vec<u8>>,
) -> Case {
    Case::untouched(name, reason, xdp::TX, input.into()).becoming(output.into())
}

/// An ICMP error about what the real server of `service` sent, which goes to it as `output`.
pub(super) fn errs(
    name: impl Into<String>,
    service: &Served,
    input: impl Into<Vec<u8>>,
    output: impl Into<Vec<u8>>,
) -> Case {
    Case::untouched(name, Reason::ForwardedIcmp, xdp::TX, input.into())
        .becoming(output.into())
        .by(service.next_hop.ifindex)
}

/// An ICMP error about what a client sent, which goes to it as `output`.
pub(super) fn errs_back(
    name: impl Into<String>,
    input: impl Into<Vec<u8>>,
    output: impl Into<Vec<u8>>,
) -> Case {
    Case::untouched(name, Reason::RepliedIcmp, xdp::TX, input.into()).becoming(output.into())
}

impl Case {
    fn untouched(name: impl Into<String>, reason: Reason, code: u32, input: Vec<u8>) -> Self {
        let output = input.clone();
        Self {
            name: name.into(),
            ingress: LAN,
            input,
            code,
            egress: None,
            reason,
            output,
            counts: None,
            unresolved: None,
        }
    }

    /// Leaving as these bytes.
    pub(super) fn becoming(mut self, output: Vec<u8>) -> Self {
        self.output = output;
        self
    }

    fn counting(mut self, counts: Counts) -> Self {
        self.counts = Some(counts);
        self
    }

    /// Whether it is a packet that goes to a real server.
    pub(super) fn is_request(&self) -> bool {
        matches!(self.counts, Some(Counts::Request { .. }))
    }

    /// Going out by this interface.
    pub(super) fn by(mut self, ifindex: u32) -> Self {
        let back = ifindex == self.ingress;
        (self.code, self.egress) = if back {
            (xdp::TX, None)
        } else {
            (xdp::REDIRECT, Some(ifindex))
        };
        self
    }

    /// Coming in by this interface instead of [`LAN`].
    pub(super) fn from(mut self, ifindex: u32) -> Self {
        self.ingress = ifindex;
        self
    }

    /// Counted as a new connection.
    pub(super) fn opening(mut self) -> Self {
        if let Some(Counts::Request { opens, .. }) = &mut self.counts {
            *opens = true;
        }
        self
    }

    /// Counted as the end of a connection, or of one direction of it.
    pub(super) fn ending(mut self) -> Self {
        if let Some(Counts::Request { ends, .. }) = &mut self.counts {
            *ends = true;
        }
        self
    }

    /// The daemon is asked to have this destination resolved.
    pub(super) fn asking_for(mut self, destination: impl Into<IpAddr>) -> Self {
        self.unresolved = Some(destination.into());
        self
    }

    /// Sends the frame and compares all it does with what it must do.
    pub(super) fn check(&self, stage: &mut Stage) -> Result<()> {
        let wanted = self.wanted(stage)?;
        let mut seen = stage.send(self.ingress, &self.input)?;
        // The kernel's test run does not tell where a frame is redirected to.
        seen.egress = seen
            .egress
            .or_else(|| wanted.egress.filter(|_| seen.code == xdp::REDIRECT));
        if seen == wanted {
            return Ok(());
        }
        bail!("{}", difference(&seen, &wanted));
    }

    fn wanted(&self, stage: &Stage) -> Result<Seen> {
        let (mut services, mut reals) = (BTreeMap::new(), BTreeMap::new());
        if let Some(counts) = self.counts {
            let (served, traffic) = self.traffic(counts)?;
            services.insert(stage.service(&served.key())?.id, traffic);
            reals.insert(stage.real_id(&served.key(), served.real)?, traffic);
        }
        Ok(Seen {
            code: self.code,
            egress: self.egress,
            frame: self.output.clone(),
            reason: self.reason,
            services,
            reals,
            unresolved: self
                .unresolved
                .map(|to| (Addr::from(to), self.ingress))
                .into_iter()
                .collect(),
        })
    }

    /// One packet, of the length that its header says.
    fn traffic(&self, counts: Counts) -> Result<(Served, Traffic)> {
        let packet = anatomy::of(&self.input).context("it holds no packet")?;
        let bytes = packet.len() as u64;
        Ok(match counts {
            Counts::Request {
                service,
                opens,
                ends,
            } => {
                let (connections, ended) = (u64::from(opens), u64::from(ends));
                (
                    service,
                    Traffic {
                        packets: 1,
                        bytes,
                        connections,
                        ended,
                        ..Traffic::default()
                    },
                )
            }
            Counts::Reply { service } => {
                let traffic = Traffic {
                    reply_packets: 1,
                    reply_bytes: bytes,
                    ..Traffic::default()
                };
                (service, traffic)
            }
        })
    }
}

/// What was seen and what was wanted, where they differ.
fn difference(seen: &Seen, wanted: &Seen) -> String {
    let mut told = String::new();
    type Tell = fn(&Seen) -> String;
    let fields: [(&str, Tell); 6] = [
        ("code", |s| s.code.to_string()),
        ("egress", |s| format!("{:?}", s.egress)),
        ("reason", |s| format!("{:?}", s.reason)),
        ("service counters", |s| format!("{:?}", s.services)),
        ("real server counters", |s| format!("{:?}", s.reals)),
        ("unresolved", |s| format!("{:?}", s.unresolved)),
    ];
    for (name, field) in fields {
        let (seen, wanted) = (field(seen), field(wanted));
        if seen != wanted {
            write!(told, "\n  {name}: {seen}, not {wanted}").unwrap_or_default();
        }
    }
    if seen.frame != wanted.frame {
        write!(told, "\n  frame:\n{}", frames(&seen.frame, &wanted.frame)).unwrap_or_default();
    }
    told
}

/// Two frames, 16 bytes a line, those lines that differ.
fn frames(seen: &[u8], wanted: &[u8]) -> String {
    let mut told = String::new();
    for at in (0..seen.len().max(wanted.len())).step_by(16) {
        let line = |frame: &[u8]| -> String {
            let bytes = frame.iter().skip(at).take(16);
            bytes.map(|byte| format!("{byte:02x} ")).collect()
        };
        let (seen, wanted) = (line(seen), line(wanted));
        if seen != wanted {
            write!(told, "    {at:4}: {seen}\n     not: {wanted}\n").unwrap_or_default();
        }
    }
    told
}
