//! The networks that tests and the demonstration use, by name.
//!
//! Not here: how they are made (`link`), and what runs on them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::plan::{Host, Plan, Port};

/// The one who asks.
pub const CLIENT: &str = "client";
/// The first director.
pub const LB1: &str = "lb1";
/// The second director.
pub const LB2: &str = "lb2";
/// The one who watches: neither client nor director.
pub const MONITOR: &str = "monitor";
/// The virtual service's address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// The client's address.
pub const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The first director's address towards the clients.
pub const LB1_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The first director's address that fullnat sends from.
pub const LB1_POOL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// The first director's address towards real servers behind nat.
pub const LB1_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);

/// The second director's address towards the clients.
pub const LB2_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 4);
/// The second director's address that fullnat sends from.
pub const LB2_POOL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 5);
/// The second director's address towards real servers behind nat.
pub const LB2_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 4);
/// The address of the one who watches.
pub const MONITOR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 6);
/// The address that two directors share towards real servers behind nat: their default route.
pub const GATEWAY_VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

/// A forwarding method, as in the site file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Direct return: the real server answers the client itself.
    Dr,
    /// The director rewrites addresses both ways.
    Nat,
    /// The director also rewrites the source: real servers answer to it and need no route.
    Fullnat,
    /// The director sends packets inside others; the real server answers the client itself.
    Tunnel(Encapsulation),
}

/// What carries the packets of method `tunnel`, as in the site file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// An IP header.
    Ipip,
    /// An IP and a UDP header.
    Gue,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dr => "dr",
            Self::Nat => "nat",
            Self::Fullnat => "fullnat",
            Self::Tunnel(_) => "tunnel",
        })
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
        })
    }
}

/// The name of a web server, counted from 1.
#[must_use]
pub fn web(number: u8) -> String {
    format!("web{number}")
}

/// The address of a web server, counted from 1.
#[must_use]
pub fn web_address(method: Method, number: u8) -> Ipv4Addr {
    match method {
        Method::Dr | Method::Tunnel(_) | Method::Fullnat => Ipv4Addr::new(10, 77, 0, 10 + number),
        Method::Nat => Ipv4Addr::new(10, 77, 1, 10 + number),
    }
}

/// The IPv6 address of whoever has this IPv4 address, on networks made by [`dual`]: `10.77.N.M` and
/// `fd77:0:0:N::M`.
#[must_use]
pub fn twin(address: Ipv4Addr) -> Ipv6Addr {
    // Read as hexadecimal what was written in decimal: the two look alike.
    let alike = |octet: u8| {
        u16::from(octet / 100) << 8 | u16::from(octet / 10 % 10) << 4 | u16::from(octet % 10)
    };
    let [_, _, network, host] = address.octets();
    Ipv6Addr::new(0xfd77, 0, 0, alike(network), 0, 0, 0, alike(host))
}

/// The link-local address that an interface with this IPv4 address makes itself from its MAC (see
/// [`Port::new`]; RFC 4291, appendix A).
#[must_use]
pub fn link_local(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets().map(u16::from);
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, a << 8 | 0xff, 0xfe00 | b, c << 8 | d)
}

/// The same network with an IPv6 address beside each IPv4 address ([`twin`]), IPv6 gateways and IPv6
/// forwarding.
#[must_use]
pub fn dual(mut plan: Plan) -> Plan {
    for host in &mut plan.hosts {
        for port in &mut host.ports {
            port.addresses.extend(twins(&port.addresses));
        }
        let twin_of = |vip: &IpAddr| match vip {
            IpAddr::V4(vip) => Some(IpAddr::from(twin(*vip))),
            IpAddr::V6(_) => None,
        };
        let twin_vips: Vec<IpAddr> = host.vips.iter().filter_map(twin_of).collect();
        host.vips.extend(twin_vips);
        host.gateway6 = host.gateway.map(twin);
        if host
            .sysctls
            .iter()
            .any(|(key, _)| *key == "ipv4/ip_forward")
        {
            host.sysctls.push(("ipv6/conf/all/forwarding", "1"));
        }
    }
    plan
}

/// The IPv6 addresses with prefix length that stand beside IPv4 ones. Those of one host alone are
/// deprecated, as VIPs should be: IPv6 would prefer them as source to those of a network.
fn twins(addresses: &[String]) -> Vec<String> {
    let of = |address: &String| {
        let (address, bits) = address.split_once('/')?;
        let address = twin(address.parse().ok()?);
        Some(match bits {
            "32" => format!("{address}/128 preferred_lft 0"),
            _ => format!("{address}/64"),
        })
    };
    addresses.iter().filter_map(of).collect()
}

