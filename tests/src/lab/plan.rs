//! A network as a value: hosts, their interfaces, addresses and routes, before any of it exists.
//!
//! Not here: making it (`link`), and the networks that tests use (`topology`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network namespace that holds the bridges.
pub const SWITCH: &str = "switch";

/// A network to be built: every host is a network namespace, every bridge lives in [`SWITCH`].
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The hosts, in the order in which they are built.
    pub hosts: Vec<Host>,
}

impl Plan {
    /// Adds a host.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.hosts.push(host);
        self
    }

    /// The bridges that the hosts' interfaces name, each once.
    #[must_use]
    pub fn bridges(&self) -> Vec<&'static str> {
        let mut bridges: Vec<_> = self
            .hosts
            .iter()
            .flat_map(|host| host.ports.iter().map(|port| port.bridge))
            .collect();
        bridges.sort_unstable();
        bridges.dedup();
        bridges
    }
}

/// One host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its short name, at most 8 characters: interface names are made from it.
    pub name: String,
    /// Its interfaces.
    pub ports: Vec<Port>,
    /// VIPs that it serves as a real server of `dr` or `tunnel`: it gets them with its web server,
    /// from `viaduct realserver setup`.
    pub vips: Vec<IpAddr>,
    /// The next hop of its default route.
    pub gateway: Option<Ipv4Addr>,
    /// The next hop of its default route in IPv6.
    pub gateway6: Option<Ipv6Addr>,
    /// What to write under /proc/sys/net, for example `("ipv4/ip_forward", "1")`.
    pub sysctls: Vec<(&'static str, &'static str)>,
}

impl Host {
    /// A host without interfaces.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ports: vec![],
            vips: vec![],
            gateway: None,
            gateway6: None,
            sysctls: vec![],
        }
    }

    /// Adds an interface.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.ports.push(port);
        self
    }

    /// Adds a VIP to be served.
    #[must_use]
    pub fn vip(mut self, vip: impl Into<IpAddr>) -> Self {
        self.vips.push(vip.into());
        self
    }

    /// Sets the default route.
    #[must_use]
    pub fn gateway(mut self, next_hop: Ipv4Addr) -> Self {
        self.gateway = Some(next_hop);
        self
    }

    /// Sets a value under /proc/sys/net once the interfaces are there.
    #[must_use]
    pub fn sysctl(mut self, key: &'static str, value: &'static str) -> Self {
        self.sysctls.push((key, value));
        self
    }
}

/// One interface of a host: a veth whose other end is a port of a bridge.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name on the host.
    pub name: &'static str,
    /// The bridge at its other end.
    pub bridge: &'static str,
    /// Its addresses with prefix length, the main one first.
    pub addresses: Vec<String>,
    /// Its Ethernet address; `02:00` and the main IPv4 address, so that a capture can be read.
    pub mac: String,
    /// Whether an XDP program will run on it: its other end is then made ready for that.
    pub xdp: bool,
}

impl Port {
    /// An interface with one address on a /24.
    #[must_use]
    pub fn new(name: &'static str, bridge: &'static str, address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self {
            name,
            bridge,
            addresses: vec![format!("{address}/24")],
            mac: format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}"),
            xdp: false,
        }
    }

    /// Adds an address.
    #[must_use]
    pub fn address(mut self, address: impl ToString) -> Self {
        self.addresses.push(address.to_string());
        self
    }

    /// Makes the other end ready for an XDP program on this interface.
    #[must_use]
    pub fn xdp(mut self) -> Self {
        self.xdp = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_shows_the_ip_address() {
        let port = Port::new("eth0", "br0", Ipv4Addr::new(10, 77, 0, 11));
        assert_eq!(port.mac, "02:00:0a:4d:00:0b");
    }

    #[test]
    fn each_bridge_is_named_once() {
        let at = |n| Ipv4Addr::new(10, 77, n, 1);
        let host = |name: &str| Host::new(name).port(Port::new("eth0", "br0", at(0)));
        let plan = Plan::default()
            .host(host("a").port(Port::new("eth1", "br1", at(1))))
            .host(host("b"));
        assert_eq!(plan.bridges(), ["br0", "br1"]);
    }
}
