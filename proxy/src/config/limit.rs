//! The tables `[[proxy.zone]]` and `[[proxy.route.limit]]`: who counts as one client, and how much one
//! client may do.
//!
//! Not here: limiting (`limit`), and what the engine asks of it (`policy`).

use std::ops::Range;

use daemon::{
    diagnostic::Diagnostic,
    site::{Table, findings::Findings},
};
use toml::Spanned;

use super::{
    Draft, Names,
    file::{self, OneOrMany},
    route::{self, Route},
    settings, size,
};
use crate::limit::{
    Burst, Delay, Key, Part, Rate, Size, Status, conn::MOST_CONN_LIMITS, rate, req::MOST_LIMITS,
};

/// Zones of a site at most.
pub const ZONES_MAX: usize = 64;
/// What a zone takes where nothing is said: room for 400,000 clients.
const SIZE: u64 = 16 << 20;

/// Clients that are remembered, and what is remembered of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// What its clients are told apart by.
    pub key: Key,
    /// What is counted of each client.
    pub counts: Counts,
    /// The memory it takes, from the start.
    pub size: Size,
}

/// What a zone counts of each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Requests, against this rate: nginx's `limit_req_zone`.
    Requests(Rate),
    /// Requests under way: nginx's `limit_conn_zone`.
    UnderWay,
}

/// The limits of a route, each kind in the order of the file; zones are named by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteLimits {
    /// How often a client may ask.
    pub rates: Vec<RateLimit>,
    /// How many requests of a client may be under way.
    pub connections: Vec<ConnectionLimit>,
    /// What a refused client gets.
    pub status: Status,
    /// Nothing is delayed or refused, but all is counted and logged.
    pub dry_run: bool,
    /// Answers say what the client has left.
    pub headers: bool,
}

/// How far a client may be ahead of the rate of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The zone, by its place in the site.
    pub zone: usize,
    /// Requests ahead that are let in.
    pub burst: Burst,
    /// From how many on they wait.
    pub delay: Delay,
}

/// How many requests a client of a zone may have under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// The zone, by its place in the site.
    pub zone: usize,
    /// The most, at least 1.
    pub most: u16,
}

pub(super) fn zones(tables: Vec<Table<file::Zone>>, findings: &mut Findings) -> Vec<Draft<Zone>> {
    if let Some(first_beyond) = tables.get(ZONES_MAX) {
        findings.push(
            Diagnostic::error(
                first_beyond.span.clone(),
                format!("more than {ZONES_MAX} zones"),
            )
            .help("let routes share zones"),
        );
    }
    let mut names = Names::default();
    tables
        .into_iter()
        .map(|table| zone(table, &mut names, findings))
        .collect()
}

fn zone(table: Table<file::Zone>, names: &mut Names, findings: &mut Findings) -> Draft<Zone> {
    let Table { span, value } = table;
    let name = findings.required(value.name, &span, "name", "\"login\"");
    let name = name.and_then(|name| names.take(&name, "zone", findings));
    let key = match value.key {
        Some(parts) => key(&parts, &span, findings),
        None => Some(Key::address()),
    };
    let counts = match &value.rate {
        Some(text) => rate(text, findings).map(Counts::Requests),
        None => Some(Counts::UnderWay),
    };
    let range = (Size::LEAST.bytes(), Size::MOST.bytes());
    let size = size::read(value.size.as_ref(), "size", SIZE, range, findings);
    let draft = || {
        Some(Zone {
            name: name.clone()?,
            key: key?,
            counts: counts?,
            size: Size::of_bytes(size?)?,
        })
    };
    let item = draft();
    Draft { name, item }
}

fn key(parts: &OneOrMany, zone: &Range<usize>, findings: &mut Findings) -> Option<Key> {
    let mut read = Vec::with_capacity(parts.0.len());
    for text in &parts.0 {
        match text.get_ref().parse::<Part>() {
            Ok(part) => read.push(part),
            Err(error) => {
                return findings.refuse(text.span(), error.to_string(), error.remedy());
            }
        }
    }
    Key::new(read).map_or_else(
        |error| findings.refuse(zone.clone(), error.to_string(), error.remedy()),
        Some,
    )
}

