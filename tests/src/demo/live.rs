//! The status as it is shown while the demonstration runs.
//!
//! Not here: `viaduct status`; this reads the same JSON and shows the part that fits a glance.

use anyhow::Error;
use serde_json::Value;

use crate::lab::status::Status;

/// The lines of the display on a terminal.
#[must_use]
pub fn table(status: Result<&Status, &Error>) -> Vec<String> {
    let Ok(status) = status else {
        return vec![SILENT.to_owned()];
    };
    let mut lines = vec![];
    for service in list(&status.0["services"]) {
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
    lines
}

/// The same in one line, for a log.
#[must_use]
pub fn line(status: Result<&Status, &Error>) -> String {
    let Ok(status) = status else {
        return SILENT.to_owned();
    };
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
    services.collect::<Vec<_>>().join("; ")
}

/// Shown when the daemon does not answer.
const SILENT: &str =
    "viaduct-lb does not answer; what it loaded into the kernel goes on forwarding";

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
    use anyhow::anyhow;
    use serde_json::json;

    use super::*;

    fn status() -> Status {
        let real = json!({ "address": "10.77.0.11", "health": "down", "share": 0.333, "packets": 7,
            "connections": 2, "health_reason": "connection refused" });
        let service = json!({ "name": "web", "vip": "10.77.0.100", "port": 80, "protocol": "tcp",
            "method": "dr", "packets": 7, "connections": 2, "reals": [real] });
        Status(json!({ "services": [service] }))
    }

    #[test]
    fn a_table_shows_each_real_server_with_its_health_and_why() {
        let lines = table(Ok(&status()));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[1].contains("down") && lines[1].ends_with("connection refused"),
            "{lines:?}"
        );
        assert!(lines[1].contains("33 %"), "{lines:?}");
    }

    #[test]
    fn a_line_holds_all() {
        assert_eq!(line(Ok(&status())), "web: 10.77.0.11 down 7");
    }

    #[test]
    fn a_silent_daemon_is_said() {
        assert!(line(Err(&anyhow!("no one there"))).contains("goes on forwarding"));
    }
}
