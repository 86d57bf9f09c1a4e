//! ICMP errors about flows: to the real server whose packet they are about, or to the client whose packet
//! they are about, and with them what they quote, translated as the packets were. All checksums in
//! what is expected are computed whole.
//!
//! In the order of the table: fullnat's flows were opened before. Not here: errors that are nobody's
//! ([`super::errors_odd`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ebpf::abi::{Reason, method};
use lb_ebpf::wire::tcp::Tcp;
use tests::packet::{Error, Header, Ipv4, Ipv6, Packet, eth};

use crate::datapath::case::{Case, errs, errs_back, passes};
use crate::datapath::kinds::{self, Kind, REPLYING};
use crate::datapath::served::{Road, Served};
use crate::datapath::site::{
    CLIENT, CLIENT_MAC, CLIENT6, LB, OWN, OWN_PORT, OWN6, PORT, ROUTER, ROUTER_MAC, ROUTER6, VIP,
    VIP6,
};

use super::{carried, direct, flow_of};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in kinds::ALL {
        for served in [kind.tcp(), kind.udp(), kind.tcp6(), kind.udp6()] {
            for quoted in [Some(8), None] {
                cases.push(about_reply(kind, &served, quoted));
            }
        }
    }
    for kind in REPLYING {
        for served in [kind.tcp(), kind.udp(), kind.tcp6(), kind.udp6()] {
            for quoted in [Some(8), None] {
                cases.push(about_request(kind, &served, quoted));
            }
        }
    }
    cases
}

/// An address and port.
type End = (IpAddr, u16);

/// A packet between two ends, as an error quotes it: its IP header and so many bytes more, or all.
pub(super) fn quote(protocol: u8, from: End, to: End, bytes: Option<usize>) -> Vec<u8> {
    let link = eth(CLIENT_MAC, LB);
    let (packet, header) = match (from.0, to.0) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let bare = link.ipv4(source, destination).ttl(61).dont_fragment();
            (carrying(bare, protocol, from.1, to.1), 20)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let bare = link.ipv6(source, destination).ttl(61).flow_label(5);
            (carrying(bare, protocol, from.1, to.1), 40)
        }
        (from, to) => panic!("from {from} to {to}"),
    };
    let len = bytes.map_or(packet.len(), |bytes| header + bytes);
    packet[..len].to_vec()
}

fn carrying<H: Header>(bare: Packet<H>, protocol: u8, from: u16, to: u16) -> Vec<u8> {
    const PAYLOAD: &[u8] = b"what was too long, as far as it is quoted";
    if protocol == Tcp::PROTOCOL {
        bare.tcp(from, to).payload(PAYLOAD).packet()
    } else {
        bare.udp(from, to).payload(PAYLOAD).packet()
    }
}

/// "Too big", from a router on the way.
pub(super) fn too_big(to: Ipv4Addr, quote: &[u8]) -> Ipv4<Error> {
    eth(ROUTER_MAC, LB).ipv4(ROUTER, to).too_big(1400, quote)
}

/// As [`too_big`], by IPv6.
pub(super) fn too_big6(to: Ipv6Addr, quote: &[u8]) -> Ipv6<Error> {
    eth(ROUTER_MAC, LB).ipv6(ROUTER6, to).too_big(1400, quote)
}

pub(super) fn client(served: &Served) -> End {
    let address = if served.vip.is_ipv4() {
        CLIENT.into()
    } else {
        CLIENT6.into()
    };
    (address, PORT)
}

/// Where the client's flow comes from behind the director.
fn client_behind(served: &Served) -> End {
    match (served.method, served.vip.is_ipv4()) {
        (method::FULLNAT, true) => (OWN.into(), OWN_PORT),
        (method::FULLNAT, false) => (OWN6.into(), OWN_PORT),
        _ => client(served),
    }
}

fn named(kind: Kind, served: &Served, quoted: Option<usize>, about: &str) -> String {
    format!(
        "error: {}, {}, {}, about {about}, quoting {}",
        kind.name,
        if served.protocol == Tcp::PROTOCOL {
            "TCP"
        } else {
            "UDP"
        },
        if served.vip.is_ipv4() { "IPv4" } else { "IPv6" },
        quoted.map_or_else(|| "all".to_owned(), |bytes| format!("{bytes} bytes")),
    )
}

/// About what went to the client: for the real server.
fn about_reply(kind: Kind, served: &Served, quoted: Option<usize>) -> Case {
    let name = named(kind, served, quoted, "a reply");
    let seen = quote(
        served.protocol,
        (served.vip, served.port),
        client(served),
        quoted,
    );
    let real = match served.road {
        Road::Plain => (served.real, served.port_behind()),
        // It is not translated.
        Road::Tunnel(..) | Road::Local => (served.vip, served.port),
    };
    let behind = quote(served.protocol, real, client_behind(served), quoted);
    if served.vip.is_ipv4() {
        let error = too_big(VIP, &seen);
        match to_real(served, error.clone(), |to| too_big(v4(to), &behind)) {
            Some(output) => errs(name, served, error, output),
            None => passes(name, Reason::ForwardedLocal, error),
        }
    } else {
        let error = too_big6(VIP6, &seen);
        match to_real(served, error.clone(), |to| too_big6(v6(to), &behind)) {
            Some(output) => errs(name, served, error, output),
            None => passes(name, Reason::ForwardedLocal, error),
        }
    }
}

/// An error as it leaves for a real server; `translated` is it, to another address and with the quote
/// as it is there. `None` where it stays.
fn to_real<H: Header>(
    served: &Served,
    error: Packet<H, Error>,
    translated: impl Fn(IpAddr) -> Packet<H, Error>,
) -> Option<Vec<u8>> {
    Some(match (served.road, served.method) {
        (Road::Local, _) => return None,
        (Road::Tunnel(..), _) => carried(served, flow_of(served, client(served).0, PORT), error),
        (Road::Plain, method::DR) => direct(served, error).build(),
        (Road::Plain, _) => direct(served, translated(served.real)).build(),
    })
}

/// About what went to the real server: for the client, in the VIP's name.
fn about_request(kind: Kind, served: &Served, quoted: Option<usize>) -> Case {
    let name = named(kind, served, quoted, "a request");
    let from = client_behind(served);
    let real = (served.real, served.port_behind());
    let seen = quote(served.protocol, from, real, quoted);
    let ahead = quote(
        served.protocol,
        client(served),
        (served.vip, served.port),
        quoted,
    );
    let (input, output) = if served.vip.is_ipv4() {
        let output = too_big(v4(client(served).0), &ahead).from(served.vip);
        (too_big(v4(from.0), &seen).build(), back(output))
    } else {
        let output = too_big6(v6(client(served).0), &ahead).from(served.vip);
        (too_big6(v6(from.0), &seen).build(), back(output))
    };
    errs_back(name, input, output)
}

/// As it leaves for the client.
pub(super) fn back<H: Header>(error: Packet<H, Error>) -> Vec<u8> {
    error.ttl(63).hop(LB, CLIENT_MAC).build()
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(address) => panic!("{address} is not IPv4"),
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => panic!("{address} is not IPv6"),
    }
}
