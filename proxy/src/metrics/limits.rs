//! The metrics of limits and their zones.
//!
//! Not here: all others.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::{counters, gauges};
use crate::{
    limit::{Word, ZoneStats},
    plan::Plan,
    policy::Counted,
};

pub(super) fn encode(plan: &Plan, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let said = each_limit(plan).flat_map(|(labels, counted)| {
        Word::ALL.map(|word| {
            let [route, zone] = labels;
            let number = counted.stats.sum(|one| &one.said[word as usize]);
            ([route, zone, ("outcome", word.label())], number)
        })
    });
    let name = ("limited_requests", "Requests by what a limit said to them");
    counters(encoder, name, said)?;
    let full =
        each_limit(plan).map(|(labels, counted)| (labels, counted.stats.sum(|one| &one.full)));
    let name = (
        "limit_full_requests",
        "Requests refused because a zone of requests under way had no room for another client",
    );
    counters(encoder, name, full)?;
    let clients = each_zone(plan).map(|(labels, stats)| (labels, u64::from(stats.clients)));
    let name = ("zone_clients", "Clients that a zone remembers");
    gauges(encoder, name, clients)?;
    let room = each_zone(plan).map(|(labels, stats)| (labels, u64::from(stats.capacity)));
    gauges(
        encoder,
        ("zone_capacity", "Clients that fit into a zone"),
        room,
    )?;
    let forgotten = each_zone(plan).flat_map(|([zone], stats)| {
        let why = |why| [zone, ("why", why)];
        [
            (why("drained"), stats.drained),
            (why("forced"), stats.forced),
        ]
    });
    let name = (
        "zone_forgotten_clients",
        "Clients that a zone forgot: they had drained, or room was needed",
    );
    counters(encoder, name, forgotten)
}

type Label<'a> = (&'static str, &'a str);

fn each_limit(plan: &Plan) -> impl Iterator<Item = ([Label<'_>; 2], &Counted)> {
    let routes = plan.site.routes.iter().enumerate();
    routes.flat_map(|(place, route)| {
        let limited = plan.policy.of_route(place);
        let counts = limited.into_iter().flat_map(|limited| limited.counts());
        counts.map(|counted| {
            let zone = &*plan.site.zones[counted.zone].name;
            ([("route", &*route.name), ("zone", zone)], counted)
        })
    })
}

fn each_zone(plan: &Plan) -> impl Iterator<Item = ([Label<'_>; 1], ZoneStats)> {
    let zones = plan.site.zones.iter().zip(plan.policy.zones());
    zones.map(|(zone, remembered)| ([("zone", &*zone.name)], remembered.stats()))
}
