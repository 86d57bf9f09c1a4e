//! The sqlproxy's metrics: names and labels, in one place. Numbers are summed over threads at a scrape.
//!
//! Not here: counting (`stats`).

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet},
    metrics::MetricType,
    registry::Registry,
};

use crate::{
    clock,
    core::Shared,
    election::Server,
    plan::{Plan, ServerLife},
    session::Pin,
    stats::{Counter, ServerStats, ThreadStats},
};

/// The registry of a plan.
#[must_use]
pub fn registry(plan: Arc<Plan>, shared: Arc<Shared>) -> Registry {
    let mut registry = Registry::with_prefix("viaduct_sqlproxy");
    registry.register_collector(Box::new(Numbers { plan, shared }));
    registry
}

#[derive(Debug)]
struct Numbers {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.process(&mut encoder)?;
        self.counted(&mut encoder)?;
        self.servers(&mut encoder)
    }
}

/// Name, help, and where a server's number is.
type OfServer = (&'static str, &'static str, fn(&ServerStats) -> &Counter);
/// Name, help, and where a thread's number is.
type OfThread = (&'static str, &'static str, fn(&ThreadStats) -> &Counter);

const OF_SERVER: [OfServer; 9] = [
    ("server_reads", "Statements that only read", |s| &s.reads),
    ("server_writes", "All other statements", |s| &s.writes),
    ("server_connects", "Connections opened", |s| &s.connects),
    (
        "server_refusals",
        "Connections that could not be opened",
        |s| &s.refusals,
    ),
    (
        "server_losses",
        "Connections lost within a statement",
        |s| &s.losses,
    ),
    (
        "server_moves",
        "Connections brought into a session's state",
        |s| &s.moves,
    ),
    (
        "server_retries",
        "Statements sent again to another server",
        |s| &s.retries,
    ),
    (
        "server_waits",
        "Reads that waited for the primary's position",
        |s| &s.waits,
    ),
    (
        "server_late_waits",
        "Of them, those that waited in vain",
        |s| &s.late_waits,
    ),
];

const OF_THREAD: [OfThread; 10] = [
    (
        "accepted_connections",
        "Connections that clients opened",
        |t| &t.accepted,
    ),
    (
        "turned_away_connections",
        "Connections beyond the limit",
        |t| &t.turned_away,
    ),
    ("denied_logins", "Logins refused", |t| &t.denied),
    (
        "queued_statements",
        "Statements that waited for a connection",
        |t| &t.queued,
    ),
    (
        "queue_timeouts",
        "Of them, those that waited in vain",
        |t| &t.queue_timeouts,
    ),
    ("writer_waits", "Statements that waited for a server", |t| {
        &t.writer_waits
    }),
    (
        "writer_timeouts",
        "Statements that waited for a writer in vain",
        |t| &t.writer_timeouts,
    ),
    (
        "unknown_outcomes",
        "Statements whose outcome nobody knows",
        |t| &t.unknown_outcomes,
    ),
    (
        "lost_transactions",
        "Transactions lost with their server",
        |t| &t.lost_transactions,
    ),
    ("lost_sessions", "Sessions ended with their server", |t| {
        &t.lost_sessions
    }),
];

fn counter<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    numbers: impl IntoIterator<Item = (L, u64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, number) in numbers {
        let mut metric = family.encode_family(&labels)?;
        metric.encode_counter::<NoLabelSet, u64, u64>(&number, None)?;
    }
    Ok(())
}

fn gauge<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    numbers: impl IntoIterator<Item = (L, u64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, number) in numbers {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        family.encode_family(&labels)?.encode_gauge(&number)?;
    }
    Ok(())
}

/// A gauge without labels.
fn one(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    number: u64,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    metric.encode_gauge(&i64::try_from(number).unwrap_or(i64::MAX))
}

impl Numbers {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let generation = ("site_generation", "Site files taken since the start");
        one(encoder, generation, self.plan.generation)?;
        let is_draining = u64::from(self.shared.draining.load(Relaxed));
        one(
            encoder,
            ("draining", "1 while the proxy is to stop"),
            is_draining,
        )?;
        let open = u64::from(self.shared.connections.load(Relaxed));
        one(encoder, ("connections", "Connections of clients"), open)?;
        let writer = u64::from(self.plan.board.writer(clock::now()).is_some());
        one(
            encoder,
            ("has_writer", "1 while a server takes writes"),
            writer,
        )?;
        let pinned = Pin::ALL.into_iter().zip(self.shared.faces.pinned());
        let pinned = pinned.map(|(pin, number)| ([("reason", pin.word())], number));
        let name = "Sessions tied to a connection, by the reason";
        gauge(encoder, ("pinned_sessions", name), pinned)
    }

    fn counted(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, which) in OF_THREAD {
            let number = self.plan.threads.sum(which);
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, u64>(&number, None)?;
        }
        Ok(())
    }

    fn servers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let each = |number: &dyn Fn(u8, &ServerLife) -> u64| -> Vec<_> {
            let servers = (0..).zip(&self.plan.servers);
            let numbers =
                servers.map(|(place, life)| ([("server", life.name.clone())], number(place, life)));
            numbers.collect()
        };
        for (name, help, which) in OF_SERVER {
            counter(
                encoder,
                (name, help),
                each(&|_, life| life.stats.sum(which)),
            )?;
        }
        let state = |place| self.plan.board.state(Server(place));
        let up = each(&|place, _| u64::from(state(place).is_up));
        gauge(encoder, ("server_up", "1 while a server answers"), up)?;
        let writer = self.plan.board.writer(clock::now());
        let writes = each(&|place, _| u64::from(writer == Some(Server(place))));
        gauge(
            encoder,
            ("server_is_writer", "1 for the server that takes writes"),
            writes,
        )?;
        let open = each(&|_, life| u64::from(life.open.load(Relaxed)));
        gauge(
            encoder,
            ("server_connections", "Connections to a server"),
            open,
        )?;
        let waiting = each(&|_, life| u64::from(life.waiting.load(Relaxed)));
        gauge(
            encoder,
            ("server_queue", "Statements that wait for a connection"),
            waiting,
        )
    }
}
