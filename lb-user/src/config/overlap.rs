//! Rules between services: what each may say alone and two may not say together.
//!
//! Not here: rules of one service.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr, ops::Range};

use daemon::diagnostic::Diagnostic;
use toml::Spanned;

use super::{
    findings::Findings,
    ports::Ports,
    prefix,
    service::Draft,
    vip::Vip,
    words::{Method, Protocol},
};

/// Notes what clashes.
pub(super) fn check(drafts: &[Draft], findings: &mut Findings) {
    names(drafts, findings);
    endpoints(drafts, findings);
    reals_at_vips(drafts, findings);
    nat_replies(drafts, findings);
}

fn names(drafts: &[Draft], findings: &mut Findings) {
    let mut seen: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for name in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        if let Some(first) = seen.get(name.get_ref().as_str()) {
            let message = format!("service `{}` is defined twice", name.get_ref());
            findings.push(
                Diagnostic::error(name.span(), message)
                    .help("give each service a name of its own")
                    .note(first.clone(), "first defined here"),
            );
        } else {
            seen.insert(name.get_ref(), name.span());
        }
    }
}

/// VIP, ports and protocol say which service a packet is for: of an address and a network that
/// holds it the address counts, and of ports and wider ports the narrower ones. So the ports of a VIP
/// may lie within others, and else must not meet.
fn endpoints(drafts: &[Draft], findings: &mut Findings) {
    let mut groups: BTreeMap<(Vip, Protocol), Vec<Place<'_>>> = BTreeMap::new();
    for draft in drafts {
        if let (Some(vip), Some(ports), Some(protocol)) = (&draft.vip, &draft.ports, draft.protocol)
        {
            let group = groups.entry((*vip.get_ref(), protocol)).or_default();
            group.push(Place { vip, ports });
        }
    }
    for ((_, protocol), mut places) in groups {
        // In the order of their starts, the wider first; those of the same ports as in the file.
        places.sort_by_key(|place| (place.ports().first, Reverse(place.ports().last)));
        // Each holds the next.
        let mut around: Vec<Place<'_>> = Vec::new();
        for place in places {
            let ports = place.ports();
            while around
                .pop_if(|outer| outer.ports().last < ports.first)
                .is_some()
            {}
            match around.last() {
                Some(outer) if outer.ports() == ports => {
                    findings.push(served_already(outer, &place, protocol));
                }
                Some(outer) if outer.ports().last < ports.last => {
                    findings.push(crossing(outer, &place, protocol));
                }
                Some(_) | None => around.push(place),
            }
        }
    }
}

/// Where a service says which packets are for it.
#[derive(Clone, Copy)]
struct Place<'a> {
    vip: &'a Spanned<Vip>,
    ports: &'a Spanned<Ports>,
}

impl Place<'_> {
    fn ports(&self) -> Ports {
        *self.ports.get_ref()
    }

    fn endpoint(&self) -> String {
        self.vip.get_ref().at(self.ports())
    }
}

fn served_already(first: &Place<'_>, again: &Place<'_>, protocol: Protocol) -> Diagnostic {
    let endpoint = again.endpoint();
    let message = format!("overlapping services: {endpoint} {protocol} is served already");
    Diagnostic::error(again.vip.span(), message)
        .help("another VIP, port or protocol, or one service with all real servers")
        .note(first.vip.span(), "served here")
}

fn crossing(a: &Place<'_>, b: &Place<'_>, protocol: Protocol) -> Diagnostic {
    let (first, second) = if a.ports.span().start <= b.ports.span().start {
        (a, b)
    } else {
        (b, a)
    };
    let message = format!(
        "overlapping services: ports {} and {} of {} {protocol} have some in common, \
         and neither has all of the other's",
        first.ports(),
        second.ports(),
        first.vip.get_ref(),
    );
    Diagnostic::error(second.ports.span(), message)
        .help("keep the ranges apart, or let one lie within the other")
        .note(first.ports.span(), "the other range")
}

