//! The steps that make this host a real server, from what it is and what is wanted; or why there is
//! no such way.
//!
//! Not here: carrying them out, and what to do when one fails (`host`, [`super::memory`]).

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::facts::{ALL, Facts, Knob, Place, Sysctl};
use super::wanted::{Method, Wanted};
use crate::config::unusable;
use crate::network::addresses::alone;

/// One change of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Turn a switch.
    Set {
        /// Which.
        sysctl: Sysctl,
        /// What it is now.
        from: i32,
        /// What it is to be.
        to: i32,
    },
    /// Put a VIP on `lo`.
    Add {
        /// The VIP.
        vip: IpAddr,
    },
    /// Attach the far end of the tunnel, or bring it up to date.
    Open(Open),
}

/// What the far end of the tunnel is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Where its packets come in.
    pub interface: String,
    /// Where it is pinned.
    pub pins: PathBuf,
    /// Whether it is not attached there yet.
    pub is_new: bool,
    /// All its VIPs.
    pub vips: BTreeSet<IpAddr>,
    /// Those that it does not have yet.
    pub new: BTreeSet<IpAddr>,
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No rights.
    #[error("not permitted: this needs {}; run it as root", .0.join(", "))]
    NotPermitted(Vec<&'static str>),
    /// Nobody's address.
    #[error("--vip {vip}: a VIP cannot be {kind} address; name the one that clients connect to")]
    Unusable {
        /// The address.
        vip: IpAddr,
        /// Of which kind it is.
        kind: &'static str,
    },
    /// No such interface.
    #[error("--interface {interface}: this host has none of that name; it has {}", .known.join(", "))]
    NoInterface {
        /// What was asked for.
        interface: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The loopback interface.
    #[error(
        "--interface {0}: nothing from a director comes in there; name the interface that faces it"
    )]
    Loopback(String),
    /// A VIP that this host answers for.
    #[error(
        "--vip {vip}: it is an address of {interface}, where this host answers for it in the \
         director's place; take it away there with `{}`, or, if this host is the director, leave all \
         as it is: a director needs no preparing",
        delete(.vip, *.prefix, .interface)
    )]
    Asked {
        /// The VIP.
        vip: IpAddr,
        /// The interface.
        interface: String,
        /// The length of its prefix.
        prefix: u8,
    },
    /// A VIP with its whole network.
    #[error(
        "--vip {vip}: {interface} has it as a /{prefix}, which makes all addresses of that network \
         this host's own; take it away with `{}`, and try again",
        delete(.vip, *.prefix, .interface)
    )]
    Wide {
        /// The VIP.
        vip: IpAddr,
        /// The interface.
        interface: String,
        /// The length of its prefix.
        prefix: u8,
    },
    /// No IPv6.
    #[error(
        "--vip {vip}: IPv6 is turned off on {interface}; turn it on with `sysctl -w {}=0`",
        Knob::DisableIpv6.of(.interface)
    )]
    NoIpv6 {
        /// The VIP.
        vip: IpAddr,
        /// The loopback interface.
        interface: String,
    },
}

/// The command that removes an address.
pub(super) fn delete(vip: &IpAddr, prefix: u8, interface: &str) -> String {
    format!("ip address del {vip}/{prefix} dev {interface}")
}

/// The steps, in the order in which they are safe: silence before there is anything to keep silent
/// about, the VIP before packets for it come out of tunnels.
///
/// # Errors
/// What is wanted makes no sense, or not here; or the caller may not.
pub fn plan(facts: &Facts, wanted: &Wanted) -> Result<Vec<Step>, Refusal> {
    refuse(facts, wanted)?;
    let mut steps = Vec::new();
    let mut set = |sysctl: Sysctl, is_good: fn(i32) -> bool, to| {
        let from = facts.value(&sysctl);
        if !is_good(from) {
            steps.push(Step::Set { sysctl, from, to });
        }
    };
    if wanted.has_v4() {
        for interface in [ALL, &wanted.interface] {
            set(Knob::ArpIgnore.of(interface), is_silent, 1);
            set(Knob::ArpAnnounce.of(interface), is_discreet, 2);
        }
        if needs_loose(facts, wanted) {
            // The larger of two values counts, so that the one of all interfaces may stay.
            set(Knob::RpFilter.of(&wanted.interface), |now| now == 2, 2);
        }
    }
    let absent = |vip: &IpAddr| facts.place(*vip) == Place::Nowhere;
    let absent = wanted.vips().into_iter().filter(absent);
    steps.extend(absent.map(|vip| Step::Add { vip }));
    if wanted.method == Method::Tunnel {
        steps.push(Step::Open(open(facts, wanted)));
    }
    Ok(steps)
}

