//! The frames of the table, by what they are about.
//!
//! Not here: where they are sent ([`super::site`]) and how they are compared ([`super::case`]).

mod direct;
mod dropped;
mod lies;
mod nat;
mod passed;
mod replies;

use lb_ebpf::wire;
use tests::packet::{Eth, Ipv4, Tcp, Udp, eth};

use super::case::Case;
use super::site::{CLIENT, CLIENT_MAC, LB, PORT, Served, VIP};

/// All cases.
pub(super) fn cases() -> Vec<Case> {
    [
        direct::cases(),
        nat::cases(),
        replies::cases(),
        dropped::cases(),
        passed::cases(),
        lies::cases(),
    ]
    .concat()
}

const ACK: u8 = wire::tcp::Tcp::ACK;
const FIN: u8 = wire::tcp::Tcp::FIN;
const RST: u8 = wire::tcp::Tcp::RST;
const SYN: u8 = wire::tcp::Tcp::SYN;

/// A TCP option list as clients send it: MSS, SACK permitted, time stamps, window scale.
const SYN_OPTIONS: [u8; 20] = [
    2, 4, 5, 0xb4, 4, 2, 8, 10, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 1, 3, 3, 7,
];

/// A frame from the client to the director.
fn to_director() -> Eth {
    eth(CLIENT_MAC, LB)
}

/// The client's segment to a port of the VIP.
fn tcp_to(port: u16) -> Ipv4<Tcp> {
    to_director().ipv4(CLIENT, VIP).tcp(PORT, port)
}

/// The client's datagram to a port of the VIP.
fn udp_to(port: u16) -> Ipv4<Udp> {
    to_director().ipv4(CLIENT, VIP).udp(PORT, port)
}

/// A request by direct routing, as it leaves.
fn direct<S>(service: &Served, request: Ipv4<S>) -> Ipv4<S> {
    request
        .ttl(63)
        .hop(service.next_hop.source, service.next_hop.destination)
}

/// A TCP request by nat, as it leaves.
fn nat_tcp(service: &Served, request: Ipv4<Tcp>) -> Ipv4<Tcp> {
    direct(
        service,
        request.to(service.real).ports(PORT, service.real_port),
    )
}

/// A UDP request by nat, as it leaves.
fn nat_udp(service: &Served, request: Ipv4<Udp>) -> Ipv4<Udp> {
    direct(
        service,
        request.to(service.real).ports(PORT, service.real_port),
    )
}
