//! What this host is to play in its virtual routers, as values: made by the engine, carried out by the
//! thread.
//!
//! Not here: where it comes from (site file, links, tracking), and the protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use lb_ebpf::abi::Mac;
use vrrp::Family;

use super::board::{Board, RefusedBoard};
use crate::config::Announce;

/// What tells instances apart. A virtual router with VIPs of both families is two of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The virtual router's name.
    pub router: Arc<str>,
    /// Its family.
    pub family: Family,
    /// The interface it is on. On another one it is another instance.
    pub ifindex: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        write!(f, "{} ({family})", self.router)
    }
}

/// Whether an instance takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// It does.
    Full,
    /// It leaves as [`Self::Leaving`], but where nobody takes over, it goes on.
    Offered,
    /// It leaves by a planned move: serves until another does, then takes no part.
    Leaving,
    /// It can't: the interface is down, or there is no address to send from.
    Out,
}

/// One instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What it is known by.
    pub key: Key,
    /// Its place in the data plane's table of leases.
    pub index: u16,
    /// Instances of the same group are active together.
    pub group: Arc<str>,
    /// Protocol parameters, the priority of now among them.
    pub params: vrrp::Params,
    /// Whether it takes part.
    pub part: Part,
    /// Ethernet address that its adverts, answers and announcements come from.
    pub mac: Mac,
    /// Whether that is the virtual router's own, which the card must be told of.
    pub is_virtual_mac: bool,
    /// The VIPs to announce.
    pub vips: Arc<[IpAddr]>,
    /// How often.
    pub announce: Announce,
    /// Where it is shown.
    pub board: Arc<Board>,
}

impl PartialEq for Instance {
    /// What the boards show is no part of it, but which board is.
    fn eq(&self, other: &Self) -> bool {
        let Self {
            key,
            index,
            group,
            params,
            part,
            mac,
            is_virtual_mac,
            vips,
            announce,
            board,
        } = self;
        Arc::ptr_eq(board, &other.board)
            && (key, index, group, params, part)
                == (
                    &other.key,
                    &other.index,
                    &other.group,
                    &other.params,
                    &other.part,
                )
            && (mac, is_virtual_mac, vips, announce)
                == (
                    &other.mac,
                    &other.is_virtual_mac,
                    &other.vips,
                    &other.announce,
                )
    }
}

/// All that this host plays.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The instances; no two with the same key.
    pub instances: Vec<Instance>,
    /// Where is shown what is not taken, by interface.
    pub refused: BTreeMap<u32, Arc<RefusedBoard>>,
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.instances == other.instances && self.refused.keys().eq(other.refused.keys())
    }
}
