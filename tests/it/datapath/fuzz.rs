//! The stories of the fuzz target `steer`, played to host and kernel side by side: those of its
//! corpus, and random ones made of them. After every frame both have done the same; after every
//! story both remember the same flows.
//!
//! `cargo xtask fuzz steer --differential` plays random ones for as long as it is told. Not here:
//! what a story is and what must hold of it (`tests::fuzz::steer`).

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{FlowEvent, FlowKey, Way, state};
use lb_user::tables::Tables;
use lb_user::tables::flows::Entry;
use tests::fuzz::corpus;
use tests::fuzz::steer::script::{Script, Step};
use tests::fuzz::steer::site::{self as site, UNIT};
use tests::lab::wait::unix_micros;
use tests::require;

use super::stage::{Plane, Stage, xdp};
use super::{host, kernel, network, table};

/// How long random stories are played, in seconds; without it there are [`FEW`].
const SECONDS: &str = "VIADUCT_FUZZ_SECONDS";
/// What they are made of: one that failed is told and can be had again.
const SEED: &str = "VIADUCT_FUZZ_SEED";
/// Random stories of an ordinary run: some hundred frames.
const FEW: u64 = 40;

#[test]
fn the_stories_of_the_corpus_go_alike_on_host_and_kernel() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| {
        let mut stages = Stages::new()?;
        let mut frames = 0;
        for (name, story) in corpus::of("steer")? {
            let played = stages.play(&story).with_context(|| format!("steer/{name}"));
            frames += played?;
        }
        ensure!(frames > 250, "only {frames} frames: where are the stories?");
        Ok(())
    })
}

#[test]
fn random_stories_go_alike_on_host_and_kernel() -> Result<()> {
    require!(root, tools, xdp);
    let seconds = number(SECONDS)?;
    let seed = match (number(SEED)?, seconds) {
        (Some(seed), _) => seed,
        (None, Some(_)) => unix_micros(),
        (None, None) => 1,
    };
    println!("{SEED}={seed}");
    network::within(|| random(seed, seconds))
}

fn number(variable: &str) -> Result<Option<u64>> {
    let value = std::env::var(variable).ok();
    let parsed = value.map(|value| value.parse()).transpose();
    parsed.with_context(|| format!("{variable} is no number"))
}

/// Plays random stories until the time is over.
fn random(seed: u64, seconds: Option<u64>) -> Result<()> {
    let known: Vec<_> = corpus::of("steer")?
        .into_iter()
        .map(|(_, story)| story)
        .collect();
    let (mut stages, mut dice) = (Stages::new()?, Dice(seed));
    let started = unix_micros();
    let (mut stories, mut frames) = (0, 0);
    while match seconds {
        Some(seconds) => unix_micros().saturating_sub(started) < seconds * 1_000_000,
        None => stories < FEW,
    } {
        let story = dice.story(&known);
        frames += stages.play(&story).or_else(|error| {
            let path = keep(seed, stories, &story)?;
            Err(error.context(format!("{SEED}={seed}, story {stories}, kept as {path}")))
        })?;
        stories += 1;
    }
    writeln!(
        std::io::stderr(),
        "{stories} stories, {frames} frames: all alike"
    )?;
    ensure!(frames > 100, "only {frames} frames");
    Ok(())
}

/// Keeps a story that failed; where.
fn keep(seed: u64, number: u64, story: &[u8]) -> Result<String> {
    let directory = corpus::directory("steer").join("../../artifacts/steer");
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("differential-{seed}-{number}"));
    fs::write(&path, story)?;
    Ok(path.canonicalize()?.display().to_string())
}

/// Random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() >> 16).unwrap_or(0) % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        (self.roll() >> 32).to_le_bytes()[0]
    }

    /// Two known stories one after the other, with some bytes changed, or words nobody wrote.
    fn story(&mut self, known: &[Vec<u8>]) -> Vec<u8> {
        if self.below(4) == 0 {
            return (0..200).map(|_| self.byte()).collect();
        }
        let mut story = known[self.below(known.len())].clone();
        story.extend(&known[self.below(known.len())]);
        for _ in 0..self.below(8) {
            let at = self.below(story.len());
            if let Some(byte) = story.get_mut(at) {
                *byte = self.byte();
            }
        }
        story
    }
}

/// Host and kernel with the same tables.
struct Stages {
    host: Stage,
    kernel: Stage,
}

impl Stages {
    fn new() -> Result<Self> {
        let mut stages = Self {
            host: host::stage()?,
            kernel: kernel::stage()?,
        };
        stages.begin()?;
        Ok(stages)
    }

    fn both(&mut self) -> [&mut Stage; 2] {
        [&mut self.host, &mut self.kernel]
    }

    /// As before the first story.
    fn begin(&mut self) -> Result<()> {
        for stage in self.both() {
            stage.plane().forget(&|_, _| true);
            stage.plane().set_forwarding(true)?;
            stage.replace(Tables::default())?;
            stage.load(&site::wish(0))?;
            stage.plane().lend(site::ACTIVE, site::lease(true));
        }
        Ok(())
    }

