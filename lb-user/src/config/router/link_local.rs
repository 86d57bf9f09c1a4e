//! Link-local VIPs, those among them that are made from a VRID: unique on a host, whose data plane finds
//! VIPs by their addresses alone, whatever link a packet comes from.
//!
//! Not here: other VIPs, which are unique in the file (`between`).

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
    ops::Range,
};

use daemon::diagnostic::Diagnostic;
use vrrp::Family;

use super::super::findings::Findings;
use super::{
    Draft,
    between::{Seats, is_link_local},
    vips,
};

/// A link-local VIP, and where it stands: where it is derived, the VRID that it is made from.
struct LinkLocal {
    vip: IpAddr,
    place: Range<usize>,
    is_derived: bool,
}

/// Notes which a host would have twice. `told` are the places of VRIDs that are used twice on a link: what is
/// made from them need not be told.
pub(super) fn check(
    drafts: &[Draft],
    seats: &Seats<'_>,
    mut told: BTreeSet<usize>,
    findings: &mut Findings,
) {
    let mut seen: BTreeMap<(&str, IpAddr), (LinkLocal, &Draft)> = BTreeMap::new();
    for (nth, draft) in drafts.iter().enumerate() {
        for seat in seats.at(nth) {
            let host = seat.director.host.as_str();
            for second in link_locals(draft) {
                let (first, other) = match seen.entry((host, second.vip)) {
                    Entry::Occupied(first) => first.into_mut(),
                    Entry::Vacant(vacant) => {
                        vacant.insert((second, draft));
                        continue;
                    }
                };
                if other.span != draft.span && told.insert(second.place.start) {
                    findings.push(link_local_twice((first, other), (&second, draft), host));
                }
            }
        }
    }
}

/// Those that are written, or else the one that is derived.
fn link_locals(draft: &Draft) -> Vec<LinkLocal> {
    let written = draft
        .vips
        .iter()
        .filter(|vip| is_link_local(*vip.get_ref()));
    let mut all: Vec<_> = written
        .map(|vip| LinkLocal {
            vip: *vip.get_ref(),
            place: vip.span(),
            is_derived: false,
        })
        .collect();
    if let (true, true, Some(vrid)) = (all.is_empty(), draft.has(Family::V6), &draft.vrid) {
        all.push(LinkLocal {
            vip: vips::link_local(*vrid.get_ref()).into(),
            place: vrid.span(),
            is_derived: true,
        });
    }
    all
}

fn link_local_twice(
    (first, other): (&LinkLocal, &Draft),
    (second, draft): (&LinkLocal, &Draft),
    host: &str,
) -> Diagnostic {
    let message = format!(
        "{host} would have the link-local VIP {} twice: in `{}` and `{}`",
        second.vip,
        other.called(),
        draft.called()
    );
    let help = match first.is_derived || second.is_derived {
        true => {
            "write another link-local VIP first in the `vips` of one of them, or give it another \
             `vrid`: that is what one is made from where none is written"
        }
        false => "write different link-local VIPs: a director finds VIPs by their addresses alone",
    };
    Diagnostic::error(second.place.clone(), message)
        .help(help)
        .note(first.place.clone(), "first had here")
}
