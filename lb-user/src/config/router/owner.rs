//! The owner of a virtual router: a host whose own address is a VIP. It has priority 255, and nobody else
//! has (RFC 9568, section 5.2.4).
//!
//! Not here: other rules of hosts and routers (`between`).

use std::{collections::BTreeMap, net::IpAddr, ops::Range};

use daemon::diagnostic::Diagnostic;
use vrrp::Family;

use super::super::findings::Findings;
use super::{
    Around, Draft,
    between::{FAMILIES, Seat},
};

/// The hosts' addresses, each with its host and place.
pub(super) type Owners<'a> = BTreeMap<IpAddr, (&'a str, Range<usize>)>;

pub(super) fn owners<'a>(around: &Around<'a>) -> Owners<'a> {
    let hosts = around.hosts.iter();
    hosts
        .flat_map(|(name, host)| host.addresses.iter().map(move |own| (*own, name.as_str())))
        .filter_map(|(own, name)| Some((own, (name, around.owners.get(&own)?.clone()))))
        .collect()
}

/// Notes who is the owner without saying so, and who is not and says so.
pub(super) fn check(
    draft: &Draft,
    seats: &[Seat<'_>],
    owners: &Owners<'_>,
    findings: &mut Findings,
) {
    own_vips(draft, seats, owners, findings);
    not_the_owner(draft, seats, owners, findings);
}

/// A host that has a VIP of its own is always the first to have it.
fn own_vips(draft: &Draft, seats: &[Seat<'_>], owners: &Owners<'_>, findings: &mut Findings) {
    let primaries: Owners<'_> = seats
        .iter()
        .flat_map(|seat| {
            let of = |family| seat.part.primary(family).flatten();
            let own = [of(Family::V4), of(Family::V6)].into_iter().flatten();
            own.map(|own| (*own.get_ref(), (seat.director.host.as_str(), own.span())))
        })
        .collect();
    for vip in &draft.vips {
        let own = owners
            .get(vip.get_ref())
            .or_else(|| primaries.get(vip.get_ref()));
        let Some((host, place)) = own else {
            continue;
        };
        let seat = seats.iter().find(|seat| seat.director.host == *host);
        let priority = seat.map(|seat| seat.part.priority.as_ref());
        match priority {
            // Told already.
            Some(None) => continue,
            Some(Some(priority)) if priority.get_ref().is_owner() => continue,
            Some(Some(_)) | None => {}
        }
        let message = format!("VIP {} is {host}'s own address", vip.get_ref());
        let help = "write one that is no host's";
        let help = match seat {
            Some(_) => format!(
                "{help}, or make {host} its owner: \
                 `priority = 255` in `[hosts.{host}.director.virtual_router.{}]`",
                draft.called()
            ),
            None => help.to_owned(),
        };
        findings.push(
            Diagnostic::error(vip.span(), message)
                .help(help)
                .note(place.clone(), "the host's"),
        );
    }
}

fn not_the_owner(draft: &Draft, seats: &[Seat<'_>], owners: &Owners<'_>, findings: &mut Findings) {
    for seat in seats {
        let Some(priority) = &seat.part.priority else {
            continue;
        };
        if !priority.get_ref().is_owner() {
            continue;
        }
        let host = seat.director.host.as_str();
        let families = FAMILIES
            .into_iter()
            .filter(|(family, ..)| draft.has(*family));
        let owns = |family| {
            let primary = seat.part.primary(family).flatten();
            draft.vips.iter().map(|vip| *vip.get_ref()).any(|vip| {
                let own = owners.get(&vip).is_some_and(|(owner, _)| *owner == host)
                    || primary.as_ref().is_some_and(|own| *own.get_ref() == vip);
                own && Family::of(vip) == family
            })
        };
        let (owned, lacking): (Vec<_>, Vec<_>) = families.partition(|(family, ..)| owns(*family));
        let Some((_, name, _)) = lacking.first() else {
            continue;
        };
        let vip = match owned[..] {
            [] => "VIP".to_owned(),
            _ => format!("{name} VIP"),
        };
        let message = format!(
            "priority 255 is the owner's, and no {vip} of `{}` is an address of {host}",
            draft.called()
        );
        let help =
            format!("write 1 to 254, or name the VIP in `hosts.{host}.addresses` if it is its own");
        findings.push(Diagnostic::error(priority.span(), message).help(help));
    }
}
