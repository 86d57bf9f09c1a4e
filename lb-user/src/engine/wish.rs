//! From site file, health and next hops to what the data plane is to do: pure.

use std::net::SocketAddr;

use lb_ebpf::abi::{Be16, Endpoint, method};

use super::targets::Targets;
use crate::config::{Method, RealServer, Service, Site};
use crate::datapath::Clock;
use crate::network::Network;
use crate::tables::{RealWish, ServiceWish, Standing, Way};
use health::Verdict;

/// The key of a service in the maps; `None` of one that they can't hold until the tables know
/// networks, ranges and fullnat.
pub(crate) fn key(service: &Service) -> Option<Endpoint> {
    let port = service
        .ports
        .single()
        .filter(|_| service.vip.is_single() && service.method != Method::Fullnat)?;
    Some(Endpoint::new(
        service.vip.address.into(),
        Be16::new(port),
        service.protocol.number(),
    ))
}

/// The services as the tables want them.
pub(super) fn services(
    site: &Site,
    targets: &Targets,
    network: &mut Network,
    clock: &Clock,
) -> Vec<ServiceWish> {
    let mut wishes = Vec::with_capacity(site.services.len());
    for service in &site.services {
        // Until the tables know ranges.
        let Some(key) = key(service) else {
            continue;
        };
        let reals = service
            .servers()
            .iter()
            .map(|real| RealWish {
                address: real.address,
                port: real.endpoint().port(),
                weight: real.weight.0,
                standing: standing(targets, service, real.endpoint()),
                way: way(network, service, real),
            })
            .collect();
        wishes.push(ServiceWish {
            key,
            method: match service.method {
                Method::Nat | Method::Fullnat => method::NAT,
                Method::Dr | Method::Local => method::DR,
                Method::Tunnel(_) => method::TUNNEL,
            },
            timeout: clock.ticks(service.timeouts.established),
            reals,
        });
    }
    wishes
}

/// How packets get to a real server; `None` where they can't, or not yet.
fn way(network: &mut Network, service: &Service, real: &RealServer) -> Option<Way> {
    if service.method == Method::Local || network.own.contains(&real.address) {
        // Its stack knows nothing of a port that nat would have to translate back.
        let fits = service.method != Method::Nat || service.ports.single() == real.port;
        return fits.then_some(Way::Local);
    }
    match service.method {
        // In direct routing packets keep the VIP as their destination: a router would send them
        // straight back.
        Method::Dr if !network.is_on_link(real.address) => None,
        Method::Dr | Method::Nat | Method::Fullnat | Method::Local => {
            network.next_hop(real.address).map(Way::Via)
        }
        Method::Tunnel(encapsulation) => {
            let hop = network.next_hop(real.address)?;
            let path = network.path(real.address)?;
            let link = network.links.get(&hop.ifindex)?.mtu;
            let mtu = path.mtu.unwrap_or(link).min(link);
            Some(Way::Inside {
                hop,
                source: path.source?,
                encapsulation: encapsulation.number(),
                mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            })
        }
    }
}

/// What health allows: without a check a real server is always up; one without a verdict gets
/// nothing until its first probe has passed.
fn standing(targets: &Targets, service: &Service, real: SocketAddr) -> Standing {
    match targets
        .get(&service.name, real)
        .map(|target| target.verdict())
    {
        None | Some(Verdict::Up) => Standing::Up,
        Some(Verdict::Checking | Verdict::Down) => Standing::Down,
    }
}
