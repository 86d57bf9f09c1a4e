//! What a running sqlproxy tells of itself, as JSON.
//!
//! Not here: the sockets (daemon) and metrics (`metrics`).

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use crate::lead::told::Told as Led;
use crate::{clock, config::Role, core::Shared, election::Server as Place, plan::Plan};

/// Tied sessions that are listed; all are counted.
const LISTED: usize = 100;

/// The state of a sqlproxy.
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
    /// The server that takes writes, by name.
    writer: Option<String>,
    servers: Vec<Server>,
    /// Who is in office and what is seen of the servers, where `[sqlproxy.monitor]` is.
    election: Option<Led>,
    /// Sessions that are tied to their connection, and why.
    pinned: Vec<Pinned>,
}

#[derive(Debug, Serialize)]
struct Server {
    name: String,
    address: String,
    role: &'static str,
    version: Option<String>,
    is_up: bool,
    serves_reads: bool,
    is_drained: bool,
    lag_seconds: Option<u64>,
    connections: u32,
    max_connections: u32,
    waiting: u32,
    reads: u64,
    writes: u64,
    losses: u64,
}

#[derive(Debug, Serialize)]
struct Pinned {
    session: u32,
    user: String,
    host: String,
    server: Option<String>,
    why: Vec<&'static str>,
}

impl Status {
    /// The state now.
    #[must_use]
    pub fn of(
        plan: &Plan,
        shared: &Shared,
        last_error: Option<&str>,
        election: Option<Led>,
    ) -> Self {
        let name = |place: usize| plan.servers.get(place).map(|life| life.name.clone());
        let writer = plan.board.writer(clock::now());
        let is_draining = shared.draining.load(Relaxed);
        let pinned = shared.faces.tied(LISTED).into_iter().map(|face| Pinned {
            session: face.id,
            user: face
                .user
                .lock()
                .map(|user| user.clone())
                .unwrap_or_default(),
            host: face.host.clone(),
            server: face.at().and_then(|(place, _)| name(place)),
            why: face.pins().iter().map(crate::session::Pin::word).collect(),
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            generation: plan.generation,
            digest: plan.digest.clone(),
            state: if is_draining { "draining" } else { "serving" },
            last_error: last_error.map(str::to_owned),
            connections: shared.connections.load(Relaxed),
            writer: writer.and_then(|Place(place)| name(place.into())),
            servers: servers(plan),
            election,
            pinned: pinned.collect(),
        }
    }
}

fn servers(plan: &Plan) -> Vec<Server> {
    let servers = (0..).zip(plan.site.servers.iter().zip(&plan.servers));
    let servers = servers.map(|(place, (server, life))| {
        let state = plan.board.state(Place(place));
        let version = life
            .about()
            .map(|about| String::from_utf8_lossy(&about.version).into_owned());
        Server {
            name: server.name.clone(),
            address: server.address.to_string(),
            role: match server.role {
                Role::Primary => "primary",
                Role::Replica => "replica",
            },
            version,
            is_up: state.is_up,
            serves_reads: state.serves_reads,
            is_drained: state.is_drained,
            lag_seconds: state.lag.map(|lag| lag.as_secs()),
            connections: life.open.load(Relaxed),
            max_connections: server.max_connections,
            waiting: life.waiting.load(Relaxed),
            reads: life.stats.sum(|one| &one.reads),
            writes: life.stats.sum(|one| &one.writes),
            losses: life.stats.sum(|one| &one.losses),
        }
    });
    servers.collect()
}
