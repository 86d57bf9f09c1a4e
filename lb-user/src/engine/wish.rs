//! From site file, health and next hops to what the data plane is to do: pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use lb_ebpf::abi::{INTERFACE_SLOTS, Interface, PoolEntry, SERVED, method};

use super::targets::Targets;
use crate::config::{DirectorHost, Method, RealServer, Scheduler, Service, Site, TunnelSources};
use crate::datapath::Clock;
use crate::drain::{self, Drained};
use crate::network::Network;
use crate::tables::{
    self, Persistence, Quic, RealWish, ServiceKey, ServiceWish, Standing, Timeouts, Vip, Way,
};
use health::Verdict;

/// How long a reset connection is remembered (LVS's CLOSE): it is over, but its last packets may
/// still come.
const RST: Duration = Duration::from_secs(10);

/// What a service is known by in the tables.
pub(crate) fn key(service: &Service) -> ServiceKey {
    ServiceKey {
        vip: Vip::prefix(service.vip.address, service.vip.prefix),
        protocol: service.protocol.number(),
        first: service.ports.first,
        last: service.ports.last,
    }
}

/// The services as the tables want them.
pub(super) fn services(
    site: &Site,
    targets: &Targets,
    drained: &Drained,
    network: &mut Network,
    clock: &Clock,
) -> Vec<ServiceWish> {
    let sources = site.director.tunnel_sources;
    let mut wish = |service: &Service| ServiceWish {
        key: key(service),
        method: match service.method {
            Method::Nat => method::NAT,
            Method::Fullnat => method::FULLNAT,
            Method::Dr | Method::Local => method::DR,
            Method::Tunnel(_) => method::TUNNEL,
        },
        scheduler: scheduler(service.scheduler),
        timeouts: Timeouts {
            established: clock.ticks(service.timeouts.established),
            syn: clock.ticks(service.timeouts.syn),
            fin: clock.ticks(service.timeouts.fin),
            rst: clock.ticks(RST),
        },
        persistence: service.persistence.map(|persistence| Persistence {
            timeout: clock.ticks(persistence.timeout),
            prefix: persistence.prefix,
        }),
        track: service.track,
        quic: service.quic.map(|quic| Quic {
            config: quic.config,
            length: quic.length,
        }),
        reals: service
            .servers()
            .iter()
            .map(|real| RealWish {
                address: real.address,
                port: real.port.unwrap_or(0),
                weight: match is_draining(targets, service, real.endpoint()) {
                    true => 0,
                    false => real.weight.0,
                },
                drained: drained.contains(&drain::order::id(service, real)),
                standing: standing(targets, service, real.endpoint()),
                way: way(network, service, real, sources),
                server_id: real.server_id.map(|id| {
                    let mut padded = [0; 16];
                    padded[..id.as_bytes().len()].copy_from_slice(id.as_bytes());
                    padded
                }),
            })
            .collect(),
    };
    site.services.iter().map(&mut wish).collect()
}

/// A scheduler as the tables know it.
const fn scheduler(scheduler: Scheduler) -> tables::Scheduler {
    match scheduler {
        Scheduler::Maglev => tables::Scheduler::Maglev,
        Scheduler::Rr => tables::Scheduler::Rr,
        Scheduler::Wrr => tables::Scheduler::Wrr,
        Scheduler::Lc => tables::Scheduler::Lc,
        Scheduler::Wlc => tables::Scheduler::Wlc,
        Scheduler::Sh => tables::Scheduler::Sh,
    }
}

/// The interfaces as the tables want them: those that are served, and the VLANs of these, which a
/// route to a client may name.
pub(super) fn interfaces(attached: impl Iterator<Item = u32>, network: &Network) -> Vec<Interface> {
    let served = attached.filter_map(|ifindex| {
        Some(Interface {
            ifindex,
            flags: SERVED,
            mac: network.links.get(&ifindex)?.mac?,
            vlan: 0,
            egress: ifindex,
        })
    });
    let mut interfaces: Vec<Interface> = served.collect();
    let mut slots: BTreeSet<u32> = interfaces.iter().map(slot).collect();
    for (ifindex, hop) in network.vlans() {
        let vlan = Interface {
            ifindex,
            flags: 0,
            mac: hop.source,
            vlan: hop.vlan,
            egress: hop.ifindex,
        };
        // Of two that share a place, one is served, or came first.
        if slots.insert(slot(&vlan)) {
            interfaces.push(vlan);
        }
    }
    interfaces
}