/// Whether a host with this value of `arp_ignore` tells nobody of addresses on `lo`.
pub(crate) const fn is_silent(value: i32) -> bool {
    matches!(value, 1 | 2 | 8)
}

/// Whether a host with this value of `arp_announce` asks in the name of its link's address only.
pub(crate) const fn is_discreet(value: i32) -> bool {
    value >= 2
}

/// Whether packets would be dropped for the way they come: those out of tunnels may come in by any
/// interface, others by that of the director, and answers leave by the default route.
pub(super) fn needs_loose(facts: &Facts, wanted: &Wanted) -> bool {
    let elsewhere = match wanted.method {
        Method::Tunnel => true,
        Method::Dr => facts.answers_elsewhere(&wanted.interface),
    };
    wanted.has_v4() && elsewhere && facts.is_strict(&wanted.interface)
}

fn open(facts: &Facts, wanted: &Wanted) -> Open {
    let (held, vips) = (&facts.far_end, wanted.vips());
    Open {
        interface: wanted.interface.clone(),
        pins: wanted.pin_dir.clone(),
        is_new: !held.interfaces.contains(&wanted.interface),
        vips: held.vips.union(&vips).copied().collect(),
        new: vips.difference(&held.vips).copied().collect(),
    }
}

fn refuse(facts: &Facts, wanted: &Wanted) -> Result<(), Refusal> {
    permitted(facts, wanted.method)?;
    for vip in wanted.vips() {
        if let Some(kind) = unusable(vip) {
            return Err(Refusal::Unusable { vip, kind });
        }
    }
    let interface = wanted.interface.clone();
    match facts.interface(&interface) {
        None => {
            let known = facts.interfaces.iter().map(|one| one.name.clone());
            let known = known.collect();
            return Err(Refusal::NoInterface { interface, known });
        }
        Some(one) if one.is_loopback => return Err(Refusal::Loopback(interface)),
        Some(_) => {}
    }
    wanted
        .vips()
        .into_iter()
        .try_for_each(|vip| match facts.place(vip) {
            Place::Asked { interface, prefix } => Err(Refusal::Asked {
                vip,
                interface,
                prefix,
            }),
            Place::Wide { interface, prefix } => Err(Refusal::Wide {
                vip,
                interface,
                prefix,
            }),
            Place::Nowhere if vip.is_ipv6() && lacks_ipv6(facts) => Err(Refusal::NoIpv6 {
                vip,
                interface: facts.lo().map(|lo| lo.name.clone()).unwrap_or_default(),
            }),
            Place::Nowhere | Place::Quiet => Ok(()),
        })
}

/// Refuses who may not change the network; for tunnels, who may not load programs either.
pub(super) fn permitted(facts: &Facts, method: Method) -> Result<(), Refusal> {
    let mut lacking = facts.lacking.clone();
    lacking.retain(|right| method == Method::Tunnel || *right == "CAP_NET_ADMIN");
    match lacking.is_empty() {
        true => Ok(()),
        false => Err(Refusal::NotPermitted(lacking)),
    }
}

/// Whether no IPv6 address can be on `lo`.
pub(super) fn lacks_ipv6(facts: &Facts) -> bool {
    facts
        .lo()
        .is_some_and(|lo| facts.value(&Knob::DisableIpv6.of(&lo.name)) != 0)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { sysctl, from, to } => write!(f, "{sysctl} = {to} (was {from})"),
            Self::Add { vip } => write!(f, "{vip}/{} added to lo", alone(*vip)),
            Self::Open(open) => {
                let vips: Vec<String> = open.vips.iter().map(ToString::to_string).collect();
                let (interface, vips) = (&open.interface, vips.join(", "));
                write!(f, "{interface}: packets to {vips} are taken out of tunnels")
            }
        }
    }
}
