//! Whether this host is the real server that is wanted: item by item, and what mends each that is
//! not.
//!
//! Not here: mending ([`super::plan`](mod@super::plan)).

use std::net::IpAddr;

use super::facts::{ALL, Facts, Knob, Place};
use super::plan::{delete, is_discreet, is_silent, lacks_ipv6, needs_loose};
use super::wanted::{Method, Wanted};
use crate::cli::DECAP_PINS;
use crate::network::addresses::Interface;

/// Something that a real server needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What was found.
    pub what: String,
    /// What to make of it.
    pub verdict: Verdict,
}

/// What to make of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// As it may be, if that is what is meant.
    Note,
    /// Wrong, and the command that mends it.
    Wrong(String),
}

/// What a packet of method `tunnel` may grow by: IPv6 and UDP.
const TUNNEL_BYTES: u32 = 48;
/// What a network of Ethernet carries.
const ETHERNET_BYTES: u32 = 1500;

/// Looks at everything that a real server needs.
pub fn check(facts: &Facts, wanted: &Wanted) -> Vec<Item> {
    let mut items = vec![interface(facts, &wanted.interface), loopback(facts)];
    items.extend(wanted.vips().into_iter().map(|vip| held(facts, vip)));
    if wanted.has_v4() {
        items.extend(silence(facts));
        items.push(return_path(facts, wanted));
    }
    if wanted.has_v6() {
        let what = "NDP: addresses on lo are not told on any link, whatever the switches";
        items.push(Item::good(what));
    }
    if wanted.method == Method::Tunnel {
        items.push(far_end(facts, wanted));
        items.extend(room(facts, &wanted.interface));
    }
    items.extend(gateways(facts, wanted));
    items
}

impl Item {
    fn good(what: impl Into<String>) -> Self {
        let what = what.into();
        Self {
            what,
            verdict: Verdict::Good,
        }
    }

    fn note(what: impl Into<String>) -> Self {
        let what = what.into();
        Self {
            what,
            verdict: Verdict::Note,
        }
    }

    fn wrong(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            verdict: Verdict::Wrong(mend.into()),
        }
    }

    /// Whether the host is no real server for it.
    pub fn is_wrong(&self) -> bool {
        matches!(self.verdict, Verdict::Wrong(_))
    }
}

fn interface(facts: &Facts, name: &str) -> Item {
    match facts.interface(name) {
        None => Item::wrong(format!("there is no interface {name}"), "ip link show"),
        Some(one) if one.is_loopback => Item::wrong(
            format!("{name} is not where a director's packets come in"),
            "ip link show",
        ),
        Some(one) => up(one),
    }
}

fn loopback(facts: &Facts) -> Item {
    match facts.lo() {
        None => Item::wrong("there is no loopback interface", "ip link show"),
        Some(lo) => up(lo),
    }
}

fn up(interface: &Interface) -> Item {
    let name = &interface.name;
    match interface.is_up {
        true => Item::good(format!("{name} is up")),
        false => Item::wrong(format!("{name} is down"), format!("ip link set {name} up")),
    }
}

fn held(facts: &Facts, vip: IpAddr) -> Item {
    match facts.place(vip) {
        Place::Quiet => Item::good(format!("{vip} is here, on an interface where nobody asks")),
        Place::Nowhere if vip.is_ipv6() && lacks_ipv6(facts) => Item::wrong(
            format!("{vip} cannot be on lo: IPv6 is turned off there"),
            format!("sysctl -w {}=0", Knob::DisableIpv6.of("lo")),
        ),
        Place::Nowhere => Item::wrong(format!("{vip} is not on lo"), add(vip)),
        Place::Asked { interface, prefix } => Item::wrong(
            format!("{vip} is on {interface}: this host answers for it in the director's place"),
            delete(&vip, prefix, &interface),
        ),
        Place::Wide { interface, prefix } => Item::wrong(
            format!(
                "{vip} is on {interface} as a /{prefix}: all of that network is taken for this host"
            ),
            delete(&vip, prefix, &interface),
        ),
    }
}

fn add(vip: IpAddr) -> String {
    match vip {
        IpAddr::V4(vip) => format!("ip address add {vip}/32 dev lo scope host"),
        IpAddr::V6(vip) => format!("ip address add {vip}/128 dev lo nodad preferred_lft 0"),
    }
}

