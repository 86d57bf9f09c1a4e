//! What the data plane is to do at one moment, in the tables' words: site file × health × next hops.
//!
//! Not here: how it comes about (the engine), and what becomes of it ([`super::build`]).

use std::net::{IpAddr, SocketAddr};

use lb_ebpf::NextHop;
use lb_ebpf::abi::{Addr, Interface, Mac, PoolEntry};
use lb_ebpf::select::masked;

/// Everything the data plane is to do at this moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// Interfaces; what depends on the services is added to their flags.
    pub interfaces: Vec<Interface>,
    /// Virtual services; no two with the same key.
    pub services: Vec<ServiceWish>,
    /// The director's own addresses for fullnat; ranges of one address do not overlap.
    pub pool: Vec<PoolEntry>,
    /// Whether fragments for VIPs follow their first one; else the stack gets them all.
    pub fragments: bool,
    /// Virtual routers: no two with the same index, no VIP in two.
    pub routers: Vec<RouterWish>,
}

/// A virtual router of this director (VRRP): it serves VIPs only while it has a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterWish {
    /// Its index, below [`ROUTERS_MAX`](lb_ebpf::abi::ROUTERS_MAX). Where another router had it before,
    /// that one's lease is gone.
    pub index: u16,
    /// The interface that it is on, a VLAN's where it is in one.
    pub ifindex: u32,
    /// The Ethernet address that its VIPs are at; `None`: the interface's.
    pub mac: Option<Mac>,
    /// Its VIPs. They need no service.
    pub vips: Vec<IpAddr>,
    /// Those of its VIPs that are addresses of this host: their packets are its own stack's while another
    /// director serves them.
    pub local: Vec<IpAddr>,
}

/// An address that clients use, or a whole prefix of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vip {
    /// The address; of a prefix, its first one.
    pub address: Addr,
    /// How many bits of it count, of 128: an IPv4 address has 96 before its own.
    pub bits: u8,
}

impl Vip {
    /// One address.
    pub fn single(address: impl Into<Addr>) -> Self {
        Self {
            address: address.into(),
            bits: 128,
        }
    }

    /// A prefix, its length in the address's own family.
    pub fn prefix(address: IpAddr, length: u8) -> Self {
        Self {
            address: address.into(),
            bits: length + if address.is_ipv4() { 96 } else { 0 },
        }
    }

    /// Whether it is one address.
    pub const fn is_single(&self) -> bool {
        self.bits == 128
    }

    /// Whether all of `other` lies in it.
    pub fn contains(&self, other: &Self) -> bool {
        self.bits <= other.bits && masked(&other.address, self.bits) == self.address
    }
}

/// What a virtual service is known by: where clients find it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceKey {
    /// Its address or addresses.
    pub vip: Vip,
    /// IP protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

impl ServiceKey {
    /// One port of one address.
    pub fn new(address: impl Into<Addr>, port: u16, protocol: u8) -> Self {
        Self {
            vip: Vip::single(address),
            protocol,
            first: port,
            last: port,
        }
    }
}

/// A virtual service to be had.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceWish {
    /// Where clients find it.
    pub key: ServiceKey,
    /// A number of [`lb_ebpf::abi::method`].
    pub method: u8,
    /// How a real server is chosen.
    pub scheduler: Scheduler,
    /// When silent flows are forgotten.
    pub timeouts: Timeouts,
    /// Whether clients stay with their real server.
    pub persistence: Option<Persistence>,
    /// Whether every flow gets an entry, even where the ring alone would do.
    pub track: bool,
    /// Whether connection ids of QUIC name the real server.
    pub quic: Option<Quic>,
    /// Its real servers; no two with the same address and port.
    pub reals: Vec<RealWish>,
}

impl ServiceWish {
    /// A service as they are where nothing else is said: maglev, LVS's timeouts at 250 ticks a
    /// second, no real servers.
    pub const fn new(key: ServiceKey, method: u8) -> Self {
        Self {
            key,
            method,
            scheduler: Scheduler::Maglev,
            timeouts: Timeouts {
                established: 900 * 250,
                syn: 60 * 250,
                fin: 120 * 250,
                rst: 10 * 250,
            },
            persistence: None,
            track: false,
            quic: None,
            reals: Vec::new(),
        }
    }
}

/// How a real server is chosen for a new flow; the words are LVS's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduler {
    /// Consistent hashing of the flow.
    #[default]
    Maglev,
    /// In turn.
    Rr,
    /// In turn, by weight.
    Wrr,
    /// Fewest connections.
    Lc,
    /// Fewest connections for its weight.
    Wlc,
    /// Hashing of the client's address.
    Sh,
}

/// Kernel ticks after which a silent flow is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// An established TCP connection, or UDP.
    pub established: u32,
    /// A connection of which only a SYN was seen.
    pub syn: u32,
    /// One that a FIN was seen of.
    pub fin: u32,
    /// One that was reset.
    pub rst: u32,
}

/// Clients stay with their real server while they come back in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Kernel ticks.
    pub timeout: u32,
    /// Length of the prefix that clients of one network share, in the VIP's family.
    pub prefix: u8,
}

/// Server ids in connection ids of QUIC (draft-ietf-quic-load-balancers, plaintext).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quic {
    /// Configuration rotation bits.
    pub config: u8,
    /// Bytes of a server id.
    pub length: u8,
}

/// A real server to be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RealWish {
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0 where the client's is kept.
    pub port: u16,
    /// Its share of new flows.
    pub weight: u16,
    /// Whether an operator drains it: its share is nothing for now.
    pub drained: bool,
    /// What its health allows.
    pub standing: Standing,
    /// The way to it; `None` while it is not known.
    pub way: Option<Way>,
    /// Its server id for QUIC, zeros after its end.
    pub server_id: Option<[u8; 16]>,
}

impl RealWish {
    /// What tells it from other real servers of its service.
    pub(super) const fn identity(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Whether new flows go to it.
    pub(super) fn takes_new(&self) -> bool {
        self.weight > 0 && !self.drained && self.standing == Standing::Up && self.way.is_some()
    }
}

/// How packets get to a real server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// It is this host.
    Local,
    /// By a next hop.
    Via(NextHop),
    /// By a next hop, on a way that not all packets fit that come in.
    Narrow {
        /// The next hop.
        hop: NextHop,
        /// Bytes a packet may have.
        mtu: u16,
    },
    /// Inside other packets.
    Inside {
        /// The next hop of those.
        hop: NextHop,
        /// Their source address.
        source: IpAddr,
        /// Low bits of it that are spread by flow; 0: none.
        spread_bits: u8,
        /// A number of [`lb_ebpf::abi::encapsulation`].
        encapsulation: u8,
        /// Bytes they may have.
        mtu: u16,
    },
}

/// What a real server's health allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// New flows and old ones.
    Up,
    /// Nothing: flows it had go to another server, which will refuse them.
    Down,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_contains_what_begins_like_it() {
        let vip = |text: &str, length| Vip::prefix(text.parse().unwrap(), length);
        let wide = vip("10.80.0.0", 16);
        assert_eq!(wide.bits, 112);
        assert!(wide.contains(&vip("10.80.3.0", 24)) && wide.contains(&wide));
        assert!(wide.contains(&Vip::single("10.80.255.255".parse::<IpAddr>().unwrap())));
        assert!(!wide.contains(&vip("10.81.0.0", 24)));
        assert!(!vip("10.80.3.0", 24).contains(&wide));
        assert!(!wide.contains(&vip("2001:db8::", 64)));
    }
}
