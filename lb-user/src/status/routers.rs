//! The virtual routers in the view: from what the engine and the protocol thread show.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use vrrp::{Family, State};

use super::collect::rfc3339;
use super::view::{RouterCounters, RouterStatus};
use crate::engine::{Engine, Shown};
use crate::ha::board::Board;

/// All of them.
pub(super) fn routers(engine: &Engine) -> Vec<RouterStatus> {
    engine.routers.shown().iter().map(router).collect()
}

/// VRRP datagrams not taken, by interface and reason.
pub(super) fn refused(engine: &Engine) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut refused: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (ifindex, reason, count) in engine.routers.refused() {
        let link = engine.network.links.get(&ifindex);
        let name = link.map_or_else(|| ifindex.to_string(), |link| link.name.clone());
        let of_interface = refused.entry(name).or_default();
        of_interface.insert(reason.label().to_owned(), count);
    }
    refused
}

fn router(shown: &Shown) -> RouterStatus {
    let board = shown.board.as_deref();
    let state = board.map_or(State::Initialize, Board::state);
    let since = board.map(Board::since);
    let peer = board.and_then(Board::peer);
    let notices = board.into_iter().flat_map(Board::noticed);
    RouterStatus {
        name: shown.router.clone(),
        family: match shown.family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
        .to_owned(),
        interface: shown.interface.clone(),
        vrid: shown.vrid,
        group: shown.group.to_string(),
        vips: shown.vips.clone(),
        state: state.word().to_owned(),
        since: since.filter(|at| *at > SystemTime::UNIX_EPOCH).map(rfc3339),
        priority: board.map_or(shown.base_priority, Board::priority),
        base_priority: shown.base_priority,
        failing: shown.failing.clone(),
        fault: shown.fault.clone(),
        peer: peer.map(|(address, _)| address),
        peer_priority: peer.map_or(0, |(_, priority)| priority),
        counters: board.map(counters).unwrap_or_default(),
        notices: notices
            .map(|(notice, count)| (notice.label().to_owned(), count))
            .collect(),
    }
}

fn counters(board: &Board) -> RouterCounters {
    let count = |count: &AtomicU64| count.load(Relaxed);
    RouterCounters {
        takeovers: count(&board.takeovers),
        woken_late: count(&board.woken_late),
        sent: count(&board.sent),
        send_errors: count(&board.send_errors),
        heard: count(&board.heard),
        announced: count(&board.announced),
    }
}
