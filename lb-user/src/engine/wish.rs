//! From site file, health and next hops to what the data plane is to do: pure.

use std::net::{IpAddr, SocketAddr};

use lb_ebpf::NextHop;
use lb_ebpf::abi::{Be16, Endpoint, method};

use super::targets::Targets;
use crate::config::{Method, Service, Site};
use crate::datapath::Clock;
use crate::network::Network;
use crate::tables::{RealWish, ServiceWish, Standing};
use health::Verdict;

/// The key of a service in the maps.
pub(crate) fn key(service: &Service) -> Endpoint {
    Endpoint::new(
        service.vip.into(),
        Be16::new(service.port),
        service.protocol.number(),
    )
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
        let reals = service
            .reals
            .iter()
            .map(|real| RealWish {
                address: real.address,
                port: real.port,
                weight: real.weight.0,
                standing: standing(targets, service, real.endpoint()),
                next_hop: next_hop(network, service.method, real.address),
            })
            .collect();
        wishes.push(ServiceWish {
            key: key(service),
            method: match service.method {
                Method::Nat => method::NAT,
                Method::Dr => method::DR,
            },
            timeout: clock.ticks(service.timeout),
            reals,
        });
    }
    wishes
}

/// Where packets to a real server go next. In direct routing they keep the VIP as their
/// destination: a router would send them straight back, so behind one there is no way.
fn next_hop(network: &mut Network, method: Method, real: IpAddr) -> Option<NextHop> {
    match method {
        Method::Dr if !network.is_on_link(real) => None,
        Method::Dr | Method::Nat => network.next_hop(real),
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
