//! The view as a table for people: `viaduct status`.

use super::view::{
    ConnectionsStatus, InterfaceStatus, PoolStatus, RealStatus, ServiceStatus, Status,
};

/// Renders the state in columns, like `ipvsadm -L -n` but with health.
pub fn render(status: &Status) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for service in &status.services {
        rows.push(service_row(service));
        rows.extend(service.reals.iter().map(real_row));
    }
    let reasons: Vec<String> = status
        .verdicts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    let mut text = format!("{}\n{}", head(status), columns(&rows));
    if !reasons.is_empty() {
        text += &format!("\npackets: {}\n", reasons.join(", "));
    }
    text
}

const HEADINGS: [&str; 9] = [
    "SERVICE",
    "METHOD",
    "HEALTH",
    "WEIGHT",
    "SHARE",
    "ACTIVE",
    "CONNECTIONS",
    "PACKETS",
    "BYTES",
];

fn head(status: &Status) -> String {
    let site = &status.site;
    let mut text = format!(
        "{} (viaduct-lb {}), {} of {}, generation {}\n",
        status.host, status.version, site.path, site.loaded_at, site.generation
    );
    if let Some(error) = &site.last_error {
        text += &format!("LAST RELOAD REFUSED: {error}\n");
    }
    if let Some(problem) = &status.problem {
        text += &format!("DATA PLANE NOT UP TO DATE: {problem}\n");
    }
    for InterfaceStatus {
        name,
        mode,
        because,
    } in &status.interfaces
    {
        let because = because
            .as_ref()
            .map(|because| format!(" ({because})"))
            .unwrap_or_default();
        text += &format!("{name}: {mode} XDP{because}\n");
    }
    if let Some(PoolStatus { flows, ports }) = status.pool {
        text += &format!("pool: {flows} flows, {ports} ports\n");
    }
    text
}

fn service_row(service: &ServiceStatus) -> [String; 9] {
    let up = service.reals.iter().filter(|real| real.share > 0.0).count();
    [
        format!(
            "{} {}:{}/{}",
            service.name, service.vip, service.port, service.protocol
        ),
        format!("{} {}", service.method, service.scheduler),
        format!("{up} of {} serve", service.reals.len()),
        String::new(),
        String::new(),
        active(&service.connections_now),
        service.traffic.connections.to_string(),
        service.traffic.packets.to_string(),
        service.traffic.bytes.to_string(),
    ]
}

fn real_row(real: &RealStatus) -> [String; 9] {
    let health = match &real.health_reason {
        Some(reason) if real.health != "up" => format!("{}: {reason}", real.health),
        // An Ethernet address is nothing to tell; why there is none, is.
        _ if !real.next_hop.contains(':') => format!("{}, {}", real.health, real.next_hop),
        _ => real.health.clone(),
    };
    let health = if real.drained {
        format!("{health}, drained")
    } else {
        health
    };
    [
        format!("  {}", real.endpoint()),
        String::new(),
        health,
        real.weight.to_string(),
        format!("{:.1} %", real.share * 100.0),
        active(&real.connections_now),
        real.traffic.connections.to_string(),
        real.traffic.packets.to_string(),
        real.traffic.bytes.to_string(),
    ]
}

/// Connections that are open: active and inactive ones as LVS tells them, or about how many.
fn active(now: &ConnectionsStatus) -> String {
    match now.connections_estimated {
        true => format!("~{}", now.active),
        false => format!("{} + {}", now.active, now.inactive),
    }
}

/// Rows in columns as wide as their widest cell; the first three are aligned left, numbers right.
fn columns(rows: &[[String; 9]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..9).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            line += &match column {
                0..3 => format!("{cell:<width$}  "),
                _ => format!("{cell:>width$}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
