//! Keeping up with the host's network: interfaces that come and go, next hops that must be
//! resolved and stay so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_ebpf::abi::Unresolved;
use tracing::{info, warn};

use super::{Attached, Engine, HOUSEKEEPING, SOLICIT};
use crate::datapath::Mode;
use crate::network::{Path, netlink};
use crate::time;

/// Destinations of replies that were asked for lately, at most; beyond, the oldest is forgotten.
const SOLICITED_MAX: usize = 1024;

impl Engine {
    /// Asks the kernel again for links, routes and neighbours, and follows.
    pub(super) async fn refresh(&mut self) -> Result<(), netlink::Error> {
        self.network.links = self.netlink.links().await?;
        // A link that is down is a virtual router's matter at once; the rest takes a question for each real
        // server.
        self.plan_routers();
        self.play_routers(time::now());
        self.network
            .set_neighbours(self.netlink.neighbours().await?);
        self.network.own = daemon::host::addresses().into_iter().collect();
        self.refresh_paths().await?;
        self.follow_interfaces();
        self.dirty = true;
        self.replan = true;
        Ok(())
    }

    /// Asks for the path to each real server. Where the kernel does not say, the last one known is
    /// used on; when it stops answering at all, so are all others.
    pub(super) async fn refresh_paths(&mut self) -> Result<(), netlink::Error> {
        let services = &self.site.checked.site.services;
        let reals: BTreeSet<IpAddr> = services
            .iter()
            .flat_map(|s| s.reals.iter().map(|real| real.address))
            .collect();
        let mut paths = BTreeMap::new();
        for real in reals {
            match self.netlink.path(real).await {
                Ok(path) => paths.extend(path.map(|path| (real, path))),
                Err(netlink::Error::NoAnswer) => return Err(netlink::Error::NoAnswer),
                Err(error) => {
                    Self::failed("a route is not known; the last one is used on", &error);
                    paths.extend(self.network.path(real).map(|path| (real, path)));
                }
            }
        }
        self.network.set_paths(paths);
        Ok(())
    }

    /// Attaches again to an interface that was replaced by another of the same name.
    fn follow_interfaces(&mut self) {
        let names: Vec<String> = self.attached.keys().cloned().collect();
        let mut moved = false;
        for name in names {
            let found = self.network.link(&name).map(|(ifindex, _)| ifindex);
            let Some(attached) = self.attached.get_mut(&name) else {
                continue;
            };
            match found {
                Some(ifindex) if ifindex == attached.ifindex => {}
                Some(ifindex) => {
                    moved = true;
                    self.attach_again(&name, ifindex);
                }
                None if attached.ifindex != 0 => {
                    attached.ifindex = 0;
                    warn!(interface = %name, "interface is gone; it will be served when it is back");
                }
                None => {}
            }
        }
        let there = self.attached.values().map(|attached| attached.ifindex);
        self.network.served = there.filter(|ifindex| *ifindex != 0).collect();
        if moved {
            // An interface that was renamed away from a served name keeps no program.
            let index = |(name, at): (&String, &Attached)| (name.clone(), at.ifindex);
            let served = self.attached.iter().map(index).collect();
            self.leave_others(&served);
        }
    }

    fn attach_again(&mut self, name: &str, ifindex: u32) {
        match self.datapath.attach(name, ifindex) {
            Ok(mode) => {
                info!(interface = %name, ifindex, "interface is back");
                self.attached
                    .insert(name.to_owned(), attached(ifindex, mode));
                // Its mode is told by the link, once more.
                self.refresh_at = Some(time::now());
            }
            Err(error) => {
                Self::failed("interface is back, and not served; trying again", &error);
                self.refresh_at = Some(time::now() + HOUSEKEEPING);
            }
        }
    }

    /// Has the kernel resolve the next hops that are missing.
    pub(super) async fn solicit_missing(&mut self) {
        let missing: BTreeSet<Path> = self.network.missing().collect();
        for path in missing {
            if !self.solicit(path).await {
                return;
            }
        }
    }

    /// Has the kernel resolve a next hop; whether it answers at all.
    async fn solicit(&self, path: Path) -> bool {
        match self.netlink.solicit(path).await {
            Ok(()) => true,
            Err(error) => {
                Self::failed("a next hop can't be asked for", &error);
                !matches!(error, netlink::Error::NoAnswer)
            }
        }
    }

    /// Every few seconds: makes sure of all next hops, which the kernel would otherwise let go
    /// stale, since the packets that use them do not pass its stack; settles rings.
    pub(super) async fn keep_house(&mut self, now: Instant) {
        let mut hops: BTreeSet<Path> = self.network.hops().collect();
        // Replies of nat and fullnat go to clients, and nothing else would find out that a gateway was replaced.
        let services = &self.site.checked.site.services;
        if services.iter().any(|service| service.method.returns_here()) {
            match self.netlink.gateways().await {
                Ok(gateways) => hops.extend(gateways),
                Err(error) => Self::failed("gateways are not known", &error),
            }
        }
        for path in hops {
            if !self.solicit(path).await {
                break;
            }
        }
        self.solicited
            .retain(|_, at| now.saturating_duration_since(*at) < Duration::from_secs(10));
        if let Err(error) = self.settle() {
            Self::failed("rings stay unsettled", &error);
        }
    }

    /// A reply had to be dropped for want of a next hop towards its client: the kernel is asked
    /// to resolve it, once a second for each.
    pub(super) async fn resolve_client(&mut self, event: Unresolved) {
        let client = IpAddr::from(event.destination);
        let now = time::now();
        let lately = self.solicited.get(&client);
        if lately.is_some_and(|at| now.saturating_duration_since(*at) < SOLICIT) {
            return;
        }
        if self.solicited.len() >= SOLICITED_MAX {
            let oldest = self
                .solicited
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(client, _)| *client);
            oldest.map(|client| self.solicited.remove(&client));
        }
        self.solicited.insert(client, now);
        match self.netlink.path(client).await {
            Ok(Some(path)) => drop(self.solicit(path).await),
            Ok(None) => {}
            Err(error) => Self::failed("a route is not known", &error),
        }
    }
}

/// What attaching came to.
pub(super) fn attached(ifindex: u32, mode: Mode) -> Attached {
    let generic_because = match mode {
        Mode::Native | Mode::TakenOver => None,
        Mode::Generic { because } => Some(because),
    };
    Attached {
        ifindex,
        generic_because,
    }
}
