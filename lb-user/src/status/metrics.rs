//! The daemon's metrics: all their names, in one place. The operator's guide lists them, and a
//! test compares.
//!
//! Labels are bounded by the site file: service names, real servers, interfaces, reasons.

use std::fmt;

use daemon::http::Response;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::view::{
    FlowsStatus, RealStatus, RouterCounters, RouterStatus, ServiceStatus, Status, TrafficStatus,
};

/// The metrics of a state.
pub(super) fn response(status: Status) -> Response {
    let mut registry = Registry::with_prefix("viaduct_lb");
    registry.register_collector(Box::new(Snapshot(status)));
    daemon::metrics::response(&registry)
}

#[derive(Debug)]
struct Snapshot(Status);

type Labels = Vec<(&'static str, String)>;
type Rows = Vec<(Labels, u64)>;

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Family {
            name,
            help,
            counts,
            rows,
        } in families(&self.0)
        {
            let kind = if counts {
                MetricType::Counter
            } else {
                MetricType::Gauge
            };
            let mut family = encoder.encode_descriptor(&name, help, None, kind)?;
            for (labels, value) in rows {
                let mut metric = family.encode_family(&labels)?;
                match counts {
                    true => metric.encode_counter::<Labels, _, u64>(&value, None)?,
                    false => metric.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))?,
                }
            }
        }
        Ok(())
    }
}

/// A metric with all its label sets.
struct Family {
    name: String,
    help: &'static str,
    /// A counter; else a gauge.
    counts: bool,
    rows: Rows,
}

fn gauge(name: &str, help: &'static str, rows: Rows) -> Family {
    Family {
        name: name.to_owned(),
        help,
        counts: false,
        rows,
    }
}

fn counter(name: &str, help: &'static str, rows: Rows) -> Family {
    Family {
        name: name.to_owned(),
        help,
        counts: true,
        rows,
    }
}

/// All metrics.
fn families(status: &Status) -> Vec<Family> {
    let one = |value| vec![(Vec::new(), value)];
    let version = vec![(vec![("version", status.version.clone())], 1)];
    let native = |name: &str, mode: &str| {
        (
            vec![("interface", name.to_owned())],
            u64::from(mode == "native"),
        )
    };
    let interfaces = status
        .interfaces
        .iter()
        .map(|i| native(&i.name, &i.mode))
        .collect();
    let verdict = |(reason, count): (&String, &u64)| (vec![("reason", reason.clone())], *count);
    let verdicts = status.verdicts.iter().map(verdict).collect();
    let mut families = vec![
        gauge("build", "The daemon's version, always 1", version),
        gauge(
            "site_generation",
            "Site files taken since the start",
            one(status.site.generation),
        ),
        counter(
            "site_refused",
            "Site files refused since the start",
            one(status.site.refused),
        ),
        gauge(
            "interface_native",
            "1 where XDP runs in the driver",
            interfaces,
        ),
        counter("verdicts", "Packets by the reason they left for", verdicts),
        gauge(
            "unsettled_slots",
            "Slots whose former flows are remembered",
            rows(status, |service| service.unsettled_slots),
        ),
    ];
    families.extend(states(status));
    families.extend(flows(&status.flows));
    families.extend(routers(status));
    for (name, help, value) in TRAFFIC {
        let of_services = rows(status, |service| value(&service.traffic));
        families.push(counter(&format!("service_{name}"), help, of_services));
        let of_reals = real_rows(status, |real| value(&real.traffic));
        families.push(counter(&format!("real_{name}"), help, of_reals));
    }
    families
}

/// The real servers as they are now.
fn states(status: &Status) -> [Family; 5] {
    [
        gauge(
            "real_up",
            "0 where health says down",
            real_rows(status, |real| u64::from(real.health != "down")),
        ),
        gauge(
            "real_weight",
            "Weight by the site file",
            real_rows(status, |r| r.weight.into()),
        ),
        gauge(
            "real_drained",
            "1 where an operator drains it",
            real_rows(status, |real| u64::from(real.drained)),
        ),
        gauge(
            "real_active_connections",
            "Connections open; an estimate where not every flow has an entry",
            real_rows(status, |r| r.connections_now.active),
        ),
        gauge(
            "real_inactive_connections",
            "Connections remembered that are not established, where every flow has an entry",
            real_rows(status, |r| r.connections_now.inactive),
        ),
    ]
}