/// ARP, on every interface where somebody can ask: a VIP on `lo` is answered for on all of them.
fn silence(facts: &Facts) -> Vec<Item> {
    let rules = [
        (
            Knob::ArpIgnore,
            1,
            ["does not tell", "tells"],
            "who has the VIPs",
        ),
        (
            Knob::ArpAnnounce,
            2,
            ["does not ask", "asks"],
            "in the VIPs' name",
        ),
    ];
    let is_good = |knob, value| match knob {
        Knob::ArpAnnounce => is_discreet(value),
        Knob::ArpIgnore | Knob::RpFilter | Knob::DisableIpv6 => is_silent(value),
    };
    let mut items = Vec::new();
    for (knob, to, [good, bad], what) in rules {
        let asked = facts.interfaces.iter().filter(|one| one.is_asked);
        let loud = asked.filter(|one| !is_good(knob, facts.effective(knob, &one.name)));
        let loud: Vec<&str> = loud.map(|one| one.name.as_str()).collect();
        let Some(first) = loud.first() else {
            items.push(Item::good(format!("ARP: this host {good} {what}")));
            continue;
        };
        // The larger of both values counts: where that of all interfaces is good, one's own is not.
        let place = match is_good(knob, facts.value(&knob.of(ALL))) {
            true => first,
            false => ALL,
        };
        items.push(Item::wrong(
            format!("ARP on {}: this host {bad} {what}", loud.join(", ")),
            format!("sysctl -w {}={to}", knob.of(place)),
        ));
    }
    items
}

fn return_path(facts: &Facts, wanted: &Wanted) -> Item {
    let (name, sysctl) = (&wanted.interface, Knob::RpFilter.of(&wanted.interface));
    if needs_loose(facts, wanted) {
        return Item::wrong(
            format!(
                "rp_filter on {name} is strict: packets are dropped where answers to them leave elsewhere"
            ),
            format!("sysctl -w {sysctl}=2"),
        );
    }
    match facts.is_strict(name) {
        false => Item::good(format!(
            "rp_filter on {name} drops none of the clients' packets"
        )),
        true => Item::note(format!(
            "rp_filter on {name} is strict: right as long as answers leave by {name} too"
        )),
    }
}

fn far_end(facts: &Facts, wanted: &Wanted) -> Item {
    let (held, name) = (&facts.far_end, &wanted.interface);
    let vips = wanted.vips();
    let missing: Vec<String> = vips
        .difference(&held.vips)
        .map(ToString::to_string)
        .collect();
    let is_attached = held.interfaces.contains(name);
    if is_attached && missing.is_empty() {
        return Item::good(format!(
            "packets to the VIPs are taken out of tunnels on {name}"
        ));
    }
    let mut mend = format!("viaduct-lb decap --interface {name}");
    for vip in held.vips.union(&vips) {
        mend.push_str(&format!(" --vip {vip}"));
    }
    if wanted.pin_dir.as_os_str() != DECAP_PINS {
        mend.push_str(&format!(" --pin-dir {}", wanted.pin_dir.display()));
    }
    let what = match is_attached {
        false => format!("nothing takes packets out of tunnels on {name}"),
        true => format!("packets to {} stay in their tunnels", missing.join(", ")),
    };
    Item::wrong(what, mend)
}

fn room(facts: &Facts, name: &str) -> Option<Item> {
    let mtu = facts.interface(name)?.mtu;
    Some(match mtu >= ETHERNET_BYTES + TUNNEL_BYTES {
        true => Item::good(format!(
            "mtu {mtu} on {name}: a tunnel takes nothing from clients' packets"
        )),
        false => Item::note(format!(
            "mtu {mtu} on {name}: clients' packets may have {} bytes by ipip over IPv4, {} by gue over \
             IPv6; a larger one on director and real servers (`ip link set {name} mtu 1600`) spares \
             them that",
            mtu.saturating_sub(20),
            mtu.saturating_sub(TUNNEL_BYTES)
        )),
    })
}

/// Answers go to clients directly.
fn gateways(facts: &Facts, wanted: &Wanted) -> Vec<Item> {
    let families = [
        (wanted.has_v4(), false, "IPv4"),
        (wanted.has_v6(), true, "IPv6"),
    ];
    let asked = families.into_iter().filter(|(is_asked, ..)| *is_asked);
    let item = |(_, is_v6, family)| {
        let mut routes = facts.default_routes.iter();
        match routes.any(|route| route.is_v6 == is_v6) {
            true => Item::good(format!(
                "{family} has a default route, for the answers to clients"
            )),
            false => Item::note(format!(
                "{family} has no default route: answers reach only the networks that this host has \
                 routes to"
            )),
        }
    };
    asked.map(item).collect()
}
