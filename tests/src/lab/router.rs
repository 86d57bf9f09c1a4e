//! Virtual routers in site files: what two directors share, and each one's part in it.
//!
//! Not here: the rest of the file (`site`); keepalived's routers (`keepalived`).

use std::{
    fmt::{self, Display},
    net::IpAddr,
    time::Duration,
};

use super::{
    site::lines,
    topology::{GATEWAY_VIP, LB1, LB1_ADDRESS, LB2, LB2_ADDRESS, VIP, link_local},
};

/// A virtual router of the two directors, with the first preferred.
#[derive(Clone, Debug)]
pub struct VirtualRouter {
    /// Its name.
    pub name: String,
    /// The number that routers of one group share.
    pub vrid: u8,
    /// Its addresses.
    pub vips: Vec<IpAddr>,
    /// How often the Active one says so.
    pub interval: Duration,
    /// By which interface.
    pub interface: &'static str,
    /// The priorities of the first and the second director.
    pub priorities: [u8; 2],
    /// Whether they talk by unicast.
    pub unicast: bool,
    /// What else stands in its table.
    pub keys: Vec<String>,
}

impl VirtualRouter {
    /// A router named `site` for the lab's VIP.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            name: "site".to_owned(),
            vrid: 51,
            vips: vec![VIP.into()],
            interval,
            interface: "eth0",
            priorities: [150, 100],
            unicast: false,
            keys: Vec::new(),
        }
    }

    /// A router named `inside` for the gateway of real servers behind nat, by `eth1`.
    #[must_use]
    pub fn inside(interval: Duration) -> Self {
        Self {
            name: "inside".to_owned(),
            vrid: 52,
            vips: vec![GATEWAY_VIP.into()],
            interface: "eth1",
            ..Self::new(interval)
        }
    }

    /// For these addresses instead.
    #[must_use]
    pub fn vips(self, vips: &[IpAddr]) -> Self {
        Self {
            vips: vips.to_vec(),
            ..self
        }
    }

    /// With the priorities of the first and the second director.
    #[must_use]
    pub fn priorities(self, priorities: [u8; 2]) -> Self {
        Self { priorities, ..self }
    }

    /// Talks by unicast.
    #[must_use]
    pub fn unicast(self) -> Self {
        Self {
            unicast: true,
            ..self
        }
    }

    /// Adds a line to its table.
    #[must_use]
    pub fn key(mut self, line: impl Into<String>) -> Self {
        self.keys.push(line.into());
        self
    }

    /// Writes a host's part in it.
    pub(super) fn part(&self, f: &mut fmt::Formatter<'_>, host: &str) -> fmt::Result {
        let (priority, address) = match host {
            LB1 => (self.priorities[0], LB1_ADDRESS),
            LB2 => (self.priorities[1], LB2_ADDRESS),
            _ => return Ok(()),
        };
        writeln!(f, "[hosts.{host}.director.virtual_router.{}]", self.name)?;
        writeln!(
            f,
            "interface = \"{}\"\npriority = {priority}",
            self.interface
        )?;
        let family = |v6| self.vips.iter().any(|vip| vip.is_ipv6() == v6);
        if self.unicast && family(false) {
            writeln!(f, "address = \"{address}\"")?;
        }
        if self.unicast && family(true) {
            writeln!(f, "address6 = \"{}\"", link_local(address))?;
        }
        Ok(())
    }
}

impl Display for VirtualRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vips: Vec<_> = self.vips.iter().map(ToString::to_string).collect();
        writeln!(
            f,
            "[[virtual_router]]\nname = \"{}\"\nvrid = {}",
            self.name, self.vrid
        )?;
        writeln!(
            f,
            "vips = {vips:?}\ninterval = \"{}ms\"",
            self.interval.as_millis()
        )?;
        if self.unicast {
            writeln!(f, "transport = \"unicast\"")?;
        }
        lines(f, &self.keys)
    }
}
