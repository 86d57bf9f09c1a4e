//! The view as a table for people: `viaduct status`.

use super::view::{
    ConnectionsStatus, InterfaceStatus, PoolStatus, RealStatus, RouterStatus, ServiceStatus, Status,
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
    let mut text = format!("{}\n", head(status));
    if !status.routers.is_empty() {
        let mut rows = vec![ROUTER_HEADINGS.map(str::to_owned)];
        rows.extend(status.routers.iter().map(router_row));
        text += &format!("{}\n", columns(&rows, 4));
        text += &faults(status);
    }
    text += &columns(&rows, 3);
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

const ROUTER_HEADINGS: [&str; 8] = [
    "ROUTER",
    "INTERFACE",
    "STATE",
    "PEER",
    "VRID",
    "PRIORITY",
    "TAKEOVERS",
    "ADVERTS",
];

fn router_row(router: &RouterStatus) -> [String; 8] {
    let peer = router.peer.map(|peer| match router.peer_priority {
        0 => format!("{peer}, resigned"),
        priority => format!("{peer}, {priority}"),
    });
    let priority = match router.priority == router.base_priority {
        true => router.priority.to_string(),
        false => format!("{} of {}", router.priority, router.base_priority),
    };
    [
        format!("{} {}", router.name, router.family),
        router.interface.clone(),
        router.state.clone(),
        peer.unwrap_or_else(|| "nobody heard".to_owned()),
        router.vrid.to_string(),
        priority,
        router.counters.takeovers.to_string(),
        format!("{} + {}", router.counters.sent, router.counters.heard),
    ]
}

/// What keeps virtual routers down, a line each.
fn faults(status: &Status) -> String {
    let mut text = String::new();
    for router in &status.routers {
        let (name, family) = (&router.name, &router.family);
        if let Some(fault) = &router.fault {
            text += &format!("{name} {family} TAKES NO PART: {fault}\n");
        }
        if !router.failing.is_empty() {
            text += &format!("{name} {family} failing: {}\n", router.failing.join(", "));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

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
    let said = [("draining", real.draining), ("drained", real.drained)];
    let said = said.into_iter().filter(|(_, is_so)| *is_so);
    let health = said.fold(health, |health, (word, _)| format!("{health}, {word}"));
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

/// Rows in columns as wide as their widest cell; the first `words` are aligned left, numbers right.
fn columns<const N: usize>(rows: &[[String; N]], words: usize) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            line += &match column < words {
                true => format!("{cell:<width$}  "),
                false => format!("{cell:>width$}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
