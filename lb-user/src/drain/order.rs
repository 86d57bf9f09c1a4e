//! What `viaduct drain` sends to the daemon, how the real server that it means is found, and the
//! answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use daemon::diagnostic::nearest;
use serde::{Deserialize, Serialize};

use crate::config::{RealServer, Service};
use crate::engine::targets::TargetId;

/// A real server as an operator names it: `10.0.0.11`, `10.0.0.11:80`, `fd00::11`, `[fd00::11]:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Named {
    /// Its address.
    pub address: IpAddr,
    /// Its port, where that was said.
    pub port: Option<u16>,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self {
                address,
                port: None,
            });
        }
        let endpoint: SocketAddr = text.parse().map_err(|_neither| {
            "write the address of a real server, or address and port: 10.0.0.11, 10.0.0.11:80, \
             [fd00::11]:80"
                .to_owned()
        })?;
        Ok(Self {
            address: endpoint.ip(),
            port: Some(endpoint.port()),
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

impl TryFrom<String> for Named {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Named> for String {
    fn from(named: Named) -> Self {
        named.to_string()
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The service's name.
    pub service: String,
    /// Which of its real servers.
    pub real: Named,
    /// To drain it; else to let it have new flows again.
    pub drain: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The real server's address.
    pub address: IpAddr,
    /// Its port; null where the client's is kept.
    pub port: Option<u16>,
    /// Whether it was otherwise before.
    pub changed: bool,
    /// How many real servers of the service get new flows now.
    pub serving: usize,
    /// Why the maps do not hold it yet; null when they do.
    pub problem: Option<String>,
}

/// Why an order can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such service.
    #[error("there is no service `{name}`{}", help(.meant.as_deref(), .known))]
    NoService {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        meant: Option<String>,
        /// What there is.
        known: Vec<String>,
    },
    /// The service has no such real server.
    #[error("{service} has no real server {real}{}", help(.meant.as_deref(), .known))]
    NoReal {
        /// The service.
        service: String,
        /// What was asked for.
        real: Named,
        /// What may have been meant.
        meant: Option<String>,
        /// What there is.
        known: Vec<String>,
    },
    /// Several real servers at one address.
    #[error("{service} has several real servers at {address}: say which, {}", .known.join(" or "))]
    Several {
        /// The service.
        service: String,
        /// The address.
        address: IpAddr,
        /// All of them.
        known: Vec<String>,
    },
}

/// Names in a message at most.
const TOLD: usize = 20;

fn help(meant: Option<&str>, known: &[String]) -> String {
    if let Some(meant) = meant {
        return format!(": did you mean {meant}?");
    }
    if known.is_empty() {
        return String::new();
    }
    let more = match known.len() {
        0..=TOLD => String::new(),
        all => format!(" and {} more", all - TOLD),
    };
    let known = known.get(..TOLD).unwrap_or(known);
    format!(": there is {}{more}", known.join(", "))
}

/// The real server that an order means.
///
/// # Errors
/// There is none such, or more than one.
pub fn find<'s>(
    services: &'s [Service],
    order: &Order,
) -> Result<(&'s Service, RealServer), Refusal> {
    let Some(service) = services
        .iter()
        .find(|service| service.name == order.service)
    else {
        let names = services.iter().map(|service| &*service.name);
        return Err(Refusal::NoService {
            name: order.service.clone(),
            meant: nearest(&order.service, names.clone()).map(str::to_owned),
            known: names.map(str::to_owned).collect(),
        });
    };
    let Named { address, port } = order.real;
    let servers = service.servers();
    let of_address = servers.iter().filter(|real| real.address == address);
    let found: Vec<&RealServer> = of_address
        .filter(|real| port.is_none() || real.port == port)
        .collect();
    match *found {
        [real] => Ok((service, *real)),
        [] => Err(no_real(service, order.real, &servers)),
        _ => Err(Refusal::Several {
            service: service.name.clone(),
            address,
            known: found.iter().map(|real| told(real)).collect(),
        }),
    }
}

fn no_real(service: &Service, real: Named, servers: &[RealServer]) -> Refusal {
    let known: Vec<String> = servers.iter().map(told).collect();
    let text = real.to_string();
    let same = servers.iter().find(|server| server.address == real.address);
    let meant = same.map(told);
    Refusal::NoReal {
        service: service.name.clone(),
        real,
        meant: meant.or_else(|| nearest(&text, known.iter().map(|k| &**k)).map(str::to_owned)),
        known,
    }
}

/// A real server as the operator may name it.
fn told(real: &RealServer) -> String {
    let named = Named {
        address: real.address,
        port: real.port,
    };
    named.to_string()
}

/// What a real server is known by to the engine.
pub fn id(service: &Service, real: &RealServer) -> TargetId {
    TargetId {
        service: service.name.clone(),
        real: real.endpoint(),
    }
}

#[cfg(test)]
mod tests;
