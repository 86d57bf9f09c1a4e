//! The closed lists of words a service is described with.
//!
//! Words that IPVS or a coming version of Viaduct has are known by name, so that whoever writes one
//! hears that it is not there yet, instead of that it is a spelling mistake. Not here: what the
//! words do.

use std::fmt;

use lb_ebpf::abi::encapsulation;

/// The transport protocol of a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
}

/// How packets get to a real server (IPVS: forwarding method).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `nat`: the destination is rewritten, and replies come back through the director.
    Nat,
    /// `dr`: the packet goes unchanged to the real server's MAC, and replies go straight to the
    /// client.
    Dr,
    /// `tunnel`: the packet travels inside another one to the real server, wherever that is, and
    /// replies go straight to the client.
    Tunnel(Encapsulation),
    /// `fullnat`: source and destination are rewritten, so that replies come back to the director
    /// whatever the real server's routes are.
    Fullnat,
    /// `local`: this host is the real server.
    Local,
}

/// What carries a packet to a real server of method `tunnel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// `ipip`: nothing but an IP header (IPIP, 6in4, 4in6 or 6in6, by the families).
    #[default]
    Ipip,
    /// `gue`: an IP and a UDP header, whose source port spreads flows over receive queues.
    Gue,
}

/// How a real server is chosen for a new flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// `maglev`: consistent hashing of the flow.
    #[default]
    Maglev,
    /// `rr`: one after the other.
    Rr,
    /// `wrr`: one after the other, by weight.
    Wrr,
    /// `lc`: the one with the fewest connections.
    Lc,
    /// `wlc`: the one with the fewest connections for its weight.
    Wlc,
    /// `sh`: hashing of the client's address.
    Sh,
}

/// What becomes of IP fragments for a VIP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fragments {
    /// `forward`: they follow the first of their packet to its real server.
    #[default]
    Forward,
    /// `pass`: they go to the host's own stack.
    Pass,
}

impl Protocol {
    pub(super) const KNOWN: &[(&str, Self)] = &[("tcp", Self::Tcp), ("udp", Self::Udp)];
    pub(super) const LATER: &[&str] = &["sctp"];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// Its number in the IP header (IANA protocol numbers).
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl Method {
    pub(super) const KNOWN: &[(&str, Self)] = &[
        ("nat", Self::Nat),
        ("fullnat", Self::Fullnat),
        ("dr", Self::Dr),
        ("tunnel", Self::Tunnel(Encapsulation::Ipip)),
        ("local", Self::Local),
    ];
    pub(super) const LATER: &[&str] = &[];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dr => "dr",
            Self::Tunnel(_) => "tunnel",
            Self::Fullnat => "fullnat",
            Self::Local => "local",
        }
    }

    /// Whether the port that a packet is for can become another on its way.
    #[must_use]
    pub fn can_change_ports(self) -> bool {
        match self {
            Self::Nat | Self::Fullnat => true,
            Self::Dr | Self::Tunnel(_) | Self::Local => false,
        }
    }

    /// Whether replies come back through the director.
    #[must_use]
    pub fn returns_here(self) -> bool {
        match self {
            Self::Nat | Self::Fullnat => true,
            Self::Dr | Self::Tunnel(_) | Self::Local => false,
        }
    }
}

impl Encapsulation {
    pub(super) const KNOWN: &[(&str, Self)] = &[("ipip", Self::Ipip), ("gue", Self::Gue)];
    pub(super) const LATER: &[&str] = &["gre", "vxlan", "geneve"];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
        }
    }

    /// Its number in the maps.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ipip => encapsulation::IPIP,
            Self::Gue => encapsulation::GUE,
        }
    }
}

impl Scheduler {
    pub(super) const KNOWN: &[(&str, Self)] = &[
        ("maglev", Self::Maglev),
        ("rr", Self::Rr),
        ("wrr", Self::Wrr),
        ("lc", Self::Lc),
        ("wlc", Self::Wlc),
        ("sh", Self::Sh),
    ];
    /// The rest of IPVS; its `mh` is `maglev`.
    pub(super) const LATER: &[&str] = &["dh", "fo", "lblc", "lblcr", "nq", "ovf", "sed"];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Maglev => "maglev",
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Sh => "sh",
        }
    }
}

impl Fragments {
    pub(super) const KNOWN: &[(&str, Self)] = &[("forward", Self::Forward), ("pass", Self::Pass)];
    pub(super) const LATER: &[&str] = &[];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Pass => "pass",
        }
    }
}

macro_rules! display_word {
    ($($word:ty),*) => {$(
        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    )*};
}
display_word!(Protocol, Method, Scheduler, Encapsulation, Fragments);
