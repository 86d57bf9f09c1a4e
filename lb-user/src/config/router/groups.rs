//! Routers of one `group`, which are active on the same host (keepalived's `vrrp_sync_group`): that
//! is only possible where they agree who should be.
//!
//! Not here: how they go together.

use std::collections::BTreeMap;

use daemon::diagnostic::{Diagnostic, nearest};
use toml::Spanned;
use vrrp::Priority;

use super::super::findings::Findings;
use super::{Draft, between::Seats};

/// Notes groups that cannot go together.
pub(super) fn check(drafts: &[Draft], seats: &Seats<'_>, findings: &mut Findings) {
    let mut groups: BTreeMap<&str, Vec<(usize, &Spanned<String>)>> = BTreeMap::new();
    for (nth, draft) in drafts.iter().enumerate() {
        if let Some(group) = &draft.group {
            let members = groups.entry(group.get_ref()).or_default();
            members.push((nth, group));
        }
    }
    for (name, members) in &groups {
        let Some(((first, place), others)) = members.split_first() else {
            continue;
        };
        if others.is_empty() && !findings.has_errors() {
            let known = groups.keys().copied().filter(|other| other != name);
            alone(&drafts[*first], place, nearest(name, known), findings);
        }
        let is_weighted = members.iter().any(|(nth, _)| has_weights(&drafts[*nth]));
        for (nth, other) in others {
            let pair = (&drafts[*first], &drafts[*nth]);
            let seats = (seats.of_router(*first), seats.of_router(*nth));
            let why = apart(pair, seats, is_weighted).or_else(|| unlike(pair));
            if let Some((message, help)) = why {
                let message = format!(
                    "`{}` and `{}` are of one group, {message}",
                    pair.0.called(),
                    pair.1.called()
                );
                findings.push(
                    Diagnostic::error(other.span(), message)
                        .help(help)
                        .note(place.span(), "the other"),
                );
            }
        }
    }
}

fn has_weights(draft: &Draft) -> bool {
    let tracks = draft.router.iter().flat_map(|router| &router.tracks);
    tracks.into_iter().any(|track| track.weight.is_some())
}

fn alone(draft: &Draft, place: &Spanned<String>, meant: Option<&str>, findings: &mut Findings) {
    let name = place.get_ref();
    let message = format!(
        "`{}` is the only virtual router of group `{name}`",
        draft.called()
    );
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "give the routers that go with it the same `group`, or leave it out".to_owned(),
    };
    findings.push(Diagnostic::warning(place.span(), message).help(help));
}

type Ranks<'a> = BTreeMap<&'a str, Priority>;

/// What hosts keep two routers from going together, and the remedy.
fn apart(
    (a, b): (&Draft, &Draft),
    (seats_a, seats_b): (Option<Ranks<'_>>, Option<Ranks<'_>>),
    is_weighted: bool,
) -> Option<(String, &'static str)> {
    let (seats_a, seats_b) = (seats_a?, seats_b?);
    let only_a = seats_a.keys().find(|host| !seats_b.contains_key(*host));
    let only_b = seats_b.keys().find(|host| !seats_a.contains_key(*host));
    let lone = only_a.map(|host| (host, a));
    if let Some((host, draft)) = lone.or_else(|| only_b.map(|host| (host, b))) {
        let message = format!("and {host} takes part in `{}` only", draft.called());
        let help = "let the same hosts take part in all routers of a group";
        return Some((message, help));
    }
    let (order_a, order_b) = (order(&seats_a), order(&seats_b));
    if order_a != order_b {
        let message = format!(
            "and their priorities do not put the hosts into the same order: {}; {}",
            in_words(&order_a),
            in_words(&order_b)
        );
        let help = "let the same host come first in all routers of a group, and so on";
        return Some((message, help));
    }
    let (host, other) = seats_a
        .iter()
        .find(|(host, own)| seats_b.get(*host) != Some(*own))?;
    is_weighted.then(|| {
        let message = format!(
            "whose tracks have weights, and {host} has priority {other} in one of them only"
        );
        (
            message,
            "give a host the same priority in all routers of a group",
        )
    })
}

/// The same for what is said of the routers themselves.
fn unlike((a, b): (&Draft, &Draft)) -> Option<(String, &'static str)> {
    let (a, b) = (a.router.as_ref()?, b.router.as_ref()?);
    (a.preempt != b.preempt).then(|| {
        let message = "and one of them would preempt while the other does not".to_owned();
        let help = "write the same `preempt` and `preempt_delay` in all routers of a group";
        (message, help)
    })
}

/// The hosts by priority, those of the same together.
fn order<'a>(ranks: &Ranks<'a>) -> Vec<Vec<&'a str>> {
    let mut order: BTreeMap<Priority, Vec<&str>> = BTreeMap::new();
    for (host, priority) in ranks {
        order.entry(*priority).or_default().push(host);
    }
    order.into_values().rev().collect()
}

fn in_words(order: &[Vec<&str>]) -> String {
    let ranks: Vec<String> = order.iter().map(|hosts| hosts.join(" = ")).collect();
    ranks.join(" before ")
}
