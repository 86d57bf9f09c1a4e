//! `steer`: the bytes are a story ([`script`]) on a site with everything in it ([`site`]). It is played to
//! the host function over the daemon's own tables, and watched (`watch`).
//!
//! Not here: the same story played to the loaded program (`it`'s `datapath::fuzz`).

pub mod script;
pub mod site;
mod tables;
mod watch;

use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context as _, Result};
use lb_ebpf::abi::Addr;
use lb_ebpf::{Action, steer as decide};
use lb_user::tables::MapOp;
use lb_user::tables::diff;
use lb_user::tables::flows::{Sweeper, Swept};
use lb_user::tables::lookups::{HostFrame, HostMaps};

use self::script::{Script, Sent, Step};
use self::tables::Stand;
use crate::packet::sound::{Left, sound};

/// Plays the story that the bytes are.
///
/// # Errors
/// Says what cannot be.
pub fn steer(bytes: &[u8]) -> Result<()> {
    let mut script = Script::new(bytes);
    let mut world = World::new();
    let mut at = 0;
    while let Some(step) = script.next(&world.stand.wish) {
        at += 1;
        let left = world
            .play(&step)
            .and_then(|left| watch::table(&world.maps, world.now).map(|()| left))
            .with_context(|| format!("step {at}: {}", told(&step)))?;
        if let Some(left) = left {
            script.left = Some(left);
        }
    }
    Ok(())
}

/// A step for a person to read: a frame in hex.
fn told(step: &Step) -> String {
    let Step::Frame(sent) = step else {
        return format!("{step:?}");
    };
    let bytes = sent.frame.iter().map(|byte| format!("{byte:02x}"));
    format!("by {}: {}", sent.ingress, bytes.collect::<String>())
}

/// The host's maps, and what is in them.
struct World {
    maps: HostMaps,
    stand: Stand,
    sweeper: Sweeper,
    now: u32,
}

impl World {
    fn new() -> Self {
        let stand = tables::first();
        let mut world = Self {
            maps: HostMaps::new(stand.tables.clone()),
            stand,
            sweeper: Sweeper::default(),
            // Ticks wrap in the middle of many stories.
            now: u32::MAX - site::UNIT,
        };
        world.forward(true);
        world
    }

    /// What a step does; the frame that left.
    fn play(&mut self, step: &Step) -> Result<Option<Vec<u8>>> {
        match step {
            Step::Frame(sent) => return self.send(sent),
            Step::Site(change) => self.change(*change)?,
            Step::Wait(units) => {
                self.now = self.now.wrapping_add(u32::from(*units) * site::UNIT);
            }
            Step::Sweep => {
                let _: Swept = self.sweeper.sweep(self.maps.flows(), self.now);
            }
            Step::Forwarding(on) => self.forward(*on),
        }
        Ok(None)
    }

    fn send(&mut self, sent: &Sent) -> Result<Option<Vec<u8>>> {
        self.now = self.now.wrapping_add(1);
        self.maps.unresolved.get_mut().clear();
        self.maps.service_traffic.get_mut().clear();
        self.maps.real_traffic.get_mut().clear();
        let before: Vec<_> = self.maps.flows().entries().collect();
        let mut frame = HostFrame(sent.frame.clone());
        let verdict = decide(&mut frame, &self.maps, sent.ingress, self.now.into());
        let goes_on = matches!(verdict.action, Action::Transmit | Action::Redirect(_));
        let reason = verdict.reason;
        let left = Left {
            goes_on,
            reason,
            frame: &frame.0,
        };
        sound(&sent.frame, left)
            .and_then(|()| watch::road(&self.maps, &self.stand, sent, &verdict, &frame.0))
            .and_then(|()| watch::kept(&self.maps, &before, self.now))
            .with_context(|| format!("{verdict:?}"))?;
        Ok(goes_on.then_some(frame.0))
    }

    /// Changes the site as the daemon does.
    fn change(&mut self, change: u8) -> Result<()> {
        let next = tables::after(&self.stand, change)?;
        for op in diff(&self.stand.tables, &next.tables) {
            self.maps.tables.apply(&op);
            self.begin_anew(&op);
        }
        self.stand = next;
        let reals = &self.stand.tables.reals;
        let is_there = |id: &u32, service| reals.get(id).is_some_and(|r| r.service == service);
        let _: u32 = self
            .maps
            .flows()
            .forget(|_, flow| !is_there(&flow.real, flow.service));
        Ok(())
    }

    /// Counters of ids that were free begin anew.
    fn begin_anew(&self, op: &MapOp) {
        if let MapOp::PutReal {
            id, fresh: true, ..
        } = op
        {
            let counts = &self.maps.connections[*id as usize];
            counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        if let MapOp::PutService {
            service,
            fresh: true,
            ..
        } = op
        {
            self.maps.turns[service.id as usize].store(0, Relaxed);
        }
    }

    fn forward(&mut self, on: bool) {
        let routes = site::CLIENTS
            .iter()
            .filter(|_| on)
            .map(|client| (Addr::from(client.0), site::route(*client)));
        self.maps.routes = routes.collect();
        let lease = &self.maps.leases[usize::from(site::ACTIVE)];
        for (word, until) in lease.iter().zip(site::lease(on)) {
            word.store(until, Relaxed);
        }
    }
}
