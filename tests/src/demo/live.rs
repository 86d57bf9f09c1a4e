//! The status as it is shown while the demonstration runs.
//!
//! Not here: `viaduct status`; this reads the same JSON and shows the part that fits a glance.

use serde_json::Value;

use crate::lab::status::Status;

/// All daemons at one moment, each with its host, and its status if it answers.
#[derive(Debug, Default)]
pub struct Seen {
    /// The directors.
    pub directors: Vec<(String, Option<Status>)>,
    /// The proxies.
    pub proxies: Vec<(String, Option<Value>)>,
}

/// The lines of the display on a terminal: the directors, what the one that serves has to tell, and what
/// the proxies do.
#[must_use]
pub fn table(seen: &Seen) -> Vec<String> {
    let mut lines = vec![];
    for (host, status) in &seen.directors {
        let Some(status) = status else {
            lines.push(format!("{host:<6} {SILENT}"));
            continue;
        };
        for router in list(&status.0["routers"]) {
            lines.push(format!(
                "{host:<6} {:<10} since {}  priority {}, {} takeovers",
                text(&router["state"]),
                text(&router["since"]),
                count(&router["priority"]),
                count(&router["counters"]["takeovers"]),
            ));
        }
    }
    for service in serving(seen)
        .iter()
        .flat_map(|status| list(&status.0["services"]))
    {
        lines.push(format!(
            "{:<6} {}:{} {} {} {:>10} packets {:>8} connections",
            text(&service["name"]),
            text(&service["vip"]),
            service["port"],
            text(&service["protocol"]),
            text(&service["method"]),
            count(&service["packets"]),
            count(&service["connections"]),
        ));
        lines.extend(list(&service["reals"]).map(real));
    }
    for (host, status) in &seen.proxies {
        let Some(status) = status else {
            lines.push(format!("{host:<6} does not answer"));
            continue;
        };
        lines.push(format!(
            "{host:<6} {:<10} {} connections",
            text(&status["state"]),
            count(&status["connections"])
        ));
        lines.extend(list(&status["upstreams"][0]["servers"]).map(server));
    }
    lines
}

/// A web server as a proxy sees it.
fn server(server: &Value) -> String {
    format!(
        "       {:<15} {:<9} {:>10} requests {:>5} failed",
        text(&server["address"]),
        text(&server["health"]),
        count(&server["requests"]),
        count(&server["failures"]),
    )
}

/// The same in one line, for a log.
#[must_use]
pub fn line(seen: &Seen) -> String {
    let services = serving(seen).map(services).unwrap_or_default();
    let proxies = seen.proxies.iter().map(|(host, status)| match status {
        None => format!("{host} does not answer"),
        Some(status) => {
            let servers = list(&status["upstreams"][0]["servers"]).map(|server| {
                let (address, health) = (text(&server["address"]), text(&server["health"]));
                format!("{address} {health} {}", count(&server["requests"]))
            });
            let servers = servers.collect::<Vec<_>>().join(", ");
            format!("{host} {}: {servers}", text(&status["state"]))
        }
    });
    let directors = seen.directors.iter().map(|(host, status)| match status {
        None => format!("{host} {SILENT}"),
        Some(status) => {
            let state = list(&status.0["routers"])
                .next()
                .map(|at| text(&at["state"]));
            format!("{host} {}", state.unwrap_or("without a virtual router"))
        }
    });
    services
        .into_iter()
        .chain(proxies)
        .chain(directors)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Of the director that serves.
fn serving(seen: &Seen) -> Option<&Status> {
    let directors = seen.directors.iter();
    let mut statuses = directors.filter_map(|(_, status)| status.as_ref());
    statuses
        .find(|status| list(&status.0["routers"]).any(|router| text(&router["state"]) == "active"))
}

/// Each service with its real servers, in words.
fn services(status: &Status) -> Vec<String> {
    let services = list(&status.0["services"]).map(|service| {
        let reals = list(&service["reals"]).map(|real| {
            let (address, health) = (text(&real["address"]), text(&real["health"]));
            format!("{address} {health} {}", count(&real["packets"]))
        });
        format!(
            "{}: {}",
            text(&service["name"]),
            reals.collect::<Vec<_>>().join(", ")
        )
    });
    services.collect()
}

/// Shown of a director whose daemon does not answer.
const SILENT: &str = "does not answer: its lease has run out, and its kernel is silent for the VIP";

fn real(real: &Value) -> String {
    format!(
        "       {:<12} {:<9} {:>4.0} %  {:>10} packets {:>8} connections  {}",
        text(&real["address"]),
        text(&real["health"]),
        real["share"].as_f64().unwrap_or_default() * 100.0,
        count(&real["packets"]),
        count(&real["connections"]),
        text(&real["health_reason"]),
    )
    .trim_end()
    .to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(state: &str) -> Status {
        let real = json!({ "address": "10.77.0.11", "health": "down", "share": 0.333, "packets": 7,
            "connections": 2, "health_reason": "connection refused" });
        let service = json!({ "name": "web", "vip": "10.77.0.100", "port": 80, "protocol": "tcp",
            "method": "dr", "packets": 7, "connections": 2, "reals": [real] });
        let router = json!({ "state": state, "since": "now", "priority": 150,
            "counters": { "takeovers": 1 } });
        Status(json!({ "services": [service], "routers": [router] }))
    }

    fn seen() -> Seen {
        let server = json!({ "address": "10.77.0.11:80", "health": "up", "requests": 5,
            "failures": 1 });
        let serving = json!({ "state": "serving", "connections": 3,
            "upstreams": [{ "servers": [server] }] });
        Seen {
            directors: vec![
                ("lb1".to_owned(), None),
                ("lb2".to_owned(), Some(status("active"))),
                ("lb3".to_owned(), Some(status("backup"))),
            ],
            proxies: vec![
                ("proxy1".to_owned(), Some(serving)),
                ("proxy2".to_owned(), None),
            ],
        }
    }

    #[test]
    fn a_table_shows_the_directors_and_each_real_server_with_its_health_and_why() {
        let lines = table(&seen());
        assert_eq!(lines.len(), 8, "{lines:?}");
        assert!(lines[0].starts_with("lb1    does not answer"), "{lines:?}");
        assert!(lines[1].starts_with("lb2    active"), "{lines:?}");
        assert!(lines[2].starts_with("lb3    backup"), "{lines:?}");
        assert!(
            lines[4].contains("down") && lines[4].ends_with("connection refused"),
            "{lines:?}"
        );
        assert!(lines[4].contains("33 %"), "{lines:?}");
        assert!(lines[5].starts_with("proxy1 serving"), "{lines:?}");
        assert!(lines[6].ends_with("5 requests     1 failed"), "{lines:?}");
        assert!(lines[7].starts_with("proxy2 does not"), "{lines:?}");
    }

    #[test]
    fn a_line_holds_all() {
        let line = line(&seen());
        assert!(
            line.starts_with(
                "web: 10.77.0.11 down 7; proxy1 serving: 10.77.0.11:80 up 5; proxy2 does"
            ),
            "{line}"
        );
        assert!(line.ends_with("; lb2 active; lb3 backup"), "{line}");
    }
}
