//! The state of the daemon as its readers see it: `GET /status`, `viaduct status --json`.
//!
//! Fields are only ever added; a reader that ignores what it does not know goes on working.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// This host's name in the site file.
    pub host: String,
    /// The daemon's version.
    pub version: String,
    /// The site file in force.
    pub site: SiteStatus,
    /// Why the data plane is not as it should be; null when it is.
    pub problem: Option<String>,
    /// The interfaces served.
    pub interfaces: Vec<InterfaceStatus>,
    /// The virtual routers, in the order of the site file; one with VIPs of both families twice.
    #[serde(default)]
    pub routers: Vec<RouterStatus>,
    /// VRRP datagrams that were not taken, by interface and reason.
    #[serde(default)]
    pub vrrp_refused: BTreeMap<String, BTreeMap<String, u64>>,
    /// The virtual services, in the order of the site file.
    pub services: Vec<ServiceStatus>,
    /// The table of flows.
    #[serde(default)]
    pub flows: FlowsStatus,
    /// The pool of fullnat; null where this director has none.
    #[serde(default)]
    pub pool: Option<PoolStatus>,
    /// Packets by the reason they left for.
    pub verdicts: BTreeMap<String, u64>,
}

/// The site file in force, and what became of later ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Where it is read from.
    pub path: String,
    /// SHA-256 of its bytes: hosts that show the same run the same file.
    pub digest: String,
    /// How many files have been taken since the start, the first included.
    pub generation: u64,
    /// When this one was (RFC 3339, UTC).
    pub loaded_at: String,
    /// Why the latest attempt to load another was refused; null when it was not.
    pub last_error: Option<String>,
    /// How many were refused since the start.
    pub refused: u64,
}

/// The table of flows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowsStatus {
    /// Entries in use, at the last sweep a second ago at most.
    pub entries: u32,
    /// Entries there are.
    pub entries_max: u32,
    /// How often what happened in it.
    pub events: BTreeMap<String, u64>,
}

/// The pool of fullnat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Flows that have a port of it.
    pub flows: u64,
    /// Ports it has; each serves a flow towards every real server.
    pub ports: u64,
}

/// An interface served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `native`, `generic`, `other`, or `none` while it is gone.
    pub mode: String,
    /// Why not native, where it is not and this daemon attached it.
    pub because: Option<String>,
}

/// One family of a virtual router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Its name.
    pub name: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The interface it is on.
    pub interface: String,
    /// Its number.
    pub vrid: u8,
    /// The group it goes with; its own name where it goes alone.
    pub group: String,
    /// Its VIPs.
    pub vips: Vec<IpAddr>,
    /// `initialize`, `backup`, `active` or `resigning`.
    pub state: String,
    /// Since when (RFC 3339, UTC); null before it was anything.
    pub since: Option<String>,
    /// Its priority now.
    pub priority: u8,
    /// Its priority by the site file.
    pub base_priority: u8,
    /// What it tracks and finds failing.
    pub failing: Vec<String>,
    /// Why it takes no part; null where it does.
    pub fault: Option<String>,
    /// Who was heard last; null when nobody ever was.
    pub peer: Option<IpAddr>,
    /// The priority of that one; 0: it resigned.
    pub peer_priority: u8,
    /// What it has done.
    pub counters: RouterCounters,
    /// Adverts that were taken, by what there is to say of them.
    pub notices: BTreeMap<String, u64>,
}

/// What one family of a virtual router has done since the daemon's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouterCounters {
    /// How often it became active.
    pub takeovers: u64,
    /// How often it woke after the end of its lease, and stepped down.
    pub woken_late: u64,
    /// Adverts sent.
    pub sent: u64,
    /// Adverts and announcements that the kernel did not take.
    pub send_errors: u64,
    /// Adverts heard.
    pub heard: u64,
    /// Announcements of VIPs (gratuitous ARP, unsolicited neighbour advertisements).
    pub announced: u64,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its address, or its network with the prefix length.
    pub vip: String,
    /// Its port, or a text: `8000-8099`, `all`.
    pub port: PortStatus,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Forwarding method.
    pub method: String,
    /// Scheduler.
    pub scheduler: String,
    /// Slots whose former flows are still remembered.
    pub unsettled_slots: u64,
    /// What passed.
    #[serde(flatten)]
    pub traffic: TrafficStatus,
    /// What is open.
    #[serde(flatten)]
    pub connections_now: ConnectionsStatus,
    /// Its real servers, in the order of the site file.
    pub reals: Vec<RealStatus>,
}

/// The ports of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortStatus {
    /// One.
    One(u16),
    /// Several, as the site file writes them.
    Several(String),
}

impl fmt::Display for PortStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(port) => port.fmt(f),
            Self::Several(ports) => ports.fmt(f),
        }
    }
}

/// A real server of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealStatus {
    /// Its address.
    pub address: IpAddr,
    /// Its port; null where the client's is kept.
    pub port: Option<u16>,
    /// Its weight by the site file.
    pub weight: u16,
    /// Whether `viaduct drain` keeps new flows from it.
    #[serde(default)]
    pub drained: bool,
    /// Whether it has said, by the status of its health check, that it is about to stop.
    #[serde(default)]
    pub draining: bool,
    /// `up`, `down`, `checking` (no verdict yet) or `unchecked` (no health check: always served).
    pub health: String,
    /// Since when (RFC 3339, UTC); null when unchecked.
    pub health_since: Option<String>,
    /// The latest probe's result; null when unchecked or not probed yet.
    pub health_reason: Option<String>,
    /// Ethernet address its packets go to, or why there is none: `unresolved`, `behind a router …`.
    pub next_hop: String,
    /// Its part of new flows, 0 to 1.
    pub share: f64,
    /// What passed.
    #[serde(flatten)]
    pub traffic: TrafficStatus,
    /// What is open.
    #[serde(flatten)]
    pub connections_now: ConnectionsStatus,
}

/// Connections, or UDP flows, at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionsStatus {
    /// Established ones.
    #[serde(default)]
    pub active: u64,
    /// All others that are remembered; 0 where they are estimated.
    #[serde(default)]
    pub inactive: u64,
    /// Not counted one by one, but reckoned: connections opened less connections ended.
    #[serde(default)]
    pub connections_estimated: bool,
}

impl RealStatus {
    /// Address and port, or the address alone where the port is the client's.
    pub fn endpoint(&self) -> String {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).to_string(),
            None => self.address.to_string(),
        }
    }
}

/// Counters since the service or real server was added; a restart of the daemon does not reset
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrafficStatus {
    /// Packets towards the real servers.
    pub packets: u64,
    /// Bytes towards them, IP header included.
    pub bytes: u64,
    /// New TCP connections (SYNs forwarded).
    pub connections: u64,
    /// FINs and RSTs forwarded.
    #[serde(default)]
    pub ended: u64,
    /// Packets back (nat only).
    pub reply_packets: u64,
    /// Bytes back (nat only).
    pub reply_bytes: u64,
}
