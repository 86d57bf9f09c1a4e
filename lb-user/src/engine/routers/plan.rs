//! From site file, links, addresses and tracking to what the protocol thread is to play: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use health::Verdict;
use lb_ebpf::abi::ROUTERS_MAX;
use vrrp::{Family, Params, Priority};

use crate::config::{MacChoice, RouterHost, Site, Track, TrackTarget, VirtualRouter};
use crate::engine::targets::Targets;
use crate::ha::board::Board;
use crate::ha::priority::{self, Standing};
use crate::ha::track::Scripts;
use crate::ha::{Instance, Key, Part, virtual_mac};
use crate::network::{Link, Network};
use crate::tables::RouterWish;

/// All that a plan depends on.
pub(super) struct Facts<'a> {
    pub(super) site: &'a Site,
    pub(super) host: &'a str,
    pub(super) network: &'a Network,
    /// Interfaces that the program is attached to, by index.
    pub(super) served: &'a BTreeSet<u32>,
    /// Addresses by their interface's name, in the kernel's order.
    pub(super) addresses: &'a [(String, IpAddr)],
    pub(super) targets: &'a Targets,
    pub(super) scripts: &'a Scripts,
    /// Whether the data plane is in place.
    pub(super) is_ready: bool,
    /// Whether this host is to hand over everything.
    pub(super) is_leaving: bool,
    /// Whether it is to do so if somebody takes it.
    pub(super) is_offered: bool,
}

/// What instances keep while they are there.
#[derive(Clone, Default)]
pub(super) struct Places {
    /// Their places in the data plane's table of leases.
    indexes: BTreeMap<Key, u16>,
    /// Where the search for a free one begins: one that was given up is not soon another's.
    next: u16,
    /// Where they are shown.
    pub(super) boards: BTreeMap<Key, Arc<Board>>,
}

/// All that follows from the facts.
pub(super) struct Planned {
    /// What the thread is to play.
    pub(super) instances: Vec<Instance>,
    /// What there is to show.
    pub(super) shown: Vec<Shown>,
    /// What the maps are to know of virtual routers, those included that can't be played: their VIPs are
    /// nobody's then, not the host's.
    pub(super) wishes: Vec<RouterWish>,
}

/// What there is to show of an instance.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The virtual router's name.
    pub(crate) router: String,
    /// Its family.
    pub(crate) family: Family,
    /// The interface it is on.
    pub(crate) interface: String,
    /// Its number.
    pub(crate) vrid: u8,
    /// Its group, or its own name.
    pub(crate) group: Arc<str>,
    /// Its VIPs.
    pub(crate) vips: Vec<IpAddr>,
    /// Its priority by the site file.
    pub(crate) base_priority: u8,
    /// What it tracks and finds failing, in words.
    pub(crate) failing: Vec<String>,
    /// Why it takes no part, where it does not.
    pub(crate) fault: Option<String>,
    /// Where it stands; `None` where there is nothing to play.
    pub(crate) board: Option<Arc<Board>>,
}

/// What the thread is to play, and what there is to show.
pub(super) fn plan(facts: &Facts<'_>, places: &mut Places) -> Planned {
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    for (router, part) in facts.site.routers_of(facts.host) {
        let families = router.families();
        drafts.extend(families.map(|family| draft(facts, router, part, family)));
    }
    let keys: BTreeSet<Key> = drafts.iter().map(Draft::key).collect();
    places.indexes.retain(|key, _| keys.contains(key));
    places.boards.retain(|key, _| keys.contains(key));
    let mut planned = Planned {
        instances: Vec::new(),
        shown: Vec::new(),
        wishes: Vec::new(),
    };
    for mut draft in drafts {
        // The site file has no more than there is room for.
        let Some(index) = index_of(&draft.key(), places) else {
            continue;
        };
        let instance = draft.instance(index, places);
        let own = own_vips(facts, &draft);
        planned
            .wishes
            .push(draft.wish(index, instance.as_ref(), own));
        if let Some(instance) = instance {
            draft.shown.board = Some(Arc::clone(&instance.board));
            planned.instances.push(instance);
        }
        planned.shown.push(draft.shown);
    }
    go_together(&mut planned.instances, &mut planned.shown);
    planned
}

/// One instance, as far as it can be known.
struct Draft<'a> {
    router: &'a VirtualRouter,
    link: Option<(u32, &'a Link)>,
    params: Option<Params>,
    part: Part,
    shown: Shown,
}