/// A client, a director and web servers, all on one switch.
///
/// ```text
///  dr, tunnel                            nat
///   client 10.77.0.1 ──┐                  client 10.77.0.1 ──┐
///                     br0                                   br0
///   lb1 10.77.0.2 ─────┤                  lb1 10.77.0.2 ─────┤
///     VIP 10.77.0.100  │                    and 10.77.1.2    │
///                      │                    VIP 10.77.0.100  │
///   web1 10.77.0.11 ───┤                  web1 10.77.1.11 ───┤  default route:
///   web2 10.77.0.12 ───┤  VIP on lo,      web2 10.77.1.12 ───┤  10.77.1.2
///   web3 10.77.0.13 ───┘  silent in ARP   web3 10.77.1.13 ───┘
/// ```
#[must_use]
pub fn one_director(method: Method, webs: u8) -> Plan {
    let eth0 = Port::new("eth0", "br0", LB1_ADDRESS)
        .address(format!("{VIP}/32"))
        .xdp();
    let director = match method {
        Method::Dr | Method::Tunnel(_) => director(LB1).port(eth0),
        Method::Fullnat => director(LB1).port(eth0.address(format!("{LB1_POOL}/24"))),
        Method::Nat => director(LB1).port(eth0.address(format!("{LB1_INSIDE}/24"))),
    };
    let plan = Plan::default().host(client()).host(director);
    (1..=webs).fold(plan, |plan, number| {
        plan.host(match method {
            Method::Dr | Method::Tunnel(_) => dr_server(number),
            Method::Nat => nat_server(number, "br0"),
            Method::Fullnat => plain_server(number),
        })
    })
}

/// A client, one who watches, two directors and web servers on one switch; with nat, the web servers
/// on another. The VIP is on no director: whoever is Active answers for it.
///
/// ```text
///  dr, tunnel, fullnat                   nat
///   client 10.77.0.1 ───┐                 client 10.77.0.1 ──┐
///   monitor 10.77.0.6 ──┤                 monitor 10.77.0.6 ─┤
///                      br0                                  br0
///   lb1 10.77.0.2 ──────┤                 lb1 eth0 10.77.0.2 ┤  eth1 10.77.1.2 ──┐
///   lb2 10.77.0.4 ──────┤                 lb2 eth0 10.77.0.4 ┘  eth1 10.77.1.4 ──┤
///                       │                                                       br1
///   web1 10.77.0.11 ────┤  VIP on lo,     web1 10.77.1.11 ───────────────────────┤
///   web2 10.77.0.12 ────┘  as `dr` needs  web2 10.77.1.12, default route 10.77.1.1
/// ```
///
/// The gateway of web servers behind nat is a VIP too, on no director either.
#[must_use]
pub fn two_directors(method: Method, webs: u8) -> Plan {
    let lb1 = shared_director(method, LB1, [LB1_ADDRESS, LB1_POOL, LB1_INSIDE]);
    let lb2 = shared_director(method, LB2, [LB2_ADDRESS, LB2_POOL, LB2_INSIDE]);
    let monitor = Host::new(MONITOR).port(Port::new("eth0", "br0", MONITOR_ADDRESS));
    let plan = Plan::default().host(client()).host(monitor);
    (1..=webs).fold(plan.host(lb1).host(lb2), |plan, number| {
        plan.host(match method {
            Method::Dr | Method::Tunnel(_) => dr_server(number),
            Method::Nat => nat_server(number, "br1").gateway(GATEWAY_VIP),
            Method::Fullnat => plain_server(number),
        })
    })
}

/// The name of a proxy, counted from 1.
#[must_use]
pub fn proxy(number: u8) -> String {
    format!("proxy{number}")
}

/// The address of a proxy, counted from 1.
#[must_use]
pub fn proxy_address(method: Method, number: u8) -> Ipv4Addr {
    match method {
        Method::Dr | Method::Tunnel(_) | Method::Fullnat => Ipv4Addr::new(10, 77, 0, 20 + number),
        Method::Nat => Ipv4Addr::new(10, 77, 1, 20 + number),
    }
}

/// The same network with proxies beside its web servers, as real servers of the VIP; with nat, behind two
/// directors. Everybody may open low ports there: a proxy has no rights.
#[must_use]
pub fn with_proxies(plan: Plan, method: Method, proxies: u8) -> Plan {
    (1..=proxies).fold(plan, |plan, number| {
        let address = proxy_address(method, number);
        let host = Host::new(proxy(number)).sysctl("ipv4/ip_unprivileged_port_start", "0");
        plan.host(match method {
            Method::Dr | Method::Tunnel(_) => host.port(Port::new("eth0", "br0", address)).vip(VIP),
            Method::Nat => host
                .port(Port::new("eth0", "br1", address))
                .gateway(GATEWAY_VIP),
            Method::Fullnat => host.port(Port::new("eth0", "br0", address)),
        })
    })
}

