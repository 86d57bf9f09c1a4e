//! Putting a site file into force: at the start, and again on SIGHUP. A file is in force whole or
//! not at all.
//!
//! Not here: reading and refusing files ([`super::candidate`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use daemon::notify;
use lb_ebpf::abi::REAL_UP;
use tracing::{error, info, warn};

use super::Engine;
use super::candidate::{Interfaces, StartError, interfaces, read, warn_of};
use super::targets::TargetId;
use super::watch::attached;
use super::wish::key;
use crate::control::Listening;
use crate::datapath::Mode;
use crate::preflight::Facts;
use crate::time;

impl Engine {
    /// Reads the site file again. One that can't be taken changes nothing.
    pub(super) async fn reload(&mut self) {
        notify::reloading();
        match self.take().await {
            Ok(()) => {
                self.site.last_error = None;
                info!(generation = self.site.generation, "site file taken");
            }
            Err(error) => {
                self.site.refused += 1;
                let text = if let StartError::Site(site) = &error {
                    site.summary()
                } else {
                    error.to_string()
                };
                error!(error = %text, "site file refused; the one in force stays");
                self.site.last_error = Some(text);
            }
        }
        notify::ready();
    }

    async fn take(&mut self) -> Result<(), StartError> {
        let facts = Facts::gather();
        let (checked, host) = read(&self.site.path, self.site.named.as_deref(), &facts)?;
        self.network.links = self.netlink.links().await?;
        let wanted = interfaces(&checked.site, &host, &self.network)?;
        let before = std::mem::replace(&mut self.site.checked, checked);
        let host_before = std::mem::replace(&mut self.site.host, host);
        let (targets, network) = (self.targets.clone(), self.network.clone());
        let (drained, routers) = (self.drained.clone(), self.routers.planned());
        if let Err(error) = self.put_in_force(&wanted).await {
            self.site.checked = before;
            self.site.host = host_before;
            self.targets = targets;
            self.drained = drained;
            self.network = network;
            self.routers.return_to(routers);
            self.replan = true;
            self.dirty = true;
            return Err(error);
        }
        for TargetId { service, real } in self.drained.gone_since(&drained) {
            info!(%service, %real, "no longer drained: the site file does not have it any more");
        }
        warn_of(&self.site.checked, &self.site.host, &facts);
        self.site.generation += 1;
        self.site.loaded_at = time::wall();
        Ok(())
    }

    /// Puts the file that `self.site` names into force: first what can be refused, then the maps.
    pub(super) async fn put_in_force(&mut self, wanted: &Interfaces) -> Result<(), StartError> {
        self.follow_targets();
        self.network.served = wanted.values().copied().collect();
        self.network.own = daemon::host::addresses().into_iter().collect();
        self.refresh_paths().await?;
        self.want_thread().map_err(StartError::Thread)?;
        self.plan_routers();
        self.warn_of_sources();
        self.warn_of_ways();
        // To see whether it fits; the interfaces come later.
        drop(self.wanted()?);
        let status = self.listen().await?;
        let fresh = self.take_interfaces(wanted)?;
        // Whether natively or not is known now, and no notification tells it.
        match self.netlink.links().await {
            Ok(links) => self.network.links = links,
            Err(error) => Self::failed("links are not known", &error),
        }
        if let Err(error) = self.put(time::now()) {
            fresh.iter().for_each(|name| self.leave(name));
            return Err(error.into());
        }
        self.follow_routers();
        self.leave_others(wanted);
        self.hint_of_vlans();
        if let Some(status) = status {
            self.status = Some(status);
        }
        Ok(())
    }

    /// Says so where this host's own packets to a real server would come from a VIP: its answers
    /// would go to whoever holds that, which in direct routing is the real server itself.
    fn warn_of_sources(&self) {
        let services = &self.site.checked.site.services;
        for real in services.iter().flat_map(|service| &service.reals) {
            let source = self.network.path(real.address).and_then(|path| path.source);
            if let Some(vip) =
                source.filter(|source| services.iter().any(|s| s.vip.contains(*source)))
            {
                warn!(
                    real = %real.address,
                    %vip,
                    "probes would come from the VIP: give it to the interface as an address that \
                     nothing starts from, `ip address change {vip} dev INTERFACE preferred_lft 0`"
                );
            }
        }
    }

