//! Where frames are tried: a data plane with tables in it, and what a frame did there.
//!
//! Not here: the two planes ([`super::host`], [`super::kernel`]).

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{Addr, Connections, Flow, FlowEvent, FlowKey, Reason, Service, Traffic, Way};
use lb_user::datapath::Counters;
use lb_user::tables::flows::Entry;
use lb_user::tables::{MapOp, Memo, ServiceKey, Tables, Wish, build::build, diff};

/// Something that runs `steer` over maps: the host's or the kernel's.
pub(super) trait Plane {
    /// Carries out a change of the maps.
    fn apply(&mut self, op: &MapOp) -> Result<()>;

    /// Lets a frame in.
    fn run(&mut self, ingress: u32, frame: &[u8]) -> Result<Out>;

    /// The counters of these ids, of all verdicts and of the flow table.
    fn counters(&self, services: &[u32], reals: &[u32]) -> Result<Counters>;

    /// Everything that is recorded, expired entries too.
    fn entries(&self) -> Vec<Entry>;

    /// Puts an entry where `at` says, whatever was there.
    fn put_entry(&mut self, at: u32, way: Way, key: &FlowKey, flow: &Flow);

    /// Forgets the entries that `is_gone` names.
    fn forget(&mut self, is_gone: &dyn Fn(&FlowKey, &Flow) -> bool);

    /// Frees the entries that have expired at kernel tick `now`.
    fn sweep(&mut self, now: u32);

    /// Next hops that were reported as unresolved since the last call: destination, ingress.
    fn take_unresolved(&mut self) -> Result<Vec<(Addr, u32)>>;

    /// The tick that the next frame will see, or one a moment before it.
    fn tick(&mut self) -> Result<u64>;

    /// Its low half, which flows are dated by.
    fn now(&mut self) -> Result<u32> {
        Ok((self.tick()? & 0xffff_ffff) as u32)
    }

    /// Lets a virtual router answer and forward before these ticks.
    fn lend(&mut self, router: u16, until: [u64; 2]);

    /// Lets the host forward packets, or not.
    fn set_forwarding(&mut self, on: bool) -> Result<()>;
}

/// What came out of a plane.
#[derive(Debug)]
pub(super) struct Out {
    /// What becomes of the frame: a code of XDP.
    pub(super) code: u32,
    /// The interface it is redirected to, where the plane tells.
    pub(super) egress: Option<u32>,
    /// The frame as it is now.
    pub(super) frame: Vec<u8>,
}

/// Codes of XDP (`enum xdp_action` of linux/bpf.h).
pub(super) mod xdp {
    pub(in super::super) const DROP: u32 = 1;
    pub(in super::super) const PASS: u32 = 2;
    pub(in super::super) const TX: u32 = 3;
    pub(in super::super) const REDIRECT: u32 = 4;
}

/// Everything a frame did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) code: u32,
    pub(super) egress: Option<u32>,
    pub(super) frame: Vec<u8>,
    /// The one verdict that was counted.
    pub(super) reason: Reason,
    /// What services' counters grew by, where they did.
    pub(super) services: BTreeMap<u32, Traffic>,
    /// What real servers' counters grew by, where they did.
    pub(super) reals: BTreeMap<u32, Traffic>,
    /// Next hops that were reported as unresolved, with the ingress.
    pub(super) unresolved: Vec<(Addr, u32)>,
}

/// A plane, what its maps hold, and its counters as they last were.
pub(super) struct Stage {
    plane: Box<dyn Plane>,
    tables: Tables,
    before: Counters,
    /// Events of the flow table before the last [`Stage::reset`].
    past_events: Vec<(FlowEvent, u64)>,
}

impl Stage {
    /// Over a plane with empty maps.
    pub(super) fn new(plane: impl Plane + 'static) -> Self {
        Self {
            plane: Box::new(plane),
            tables: Tables::default(),
            before: Counters::default(),
            past_events: Vec::new(),
        }
    }

    /// As new: no site, no flows, a host that forwards.
    pub(super) fn reset(&mut self) -> Result<()> {
        self.replace(Tables::default())?;
        self.plane.forget(&|_, _| true);
        self.plane.set_forwarding(true)?;
        drop(self.plane.take_unresolved()?);
        self.past_events = self.before.flow_events.clone();
        Ok(())
    }

    /// Changes the site as the daemon does.
    pub(super) fn load(&mut self, wish: &Wish) -> Result<()> {
        self.replace(build(wish, &self.tables, &mut Memo::default())?.tables)
    }

    /// Makes the maps hold `wanted`, map by map.
    pub(super) fn replace(&mut self, wanted: Tables) -> Result<()> {
        let mut is_any_gone = false;
        for op in diff(&self.tables, &wanted) {
            is_any_gone |= matches!(op, MapOp::RemoveReal(_));
            self.plane
                .apply(&op)
                .with_context(|| format!("cannot apply {op:?}"))?;
        }
        self.tables = wanted;
        if is_any_gone {
            let reals = &self.tables.reals;
            let is_there = |id: &u32, service| reals.get(id).is_some_and(|r| r.service == service);
            self.plane
                .forget(&|_, flow| !is_there(&flow.real, flow.service));
        }
        self.before = self.counters()?;
        Ok(())
    }