/// A director that has no VIP of its own.
fn shared_director(method: Method, name: &str, [address, pool, inside]: [Ipv4Addr; 3]) -> Host {
    let eth0 = Port::new("eth0", "br0", address).xdp();
    let host = director(name);
    match method {
        Method::Dr | Method::Tunnel(_) => host.port(eth0),
        Method::Fullnat => host.port(eth0.address(format!("{pool}/24"))),
        Method::Nat => host.port(eth0).port(Port::new("eth1", "br1", inside).xdp()),
    }
}

/// A client and web servers behind nat on two switches, the director between them.
///
/// ```text
///   client 10.77.0.1 ── br0 ── eth0 10.77.0.2   lb1   eth1 10.77.1.2 ── br1 ─┬─ web1 10.77.1.11
///                                 VIP 10.77.0.100                            └─ …
/// ```
#[must_use]
pub fn nat_between(webs: u8) -> Plan {
    let eth0 = Port::new("eth0", "br0", LB1_ADDRESS)
        .address(format!("{VIP}/32"))
        .xdp();
    let eth1 = Port::new("eth1", "br1", LB1_INSIDE).xdp();
    let plan = Plan::default()
        .host(client())
        .host(director(LB1).port(eth0).port(eth1));
    (1..=webs).fold(plan, |plan, number| plan.host(nat_server(number, "br1")))
}

/// A client and a director on one switch, web servers on another, a router between them.
///
/// ```text
///   client 10.77.0.1 ───┐
///                      br0 ── router ── br1 ─┬─ web1 10.77.1.11, VIP on lo
///   lb1 10.77.0.2 ──────┘   .0.254  .1.254   └─ …
///     VIP 10.77.0.100
/// ```
#[must_use]
pub fn routed(webs: u8) -> Plan {
    let near = Ipv4Addr::new(10, 77, 0, 254);
    let far = Ipv4Addr::new(10, 77, 1, 254);
    let eth0 = Port::new("eth0", "br0", LB1_ADDRESS)
        .address(format!("{VIP}/32"))
        .xdp();
    let router = Host::new("router")
        .port(Port::new("eth0", "br0", near))
        .port(Port::new("eth1", "br1", far))
        .sysctl("ipv4/ip_forward", "1");
    let plan = Plan::default()
        .host(client())
        .host(director(LB1).port(eth0).gateway(near))
        .host(router);
    (1..=webs).fold(plan, |plan, number| {
        let eth0 = Port::new("eth0", "br1", web_address(Method::Nat, number));
        let host = Host::new(web(number)).port(eth0).gateway(far);
        plan.host(host.vip(VIP))
    })
}

/// A client and web servers on one switch, without a balancer and so without XDP.
///
/// ```text
///   client 10.77.0.1 ── br0 ─┬─ web1 10.77.0.11
///                            └─ …
/// ```
#[must_use]
pub fn no_director(webs: u8) -> Plan {
    let plan = Plan::default().host(client());
    (1..=webs).fold(plan, |plan, number| plan.host(dr_server(number)))
}

fn client() -> Host {
    Host::new(CLIENT).port(Port::new("eth0", "br0", CLIENT_ADDRESS))
}

fn director(name: &str) -> Host {
    // One interface leads to both sides of nat: a redirect would tell the client so.
    Host::new(name)
        .sysctl("ipv4/ip_forward", "1")
        .sysctl("ipv4/conf/all/send_redirects", "0")
        .sysctl("ipv4/conf/eth0/send_redirects", "0")
}

fn dr_server(number: u8) -> Host {
    Host::new(web(number))
        .port(Port::new("eth0", "br0", web_address(Method::Dr, number)))
        .vip(VIP)
}

/// A server that nobody prepared: no VIP, no route.
fn plain_server(number: u8) -> Host {
    let address = web_address(Method::Fullnat, number);
    Host::new(web(number)).port(Port::new("eth0", "br0", address))
}

fn nat_server(number: u8, bridge: &'static str) -> Host {
    Host::new(web(number))
        .port(Port::new("eth0", bridge, web_address(Method::Nat, number)))
        .gateway(LB1_INSIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_looks_like_its_brother() {
        let of = |text: &str| twin(text.parse().unwrap()).to_string();
        assert_eq!(of("10.77.0.100"), "fd77::100");
        assert_eq!(of("10.77.1.12"), "fd77:0:0:1::12");
    }

    #[test]
    fn a_link_local_address_is_made_of_the_mac() {
        assert_eq!(link_local(LB2_ADDRESS).to_string(), "fe80::aff:fe4d:4");
    }
}