    /// Says so where frames to a real server would need more than one VLAN tag.
    fn warn_of_ways(&self) {
        let services = &self.site.checked.site.services;
        let reals = services.iter().flat_map(|service| &service.reals);
        for real in reals.filter(|real| self.network.is_out_of_reach(real.address)) {
            warn!(
                real = %real.address,
                "no way: it is behind a VLAN within a VLAN, or one of 802.1ad; \
                 serve that VLAN's interface itself"
            );
        }
    }

    /// Says what hides VLAN tags from the program: cards take them out of frames unless told not to.
    fn hint_of_vlans(&self) {
        let parents: BTreeSet<u32> = self.network.vlans().map(|(_, hop)| hop.ifindex).collect();
        let links = parents
            .iter()
            .filter_map(|ifindex| self.network.links.get(ifindex));
        for interface in links.map(|link| &link.name) {
            info!(
                %interface,
                "has VLANs: their packets are seen with their tags only after \
                 `ethtool -K {interface} rxvlan off`"
            );
        }
    }

    /// Listens where the site file wants status served, unless that is where it is served already.
    async fn listen(&self) -> Result<Option<Listening>, StartError> {
        let address = self.site.checked.site.director.status;
        if self
            .status
            .as_ref()
            .is_some_and(|listening| listening.address() == address)
        {
            return Ok(None);
        }
        let listening = Listening::tcp(address, self.events.clone()).await;
        listening
            .map(Some)
            .map_err(|source| StartError::Status { address, source })
    }

    /// Probes the real servers of the site file in force; what an earlier daemon found up is
    /// taken to be up until probes say otherwise.
    fn follow_targets(&mut self) {
        let was_up = self.known(REAL_UP);
        let was_up = |id: &TargetId| was_up.contains(id);
        let services = &self.site.checked.site.services;
        self.drained.follow(services);
        self.targets
            .follow(services, was_up, time::now(), time::wall());
    }

    /// The real servers of the site file that have a flag in the maps.
    pub(super) fn known(&self, flag: u16) -> BTreeSet<TargetId> {
        let site = &self.site.checked.site;
        let places = self.loaded.index();
        let names: BTreeMap<u32, &str> = site
            .services
            .iter()
            .filter_map(|service| {
                let at = places.get(&key(service))?;
                Some((self.loaded.services.get(at)?.id, &*service.name))
            })
            .collect();
        let reals = self.loaded.reals.values();
        reals
            .filter(|real| real.flags & flag != 0)
            .filter_map(|real| {
                let service = (*names.get(&real.service)?).to_owned();
                let real = SocketAddr::new(IpAddr::from(real.address), real.port.get());
                Some(TargetId { service, real })
            })
            .collect()
    }

    /// Attaches to the interfaces wanted; those that had no link before are told. On failure
    /// these are left again.
    fn take_interfaces(&mut self, wanted: &Interfaces) -> Result<Vec<String>, StartError> {
        let mut fresh: Vec<String> = Vec::new();
        let pinned = self.datapath.attached()?;
        for (name, ifindex) in wanted {
            if self.attached.contains_key(name) {
                continue;
            }
            match self.datapath.attach(name, *ifindex) {
                Ok(mode) => {
                    log_attached(name, *ifindex, &mode);
                    self.attached.insert(name.clone(), attached(*ifindex, mode));
                    if !pinned.contains(name) {
                        fresh.push(name.clone());
                    }
                }
                Err(error) => {
                    fresh.iter().for_each(|name| self.leave(name));
                    return Err(error.into());
                }
            }
        }
        Ok(fresh)
    }

    /// Detaches from every interface that is not wanted.
    pub(super) fn leave_others(&mut self, wanted: &Interfaces) {
        match self.datapath.attached() {
            Ok(attached) => {
                let others = attached.iter().filter(|name| !wanted.contains_key(*name));
                others.for_each(|name| self.leave(name));
            }
            Err(error) => Self::failed("interfaces that are not served any more stay", &error),
        }
    }

    fn leave(&mut self, name: &str) {
        self.attached.remove(name);
        match self.datapath.detach(name) {
            Ok(()) => info!(interface = %name, "interface is no longer served"),
            Err(error) => Self::failed("interface can't be left", &error),
        }
    }
}

fn log_attached(interface: &str, ifindex: u32, mode: &Mode) {
    match mode {
        Mode::Native => info!(%interface, ifindex, mode = "native", "attached"),
        Mode::TakenOver => info!(%interface, ifindex, "program replaced in place"),
        Mode::Generic { because } => {
            warn!(%interface, ifindex, mode = "generic", %because, "attached, slower than natively");
        }
    }
}
