//! From the engine's state and the maps' counters to the view.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use lb_ebpf::abi::{self, FLOWS_MAX, REAL_LOCAL, REAL_UP, Real, TRACKED, Traffic};

use super::routers;
use super::view::{
    ConnectionsStatus, FlowsStatus, InterfaceStatus, PoolStatus, PortStatus, RealStatus,
    ServiceStatus, SiteStatus, Status, TrafficStatus,
};
use crate::config::{Method, RealServer, Service};
use crate::datapath::Counters;
use crate::drain;
use crate::engine::{Engine, key};
use crate::network::Xdp;

/// The state at this moment.
pub(super) fn status(engine: &mut Engine) -> Result<Status, String> {
    let services: Vec<u32> = engine
        .loaded
        .services
        .values()
        .map(|service| service.id)
        .collect();
    let reals: Vec<u32> = engine.loaded.reals.keys().copied().collect();
    let counters = engine
        .datapath
        .maps()
        .counters(services.into_iter(), reals.into_iter())
        .map_err(|error| error.to_string())?;
    let ids: BTreeMap<(u32, SocketAddr), u32> = engine
        .loaded
        .reals
        .iter()
        .map(|(id, real)| ((real.service, endpoint(real)), *id))
        .collect();
    let site = &engine.site;
    let places = engine.loaded.index();
    let programmed = |declared: &Service| engine.loaded.services.get(places.get(&key(declared))?);
    let services: Vec<ServiceStatus> = site
        .checked
        .site
        .services
        .iter()
        .map(|declared| {
            let programmed = programmed(declared);
            service(engine, declared, programmed, &counters, &ids)
        })
        .collect();
    Ok(Status {
        host: site.host.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        site: SiteStatus {
            path: site.path.display().to_string(),
            digest: site.checked.digest.to_string(),
            generation: site.generation,
            loaded_at: rfc3339(site.loaded_at),
            last_error: site.last_error.clone(),
            refused: site.refused,
        },
        problem: engine.problem.clone(),
        interfaces: interfaces(engine),
        routers: routers::routers(engine),
        vrrp_refused: routers::refused(engine),
        pool: pool(engine, &services),
        services,
        flows: FlowsStatus {
            entries: engine.flow_entries,
            entries_max: FLOWS_MAX,
            events: counters
                .flow_events
                .iter()
                .map(|(event, count)| (event.label().to_owned(), *count))
                .collect(),
        },
        verdicts: counters
            .verdicts
            .iter()
            .map(|(reason, count)| (reason.label().to_owned(), *count))
            .collect(),
    })
}

fn endpoint(real: &Real) -> SocketAddr {
    SocketAddr::new(IpAddr::from(real.address), real.port.get())
}

fn interfaces(engine: &Engine) -> Vec<InterfaceStatus> {
    let status = |(name, attached): (&String, &crate::engine::Attached)| InterfaceStatus {
        name: name.clone(),
        mode: engine
            .network
            .links
            .get(&attached.ifindex)
            .map_or(Xdp::None, |link| link.xdp)
            .word()
            .to_owned(),
        because: attached.generic_because.clone(),
    };
    engine.attached.iter().map(status).collect()
}

/// The pool's use: of fullnat's flows each has one port.
fn pool(engine: &Engine, services: &[ServiceStatus]) -> Option<PoolStatus> {
    let site = &engine.site.checked.site;
    let director = site.hosts.get(&engine.site.host)?.director.as_ref()?;
    let entries = director.pool.iter();
    let ports = entries.map(|entry| u64::from(entry.ports.last - entry.ports.first) + 1);
    let of_pool = services.iter().zip(&site.services);
    let of_pool = of_pool.filter(|(_, declared)| declared.method == Method::Fullnat);
    let flows =
        of_pool.map(|(told, _)| told.connections_now.active + told.connections_now.inactive);
    (!director.pool.is_empty()).then(|| PoolStatus {
        flows: flows.sum(),
        ports: ports.sum(),
    })
}

fn service(
    engine: &Engine,
    declared: &Service,
    programmed: Option<&abi::Service>,
    counters: &Counters,
    ids: &BTreeMap<(u32, SocketAddr), u32>,
) -> ServiceStatus {
    let shares = programmed
        .map(|service| shares(engine, service))
        .unwrap_or_default();
    let real = |real: &RealServer| {
        let id = programmed.and_then(|service| ids.get(&(service.id, real.endpoint())).copied());
        let connections = id
            .map(|id| match is_left(engine, declared, real) {
                true => counted(id, counters),
                false => connections(programmed, id, counters),
            })
            .unwrap_or_default();
        self::real(engine, declared, real, id, &shares, connections, counters)
    };
    let reals: Vec<RealStatus> = declared.servers().iter().map(real).collect();
    ServiceStatus {
        name: declared.name.clone(),
        vip: declared.vip.to_string(),
        port: match declared.ports.single() {
            Some(port) => PortStatus::One(port),
            None => PortStatus::Several(declared.ports.to_string()),
        },
        protocol: declared.protocol.word().to_owned(),
        method: declared.method.word().to_owned(),
        scheduler: declared.scheduler.word().to_owned(),
        unsettled_slots: engine.settling.unsettled(&key(declared)) as u64,
        traffic: programmed
            .and_then(|service| counters.services.get(&service.id))
            .map(traffic)
            .unwrap_or_default(),
        connections_now: ConnectionsStatus {
            active: reals.iter().map(|real| real.connections_now.active).sum(),
            inactive: reals.iter().map(|real| real.connections_now.inactive).sum(),
            connections_estimated: !programmed.is_some_and(is_tracked),
        },
        reals,
    }
}