fn rate(text: &Spanned<String>, findings: &mut Findings) -> Option<Rate> {
    text.get_ref().parse().map_or_else(
        |error: rate::RateError| {
            findings.refuse(
                within(text, error.span()),
                error.to_string(),
                "write requests a second or a minute: \"5r/s\", \"12r/m\"",
            )
        },
        Some,
    )
}

/// The place of a part of a text, where the text stands in the file as it is.
fn within(text: &Spanned<String>, part: Range<usize>) -> Range<usize> {
    let span = text.span();
    let is_plain = span.len() == text.get_ref().len() + 2;
    match is_plain && !part.is_empty() {
        true => span.start + 1 + part.start..span.start + 1 + part.end,
        false => span,
    }
}

/// The limits of a route.
pub(super) fn of_route(
    table: &mut file::Route,
    zones: &[Draft<Zone>],
    findings: &mut Findings,
) -> Option<RouteLimits> {
    let default = RouteLimits::default();
    let range = (400_u16, 599);
    let status = table.limit_status.as_ref();
    let code = default.status.code();
    let status = settings::number(status, "limit_status", code, range, findings);
    let limits = table.limit.take();
    let keys = [
        table.limit_status.as_ref().map(Spanned::span),
        table.limit_dry_run.as_ref().map(Spanned::span),
        table.limit_headers.as_ref().map(Spanned::span),
    ];
    if let (None, Some(span)) = (&limits, keys.into_iter().flatten().next()) {
        findings.push(
            Diagnostic::warning(span, "nothing is limited on this route")
                .help("add `[[proxy.route.limit]]` with a `zone`, or leave it out"),
        );
    }
    let is_set = |key: &Option<Spanned<bool>>| key.as_ref().is_some_and(|key| *key.get_ref());
    let mut read = RouteLimits {
        status: Status::new(status?).unwrap_or_default(),
        dry_run: is_set(&table.limit_dry_run),
        headers: is_set(&table.limit_headers),
        ..default
    };
    let mut is_good = true;
    let mut taken: Vec<(usize, Range<usize>)> = Vec::new();
    for Table { span, value } in limits.into_iter().flatten() {
        let named = findings.required(value.zone.clone(), &span, "zone", "\"login\"");
        let place = named.and_then(|name| route::named(&name, "zone", zones, findings));
        let Some(place) = place else {
            is_good = false;
            continue;
        };
        is_good &= is_first(&mut taken, place, &span, findings);
        // A zone with a mistake was told already.
        let Some(zone) = &zones[place].item else {
            continue;
        };
        is_good &= one(&value, (place, zone), &span, &mut read, findings).is_some();
    }
    is_good.then_some(read)
}

/// A zone counts a request once.
fn is_first(
    taken: &mut Vec<(usize, Range<usize>)>,
    zone: usize,
    span: &Range<usize>,
    findings: &mut Findings,
) -> bool {
    if let Some((_, first)) = taken.iter().find(|(known, _)| *known == zone) {
        let message = "a zone is named twice: a request would count twice";
        findings.push(
            Diagnostic::error(span.clone(), message)
                .help("keep one of the two")
                .note(first.clone(), "the first"),
        );
        return false;
    }
    taken.push((zone, span.clone()));
    true
}

