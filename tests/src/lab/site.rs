//! Site files for the lab's directors, as values that a test changes between reloads.
//!
//! Not here: mistakes in site files; tests that want one write the text themselves.

use std::{
    fmt::{self, Display},
    net::Ipv4Addr,
};

use super::topology::{LB1, LB1_ADDRESS, Method, VIP, web_address};

/// A site file with one director.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where the director's XDP program goes.
    pub interfaces: Vec<&'static str>,
    /// Its virtual services.
    pub services: Vec<Service>,
}

impl Site {
    /// A director on `eth0` with these services.
    #[must_use]
    pub fn new(services: Vec<Service>) -> Self {
        Self {
            interfaces: vec!["eth0"],
            services,
        }
    }
}

impl Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[hosts.{LB1}]\naddresses = [\"{LB1_ADDRESS}\"]")?;
        writeln!(
            f,
            "[hosts.{LB1}.director]\ninterfaces = {:?}",
            self.interfaces
        )?;
        self.services
            .iter()
            .try_for_each(|service| write!(f, "\n{service}"))
    }
}

/// A virtual service on the lab's VIP.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Its port, here and on the real servers.
    pub port: u16,
    /// How it forwards.
    pub method: Method,
    /// The lines of its health table; none when real servers are always up.
    pub health: Option<String>,
    /// Its real servers.
    pub reals: Vec<Real>,
}

/// A real server of a service.
#[derive(Clone, Copy, Debug)]
pub struct Real {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its share of new flows, relative to the others'.
    pub weight: u16,
}

impl Service {
    /// The TCP service `web` on port 80, with the first `webs` web servers, all of weight 100.
    #[must_use]
    pub fn web(method: Method, webs: u8) -> Self {
        let address = |number| web_address(method, number);
        let reals = (1..=webs).map(|number| Real {
            address: address(number),
            weight: 100,
        });
        Self {
            name: "web".to_owned(),
            protocol: "tcp",
            port: 80,
            method,
            health: None,
            reals: reals.collect(),
        }
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
            protocol,
            port,
            method,
            ..
        } = self;
        writeln!(
            f,
            "[[service]]\nname = \"{name}\"\nvip = \"{VIP}\"\nport = {port}"
        )?;
        writeln!(f, "protocol = \"{protocol}\"\nmethod = \"{method}\"")?;
        if let Some(health) = &self.health {
            writeln!(f, "[service.health]\n{health}")?;
        }
        self.reals.iter().try_for_each(|Real { address, weight }| {
            writeln!(
                f,
                "[[service.real]]\naddress = \"{address}\"\nweight = {weight}"
            )
        })
    }
}