/// The table of flows.
fn flows(flows: &FlowsStatus) -> [Family; 3] {
    let one = |value: u32| vec![(Vec::new(), u64::from(value))];
    let event = |(event, count): (&String, &u64)| (vec![("event", event.clone())], *count);
    [
        gauge(
            "flow_entries",
            "Entries of the flow table in use",
            one(flows.entries),
        ),
        gauge(
            "flow_entries_max",
            "Entries of the flow table",
            one(flows.entries_max),
        ),
        counter(
            "flow_events",
            "What happened in the flow table",
            flows.events.iter().map(event).collect(),
        ),
    ]
}

/// The virtual routers.
fn routers(status: &Status) -> Vec<Family> {
    let serves = |router: &RouterStatus| matches!(&*router.state, "active" | "resigning");
    let mut families = vec![
        gauge(
            "router_active",
            "1 where this host serves the VIPs",
            router_rows(status, |router| serves(router).into()),
        ),
        gauge(
            "router_priority",
            "Priority now, tracking included",
            router_rows(status, |router| router.priority.into()),
        ),
        gauge(
            "router_fault",
            "1 where this host takes no part",
            router_rows(status, |router| router.fault.is_some().into()),
        ),
    ];
    for (name, help, value) in ROUTER {
        let rows = router_rows(status, |router| value(&router.counters));
        families.push(counter(&format!("router_{name}"), help, rows));
    }
    let notices = status.routers.iter().flat_map(|router| {
        let labels = |notice: &String| {
            let mut labels = router_labels(router);
            labels.push(("notice", notice.clone()));
            labels
        };
        let notices = router.notices.iter();
        notices.map(move |(notice, count)| (labels(notice), *count))
    });
    families.push(counter(
        "router_notices",
        "Adverts taken, by what there is to say of them",
        notices.collect(),
    ));
    let refused = status.vrrp_refused.iter().flat_map(|(interface, reasons)| {
        reasons.iter().map(|(reason, count)| {
            let labels = vec![("interface", interface.clone()), ("reason", reason.clone())];
            (labels, *count)
        })
    });
    families.push(counter(
        "vrrp_refused",
        "VRRP datagrams not taken",
        refused.collect(),
    ));
    families
}

/// A counter of a virtual router: its name, what it counts, where it is found.
type RouterMetric = (&'static str, &'static str, fn(&RouterCounters) -> u64);

const ROUTER: [RouterMetric; 6] = [
    ("takeovers", "How often it became active", |c| c.takeovers),
    (
        "woken_late",
        "How often it woke after the end of its lease",
        |c| c.woken_late,
    ),
    ("adverts_sent", "Adverts sent", |c| c.sent),
    ("adverts_heard", "Adverts heard", |c| c.heard),
    (
        "send_errors",
        "Adverts and announcements that the kernel did not take",
        |c| c.send_errors,
    ),
    ("announced", "Announcements of VIPs", |c| c.announced),
];

/// A value for each family of each virtual router.
fn router_rows(status: &Status, value: impl Fn(&RouterStatus) -> u64) -> Rows {
    let routers = status.routers.iter();
    routers
        .map(|router| (router_labels(router), value(router)))
        .collect()
}

fn router_labels(router: &RouterStatus) -> Labels {
    vec![
        ("router", router.name.clone()),
        ("family", router.family.clone()),
    ]
}

/// A counter of a service or real server: its name, what it counts, where it is found.
type TrafficMetric = (&'static str, &'static str, fn(&TrafficStatus) -> u64);

const TRAFFIC: [TrafficMetric; 6] = [
    ("packets", "Packets towards the real servers", |t| t.packets),
    (
        "bytes",
        "Bytes towards the real servers, IP header included",
        |t| t.bytes,
    ),
    ("connections", "New TCP connections", |t| t.connections),
    ("ended", "FINs and RSTs towards the real servers", |t| {
        t.ended
    }),
    (
        "reply_packets",
        "Packets back from the real servers (nat)",
        |t| t.reply_packets,
    ),
    (
        "reply_bytes",
        "Bytes back from the real servers (nat)",
        |t| t.reply_bytes,
    ),
];

/// A value for each service.
fn rows(status: &Status, value: impl Fn(&ServiceStatus) -> u64) -> Rows {
    let labels = |service: &ServiceStatus| vec![("service", service.name.clone())];
    status
        .services
        .iter()
        .map(|service| (labels(service), value(service)))
        .collect()
}

/// A value for each real server of each service.
fn real_rows(status: &Status, value: impl Fn(&RealStatus) -> u64) -> Rows {
    let mut rows = Vec::new();
    for service in &status.services {
        for real in &service.reals {
            let labels = vec![("service", service.name.clone()), ("real", real.endpoint())];
            rows.push((labels, value(real)));
        }
    }
    rows
}
