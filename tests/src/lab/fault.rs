//! Faults of the network: a port that goes deaf, a cable pulled, two hosts that lose sight of each
//! other; each with the way back.
//!
//! Not here: faults of programs; those are signals (`process`).

use anyhow::{Context as _, Result};

use super::{
    Lab, link,
    plan::{Host, Port, SWITCH},
};

impl Lab {
    /// Drops every frame from and to a host at its switches' ports. The carrier stays, so neither side
    /// is told: to the others the host has died, or is on the far side of a broken switch.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn cut(&self, host: &str) -> Result<()> {
        self.set_ports(&[host], "state disabled")
    }

    /// Takes [`Lab::cut`] back.
    ///
    /// # Errors
    /// As it.
    pub fn rejoin(&self, host: &str) -> Result<()> {
        self.set_ports(&[host], "state forwarding")
    }

    /// Drops every frame between two hosts on the same switch; both still reach everyone else, and
    /// everyone else both. Only one such pair can be parted in a lab at a time.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn part(&self, one: &str, other: &str) -> Result<()> {
        // Isolated ports talk to all others, but not to each other.
        self.set_ports(&[one, other], "isolated on")
    }

    /// Takes [`Lab::part`] back.
    ///
    /// # Errors
    /// As it.
    pub fn unite(&self, one: &str, other: &str) -> Result<()> {
        self.set_ports(&[one, other], "isolated off")
    }

    /// Pulls a host's cables out of the switches: its interfaces lose their carrier, and it knows.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn unplug(&self, host: &str) -> Result<()> {
        link::ip(
            &self.netns(SWITCH),
            &self.ports(host, |port| format!("link set {port} down"))?,
        )
    }

    /// Takes [`Lab::unplug`] back.
    ///
    /// # Errors
    /// As it.
    pub fn plug(&self, host: &str) -> Result<()> {
        link::ip(
            &self.netns(SWITCH),
            &self.ports(host, |port| format!("link set {port} up"))?,
        )
    }

    fn set_ports(&self, hosts: &[&str], what: &str) -> Result<()> {
        let mut batch = Vec::new();
        for host in hosts {
            batch.extend(self.ports(host, |port| format!("link set dev {port} {what}"))?);
        }
        link::bridge(&self.netns(SWITCH), &batch)
    }

    /// A line for each of the switch ports that a host's interfaces end at.
    fn ports(&self, host: &str, line: impl Fn(String) -> String) -> Result<Vec<String>> {
        let host = self.host(host)?;
        let line = |port: &Port| line(link::peer_name(host, port));
        Ok(host.ports.iter().map(line).collect())
    }

    /// A host of the plan.
    pub(super) fn host(&self, name: &str) -> Result<&Host> {
        let mut hosts = self.plan.hosts.iter();
        let host = hosts.find(|host| host.name == name);
        host.with_context(|| format!("no host is called {name}"))
    }
}
