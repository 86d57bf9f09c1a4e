//! What a running proxy tells of itself, as JSON.
//!
//! Not here: the sockets (daemon) and metrics (`metrics`).

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use crate::{clock, config::Counts, core::Shared, limit::Word, plan::Plan};

/// The state of a proxy.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    /// Of the process.
    pid: u32,
    /// Site files taken since the start.
    generation: u64,
    /// What the one in force is known by.
    digest: String,
    /// `serving` or `draining`.
    state: &'static str,
    /// Why the last reload was refused, if it was.
    last_error: Option<String>,
    connections: u32,
    listeners: Vec<Listener>,
    routes: Vec<Route>,
    upstreams: Vec<Upstream>,
    zones: Vec<Zone>,
}

#[derive(Debug, Serialize)]
struct Listener {
    name: String,
    address: String,
    connections: u32,
}

#[derive(Debug, Serialize)]
struct Route {
    name: String,
    answers: u64,
    errors: u64,
    limits: Vec<Limit>,
}

#[derive(Debug, Serialize)]
struct Limit {
    zone: String,
    /// Requests by what was said to them.
    #[serde(flatten)]
    said: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Zone {
    name: String,
    key: String,
    /// None where it counts requests under way.
    rate: Option<String>,
    clients: u32,
    capacity: u32,
    /// Forgotten, because they had drained and because room was needed.
    forgotten_drained: u64,
    forgotten_forced: u64,
}

#[derive(Debug, Serialize)]
struct Upstream {
    name: String,
    /// Requests that wait for a server.
    waiting: u32,
    servers: Vec<Server>,
}

#[derive(Debug, Serialize)]
struct Server {
    address: String,
    weight: u16,
    /// `up`, `down` or `checking`; `unchecked` without a health check.
    health: &'static str,
    ejected: bool,
    backup: bool,
    active: u32,
    requests: u64,
    failures: u64,
    connects: u64,
    /// Requests that were not sent again because too many were.
    withheld: u64,
}

impl Status {
    /// The state now.
    #[must_use]
    pub fn of(plan: &Plan, shared: &Shared, last_error: Option<&str>) -> Self {
        let is_draining = shared.draining.load(Relaxed);
        let listeners = plan.site.listeners.iter().zip(&plan.doors);
        let listeners = listeners.map(|(listener, door)| Listener {
            name: listener.name.clone(),
            address: listener.address.to_string(),
            connections: door.open(),
        });
        let routes = plan.site.routes.iter().zip(&plan.routes).enumerate();
        let routes = routes.map(|(place, (route, stats))| Route {
            name: route.name.clone(),
            answers: (0..5)
                .map(|class| stats.sum(|one| &one.answers[class]))
                .sum(),
            errors: stats.sum(|one| &one.answers[4]) + stats.sum(|one| &one.broken),
            limits: limits(plan, place),
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            generation: plan.generation,
            digest: plan.digest.clone(),
            state: if is_draining { "draining" } else { "serving" },
            last_error: last_error.map(str::to_owned),
            connections: shared.connections.load(Relaxed),
            listeners: listeners.collect(),
            routes: routes.collect(),
            upstreams: upstreams(plan),
            zones: zones(plan),
        }
    }
}

fn limits(plan: &Plan, route: usize) -> Vec<Limit> {
    let limited = plan.policy.of_route(route);
    let counts = limited.iter().flat_map(|limited| limited.counts());
    let limits = counts.map(|counted| Limit {
        zone: plan.site.zones[counted.zone].name.clone(),
        said: Word::ALL
            .map(|word| {
                let number = counted.stats.sum(|one| &one.said[word as usize]);
                (word.label(), number)
            })
            .into(),
    });
    limits.collect()
}

fn zones(plan: &Plan) -> Vec<Zone> {
    let zones = plan.site.zones.iter().zip(plan.policy.zones());
    let zones = zones.map(|(zone, remembered)| {
        let stats = remembered.stats();
        Zone {
            name: zone.name.clone(),
            key: zone.key.to_string(),
            rate: match zone.counts {
                Counts::Requests(rate) => Some(rate.to_string()),
                Counts::UnderWay => None,
            },
            clients: stats.clients,
            capacity: stats.capacity,
            forgotten_drained: stats.drained,
            forgotten_forced: stats.forced,
        }
    });
    zones.collect()
}

fn upstreams(plan: &Plan) -> Vec<Upstream> {
    let now = plan.millis(clock::now());
    let upstreams = plan.site.upstreams.iter().zip(&plan.upstreams);
    let upstreams = upstreams.zip(&plan.queues);
    let upstreams = upstreams.map(|((upstream, servers), queue)| {
        let servers = upstream.servers.iter().zip(&servers.0);
        let servers = servers.map(|(config, life)| Server {
            address: life.address.to_string(),
            weight: config.weight,
            health: match upstream.health {
                Some(_) => life.verdict().word(),
                None => "unchecked",
            },
            ejected: life.is_ejected(now),
            backup: config.is_backup,
            active: life.active(),
            requests: life.stats.sum(|one| &one.requests),
            failures: life.stats.sum(|one| &one.failures),
            connects: life.stats.sum(|one| &one.connects),
            withheld: life.stats.sum(|one| &one.withheld),
        });
        Upstream {
            name: upstream.name.clone(),
            waiting: queue.waiting(),
            servers: servers.collect(),
        }
    });
    upstreams.collect()
}
