//! Site files for the lab's directors, as values that a test changes between reloads.
//!
//! Not here: mistakes in site files; tests that want one write the text themselves.

use std::{
    fmt::{self, Display},
    net::{IpAddr, Ipv4Addr},
};

use super::{
    router::VirtualRouter,
    topology::{
        LB1, LB1_ADDRESS, LB2, LB2_ADDRESS, Method, VIP, proxy, proxy_address, twin, web_address,
    },
};

/// The path by which the lab's proxies say whether they take requests.
pub const PROXY_HEALTH: &str = "/viaduct/health";

/// A site file with one director, or with two that share virtual routers.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where the director's XDP program goes.
    pub interfaces: Vec<&'static str>,
    /// What else stands in each director's host table.
    pub host_keys: Vec<String>,
    /// What stands in the table of all directors.
    pub director_keys: Vec<String>,
    /// Its virtual services.
    pub services: Vec<Service>,
    /// What its two directors share; with none there is one director.
    pub routers: Vec<VirtualRouter>,
    /// The addresses of its proxies, and what the file says to them.
    pub proxies: (Vec<Ipv4Addr>, String),
}

impl Site {
    /// A director on `eth0` with these services.
    #[must_use]
    pub fn new(services: Vec<Service>) -> Self {
        Self {
            interfaces: vec!["eth0"],
            host_keys: Vec::new(),
            director_keys: Vec::new(),
            services,
            routers: Vec::new(),
            proxies: (Vec::new(), String::new()),
        }
    }

    /// Adds a virtual router, and with it the second director.
    #[must_use]
    pub fn router(mut self, router: VirtualRouter) -> Self {
        self.routers.push(router);
        self
    }

    /// Adds so many proxies, and what the file says to them.
    #[must_use]
    pub fn proxies(mut self, method: Method, proxies: u8, tables: String) -> Self {
        let addresses = (1..=proxies).map(|number| proxy_address(method, number));
        self.proxies = (addresses.collect(), tables);
        self
    }

    /// Runs the director's XDP program on these interfaces instead of `eth0`.
    #[must_use]
    pub fn on(mut self, interfaces: &[&'static str]) -> Self {
        self.interfaces = interfaces.to_vec();
        self
    }

    /// Adds a line to each director's host table.
    #[must_use]
    pub fn host_key(mut self, line: impl Into<String>) -> Self {
        self.host_keys.push(line.into());
        self
    }

    /// Adds a line to the table of all directors.
    #[must_use]
    pub fn director_key(mut self, line: impl Into<String>) -> Self {
        self.director_keys.push(line.into());
        self
    }
}

impl Site {
    fn host(&self, f: &mut fmt::Formatter<'_>, name: &str, address: Ipv4Addr) -> fmt::Result {
        writeln!(f, "[hosts.{name}]\naddresses = [\"{address}\"]")?;
        let interfaces = &self.interfaces;
        writeln!(f, "[hosts.{name}.director]\ninterfaces = {interfaces:?}")?;
        lines(f, &self.host_keys)?;
        let mut routers = self.routers.iter();
        routers.try_for_each(|router| router.part(f, name))
    }
}

impl Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host(f, LB1, LB1_ADDRESS)?;
        if !self.routers.is_empty() {
            self.host(f, LB2, LB2_ADDRESS)?;
        }
        for (number, address) in (1..).zip(&self.proxies.0) {
            let name = proxy(number);
            writeln!(f, "[hosts.{name}]\naddresses = [\"{address}\"]")?;
            writeln!(f, "[hosts.{name}.proxy]")?;
        }
        if !self.director_keys.is_empty() {
            writeln!(f, "[director]")?;
        }
        lines(f, &self.director_keys)?;
        let mut routers = self.routers.iter();
        routers.try_for_each(|router| write!(f, "\n{router}"))?;
        self.services
            .iter()
            .try_for_each(|service| write!(f, "\n{service}"))?;
        f.write_str(&self.proxies.1)
    }
}

/// Writes lines as they are.
pub(super) fn lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    lines.iter().try_for_each(|line| writeln!(f, "{line}"))
}

/// A virtual service on the lab's VIP.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The address that clients use.
    pub vip: IpAddr,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Its port.
    pub port: u16,
    /// The port on the real servers; none when it is the same.
    pub real_port: Option<u16>,
    /// How it forwards.
    pub method: Method,
    /// What else stands in its table.
    pub keys: Vec<String>,
    /// The lines of its health table; none when real servers are always up.
    pub health: Option<String>,
    /// Its real servers.
    pub reals: Vec<Real>,
}