/// One limit, added to those of its kind.
fn one(
    table: &file::Limit,
    (place, zone): (usize, &Zone),
    span: &Range<usize>,
    read: &mut RouteLimits,
    findings: &mut Findings,
) -> Option<()> {
    let (kind, most, count) = match zone.counts {
        Counts::Requests(_) => ("rates", MOST_LIMITS, read.rates.len()),
        Counts::UnderWay => ("connections", MOST_CONN_LIMITS, read.connections.len()),
    };
    if count == most {
        return findings.refuse(
            span.clone(),
            format!("more than {most} limits of {kind} on a route"),
            "remove one",
        );
    }
    match zone.counts {
        Counts::Requests(_) => read.rates.push(rate_limit(table, place, zone, findings)?),
        Counts::UnderWay => {
            let most = connections(table, span, zone, findings)?;
            read.connections.push(ConnectionLimit { zone: place, most });
        }
    }
    Some(())
}

fn rate_limit(
    table: &file::Limit,
    place: usize,
    zone: &Zone,
    findings: &mut Findings,
) -> Option<RateLimit> {
    if let Some(connections) = &table.connections {
        return findings.refuse(
            connections.span(),
            format!(
                "zone `{}` has a `rate`: it counts no connections",
                zone.name
            ),
            "name a zone without a `rate`, or write `burst`",
        );
    }
    let range = (1, rate::MOST);
    let burst = match &table.burst {
        Some(burst) => {
            let burst = findings.number(burst, "burst", range)?;
            Burst::new(burst.into_inner()).ok()?
        }
        None => Burst::NONE,
    };
    let nodelay = table.nodelay.as_ref().filter(|on| *on.get_ref());
    let delay = match (&table.delay, nodelay) {
        (Some(delay), Some(_)) => {
            return findings.refuse(
                delay.span(),
                "`delay` beside `nodelay`",
                "keep `delay = N` to make those wait that are more than N ahead, `nodelay = true` to \
                 make none wait",
            );
        }
        (Some(delay), None) => {
            let delay = findings.number(delay, "delay", range)?;
            Delay::after(delay.into_inner()).ok()?
        }
        (None, Some(_)) => Delay::NEVER,
        (None, None) => Delay::ALWAYS,
    };
    let waits = table.delay.as_ref().map(Spanned::span);
    let waits = waits.or_else(|| nodelay.map(Spanned::span));
    if let (None, Some(span)) = (&table.burst, waits) {
        findings.push(
            Diagnostic::warning(span, "without a `burst` no request waits")
                .help("add `burst = N`, or leave it out"),
        );
    }
    Some(RateLimit {
        zone: place,
        burst,
        delay,
    })
}

fn connections(
    table: &file::Limit,
    span: &Range<usize>,
    zone: &Zone,
    findings: &mut Findings,
) -> Option<u16> {
    let of_rates = [
        ("burst", table.burst.as_ref().map(Spanned::span)),
        ("delay", table.delay.as_ref().map(Spanned::span)),
        ("nodelay", table.nodelay.as_ref().map(Spanned::span)),
    ];
    if let Some((key, Some(span))) = of_rates.into_iter().find(|(_, span)| span.is_some()) {
        return findings.refuse(
            span,
            format!("zone `{}` has no `rate`: there is no `{key}`", zone.name),
            "give the zone a `rate`, or write `connections = N`",
        );
    }
    let most = findings.required(table.connections.clone(), span, "connections", "10")?;
    let most = findings.number(&most, "connections", (1, u16::MAX))?;
    Some(most.into_inner())
}

/// Memory that nobody uses is told.
pub(super) fn warn_unused(
    zones: &[Draft<Zone>],
    spans: &[Range<usize>],
    routes: &[Route],
    findings: &mut Findings,
) {
    for (place, (zone, span)) in zones.iter().zip(spans).enumerate() {
        let is_used = routes.iter().any(|route| {
            let RouteLimits {
                rates, connections, ..
            } = &route.limits;
            rates.iter().any(|limit| limit.zone == place)
                || connections.iter().any(|limit| limit.zone == place)
        });
        if let (Some(name), false) = (&zone.name, is_used) {
            findings.push(
                Diagnostic::warning(span.clone(), format!("no route has zone `{name}`")).help(
                    format!("add `limit = [{{ zone = \"{name}\" }}]` to a route, or remove it"),
                ),
            );
        }
    }
}
