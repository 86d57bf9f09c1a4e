//! What this host is, as far as a real server is concerned: plain values, and what they say.
//!
//! Not here: asking the kernel for them (`host`).

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::datapath::FarEnd;
use crate::network::addresses::{DefaultRoute, Held, Interface};

/// The name that stands for all interfaces.
pub const ALL: &str = "all";

/// Everything known of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Their addresses.
    pub addresses: Vec<Held>,
    /// Its routes to everywhere.
    pub default_routes: Vec<DefaultRoute>,
    /// Its switches; one that the kernel does not have is 0.
    pub sysctls: BTreeMap<Sysctl, i32>,
    /// The far end of tunnels.
    pub far_end: FarEnd,
    /// Rights that the caller lacks.
    pub lacking: Vec<&'static str>,
}

/// A switch of an interface, or of [`ALL`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sysctl {
    /// What it switches.
    pub knob: Knob,
    /// The interface.
    pub interface: String,
}

/// What is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// Which questions of ARP are not answered.
    ArpIgnore,
    /// Which address asks them.
    ArpAnnounce,
    /// Whether a packet must come in where answers to it would leave.
    RpFilter,
    /// Whether there is no IPv6.
    DisableIpv6,
}

impl Knob {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ArpIgnore,
        Self::ArpAnnounce,
        Self::RpFilter,
        Self::DisableIpv6,
    ];

    /// This switch of one interface.
    pub fn of(self, interface: &str) -> Sysctl {
        Sysctl {
            knob: self,
            interface: interface.to_owned(),
        }
    }

    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::ArpIgnore => ("ipv4", "arp_ignore"),
            Self::ArpAnnounce => ("ipv4", "arp_announce"),
            Self::RpFilter => ("ipv4", "rp_filter"),
            Self::DisableIpv6 => ("ipv6", "disable_ipv6"),
        }
    }
}

impl Sysctl {
    /// Its path below `/proc/sys`.
    pub fn path(&self) -> String {
        let (family, name) = self.knob.place();
        format!("net/{family}/conf/{}/{name}", self.interface)
    }
}

/// As `sysctl` takes it: with dots, but where the interface's name has some itself.
impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interface.contains('.') {
            true => f.write_str(&self.path()),
            false => f.write_str(&self.path().replace('/', ".")),
        }
    }
}

/// Where a VIP is on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    Nowhere,
    /// Where nobody asks for it, and alone: as it should be.
    Quiet,
    /// On an interface whose neighbours can ask for it.
    Asked {
        /// The interface.
        interface: String,
        /// The length of the prefix.
        prefix: u8,
    },
    /// On `lo` with a whole network.
    Wide {
        /// The interface.
        interface: String,
        /// The length of the prefix.
        prefix: u8,
    },
}

impl Facts {
    /// The interface of this name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|one| one.name == name)
    }

    /// The loopback interface.
    pub fn lo(&self) -> Option<&Interface> {
        self.interfaces.iter().find(|one| one.is_loopback)
    }

    /// A switch.
    pub fn value(&self, sysctl: &Sysctl) -> i32 {
        self.sysctls.get(sysctl).copied().unwrap_or(0)
    }

    /// The larger of a switch's values for an interface and for all: these three count so.
    pub fn effective(&self, knob: Knob, interface: &str) -> i32 {
        let all = self.value(&knob.of(ALL));
        all.max(self.value(&knob.of(interface)))
    }

    /// Whether packets that come in by `interface` are dropped when answers to them would leave by
    /// another.
    pub fn is_strict(&self, interface: &str) -> bool {
        self.effective(Knob::RpFilter, interface) == 1
    }

    /// Whether answers to anywhere leave by another interface than this one.
    pub fn answers_elsewhere(&self, interface: &str) -> bool {
        let here = self.interface(interface).map(|one| one.index);
        let mut routes = self.default_routes.iter().filter(|route| !route.is_v6);
        routes.any(|route| Some(route.ifindex) != here)
    }

    /// Where `vip` is; the worst place, if it is in several.
    pub fn place(&self, vip: IpAddr) -> Place {
        let held = self.addresses.iter().filter(|held| held.address == vip);
        let place = |held: &Held| {
            let on = self.interfaces.iter().find(|one| one.index == held.ifindex);
            let interface = on.map(|one| one.name.clone()).unwrap_or_default();
            let prefix = held.prefix;
            if on.is_some_and(|one| one.is_asked) {
                Place::Asked { interface, prefix }
            } else if prefix < crate::network::addresses::alone(vip) {
                Place::Wide { interface, prefix }
            } else {
                Place::Quiet
            }
        };
        let rank = |place: &Place| match place {
            Place::Nowhere => 0,
            Place::Quiet => 1,
            Place::Wide { .. } => 2,
            Place::Asked { .. } => 3,
        };
        held.map(place).max_by_key(rank).unwrap_or(Place::Nowhere)
    }
}