/// A real server of a service.
#[derive(Clone, Copy, Debug)]
pub struct Real {
    /// Its address.
    pub address: IpAddr,
    /// Its share of new flows, relative to the others'.
    pub weight: u16,
}

impl Service {
    /// The TCP service `web` on port 80, with the first `webs` web servers, all of weight 100.
    #[must_use]
    pub fn web(method: Method, webs: u8) -> Self {
        let address = |number| web_address(method, number);
        let reals = (1..=webs).map(|number| Real {
            address: address(number).into(),
            weight: 100,
        });
        Self {
            name: "web".to_owned(),
            vip: VIP.into(),
            protocol: "tcp",
            port: 80,
            real_port: None,
            method,
            keys: Vec::new(),
            health: None,
            reals: reals.collect(),
        }
    }

    /// The TCP service `web` on port 80 with so many proxies as its real servers, which are asked every
    /// 100 ms whether they still take requests.
    #[must_use]
    pub fn proxied(method: Method, proxies: u8) -> Self {
        let address = |number| proxy_address(method, number);
        let none = Self::web(method, 0);
        let proxied = (1..=proxies).fold(none, |service, number| service.real(address(number)));
        let mut proxied = proxied.http_health(PROXY_HEALTH);
        let health = proxied.health.as_mut();
        health
            .into_iter()
            .for_each(|text| text.push_str("draining = \"503\"\n"));
        proxied
    }

    /// The UDP service `echo` on port 7, with the first `webs` web servers.
    #[must_use]
    pub fn echo(method: Method, webs: u8) -> Self {
        Self {
            name: "echo".to_owned(),
            protocol: "udp",
            port: 7,
            ..Self::web(method, webs)
        }
    }

    /// Probes `path` of the real servers by HTTP, fast enough for a test.
    #[must_use]
    pub fn http_health(mut self, path: &str) -> Self {
        self.health = Some(format!(
            "type = \"http\"\npath = \"{path}\"\nport = 80\ninterval = \"100ms\"\n\
             timeout = \"1s\"\nrise = 2\nfall = 3\n"
        ));
        self
    }

    /// Adds a line to its table.
    #[must_use]
    pub fn key(mut self, line: impl Into<String>) -> Self {
        self.keys.push(line.into());
        self
    }

    /// Moves it to the IPv6 twin of its VIP.
    #[must_use]
    pub fn vip6(mut self) -> Self {
        self.vip = ipv6(self.vip);
        self
    }

    /// Names its real servers by their IPv6 twins.
    #[must_use]
    pub fn reals6(mut self) -> Self {
        for real in &mut self.reals {
            real.address = ipv6(real.address);
        }
        self
    }

    /// Makes the port that clients use another one than that of the real servers.
    #[must_use]
    pub fn translated(mut self, port: u16) -> Self {
        self.real_port = Some(self.port);
        self.port = port;
        self
    }

    /// Adds a real server of weight 100.
    #[must_use]
    pub fn real(mut self, address: Ipv4Addr) -> Self {
        self.reals.push(Real {
            address: address.into(),
            weight: 100,
        });
        self
    }

    /// Sets the weight of a web server, counted from 1.
    #[must_use]
    pub fn weight(mut self, number: u8, weight: u16) -> Self {
        self.reals[usize::from(number) - 1].weight = weight;
        self
    }
}

impl Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            vip,
            protocol,
            port,
            method,
            ..
        } = self;
        writeln!(
            f,
            "[[service]]\nname = \"{name}\"\nvip = \"{vip}\"\nport = {port}"
        )?;
        writeln!(f, "protocol = \"{protocol}\"\nmethod = \"{method}\"")?;
        if let Method::Tunnel(encapsulation) = method {
            writeln!(f, "tunnel = \"{encapsulation}\"")?;
        }
        lines(f, &self.keys)?;
        if let Some(health) = &self.health {
            writeln!(f, "[service.health]\n{health}")?;
        }
        self.reals.iter().try_for_each(|Real { address, weight }| {
            writeln!(
                f,
                "[[service.real]]\naddress = \"{address}\"\nweight = {weight}"
            )?;
            self.real_port
                .iter()
                .try_for_each(|port| writeln!(f, "port = {port}"))
        })
    }
}

/// The IPv6 twin of an address.
fn ipv6(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => twin(v4).into(),
        IpAddr::V6(_) => address,
    }
}
