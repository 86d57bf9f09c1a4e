//! Where frames are tried: a data plane with tables in it, and what a frame did there.
//!
//! Not here: the two planes ([`super::host`], [`super::kernel`]).

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{Addr, Endpoint, Flow, FlowKey, Reason, Traffic};
use lb_user::datapath::Counters;
use lb_user::tables::{MapOp, Memo, Tables, Wish, build::build, diff};

/// Something that runs `steer` over maps: the host's or the kernel's.
pub(super) trait Plane {
    /// Carries out a change of the maps.
    fn apply(&mut self, op: &MapOp) -> Result<()>;

    /// Lets a frame in.
    fn run(&mut self, ingress: u32, frame: &[u8]) -> Result<Out>;

    /// The counters of these ids and of all verdicts.
    fn counters(&self, services: &[u32], reals: &[u32]) -> Result<Counters>;

    /// The recorded flows.
    fn flows(&self) -> BTreeMap<FlowKey, Flow>;

    /// Records a flow by hand.
    fn put_flow(&mut self, key: FlowKey, flow: Flow) -> Result<()>;

    /// Next hops that were reported as unresolved since the last call: destination, ingress.
    fn take_unresolved(&mut self) -> Result<Vec<(Addr, u32)>>;

    /// The tick that the next frame will see, or one a moment before it.
    fn now(&mut self) -> Result<u32>;

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
}

impl Stage {
    /// Over a plane with empty maps.
    pub(super) fn new(plane: impl Plane + 'static) -> Self {
        Self {
            plane: Box::new(plane),
            tables: Tables::default(),
            before: Counters::default(),
        }
    }

    /// Changes the site as the daemon does.
    pub(super) fn load(&mut self, wish: &Wish) -> Result<()> {
        self.replace(build(wish, &self.tables, &mut Memo::default())?.tables)
    }

    /// Makes the maps hold `wanted`, map by map.
    pub(super) fn replace(&mut self, wanted: Tables) -> Result<()> {
        for op in diff(&self.tables, &wanted) {
            self.plane
                .apply(&op)
                .with_context(|| format!("cannot apply {op:?}"))?;
        }
        self.tables = wanted;
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

    /// The id of a service.
    pub(super) fn service_id(&self, key: &Endpoint) -> Result<u32> {
        Ok(self
            .tables
            .services
            .get(key)
            .with_context(|| format!("no service {key:?}"))?
            .id)
    }

    /// The id of a service's real server.
    pub(super) fn real_id(&self, key: &Endpoint, address: IpAddr) -> Result<u32> {
        let service = self.service_id(key)?;
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
                    reply_packets: now.reply_packets - then.reply_packets,
                    reply_bytes: now.reply_bytes - then.reply_bytes,
                },
            );
        }
    }
    growth
}
