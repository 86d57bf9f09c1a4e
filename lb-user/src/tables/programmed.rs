//! The numbers of one service and of its real servers, as the program reads them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use lb_ebpf::abi::{
    Be16, HASH_CLIENT, REAL_DRAINED, REAL_DRAINING, REAL_LOCAL, REAL_UP, Real, Service, TRACKED,
    method, scheduler,
};
use zerocopy::FromZeros as _;

use super::ring::Candidate;
use super::{NO_REAL, RealWish, Scheduler, ServiceWish, Standing, Way};

/// A service without the places of what belongs to it.
pub(super) fn settings(wish: &ServiceWish) -> Service {
    let mut service = Service::new_zeroed();
    service.timeout = wish.timeouts.established;
    service.syn_timeout = wish.timeouts.syn;
    service.fin_timeout = wish.timeouts.fin;
    service.rst_timeout = wish.timeouts.rst;
    service.method = wish.method;
    service.scheduler = match wish.scheduler {
        Scheduler::Maglev | Scheduler::Sh => scheduler::RING,
        Scheduler::Rr | Scheduler::Wrr => scheduler::TURNS,
        Scheduler::Lc => scheduler::LEAST,
        Scheduler::Wlc => scheduler::WEIGHTED_LEAST,
    };
    let is_tracked = wish.track
        || wish.quic.is_some()
        || wish.method == method::FULLNAT
        || service.scheduler != scheduler::RING;
    let by_client = wish.scheduler == Scheduler::Sh || wish.persistence.is_some();
    service.flags = flag(is_tracked, TRACKED) | flag(by_client, HASH_CLIENT);
    service.client_bits = if by_client { 128 } else { 0 };
    if let Some(persistence) = wish.persistence {
        service.persistence = persistence.timeout;
        let before = if wish.key.vip.address.is_v4() { 96 } else { 0 };
        service.client_bits = before + persistence.prefix;
    }
    if let Some(quic) = wish.quic {
        service.quic_config = quic.config;
        service.quic_len = quic.length;
    }
    service.first = wish.key.first;
    service.last = wish.key.last;
    service
}

const fn flag(is: bool, flag: u16) -> u16 {
    if is { flag } else { 0 }
}

/// A real server as the program reads it. While no way to it is known it is not up, and the way it
/// had stays written.
pub(super) fn programmed(wish: &RealWish, service: u32, before: Option<&Real>) -> Real {
    let mut real = before.copied().unwrap_or_else(Real::new_zeroed);
    real.address = wish.address.into();
    real.port = Be16::new(wish.port);
    real.service = service;
    real.weight = wish.weight;
    real.flags = flag(wish.standing == Standing::Up && wish.way.is_some(), REAL_UP)
        | flag(wish.weight == 0 || wish.drained, REAL_DRAINING)
        | flag(wish.drained, REAL_DRAINED)
        | flag(wish.way == Some(Way::Local), REAL_LOCAL);
    let hop = match wish.way {
        None | Some(Way::Local) => return real,
        Some(Way::Via(hop)) => {
            real.mtu = 0;
            hop
        }
        Some(Way::Narrow { hop, mtu }) => {
            real.mtu = mtu;
            hop
        }
        Some(Way::Inside {
            hop,
            source,
            spread_bits,
            encapsulation,
            mtu,
        }) => {
            real.tunnel_source = source.into();
            real.spread_bits = spread_bits;
            real.encapsulation = encapsulation;
            real.mtu = mtu;
            hop
        }
    };
    real.ifindex = hop.ifindex;
    real.next_hop = hop.destination;
    real.source = hop.source;
    real.vlan = hop.vlan;
    real
}

/// The member list: who stays keeps its index, who is new takes a free one, in the order of
/// addresses, and who goes leaves [`NO_REAL`].
pub(super) fn members(wish: &ServiceWish, before: &Arc<[u32]>, ids: &[u32]) -> Arc<[u32]> {
    let wanted: HashSet<u32> = ids.iter().copied().collect();
    let there: HashSet<u32> = before.iter().copied().collect();
    let new: BTreeMap<SocketAddr, u32> = wish
        .reals
        .iter()
        .zip(ids)
        .filter(|(_, id)| !there.contains(id))
        .map(|(real, id)| (real.identity(), *id))
        .collect();
    let mut new = new.into_values();
    let stays = |id: &u32| if wanted.contains(id) { *id } else { NO_REAL };
    let mut members: Vec<u32> = before.iter().map(stays).collect();
    for member in members.iter_mut().filter(|member| **member == NO_REAL) {
        *member = new.next().unwrap_or(NO_REAL);
    }
    members.extend(new);
    match *members == **before {
        true => Arc::clone(before),
        false => members.into(),
    }
}

/// Those of the real servers that take new flows, as ring and turns see them.
pub(super) fn candidates(wish: &ServiceWish, ids: &[u32], members: &[u32]) -> Vec<Candidate> {
    let indices: HashMap<u32, u16> = members.iter().copied().zip(0..).collect();
    let mut ports: HashMap<_, u32> = HashMap::new();
    for real in &wish.reals {
        *ports.entry(real.address).or_default() += 1;
    }
    let mut candidates = Vec::with_capacity(ids.len());
    for (real, id) in wish.reals.iter().zip(ids) {
        let (Some(member), true) = (indices.get(id), real.takes_new()) else {
            continue;
        };
        let is_alone = ports.get(&real.address) == Some(&1);
        candidates.push(Candidate {
            member: *member,
            identity: SocketAddr::new(real.address, if is_alone { 0 } else { real.port }),
            weight: real.weight,
        });
    }
    candidates
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use lb_ebpf::NextHop;
    use lb_ebpf::abi::Mac;

    use super::*;

    #[test]
    fn a_way_that_is_no_longer_narrow_has_no_mtu() {
        let hop = NextHop {
            ifindex: 2,
            destination: Mac([2; 6]),
            source: Mac([3; 6]),
            vlan: 20,
        };
        let mut wish = RealWish {
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 11)),
            port: 80,
            weight: 1,
            drained: false,
            standing: Standing::Up,
            way: Some(Way::Narrow { hop, mtu: 1400 }),
            server_id: None,
        };
        let narrow = programmed(&wish, 1, None);
        assert_eq!((narrow.mtu, narrow.vlan), (1400, 20));
        wish.way = None;
        assert_eq!(programmed(&wish, 1, Some(&narrow)).mtu, 1400);
        wish.way = Some(Way::Via(hop));
        assert_eq!(programmed(&wish, 1, Some(&narrow)).mtu, 0);
    }
}
