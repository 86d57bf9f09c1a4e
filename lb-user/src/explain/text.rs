//! An explanation for people.
//!
//! Not here: its sentences, which [`super::reasoning`] has.

use super::answer::{
    EntryFound, Explanation, Fate, RealFound, RouterFound, ServiceFound, SlotFound,
};
use super::question::Protocol;

/// Lines of a word and what it is.
pub fn render(explanation: &Explanation) -> String {
    let mut lines = vec![("packet", packet(explanation))];
    lines.extend(
        explanation
            .router
            .as_ref()
            .map(|found| ("router", router(found))),
    );
    if let Some(found) = &explanation.service {
        lines.push(("service", service(found)));
        let slot = explanation.slot.as_ref().map(slot);
        lines.push(("slot", slot.unwrap_or_else(|| "none".to_owned())));
        lines.push(("entry", flow(explanation)));
        if found.persistence.is_some() {
            let client = explanation.client.as_ref().map(entry);
            lines.push(("client", client.unwrap_or_else(|| "no entry".to_owned())));
        }
    }
    for because in &explanation.because {
        lines.push(("because", because.clone()));
    }
    if let Some(found) = &explanation.real {
        lines.extend(real(found));
    }
    lines.push(("verdict", verdict(explanation)));
    let mut text = String::new();
    let mut last = "";
    for (word, what) in lines {
        let head = if word == last { "" } else { word };
        text += &format!("{head:<12}{what}\n");
        last = word;
    }
    text
}

fn packet(explanation: &Explanation) -> String {
    let packet = &explanation.packet;
    let kind = match (packet.protocol, packet.syn) {
        (Protocol::Udp, _) => "",
        (Protocol::Tcp, true) => ", opening a connection",
        (Protocol::Tcp, false) => ", of a connection under way",
    };
    format!(
        "{} -> {} {}{kind}, in by {}",
        packet.client,
        packet.vip,
        packet.protocol.word(),
        explanation.interface
    )
}

fn router(router: &RouterFound) -> String {
    let left = router.milliseconds_left;
    match (router.answers, router.forwards) {
        (true, _) => format!("Active here, for {left} ms more unless renewed"),
        (false, true) => {
            format!("stepping down: forwards for {left} ms more, does not answer for the VIP")
        }
        (false, false) => "not Active here".to_owned(),
    }
}

fn service(service: &ServiceFound) -> String {
    let name = service.name.as_ref().map(|name| format!("{name}: "));
    let mut text = format!(
        "{}{} {} {}",
        name.unwrap_or_default(),
        service.at,
        service.method,
        service.scheduler
    );
    if let Some(seconds) = service.persistence {
        text += &format!(", clients stay for {seconds} s");
    }
    if service.tracked {
        text += ", every flow has an entry";
    }
    text
}

fn slot(slot: &SlotFound) -> String {
    let whose = |owner: &Option<_>| match owner {
        Some(owner) => format!("{owner}"),
        None => "nobody".to_owned(),
    };
    let text = format!("{} of {}: {}", slot.slot, slot.of, whose(&slot.owner));
    match slot.settled {
        true => text + ", settled",
        false => format!("{text}, unsettled, before: {}", whose(&slot.settled_owner)),
    }
}

fn flow(explanation: &Explanation) -> String {
    let found = explanation.entry.as_ref().map(entry);
    match (found, explanation.makes_entry) {
        (Some(found), _) => found,
        (None, true) => "none; the packet makes one".to_owned(),
        (None, false) => "none".to_owned(),
    }
}

fn entry(entry: &EntryFound) -> String {
    let real = match entry.real {
        Some(real) => real.to_string(),
        None => "a real server that is gone".to_owned(),
    };
    format!("{}, {} s left, to {real}", entry.state, entry.seconds_left)
}

fn real(real: &RealFound) -> Vec<(&'static str, String)> {
    let standing = match (real.up, real.draining) {
        (false, _) => "down",
        (true, true) => "up, draining",
        (true, false) => "up",
    };
    let [active, inactive] = real.connections;
    let mut text = format!("{}, {standing}", real.at);
    if active + inactive > 0 {
        text += &format!(", {active} active and {inactive} inactive connections have entries");
    }
    let mut lines = vec![("real server", text)];
    if let Some(sees) = real.sees {
        lines.push(("seen as", sees.to_string()));
    }
    let way = match &real.next_hop {
        None => "this host itself".to_owned(),
        Some(hop) => {
            let vlan = hop.vlan.map(|vlan| format!(", VLAN {vlan}"));
            let inside = real
                .tunnel
                .as_ref()
                .map(|tunnel| format!(", inside {tunnel}"));
            let mtu = real.mtu.map(|mtu| format!(", MTU {mtu}"));
            let more = [vlan, inside, mtu].into_iter().flatten();
            format!(
                "{} by {}{}",
                hop.mac,
                hop.interface,
                more.collect::<String>()
            )
        }
    };
    lines.push(("next hop", way));
    lines
}

fn verdict(explanation: &Explanation) -> String {
    let verdict = &explanation.verdict;
    let fate = match (verdict.fate, &verdict.out) {
        (Fate::Forwarded, Some(out)) => format!("out by {out}"),
        (Fate::Forwarded | Fate::Passed, _) => "to this host's own stack".to_owned(),
        (Fate::Dropped, _) => "nowhere".to_owned(),
    };
    format!("{fate} ({}): {}", verdict.reason, verdict.meaning)
}