    /// Lets a frame in and sees what it did.
    pub(super) fn send(&mut self, ingress: u32, frame: &[u8]) -> Result<Seen> {
        let Out {
            code,
            egress,
            frame,
        } = self.plane.run(ingress, frame)?;
        let after = self.counters()?;
        let before = std::mem::replace(&mut self.before, after);
        Ok(Seen {
            code,
            egress,
            frame,
            reason: the_one_counted(&before, &self.before)?,
            services: growth(&before.services, &self.before.services),
            reals: growth(&before.reals, &self.before.reals),
            unresolved: self.plane.take_unresolved()?,
        })
    }

    /// Lets a frame in; its code, the verdict that was counted and the frame as it is then. Other
    /// counters are not read: [`Self::has_counted`] tells of them.
    pub(super) fn glance(&mut self, ingress: u32, frame: &[u8]) -> Result<(u32, Reason, Vec<u8>)> {
        let out = self.plane.run(ingress, frame)?;
        let after = self.plane.counters(&[], &[])?;
        let reason = the_one_counted(&self.before, &after)?;
        self.before.verdicts = after.verdicts;
        Ok((out.code, reason, out.frame))
    }

    /// Whether frames that were glanced at were counted as some service's or real server's.
    pub(super) fn has_counted(&mut self) -> Result<bool> {
        let after = self.counters()?;
        let before = std::mem::replace(&mut self.before, after);
        let grown = growth(&before.services, &self.before.services);
        Ok(!grown.is_empty() || !growth(&before.reals, &self.before.reals).is_empty())
    }

    /// The reasons that frames have left for so far.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let counted = self.before.verdicts.iter().filter(|(_, count)| *count > 0);
        counted.map(|(reason, _)| *reason).collect()
    }

    /// How often the flow table has seen an event.
    pub(super) fn events(&self, event: FlowEvent) -> u64 {
        let count = |events: &[(FlowEvent, u64)]| {
            let mut events = events.iter();
            let found = events.find(|(known, _)| *known == event);
            found.map_or(0, |(_, count)| *count)
        };
        count(&self.before.flow_events) - count(&self.past_events)
    }

    /// Connections of a real server that have entries: active, inactive.
    pub(super) fn connections(&self, real: u32) -> (u32, u32) {
        let of_real = self.before.connections.get(&real).copied();
        let Connections { active, inactive } = of_real.unwrap_or_default();
        (active, inactive)
    }

    /// Everything that is recorded.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.plane.entries()
    }

    /// The entry of a key, with its place and its way; of several, of which all but one have expired,
    /// the one that lives longest.
    pub(super) fn entry(&self, key: &FlowKey) -> Option<Entry> {
        let entries = self.plane.entries().into_iter();
        let of_key = entries.filter(|(_, _, found, _)| found == key);
        of_key.reduce(|a, b| if a.1.is_expired(b.1.expires()) { b } else { a })
    }

    fn counters(&self) -> Result<Counters> {
        let services: Vec<u32> = self.tables.services.values().map(|s| s.id).collect();
        let reals: Vec<u32> = self.tables.reals.keys().copied().collect();
        self.plane.counters(&services, &reals)
    }

    /// What the maps hold.
    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The plane itself, for what is neither tables nor frames.
    pub(super) fn plane(&mut self) -> &mut dyn Plane {
        &mut *self.plane
    }

    /// A service.
    pub(super) fn service(&self, key: &ServiceKey) -> Result<&Service> {
        self.tables
            .service(key)
            .with_context(|| format!("no service {key:?}"))
    }

    /// The id of a service's real server.
    pub(super) fn real_id(&self, key: &ServiceKey, address: IpAddr) -> Result<u32> {
        let service = self.service(key)?.id;
        let mut reals = self.tables.reals.iter();
        let found = reals.find(|(_, r)| r.service == service && r.address == address.into());
        Ok(*found
            .with_context(|| format!("{key:?} has no real server {address}"))?
            .0)
    }
}

/// The reason whose counter grew, by one, while no other did.
fn the_one_counted(before: &Counters, after: &Counters) -> Result<Reason> {
    let count = |counters: &Counters, reason: Reason| {
        counters
            .verdicts
            .iter()
            .find(|(known, _)| *known == reason)
            .map_or(0, |(_, n)| *n)
    };
    let grown: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| (*reason, count(after, *reason) - count(before, *reason)))
        .filter(|(_, growth)| *growth > 0)
        .collect();
    ensure!(
        matches!(grown[..], [(_, 1)]),
        "not one verdict was counted, but {grown:?}"
    );
    Ok(grown[0].0)
}

fn growth(
    before: &BTreeMap<u32, Traffic>,
    after: &BTreeMap<u32, Traffic>,
) -> BTreeMap<u32, Traffic> {
    let mut growth = BTreeMap::new();
    for (id, now) in after {
        let then = before.get(id).copied().unwrap_or_default();
        if *now != then {
            growth.insert(
                *id,
                Traffic {
                    packets: now.packets - then.packets,
                    bytes: now.bytes - then.bytes,
                    connections: now.connections - then.connections,
                    ended: now.ended - then.ended,
                    reply_packets: now.reply_packets - then.reply_packets,
                    reply_bytes: now.reply_bytes - then.reply_bytes,
                },
            );
        }
    }
    growth
}