/// Services by their VIPs.
pub(super) struct Vips<'a> {
    /// By prefix length, then by address.
    by_length: BTreeMap<u8, BTreeMap<IpAddr, Vec<&'a Draft>>>,
}

impl<'a> Vips<'a> {
    pub(super) fn of(drafts: &'a [Draft]) -> Self {
        let mut by_length: BTreeMap<u8, BTreeMap<IpAddr, Vec<&'a Draft>>> = BTreeMap::new();
        for draft in drafts {
            if let Some(vip) = &draft.vip {
                let Vip { address, prefix } = *vip.get_ref();
                let same = by_length.entry(prefix).or_default();
                same.entry(address).or_default().push(draft);
            }
        }
        Self { by_length }
    }

    /// The services whose VIP is this address or holds it, each with the VIP's place; in the order
    /// of prefix lengths, then of the file.
    pub(super) fn holding(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = (&'a Spanned<Vip>, &'a Draft)> {
        let drafts = self
            .by_length
            .iter()
            .filter_map(move |(length, vips)| vips.get(&prefix::first(address, *length)));
        drafts
            .flatten()
            .filter_map(|draft| Some((draft.vip.as_ref()?, *draft)))
    }
}

/// A packet to a VIP is for the director: a real server there would get none, or all in a circle.
fn reals_at_vips(drafts: &[Draft], findings: &mut Findings) {
    let vips = Vips::of(drafts);
    for address in drafts
        .iter()
        .flat_map(|d| &d.reals)
        .filter_map(|real| real.address.as_ref())
    {
        if let Some((vip, _)) = vips.holding(*address.get_ref()).next() {
            let message = format!("real server {} has the address of a VIP", address.get_ref());
            findings.push(
                Diagnostic::error(address.span(), message)
                    .help("write the real server's own address")
                    .note(vip.span(), "the VIP"),
            );
        }
    }
}

/// A nat real server of one service, and the ports that its replies come from.
struct Replier<'a> {
    service: usize,
    address: &'a Spanned<IpAddr>,
    ports: Ports,
}

/// Replies from a nat real server carry its address and port only, so these must lead to one service
/// (they are rewritten without a look at the flow).
fn nat_replies(drafts: &[Draft], findings: &mut Findings) {
    let mut groups: BTreeMap<(IpAddr, Protocol), Vec<Replier<'_>>> = BTreeMap::new();
    for (service, draft) in drafts.iter().enumerate() {
        let (Some(Method::Nat), Some(protocol)) = (draft.method(), draft.protocol) else {
            continue;
        };
        for real in &draft.reals {
            let (Some(address), Some(port)) = (&real.address, real.port) else {
                continue;
            };
            let kept = draft.ports.as_ref().map(|ports| *ports.get_ref());
            let Some(ports) = port.map(Ports::one).or(kept) else {
                continue;
            };
            let group = groups.entry((*address.get_ref(), protocol)).or_default();
            group.push(Replier {
                service,
                address,
                ports,
            });
        }
    }
    for ((_, protocol), mut repliers) in groups {
        repliers.sort_by_key(|replier| (replier.ports, replier.service));
        // Of those before, the one that reaches farthest.
        let mut widest: Option<&Replier<'_>> = None;
        for replier in &repliers {
            // Twice in one service is told there.
            if let Some(other) =
                widest.filter(|w| w.ports.meets(replier.ports) && w.service != replier.service)
            {
                findings.push(shared(other, replier, protocol));
            }
            if widest.is_none_or(|w| w.ports.last < replier.ports.last) {
                widest = Some(replier);
            }
        }
    }
}

fn shared(a: &Replier<'_>, b: &Replier<'_>, protocol: Protocol) -> Diagnostic {
    let (first, second) = if a.service < b.service {
        (a, b)
    } else {
        (b, a)
    };
    let real = Vip::single(*second.address.get_ref()).at(second.ports);
    let message =
        format!("real server {real} {protocol} is in two nat services: whose are its replies?");
    Diagnostic::error(second.address.span(), message)
        .help("let it listen at a port of its own for each service, or use method \"dr\"")
        .note(first.address.span(), "first used here")
}
