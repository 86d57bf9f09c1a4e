//! The proxy's metrics: names and labels, in one place. Numbers are summed over threads at a scrape.
//!
//! Not here: counting (`stats`).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
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
    h1::Refusal,
    plan::Plan,
    preamble::Wrong,
    queue::Counts,
    stats::{BUCKETS, Counter, NoHandshake, PerThread, RouteStats, ServerStats},
};

mod limits;

/// The registry of a plan.
#[must_use]
pub fn registry(plan: Arc<Plan>, shared: Arc<Shared>) -> Registry {
    let mut registry = Registry::with_prefix("viaduct_proxy");
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
        self.routes(&mut encoder)?;
        self.servers(&mut encoder)?;
        self.queues(&mut encoder)?;
        limits::encode(&self.plan, &mut encoder)
    }
}

/// A family of counters: name, help, and a number for each set of labels.
fn counters<L: EncodeLabelSet>(
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

/// A counter without labels.
fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    number: u64,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, u64, u64>(&number, None)
}

/// A gauge without labels.
fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    number: u64,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    metric.encode_gauge(&i64::try_from(number).unwrap_or(i64::MAX))
}

fn gauges<L: EncodeLabelSet>(
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

impl Numbers {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let threads = &self.plan.threads;
        let generation = ("site_generation", "Site files taken since the start");
        gauge(encoder, generation, self.plan.generation)?;
        let draining = ("draining", "1 while the proxy is to stop");
        let is_draining = u64::from(self.shared.draining.load(Relaxed));
        gauge(encoder, draining, is_draining)?;
        let open = u64::from(self.shared.connections.load(Relaxed));
        gauge(encoder, ("connections", "Connections of clients"), open)?;
        let accepted = threads.sum(|one| &one.accepted);
        let name = ("accepted_connections", "Connections that clients opened");
        counter(encoder, name, accepted)?;
        let turned_away = [
            ("proxy", threads.sum(|one| &one.turned_away)),
            ("listener", threads.sum(|one| &one.turned_away_listener)),
            ("client", threads.sum(|one| &one.turned_away_client)),
        ];
        let name = (
            "turned_away_connections",
            "Connections beyond the limit of the proxy, a listener or a client",
        );
        let turned_away = turned_away.map(|(bound, number)| ([("bound", bound)], number));
        counters(encoder, name, turned_away)?;
        let listeners = self.plan.site.listeners.iter().zip(&self.plan.doors);
        let open = listeners
            .map(|(listener, door)| ([("listener", &*listener.name)], u64::from(door.open())));
        let name = ("listener_connections", "Connections of a listener");
        gauges(encoder, name, open)?;
        let lost = threads.sum(|one| &one.log_lost);
        let name = (
            "access_log_lost_lines",
            "Lines that the access log had no room for",
        );
        counter(encoder, name, lost)?;
        let refused = Wrong::ALL.iter().map(|wrong| {
            let number = threads.sum(|one| &one.preambles_refused[*wrong as usize]);
            ([("reason", wrong.label())], number)
        });
        let name = (
            "refused_proxy_headers",
            "Connections closed because of their PROXY header",
        );
        counters(encoder, name, refused)?;
        let floods = threads.sum(|one| &one.floods);
        let name = (
            "http2_floods",
            "HTTP/2 connections ended because they only made work",
        );
        counter(encoder, name, floods)?;
        self.handshakes(encoder)?;
        let refused = Refusal::ALL.iter().map(|refusal| {
            let number = threads.sum(|one| &one.refused[*refusal as usize]);
            ([("reason", refusal.label())], number)
        });
        let name = (
            "refused_requests",
            "Requests that were not understood or too much",
        );
        counters(encoder, name, refused)
    }

    fn handshakes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let threads = &self.plan.threads;
        let made = [
            ("full", threads.sum(|one| &one.handshakes.full)),
            ("resumed", threads.sum(|one| &one.handshakes.resumed)),
        ];
        let made = made.map(|(kind, number)| ([("kind", kind)], number));
        let name = ("tls_handshakes", "TLS handshakes with clients");
        counters(encoder, name, made)?;
        let failed = NoHandshake::ALL.iter().map(|why| {
            let number = threads.sum(|one| &one.handshakes.failed[*why as usize]);
            ([("reason", why.label())], number)
        });
        let name = (
            "tls_failed_handshakes",
            "TLS handshakes that came to nothing",
        );
        counters(encoder, name, failed)
    }

    fn each_route(&self) -> impl Iterator<Item = (&str, &PerThread<RouteStats>)> {
        let names = self
            .plan
            .site
            .routes
            .iter()
            .map(|route| route.name.as_str());
        names.zip(self.plan.routes.iter().map(AsRef::as_ref))
    }

    fn routes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let answers = self.each_route().flat_map(|(name, stats)| {
            let of = move |(place, class): (usize, &'static str)| {
                let number = stats.sum(|one| &one.answers[place]);
                ([("route", name), ("class", class)], number)
            };
            CLASSES.into_iter().enumerate().map(of)
        });
        let name = (
            "answers",
            "Answers to requests, by the class of their status",
        );
        counters(encoder, name, answers)?;
        let broken = self.each_route();
        let broken = broken.map(|(name, stats)| ([("route", name)], stats.sum(|one| &one.broken)));
        let name = (
            "broken_requests",
            "Requests that broke off before their answer was whole",
        );
        counters(encoder, name, broken)?;
        let bytes = self.each_route().flat_map(|(name, stats)| {
            let (came, went) = (stats.sum(|s| &s.bytes_in), stats.sum(|s| &s.bytes_out));
            let labels = |direction| [("route", name), ("direction", direction)];
            [(labels("in"), came), (labels("out"), went)]
        });
        counters(encoder, ("body_bytes", "Bytes of bodies"), bytes)?;
        self.latency(encoder)
    }

    fn latency(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "How long requests took, from their first byte to their answer's last";
        let kind = MetricType::Histogram;
        let mut family = encoder.encode_descriptor("request_seconds", help, None, kind)?;
        for (name, stats) in self.each_route() {
            let number = |bucket: usize| stats.sum(|one| &one.latency.buckets[bucket]);
            let ends = BUCKETS
                .iter()
                .map(|&end| seconds(end))
                .chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = ends.zip((0..).map(number)).collect();
            let count = buckets.iter().map(|bucket| bucket.1).sum();
            let sum = seconds(stats.sum(|one| &one.latency.micros));
            let labels = [("route", name)];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn servers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let each = || {
            let upstreams = self.plan.site.upstreams.iter().zip(&self.plan.upstreams);
            upstreams.flat_map(|(upstream, servers)| {
                let life = |life| ((&upstream.name, life), upstream.health.is_some());
                servers.0.iter().map(life)
            })
        };
        let labels = |upstream: &str, server: String| {
            [("upstream", upstream.to_owned()), ("server", server)]
        };
        let families: [Family<ServerStats, Counter>; 5] = [
            ("server_requests", "Requests sent to a server", |s| {
                &s.requests
            }),
            ("server_failures", "Requests that failed on a server", |s| {
                &s.failures
            }),
            (
                "server_retries",
                "Requests that were sent again after a server",
                |s| &s.retries,
            ),
            (
                "server_withheld_retries",
                "Requests that were not sent again because too many were",
                |s| &s.withheld,
            ),
            ("server_connects", "Connections opened to a server", |s| {
                &s.connects
            }),
        ];
        for (name, help, counter) in families {
            let numbers = each().map(|((upstream, life), _)| {
                let labels = labels(upstream, life.address.to_string());
                (labels, life.stats.sum(counter))
            });
            counters(encoder, (name, help), numbers)?;
        }
        let now = self.plan.millis(clock::now());
        let active = each().map(|((upstream, life), _)| {
            (
                labels(upstream, life.address.to_string()),
                u64::from(life.active()),
            )
        });
        gauges(
            encoder,
            ("server_active", "Requests under way to a server"),
            active,
        )?;
        let up = each().map(|((upstream, life), _)| {
            let is_up = life.verdict() != health::Verdict::Down && !life.is_ejected(now);
            (labels(upstream, life.address.to_string()), u64::from(is_up))
        });
        gauges(
            encoder,
            ("server_up", "1 while a server may get requests"),
            up,
        )
    }

    /// The lines before the servers.
    fn queues(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let each = || {
            let names = self.plan.site.upstreams.iter().map(|one| one.name.as_str());
            names.zip(&self.plan.queues)
        };
        let waiting = each().map(|(name, queue)| ([("upstream", name)], queue.waiting().into()));
        let name = ("queue_waiting", "Requests that wait for a server");
        gauges(encoder, name, waiting)?;
        let families: [Family<Counts, AtomicU64>; 4] = [
            (
                "queued_requests",
                "Requests that waited for a server",
                |c| &c.queued,
            ),
            (
                "queue_full_requests",
                "Requests for which the queue had no room",
                |c| &c.full,
            ),
            (
                "queue_late_requests",
                "Requests that waited for too long",
                |c| &c.late,
            ),
            (
                "queue_left_requests",
                "Requests whose client did not wait",
                |c| &c.left,
            ),
        ];
        for (name, help, count) in families {
            let numbers = each()
                .map(|(name, queue)| ([("upstream", name)], count(&queue.counts).load(Relaxed)));
            counters(encoder, (name, help), numbers)?;
        }
        Ok(())
    }
}

/// Name, help, and where the number is.
type Family<T, N> = (&'static str, &'static str, fn(&T) -> &N);

fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}