fn real(
    engine: &Engine,
    service: &Service,
    declared: &RealServer,
    id: Option<u32>,
    shares: &BTreeMap<u32, f64>,
    connections_now: ConnectionsStatus,
    counters: &Counters,
) -> RealStatus {
    let target = engine.targets.get(&service.name, declared.endpoint());
    let programmed = id.and_then(|id| engine.loaded.reals.get(&id));
    let next_hop = match programmed {
        Some(real) if real.flags & REAL_LOCAL != 0 => "this host".to_owned(),
        _ if service.method.can_change_ports()
            && engine.network.own.contains(&declared.address) =>
        {
            format!(
                "this host, where {} does not change the port",
                service.method
            )
        }
        _ if service.method == Method::Dr && !engine.network.is_on_link(declared.address) => {
            "behind a router, where dr does not reach".to_owned()
        }
        _ if engine.network.is_out_of_reach(declared.address) => {
            "behind a VLAN that frames can't be tagged for".to_owned()
        }
        Some(real) if real.ifindex != 0 => real.next_hop.to_string(),
        _ => "unresolved".to_owned(),
    };
    RealStatus {
        address: declared.address,
        port: declared.port,
        weight: declared.weight.0,
        drained: engine
            .drained
            .contains(&drain::order::id(service, declared)),
        draining: target.is_some_and(|target| target.is_draining()),
        health: target
            .map_or("unchecked", |target| target.verdict().word())
            .to_owned(),
        health_since: target.map(|target| rfc3339(target.since)),
        health_reason: target
            .and_then(|target| target.last())
            .map(|last| last.to_string()),
        next_hop,
        share: id
            .filter(|_| programmed.is_some_and(|real| real.flags & REAL_UP != 0))
            .and_then(|id| shares.get(&id).copied())
            .unwrap_or(0.0),
        traffic: id
            .and_then(|id| counters.reals.get(&id))
            .map(traffic)
            .unwrap_or_default(),
        connections_now,
    }
}

/// Whether every flow of a service has an entry.
const fn is_tracked(service: &abi::Service) -> bool {
    service.flags & TRACKED != 0
}

/// Whether no packet can get to a real server but by an entry: it is drained, and the ring has
/// settled without it.
fn is_left(engine: &Engine, service: &Service, real: &RealServer) -> bool {
    engine.drained.contains(&drain::order::id(service, real))
        && engine.settling.unsettled(&key(service)) == 0
}

/// What a real server has open: exact where all its flows have entries, else what opened less what
/// ended, and no less than what has entries.
fn connections(service: Option<&abi::Service>, id: u32, counters: &Counters) -> ConnectionsStatus {
    let counted = counted(id, counters);
    if service.is_some_and(is_tracked) {
        return counted;
    }
    let traffic = counters.reals.get(&id).copied().unwrap_or_default();
    let open = traffic.connections.saturating_sub(traffic.ended);
    ConnectionsStatus {
        active: open.max(counted.active),
        inactive: 0,
        connections_estimated: true,
    }
}

/// What a real server has entries of.
fn counted(id: u32, counters: &Counters) -> ConnectionsStatus {
    let counted = counters.connections.get(&id).copied().unwrap_or_default();
    ConnectionsStatus {
        active: counted.active.into(),
        inactive: counted.inactive.into(),
        connections_estimated: false,
    }
}

/// The part of a service's turns, or else of its slots, that each real server has.
fn shares(engine: &Engine, service: &abi::Service) -> BTreeMap<u32, f64> {
    let members = engine.loaded.members_of(service);
    let turns = engine.loaded.turns_of(service);
    let ring = match turns.is_empty() {
        true => engine.loaded.ring_of(service),
        false => turns,
    };
    let mut slots: BTreeMap<u32, u32> = BTreeMap::new();
    for slot in ring.iter() {
        if let Some(id) = members.get(usize::from(slot.current())) {
            *slots.entry(*id).or_default() += 1;
        }
    }
    let all = f64::from(slots.values().sum::<u32>().max(1));
    slots
        .into_iter()
        .map(|(id, count)| (id, f64::from(count) / all))
        .collect()
}

fn traffic(traffic: &Traffic) -> TrafficStatus {
    TrafficStatus {
        packets: traffic.packets,
        bytes: traffic.bytes,
        connections: traffic.connections,
        ended: traffic.ended,
        reply_packets: traffic.reply_packets,
        reply_bytes: traffic.reply_bytes,
    }
}

pub(super) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
