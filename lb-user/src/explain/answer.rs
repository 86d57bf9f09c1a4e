//! What is said of a flow: `viaduct explain --json`, and what its text is made of.
//!
//! Fields are only ever added. Not here: how it is found out ([`super::reasoning`]).

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::question::Question;

/// Everything about one packet of a flow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The packet.
    pub packet: Question,
    /// The interface it is taken to come in by.
    pub interface: String,
    /// The virtual router whose VIP it goes to; null where it is none's.
    pub router: Option<RouterFound>,
    /// The virtual service it is for; null where there is none.
    pub service: Option<ServiceFound>,
    /// Its slot of the service's ring; null where the service has none.
    pub slot: Option<SlotFound>,
    /// The entry of its flow; null where there is none.
    pub entry: Option<EntryFound>,
    /// The entry of its client, in a service with persistence; null where there is none.
    pub client: Option<EntryFound>,
    /// Whether the packet would make an entry for its flow.
    pub makes_entry: bool,
    /// The real server it would go to, or whose reply it would be; null where there is none.
    pub real: Option<RealFound>,
    /// What led there, a sentence each.
    pub because: Vec<String>,
    /// What becomes of the packet.
    pub verdict: VerdictFound,
}

/// A virtual router (VRRP), and what its lease allows at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RouterFound {
    /// Its index in the data plane.
    pub index: u32,
    /// Whether ARP requests and neighbour solicitations for its VIPs are answered here.
    pub answers: bool,
    /// Whether packets to its VIPs are forwarded here.
    pub forwards: bool,
    /// Milliseconds that they are, if the lease is not renewed.
    pub milliseconds_left: u64,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceFound {
    /// Its name in the site file; null where no daemon is there to tell.
    pub name: Option<String>,
    /// Its address or network with its ports.
    pub at: String,
    /// Forwarding method.
    pub method: String,
    /// Scheduler, as far as it is known.
    pub scheduler: String,
    /// Whether all its flows have entries.
    pub tracked: bool,
    /// Seconds that clients stay with their real server; null: they don't.
    pub persistence: Option<u64>,
}

/// A slot of a ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotFound {
    /// Which one.
    pub slot: u32,
    /// Of how many.
    pub of: u32,
    /// Whether it alone decides: the flows of its former owner are gone.
    pub settled: bool,
    /// Who takes new flows; null: nobody.
    pub owner: Option<SocketAddr>,
    /// Who had it when it last was settled; null: nobody.
    pub settled_owner: Option<SocketAddr>,
}

/// An entry of the flow table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryFound {
    /// `new`, `established`, `closing` or `closed`.
    pub state: String,
    /// Until it is forgotten, if no packet comes.
    pub seconds_left: u64,
    /// The real server it names; null where that is gone.
    pub real: Option<SocketAddr>,
}

/// A real server, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RealFound {
    /// Its address and port.
    pub at: SocketAddr,
    /// Whether it is up.
    pub up: bool,
    /// Whether it takes no new flows (weight 0).
    pub draining: bool,
    /// Connections that have entries: established, and all others.
    pub connections: [u32; 2],
    /// The next hop; null where this host is the real server.
    pub next_hop: Option<HopFound>,
    /// What carries its packets (tunnel); null where nothing does.
    pub tunnel: Option<String>,
    /// Bytes an IP packet may have on the way to it; null: any.
    pub mtu: Option<u16>,
    /// The director's own address and port that it sees as the client (fullnat); null elsewhere.
    pub sees: Option<SocketAddr>,
}

/// A next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HopFound {
    /// Its Ethernet address.
    pub mac: String,
    /// The interface that leads there.
    pub interface: String,
    /// The VLAN; null: none.
    pub vlan: Option<u16>,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictFound {
    /// In a word.
    pub fate: Fate,
    /// The interface it leaves by; null where it does not.
    pub out: Option<String>,
    /// The reason's name in metrics.
    pub reason: String,
    /// What that means.
    pub meaning: String,
}

/// What becomes of a packet, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It goes to a real server, or as a reply to a client.
    Forwarded,
    /// This host's own stack gets it: no real server does.
    Passed,
    /// Nobody gets it.
    Dropped,
}

impl Explanation {
    /// What the process ends with: 0 forwarded, 3 dropped, 4 passed to this host. 1 is an error, and
    /// 2 a command line that makes no sense.
    pub const fn exit_code(&self) -> u8 {
        match self.verdict.fate {
            Fate::Forwarded => 0,
            Fate::Dropped => 3,
            Fate::Passed => 4,
        }
    }
}

/// An address with a port; where a real server keeps the client's, `kept`.
pub(super) fn at(address: IpAddr, port: u16, kept: u16) -> SocketAddr {
    SocketAddr::new(address, if port == 0 { kept } else { port })
}
