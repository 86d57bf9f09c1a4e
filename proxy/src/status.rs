//! What a running proxy tells of itself, as JSON.
//!
//! Not here: the sockets (daemon) and metrics (`metrics`).

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use crate::{clock, core::Shared, plan::Plan};

/// The state of a proxy.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
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
}

#[derive(Debug, Serialize)]
struct Listener {
    name: String,
    address: String,
}

#[derive(Debug, Serialize)]
struct Route {
    name: String,
    answers: u64,
    errors: u64,
}

#[derive(Debug, Serialize)]
struct Upstream {
    name: String,
    servers: Vec<Server>,
}

#[derive(Debug, Serialize)]
struct Server {
    address: String,
    weight: u16,
    /// `up`, `down` or `checking`; `unchecked` without a health check.
    health: &'static str,
    ejected: bool,
    active: u32,
    requests: u64,
    failures: u64,
    connects: u64,
}

impl Status {
    /// The state now.
    #[must_use]
    pub fn of(plan: &Plan, shared: &Shared, last_error: Option<&str>) -> Self {
        let is_draining = shared.draining.load(Relaxed);
        let listeners = plan.site.listeners.iter().map(|listener| Listener {
            name: listener.name.clone(),
            address: listener.address.to_string(),
        });
        let routes = plan.site.routes.iter().zip(&plan.routes);
        let routes = routes.map(|(route, stats)| Route {
            name: route.name.clone(),
            answers: (0..5)
                .map(|class| stats.sum(|one| &one.answers[class]))
                .sum(),
            errors: stats.sum(|one| &one.answers[4]) + stats.sum(|one| &one.broken),
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            generation: plan.generation,
            digest: plan.digest.clone(),
            state: if is_draining { "draining" } else { "serving" },
            last_error: last_error.map(str::to_owned),
            connections: shared.connections.load(Relaxed),
            listeners: listeners.collect(),
            routes: routes.collect(),
            upstreams: upstreams(plan),
        }
    }
}

fn upstreams(plan: &Plan) -> Vec<Upstream> {
    let now = plan.millis(clock::now());
    let upstreams = plan.site.upstreams.iter().zip(&plan.upstreams);
    let upstreams = upstreams.map(|(upstream, servers)| {
        let servers = upstream.servers.iter().zip(&servers.0);
        let servers = servers.map(|(server, life)| Server {
            address: life.address.to_string(),
            weight: server.weight,
            health: match upstream.health {
                Some(_) => life.verdict().word(),
                None => "unchecked",
            },
            ejected: life.is_ejected(now),
            active: life.active(),
            requests: life.stats.sum(|one| &one.requests),
            failures: life.stats.sum(|one| &one.failures),
            connects: life.stats.sum(|one| &one.connects),
        });
        Upstream {
            name: upstream.name.clone(),
            servers: servers.collect(),
        }
    });
    upstreams.collect()
}
