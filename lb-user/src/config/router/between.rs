//! Rules of virtual routers among each other, and with the hosts that take part in them.
//!
//! Not here: hosts' own addresses (`owner`), link-local VIPs (`link_local`), groups, and the rest of the file (`around`).

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
    ops::Range,
};

use daemon::diagnostic::{Diagnostic, nearest};
use toml::Spanned;
use vrrp::{Family, Priority};

use super::super::{findings::Findings, host::DirectorDraft};
use super::{Around, Draft, ROUTERS_MAX, Transport, link_local, owner, part::PartDraft};

/// A host's part in a router of the file.
#[derive(Clone, Copy)]
pub(super) struct Seat<'a> {
    pub(super) director: &'a DirectorDraft,
    pub(super) part: &'a PartDraft,
}

/// Who takes part in what.
pub(super) struct Seats<'a> {
    /// By the router's place in the file.
    by_router: BTreeMap<usize, Vec<Seat<'a>>>,
    /// Those whose router there is not.
    strays: Vec<Seat<'a>>,
    /// Whether these are all, as far as can be told.
    is_whole: bool,
}

impl<'a> Seats<'a> {
    pub(super) fn of(
        drafts: &[Draft],
        directors: &'a [DirectorDraft],
        findings: &Findings,
    ) -> Self {
        let mut nth: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            if let Some(name) = &draft.name {
                // Of two with the same name, which is told, the first.
                nth.entry(name.get_ref()).or_insert(at);
            }
        }
        let mut seats = Self {
            by_router: BTreeMap::new(),
            strays: Vec::new(),
            is_whole: true,
        };
        for director in directors {
            for part in &director.parts {
                let seat = Seat { director, part };
                match nth.get(part.router.get_ref().as_str()) {
                    Some(at) => seats.by_router.entry(*at).or_default().push(seat),
                    None => seats.strays.push(seat),
                }
            }
            seats.is_whole &= !findings.is_excused(&director.span, "virtual_router");
        }
        seats.is_whole &= seats.strays.is_empty();
        seats
    }

    pub(super) fn at(&self, router: usize) -> &[Seat<'a>] {
        self.by_router.get(&router).map_or(&[], Vec::as_slice)
    }

    /// The hosts of a router with their priorities, if all could be read.
    pub(super) fn of_router(&self, router: usize) -> Option<BTreeMap<&'a str, Priority>> {
        let seats = Some(self.at(router)).filter(|_| self.is_whole)?;
        seats
            .iter()
            .map(|seat| {
                let priority = *seat.part.priority.as_ref()?.get_ref();
                Some((seat.director.host.as_str(), priority))
            })
            .collect()
    }
}

/// Notes what clashes.
pub(super) fn check(
    drafts: &[Draft],
    seats: &Seats<'_>,
    around: &Around<'_>,
    findings: &mut Findings,
) {
    names(drafts, findings);
    vips(drafts, findings);
    strays(drafts, seats, findings);
    interfaces(drafts, seats, findings);
    let told = on_one_interface(drafts, seats, findings);
    link_local::check(drafts, seats, told, findings);
    let owners = owner::owners(around);
    for (nth, draft) in drafts.iter().enumerate() {
        let seats = seats.at(nth);
        if draft.transport == Transport::Unicast {
            unicast(draft, seats, around, findings);
        }
        same_address(draft, seats, findings);
        owner::check(draft, seats, &owners, findings);
        same_priority(seats, findings);
    }
    // What else is wrong may be why nobody takes part.
    if !findings.has_errors() {
        for (nth, draft) in drafts.iter().enumerate() {
            how_many(draft, seats.at(nth), findings);
        }
    }
}

fn names(drafts: &[Draft], findings: &mut Findings) {
    let mut seen: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for name in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        match seen.entry(name.get_ref()) {
            Entry::Occupied(first) => {
                let message = format!("virtual router `{}` is defined twice", name.get_ref());
                findings.push(
                    Diagnostic::error(name.span(), message)
                        .help("give each virtual router a name of its own")
                        .note(first.get().clone(), "first defined here"),
                );
            }
            Entry::Vacant(vacant) => {
                vacant.insert(name.span());
            }
        }
    }
}