fn draft<'a>(
    facts: &Facts<'a>,
    router: &'a VirtualRouter,
    host: &'a RouterHost,
    family: Family,
) -> Draft<'a> {
    let link = facts.network.link(&host.interface);
    let tracks = facts.site.tracks_of(router).into_iter();
    let tracks: Vec<(&Track, bool)> = tracks
        .map(|track| (track, is_failing(facts, track)))
        .collect();
    let failing = tracks.iter().filter(|(_, is_failing)| *is_failing);
    let failing = failing.map(|(track, _)| in_words(&track.what)).collect();
    let standing = priority::effective(
        host.priority,
        tracks
            .iter()
            .map(|(track, is_failing)| (track.weight, *is_failing)),
    );
    let (priority, has_fault) = match standing {
        Standing::Priority(priority) => (priority, false),
        Standing::Fault => (host.priority, true),
    };
    let params = params(facts, router, host, family, priority);
    let interface = &host.interface;
    let fault = match (&link, &params) {
        (None, _) => Some(format!("interface {interface} is not there")),
        (Some((_, link)), _) if !link.is_up => Some(format!("interface {interface} is down")),
        (Some((ifindex, _)), _) if facts.is_ready && !facts.served.contains(ifindex) => {
            Some(format!("interface {interface} is not served"))
        }
        (Some(_), Err(why)) => Some(why.clone()),
        (Some(_), Ok(_)) if has_fault => Some("something that it tracks fails".to_owned()),
        (Some(_), Ok(_)) if facts.is_offered => Some("resigned by order".to_owned()),
        (Some(_), Ok(_)) => None,
    };
    let is_up = link.is_some_and(|(ifindex, link)| link.is_up && facts.served.contains(&ifindex));
    let part = if !is_up || !facts.is_ready {
        Part::Out
    } else if has_fault || facts.is_leaving {
        Part::Leaving
    } else if facts.is_offered {
        Part::Offered
    } else {
        Part::Full
    };
    let group = router.group.as_deref().unwrap_or(&router.name);
    Draft {
        router,
        link,
        params: params.ok(),
        part,
        shown: Shown {
            router: router.name.clone(),
            family,
            interface: interface.clone(),
            vrid: router.vrid.get(),
            group: group.into(),
            vips: router.vips(family),
            base_priority: host.priority.get(),
            failing,
            fault,
            board: None,
        },
    }
}

impl Draft<'_> {
    /// What it is known by; where there is no interface, on none.
    fn key(&self) -> Key {
        Key {
            router: self.router.name.as_str().into(),
            family: self.shown.family,
            ifindex: self.link.map_or(0, |(ifindex, _)| ifindex),
        }
    }

    /// What the maps are to know of it.
    fn wish(&self, index: u16, instance: Option<&Instance>, local: Vec<IpAddr>) -> RouterWish {
        let virtual_mac = instance.filter(|instance| instance.is_virtual_mac);
        RouterWish {
            index,
            ifindex: instance.map_or(0, |instance| instance.key.ifindex),
            mac: virtual_mac.map(|instance| instance.mac),
            vips: self.shown.vips.clone(),
            local,
        }
    }

    /// What is to be played of it; `None` where there is no interface or address to play it on.
    fn instance(&self, index: u16, places: &mut Places) -> Option<Instance> {
        let (_, link) = self.link?;
        let params = self.params.clone()?;
        let family = self.shown.family;
        let is_virtual_mac = self.router.mac == MacChoice::Virtual;
        let mac = if is_virtual_mac {
            virtual_mac(self.router.vrid, family)
        } else {
            link.mac?
        };
        let key = self.key();
        let board = Arc::clone(places.boards.entry(key.clone()).or_default());
        Some(Instance {
            key,
            index,
            group: Arc::clone(&self.shown.group),
            params,
            part: self.part,
            mac,
            is_virtual_mac,
            vips: self.shown.vips.clone().into(),
            announce: self.router.announce,
            board,
        })
    }
}

/// The VIPs of a router that are this host's own addresses: of the owner, or by the site file. While another
/// serves them, what comes here is for the host itself. Not those that merely stand on an interface: the
/// stack would refuse clients' connections in the moment of a takeover.
fn own_vips(facts: &Facts<'_>, draft: &Draft<'_>) -> Vec<IpAddr> {
    let is_owner = draft.shown.base_priority == Priority::OWNER.get();
    let host = facts.site.hosts.get(facts.host);
    let is_own = |vip: &IpAddr| {
        is_owner && facts.network.own.contains(vip)
            || host.is_some_and(|host| host.addresses.contains(vip))
    };
    draft.shown.vips.iter().copied().filter(is_own).collect()
}

/// The place of an instance: the one it has, or the next that is free. The thread may still renew the lease
/// of one that was given up just now, so that one is taken last.
fn index_of(key: &Key, places: &mut Places) -> Option<u16> {
    if let Some(index) = places.indexes.get(key) {
        return Some(*index);
    }
    let taken: BTreeSet<u16> = places.indexes.values().copied().collect();
    let most = u16::try_from(ROUTERS_MAX).unwrap_or(u16::MAX);
    let mut from_next = (places.next..most).chain(0..places.next);
    let index = from_next.find(|index| !taken.contains(index))?;
    places.next = (index + 1) % most;
    places.indexes.insert(key.clone(), index);
    Some(index)
}