/// The place of an interface in the program's table.
const fn slot(interface: &Interface) -> u32 {
    interface.ifindex % INTERFACE_SLOTS
}

/// The addresses and ports that this host's fullnat sends from.
pub(super) fn pool(host: Option<&DirectorHost>) -> Vec<PoolEntry> {
    let entries = host.into_iter().flat_map(|host| &host.pool);
    entries
        .map(|entry| PoolEntry {
            address: entry.address.into(),
            first: entry.ports.first,
            count: (entry.ports.last - entry.ports.first).saturating_add(1),
        })
        .collect()
}

/// How packets get to a real server; `None` where they can't, or not yet.
fn way(
    network: &mut Network,
    service: &Service,
    real: &RealServer,
    sources: Option<TunnelSources>,
) -> Option<Way> {
    if service.method == Method::Local || network.own.contains(&real.address) {
        // Its stack knows nothing of a port that nat would have to translate back.
        let fits = !service.method.can_change_ports()
            || real.port.is_none()
            || service.ports.single() == real.port;
        return fits.then_some(Way::Local);
    }
    match service.method {
        // In direct routing packets keep the VIP as their destination: a router would send them
        // straight back.
        Method::Dr if !network.is_on_link(real.address) => None,
        Method::Dr | Method::Nat | Method::Fullnat | Method::Local => {
            let hop = network.next_hop(real.address)?;
            let mtu = network.narrow_mtu(real.address);
            Some(mtu.map_or(Way::Via(hop), |mtu| Way::Narrow {
                hop,
                mtu: bounded(mtu),
            }))
        }
        Method::Tunnel(encapsulation) => {
            let hop = network.next_hop(real.address)?;
            let path = network.path(real.address)?;
            let spread = sources.filter(|_| real.address.is_ipv4());
            Some(Way::Inside {
                hop,
                source: match spread {
                    Some(spread) => spread.address.into(),
                    None => path.source?,
                },
                spread_bits: spread.map_or(0, |spread| 32 - spread.prefix),
                encapsulation: encapsulation.number(),
                mtu: bounded(network.mtu(real.address)?),
            })
        }
    }
}

/// An MTU as the program has it; no IP packet is longer than that.
fn bounded(mtu: u32) -> u16 {
    u16::try_from(mtu).unwrap_or(u16::MAX)
}

/// What health allows: without a check a real server is always up; one without a verdict gets
/// nothing until its first probe has passed; one that stops as it said it would keeps what is left of its
/// flows.
pub(super) fn standing(targets: &Targets, service: &Service, real: SocketAddr) -> Standing {
    let target = targets.get(&service.name, real);
    match target.map(|target| (target.verdict(), target.is_draining())) {
        None | Some((Verdict::Up, _) | (_, true)) => Standing::Up,
        Some((Verdict::Checking | Verdict::Down, false)) => Standing::Down,
    }
}

/// Whether a real server says that it is about to stop, or has stopped after it said so.
pub(super) fn is_draining(targets: &Targets, service: &Service, real: SocketAddr) -> bool {
    let target = targets.get(&service.name, real);
    target.is_some_and(|target| target.is_draining())
}

#[cfg(test)]
mod tests {
    use lb_ebpf::abi::Mac;

    use super::*;
    use crate::network::{Link, Vlan, Xdp};

    fn link(vlan: Option<Vlan>) -> Link {
        Link {
            name: String::new(),
            mac: Some(Mac([2; 6])),
            mtu: 1500,
            is_up: true,
            xdp: Xdp::Native,
            vlan,
        }
    }

    #[test]
    fn vlans_of_served_interfaces_are_known_and_take_nobody_s_place() {
        let vlan = |id| {
            link(Some(Vlan {
                id,
                parent: 2,
                is_dot1q: true,
            }))
        };
        let mut network = Network::default();
        network.served = BTreeSet::from([2]);
        network.links = [
            (2, link(None)),
            (7, vlan(20)),
            (2 + INTERFACE_SLOTS, vlan(21)),
            (7 + INTERFACE_SLOTS, vlan(22)),
        ]
        .into();
        let found: Vec<_> = interfaces([2].into_iter(), &network)
            .iter()
            .map(|i| (i.ifindex, i.flags, i.vlan, i.egress))
            .collect();
        assert_eq!(found, [(2, SERVED, 0, 2), (7, 0, 20, 2)]);
    }
}