/// Link-local ones are another on each link (`link_local`).
fn vips(drafts: &[Draft], findings: &mut Findings) {
    let mut seen: BTreeMap<IpAddr, Range<usize>> = BTreeMap::new();
    for vip in drafts.iter().flat_map(|draft| &draft.vips) {
        if is_link_local(*vip.get_ref()) {
            continue;
        }
        match seen.entry(*vip.get_ref()) {
            Entry::Occupied(first) => findings.push(in_two_routers(vip, first.get().clone())),
            Entry::Vacant(vacant) => {
                vacant.insert(vip.span());
            }
        }
    }
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn in_two_routers(vip: &Spanned<IpAddr>, first: Range<usize>) -> Diagnostic {
    let message = format!("VIP {} is in two virtual routers", vip.get_ref());
    Diagnostic::error(vip.span(), message)
        .help("leave it to one of them")
        .note(first, "first named here")
}

fn strays(drafts: &[Draft], seats: &Seats<'_>, findings: &mut Findings) {
    // One whose name could not be read may be meant.
    let is_told = findings.is_excused(&(0..0), "virtual_router");
    let is_told = is_told || drafts.len() > ROUTERS_MAX;
    if is_told || drafts.iter().any(|draft| draft.name.is_none()) {
        return;
    }
    for seat in &seats.strays {
        let router = &seat.part.router;
        let known = drafts.iter().map(Draft::called);
        let help = match nearest(router.get_ref(), known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!(
                "add a `[[virtual_router]]` with `name = \"{}\"`",
                router.get_ref()
            ),
        };
        let message = format!("unknown virtual router `{}`", router.get_ref());
        findings.push(Diagnostic::error(router.span(), message).help(help));
    }
}

fn interfaces(drafts: &[Draft], seats: &Seats<'_>, findings: &mut Findings) {
    for seat in (0..drafts.len()).flat_map(|nth| seats.at(nth)) {
        let (Some(interface), Some(served)) = (&seat.part.interface, &seat.director.interfaces)
        else {
            continue;
        };
        if served.is_empty() || served.contains(interface.get_ref()) {
            continue;
        }
        let host = &seat.director.host;
        let message = format!(
            "{} is not an interface of director {host}",
            interface.get_ref()
        );
        let help = match nearest(interface.get_ref(), served.iter().map(String::as_str)) {
            Some(meant) => format!(
                "did you mean \"{meant}\"? `interfaces` has: {}",
                served.join(", ")
            ),
            None => format!(
                "write one of its `interfaces` ({}), or add it there",
                served.join(", ")
            ),
        };
        findings.push(Diagnostic::error(interface.span(), message).help(help));
    }
}

/// VRIDs of a family are unique on a link; of an interface that much is known. Gives the places that are
/// told.
fn on_one_interface(
    drafts: &[Draft],
    seats: &Seats<'_>,
    findings: &mut Findings,
) -> BTreeSet<usize> {
    let mut vrids = BTreeMap::new();
    // Each pair is told once, not for each host and family.
    let mut told = BTreeSet::new();
    for (nth, draft) in drafts.iter().enumerate() {
        let places = seats.at(nth).iter().filter_map(|seat| {
            let interface = seat.part.interface.as_ref()?.get_ref().as_str();
            Some((seat.director.host.as_str(), interface))
        });
        for place in places {
            for family in [Family::V4, Family::V6] {
                let Some(vrid) = draft.vrid.as_ref().filter(|_| draft.has(family)) else {
                    continue;
                };
                let key = (place, family == Family::V6, *vrid.get_ref());
                let first: &Draft = vrids.entry(key).or_insert(draft);
                if first.span != draft.span && told.insert(vrid.span().start) {
                    findings.push(vrid_twice(first, draft, place));
                }
            }
        }
    }
    told
}

fn vrid_twice(first: &Draft, second: &Draft, (host, interface): (&str, &str)) -> Diagnostic {
    let place = |draft: &Draft| {
        let vrid = draft.vrid.as_ref().map(Spanned::span);
        vrid.unwrap_or_else(|| draft.span.clone())
    };
    let vrid = second.vrid.as_ref().map_or(0, |vrid| vrid.get_ref().get());
    let message = format!(
        "VRID {vrid} is used twice on {interface} of {host}: by `{}` and `{}`",
        first.called(),
        second.called()
    );
    Diagnostic::error(place(second), message)
        .help("give each virtual router on an interface a `vrid` of its own")
        .note(place(first), "first used here")
}

pub(super) const FAMILIES: [(Family, &str, &str); 2] = [
    (Family::V4, "IPv4", "address"),
    (Family::V6, "IPv6", "address6"),
];

/// Who is told of adverts by address needs all the others'.
fn unicast(draft: &Draft, seats: &[Seat<'_>], around: &Around<'_>, findings: &mut Findings) {
    for seat in seats {
        for (family, name, key) in FAMILIES {
            if !draft.has(family) || !matches!(seat.part.primary(family), Some(None)) {
                continue;
            }
            let host = around.hosts.get(&seat.director.host);
            let known = host.into_iter().flat_map(|host| &host.addresses);
            let known = known.filter(|address| Family::of(**address) == family);
            let example = match (family, known.copied().next()) {
                (Family::V4, Some(address)) => address.to_string(),
                (Family::V4, None) => "192.0.2.2".to_owned(),
                (Family::V6, _) => "fe80::…".to_owned(),
            };
            let message = format!(
                "the others of `{}` need {}'s {name} address for their unicast adverts",
                draft.called(),
                seat.director.host
            );
            findings.push(
                Diagnostic::error(seat.part.span.clone(), message).help(format!(
                    "add `{key} = \"{example}\"`, or use transport \"multicast\""
                )),
            );
        }
    }
}

/// A tie is broken by the address, and whoever hears its own thinks of an echo.
fn same_address(draft: &Draft, seats: &[Seat<'_>], findings: &mut Findings) {
    let mut seen: BTreeMap<IpAddr, (&str, Range<usize>)> = BTreeMap::new();
    for seat in seats {
        let of = |family| seat.part.primary(family).flatten();
        for address in [of(Family::V4), of(Family::V6)].into_iter().flatten() {
            match seen.entry(*address.get_ref()) {
                Entry::Occupied(first) => {
                    let (host, place) = first.get().clone();
                    let message = format!(
                        "adverts of `{}` come from {} already, from {host}",
                        draft.called(),
                        address.get_ref()
                    );
                    findings.push(
                        Diagnostic::error(address.span(), message)
                            .help("write each host's own address")
                            .note(place, "first given here"),
                    );
                }
                Entry::Vacant(vacant) => {
                    vacant.insert((&seat.director.host, address.span()));
                }
            }
        }
    }
}

fn same_priority(seats: &[Seat<'_>], findings: &mut Findings) {
    let mut seen: BTreeMap<Priority, (&str, Range<usize>)> = BTreeMap::new();
    for seat in seats {
        let Some(priority) = &seat.part.priority else {
            continue;
        };
        let host = &seat.director.host;
        let (first, place) = match seen.entry(*priority.get_ref()) {
            Entry::Occupied(first) => first.get().clone(),
            Entry::Vacant(vacant) => {
                vacant.insert((host, priority.span()));
                continue;
            }
        };
        let diagnostic = if priority.get_ref().is_owner() {
            let message = format!("{first} and {host} would both be the owner");
            Diagnostic::error(priority.span(), message).help("write 1 to 254 for one of them")
        } else {
            let message = format!(
                "{first} and {host} have the same priority: the one with the greater address wins"
            );
            Diagnostic::warning(priority.span(), message)
                .help("give the one that should be active a higher priority")
        };
        findings.push(diagnostic.note(place, "the other"));
    }
}

fn how_many(draft: &Draft, seats: &[Seat<'_>], findings: &mut Findings) {
    let router = draft.called();
    match seats {
        [] => {
            let message = format!("no host takes part in virtual router `{router}`");
            findings.push(
                Diagnostic::error(draft.span.clone(), message).help(format!(
                    "add `[hosts.NAME.director.virtual_router.{router}]` with its `interface`, for each director"
                )),
            );
        }
        [only] => {
            let host = &only.director.host;
            let message = format!(
                "only {host} takes part in virtual router `{router}`: nobody takes over from it"
            );
            findings.push(
                Diagnostic::warning(draft.span.clone(), message).help(format!(
                    "add `[hosts.NAME.director.virtual_router.{router}]` with its `interface` for a second one"
                )),
            );
        }
        _ => {}
    }
}