/// Instances of a group take part together, or not at all.
fn go_together(instances: &mut [Instance], shown: &mut [Shown]) {
    let mut worst: BTreeMap<Arc<str>, Part> = BTreeMap::new();
    for at in shown.iter() {
        // One that can't be played has no instance to say so.
        let part = if at.board.is_none() {
            Part::Out
        } else {
            Part::Full
        };
        let entry = worst.entry(Arc::clone(&at.group)).or_insert(part);
        *entry = part.max(*entry);
    }
    for instance in instances.iter() {
        let entry = worst
            .entry(Arc::clone(&instance.group))
            .or_insert(Part::Full);
        *entry = instance.part.max(*entry);
    }
    for instance in instances.iter_mut() {
        if let Some(part) = worst.get(&instance.group) {
            instance.part = *part;
        }
    }
    let faulty: BTreeMap<Arc<str>, String> = shown
        .iter()
        .filter(|at| at.fault.is_some())
        .map(|at| (Arc::clone(&at.group), at.router.clone()))
        .collect();
    for at in shown.iter_mut().filter(|at| at.fault.is_none()) {
        if let Some(other) = faulty.get(&at.group) {
            at.fault = Some(format!("{other} of its group takes no part"));
        }
    }
}

/// The protocol's parameters, or why there are none.
fn params(
    facts: &Facts<'_>,
    router: &VirtualRouter,
    host: &RouterHost,
    family: Family,
    priority: Priority,
) -> Result<Params, String> {
    let own = || own_address(facts, &host.interface, family, priority);
    let Some(primary) = host.primary(family).or_else(own) else {
        let what = match family {
            Family::V4 => "IPv4 address",
            Family::V6 => "link-local IPv6 address",
        };
        return Err(format!("interface {} has no {what}", host.interface));
    };
    let peers = facts.site.peers(router, facts.host, family);
    let params = router.params(priority, primary, peers);
    params.map_err(|invalid| invalid.to_string())
}

/// The address of an interface that adverts come from: its first that is no VIP, or, of the owner, that is
/// one.
fn own_address(
    facts: &Facts<'_>,
    interface: &str,
    family: Family,
    priority: Priority,
) -> Option<IpAddr> {
    let is_vip = |address: IpAddr| {
        let routers = facts.site.virtual_routers.iter();
        let services = facts.site.services.iter();
        routers
            .flat_map(|router| router.vips(family))
            .any(|vip| vip == address)
            || services
                .into_iter()
                .any(|service| service.vip.contains(address))
    };
    let is_right = |address: &IpAddr| match (family, address) {
        (Family::V4, IpAddr::V4(_)) => true,
        (Family::V6, IpAddr::V6(address)) => address.is_unicast_link_local(),
        _ => false,
    };
    let of_interface = facts.addresses.iter().filter(|(name, _)| name == interface);
    let mut addresses = of_interface.map(|(_, address)| *address).filter(is_right);
    addresses.find(|address| priority.is_owner() || !is_vip(*address))
}

/// Whether what is tracked fails.
fn is_failing(facts: &Facts<'_>, track: &Track) -> bool {
    match &track.what {
        TrackTarget::Interface(name) => {
            let link = facts.network.link(name);
            link.is_none_or(|(_, link)| !link.is_up)
        }
        TrackTarget::Script { argv, spec } => facts.scripts.is_failing(argv, spec),
        TrackTarget::Service { name, quorum } => up_weight(facts, name) < u64::from(quorum.get()),
    }
}

/// The weights of a service's real servers that are up, together.
fn up_weight(facts: &Facts<'_>, name: &str) -> u64 {
    let mut services = facts.site.services.iter();
    let Some(service) = services.find(|service| service.name == name) else {
        return 0;
    };
    let servers = service.servers();
    let is_up = |real: &&crate::config::RealServer| {
        let target = facts.targets.get(&service.name, real.endpoint());
        // Those that are not known yet count as up: a service that a reload brings fails nothing.
        target.is_none_or(|target| target.verdict() != Verdict::Down)
    };
    let up = servers.iter().filter(is_up);
    up.map(|real| u64::from(real.weight.0)).sum()
}

/// As the log and the status call it.
fn in_words(what: &TrackTarget) -> String {
    match what {
        TrackTarget::Interface(name) => format!("interface {name}"),
        TrackTarget::Script { argv, .. } => {
            format!("script {}", argv.first().map_or("", String::as_str))
        }
        TrackTarget::Service { name, quorum } => format!("quorum {quorum} of service {name}"),
    }
}

#[cfg(test)]
mod tests;
