//! Numbers of the maps as the words of the site file and of the documents.

use std::net::IpAddr;

use lb_ebpf::abi::{HASH_CLIENT, Service, encapsulation, method, scheduler, state};

use crate::config::{Ports, Vip};
use crate::status::view::ServiceStatus;
use crate::tables::ServiceKey;

/// A method; `local` is one of its real server, not of the service.
pub(super) const fn method(number: u8) -> &'static str {
    match number {
        method::NAT => "nat",
        method::DR => "dr",
        method::TUNNEL => "tunnel",
        method::FULLNAT => "fullnat",
        _ => "unknown",
    }
}

/// A scheduler, as far as the maps tell it: the order of turns is written out.
pub(super) const fn scheduler(service: &Service) -> &'static str {
    match service.scheduler {
        scheduler::TURNS => "rr or wrr",
        scheduler::LEAST => "lc",
        scheduler::WEIGHTED_LEAST => "wlc",
        _ if service.flags & HASH_CLIENT != 0 && service.persistence == 0 => "sh",
        _ if service.flags & HASH_CLIENT != 0 => "maglev or sh",
        _ => "maglev",
    }
}

/// A state of an entry.
pub(super) const fn state(number: u8) -> &'static str {
    match number {
        state::NEW => "new",
        state::ESTABLISHED => "established",
        state::CLOSING => "closing",
        state::CLOSED => "closed",
        _ => "unknown",
    }
}

/// What packets travel in.
pub(super) const fn encapsulation(number: u8) -> &'static str {
    match number {
        encapsulation::IPIP => "ipip",
        encapsulation::GUE => "gue",
        _ => "unknown",
    }
}

/// The VIP and the ports of a service.
fn parts(key: &ServiceKey) -> (Vip, Ports) {
    let address = IpAddr::from(key.vip.address);
    let before = if address.is_ipv4() { 96 } else { 0 };
    let vip = Vip {
        address,
        prefix: key.vip.bits.saturating_sub(before),
    };
    let ports = Ports {
        first: key.first,
        last: key.last,
    };
    (vip, ports)
}

/// Where a service is: `10.77.0.100:80`.
pub(super) fn place(key: &ServiceKey) -> String {
    let (vip, ports) = parts(key);
    vip.at(ports)
}

/// Whether the daemon's service is the one at a place.
pub(super) fn is_of(told: &ServiceStatus, key: &ServiceKey) -> bool {
    let (vip, ports) = parts(key);
    let protocol = match key.protocol {
        lb_ebpf::wire::tcp::Tcp::PROTOCOL => "tcp",
        _ => "udp",
    };
    told.vip == vip.to_string()
        && told.port.to_string() == ports.to_string()
        && told.protocol == protocol
}