    /// Plays a story from the beginning; how many frames it has.
    fn play(&mut self, story: &[u8]) -> Result<usize> {
        self.begin()?;
        let mut script = Script::new(story);
        let mut wish = site::wish(0);
        let (mut frames, crowded) = (0, self.crowded());
        while let Some(step) = script.next(&wish) {
            match step {
                Step::Frame(sent) => {
                    frames += 1;
                    let left = self.send(sent.ingress, &sent.frame)?;
                    // Of its fewer places the host has none left: from here on they differ.
                    if self.crowded() != crowded {
                        return Ok(frames);
                    }
                    script.left = left.or(script.left);
                }
                Step::Site(change) => {
                    wish = site::wish(change);
                    self.host.load(&wish)?;
                    self.kernel.load(&wish)?;
                }
                Step::Wait(units) => self
                    .both()
                    .into_iter()
                    .for_each(|stage| wait(stage.plane(), units)),
                Step::Sweep => self.sweep()?,
                Step::Forwarding(on) => {
                    for stage in self.both() {
                        stage.plane().set_forwarding(on)?;
                        stage.plane().lend(site::ACTIVE, site::lease(on));
                    }
                }
            }
        }
        self.remember_alike()?;
        Ok(frames)
    }

    /// Lets a frame in on both; what left.
    fn send(&mut self, ingress: u32, frame: &[u8]) -> Result<Option<Vec<u8>>> {
        let on_host = self.host.send(ingress, frame)?;
        let mut in_kernel = self.kernel.send(ingress, frame)?;
        // A test run does not tell where a frame is redirected to.
        in_kernel.egress = on_host.egress;
        ensure!(
            on_host == in_kernel,
            "by {ingress}: {frame:02x?}\n{on_host:02x?} on the host\n{in_kernel:02x?} in the kernel"
        );
        let goes_on = matches!(on_host.code, xdp::TX | xdp::REDIRECT);
        Ok(goes_on.then_some(on_host.frame))
    }

    /// How often the host's table had no room.
    fn crowded(&self) -> u64 {
        let events = [
            FlowEvent::Displaced,
            FlowEvent::Untracked,
            FlowEvent::Refused,
        ];
        events.iter().map(|event| self.host.events(*event)).sum()
    }

    fn sweep(&mut self) -> Result<()> {
        for stage in self.both() {
            let now = stage.plane().now()?;
            stage.plane().sweep(now);
        }
        Ok(())
    }

    /// Both have the same entries, and count the same connections.
    fn remember_alike(&mut self) -> Result<()> {
        let [on_host, in_kernel] = self.both().map(|stage| {
            let entries = stage.plane().entries();
            entries.iter().map(said).collect::<BTreeSet<_>>()
        });
        ensure!(on_host == in_kernel, "{on_host:?} and {in_kernel:?}");
        for real in self.host.tables().reals.keys() {
            let counts = [&self.host, &self.kernel].map(|stage| stage.connections(*real));
            ensure!(counts[0] == counts[1], "real server {real}: {counts:?}");
        }
        Ok(())
    }
}

/// What an entry says, but for its place and the ticks it has left.
fn said((_, way, key, flow): &Entry) -> (FlowKey, u8, [u32; 2], u16) {
    (
        *key,
        way.state(),
        [flow.service, flow.real],
        flow.port.get(),
    )
}

/// So many units of time go by, for all entries.
fn wait(plane: &mut dyn Plane, units: u8) {
    let ticks = u32::from(units) * UNIT;
    for (at, way, key, flow) in plane.entries() {
        let expires = way.expires().wrapping_sub(ticks);
        debug_assert!(way.state() >= state::NEW, "only entries in use are told");
        plane.put_entry(at, Way::new(way.tag(), way.state(), expires), &key, &flow);
    }
}

/// The frames of the packet table, each a story: what libFuzzer begins with.
#[test]
#[ignore = "writes files: `cargo xtask fuzz` calls it"]
fn write_the_frames_of_the_table_as_inputs() -> Result<()> {
    let into = std::env::var_os("VIADUCT_FUZZ_SEEDS").context("VIADUCT_FUZZ_SEEDS: where to")?;
    let into = std::path::PathBuf::from(into);
    let (frames, stories) = (into.join("frames"), into.join("stories"));
    fs::create_dir_all(&frames)?;
    fs::create_dir_all(&stories)?;
    for (number, case) in table::cases().into_iter().enumerate() {
        fs::write(frames.join(format!("{number}")), &case.input)?;
        let Ok(len) = u8::try_from(case.input.len()) else {
            continue;
        };
        let by = if case.ingress == site::WAN { 0xe0 } else { 0 };
        let story = [&[by, len][..], &case.input].concat();
        fs::write(stories.join(format!("{number}")), story)?;
    }
    Ok(())
}

/// The site of the stories has the interfaces and routes of the table's, which the network of the
/// kernel's stage is built of.
#[test]
fn the_stories_are_on_the_network_of_the_table() {
    use super::site as ours;
    assert_eq!(
        [site::LAN, site::WAN, site::UNSERVED],
        [ours::LAN, ours::WAN, ours::UNSERVED]
    );
    assert_eq!([site::LB, site::LB_WAN], [ours::LB, ours::LB_WAN]);
    let routes: BTreeSet<_> = ours::ROUTES
        .iter()
        .map(|way| (way.to, way.ifindex, way.neighbour.map(|mac| mac.0)))
        .collect();
    let clients: BTreeSet<_> = site::CLIENTS
        .iter()
        .map(|(to, ifindex, neighbour)| (*to, *ifindex, neighbour.map(|mac| mac.0)))
        .collect();
    assert!(clients.is_subset(&routes), "{clients:?}, {routes:?}");
}
