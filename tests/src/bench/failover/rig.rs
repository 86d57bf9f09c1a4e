//! One pair under watch, and one measured half: a fault, or its undoing, from before it until the other
//! serves.
//!
//! Not here: what is made of the samples (`table`).

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    Options,
    contender::{Contender, Node},
    fault::Fault,
};
use crate::{
    guest::slots::Asked,
    lab::{
        Lab,
        topology::{LB1, LB2, VIP},
        wait::{linger, unix_micros},
        watch::Urgency,
    },
};

/// For how long it goes on after the other serves: what was forgotten then shows.
const AFTER: Duration = Duration::from_millis(500);

/// How long a pair may take to agree who serves.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many echoes in a row are to be answered before it is over.
const CALM: u64 = 200;

/// What one half was like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Sample {
    /// The longest time in which echoes waited and none was answered, in milliseconds.
    pub(super) gap_ms: f64,
    /// Echoes never answered.
    pub(super) lost: u64,
    /// From the fault until the other answered a who-has, in milliseconds; none when that was before.
    pub(super) takeover_ms: Option<f64>,
    /// Who-has with two answers since the other answers.
    pub(super) doubles: u64,
    /// How often the second director took over without need.
    pub(super) takeovers: u64,
    /// Whether they agreed who serves; where not, it was ended after 20 s.
    pub(super) settled: bool,
    /// The longest time in which the client itself did not run, in milliseconds.
    pub(super) stall_ms: f64,
}

/// A pair of directors, the first one Active.
pub(super) struct Rig<'l> {
    lab: &'l Lab,
    one: Node<'l>,
    /// Held: it runs as long as this.
    _two: Node<'l>,
    macs: [String; 2],
    interval: Duration,
    urgency: Urgency,
}

impl<'l> Rig<'l> {
    /// Starts the pair and waits until the first serves.
    ///
    /// # Errors
    /// When that does not come soon.
    pub(super) fn start(
        lab: &'l Lab,
        contender: Contender,
        options: &Options,
        urgency: Urgency,
    ) -> Result<Self> {
        let [one, two] = contender.start(lab, options.interval)?;
        let rig = Self {
            lab,
            one,
            _two: two,
            macs: [mac_of(lab, LB1)?, mac_of(lab, LB2)?],
            interval: options.interval,
            urgency,
        };
        let asking = lab.who_has(IpAddr::from(VIP), urgency, &[])?;
        asking.wait_for(&rig.macs[0], 100)?;
        asking.finish()?;
        Ok(rig)
    }

    /// Makes a fault; over when the second director serves.
    ///
    /// # Errors
    /// When it does not soon.
    pub(super) fn fault(&mut self, fault: Fault) -> Result<Sample> {
        self.half(1, |rig| fault.make(rig.lab, &rig.one))
            .with_context(|| fault.names()[0])
    }

    /// Takes a fault back; over when the first director serves, alone.
    ///
    /// # Errors
    /// When it does not soon.
    pub(super) fn undo(&mut self, fault: Fault) -> Result<Sample> {
        self.half(0, |rig| fault.undo(rig.lab, &mut rig.one))
            .with_context(|| fault.names()[1])
    }

    /// Does something, and watches until `new` (0 or 1) serves.
    fn half(&mut self, new: usize, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<Sample> {
        let vip = IpAddr::from(VIP);
        let probing = self.lab.probe(vip, self.urgency, &[])?;
        let asking = self.lab.who_has(vip, self.urgency, &[])?;
        probing.wait_answered(CALM)?;
        linger(self.any_phase());
        let begun = unix_micros();
        act(self)?;
        let mac = self.macs[new].clone();
        let settled = asking.wait_until(&format!("{mac} to serve"), PATIENCE, |now| match new {
            // Who was killed or stopped may answer for ever.
            1 => now.macs.contains(&mac) && now.streak >= 25,
            _ => now.macs == [mac.as_str()] && now.streak >= 100,
        });
        linger(AFTER.max(4 * self.interval));
        probing.wait_answered(CALM)?;
        let (probed, asked) = (probing.finish()?, asking.finish()?);
        let first = first_since(&asked, &mac, begun);
        Ok(Sample {
            gap_ms: milliseconds(probed.longest),
            lost: probed.lost,
            takeover_ms: first.map(|at| milliseconds(at - begun)),
            doubles: asked.rivals(first.unwrap_or(begun)),
            takeovers: asked.arrivals(&self.macs[1]).saturating_sub(new as u64),
            settled: settled.is_ok(),
            stall_ms: milliseconds(probed.stall),
        })
    }

    /// Does nothing for a time.
    ///
    /// # Errors
    /// When nobody answers before or after it.
    pub(super) fn calm(&mut self, time: Duration) -> Result<Sample> {
        let vip = IpAddr::from(VIP);
        let seconds = (time.as_secs() + 120).to_string();
        let bounds = ["--count", "1000000", "--for", &seconds];
        let probing = self.lab.probe(vip, self.urgency, &bounds)?;
        let asking = self.lab.who_has(vip, self.urgency, &bounds)?;
        probing.wait_answered(CALM)?;
        linger(time);
        probing.wait_answered(CALM)?;
        let (probed, asked) = (probing.finish()?, asking.finish()?);
        Ok(Sample {
            gap_ms: milliseconds(probed.longest),
            lost: probed.lost,
            takeover_ms: None,
            doubles: asked.rivals(0),
            takeovers: asked.arrivals(&self.macs[1]),
            settled: true,
            stall_ms: milliseconds(probed.stall),
        })
    }

    /// A time that has nothing to do with when adverts are sent.
    fn any_phase(&self) -> Duration {
        let dice = unix_micros().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let range = u64::try_from(self.interval.as_micros()).unwrap_or(1).max(1);
        Duration::from_micros(dice % range)
    }
}

/// When this MAC was first among those who answer, from `since` on.
fn first_since(asked: &Asked, mac: &str, since: u64) -> Option<u64> {
    let mut spans = asked.spans.iter().filter(|span| span.from >= since);
    let span = spans.find(|span| span.macs.iter().any(|one| one == mac))?;
    Some(span.from)
}

fn mac_of(lab: &Lab, host: &str) -> Result<String> {
    let mut hosts = lab.plan().hosts.iter();
    let host = hosts.find(|one| one.name == host).context("no such host")?;
    Ok(host
        .ports
        .first()
        .context("it has no interface")?
        .mac
        .clone())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}
