//! Live frames: `BPF_PROG_TEST_RUN` makes them at one end of a veth, the program under test takes them
//! in at the other and sends them back, where they are counted and end.
//!
//! All of it runs in the time of the thread that calls: the kernel's softirqs follow each batch. A
//! frame is a page of the kernel's with nothing to be copied, as from a network card. Not here: what
//! wall clocks say, which on a shared machine is nothing.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::xdp::{XdpLinkId, XdpMode};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use lb_ebpf::abi::FLOWS_MAX;
use lb_ebpf::abi::bench::{COUNT, PLAN, Plan, SINK, SOURCE, SWAP};
use lb_ebpf::wire::tcp::Tcp;
use nix::sched::{CloneFlags, unshare};

use super::case::{Before, Case, Traffic, UnderTest};
use super::rig::{Rig, load_front, plan, program, thread_cpu};
use super::site;

/// The end where the program under test is, and its index.
const NEAR: (&str, u32) = ("bench-near", 1000);
/// The end where frames are made and where they end.
const FAR: (&str, u32) = ("bench-far", 1001);
/// Frames at a time; a veth holds 256.
const BATCH: u32 = 64;
/// How often a run is made anew of which frames got lost.
const ATTEMPTS: u32 = 5;

/// A veth in a network namespace of its own, and what is at its ends.
pub(super) struct Live {
    rig: Rig,
    peers: Ebpf,
    plan: Array<MapData, Plan>,
    arrived: PerCpuArray<MapData, u64>,
    /// What is at the near end.
    at_near: Option<(UnderTest, XdpLinkId)>,
}

impl Live {
    /// Moves this thread to a network namespace of its own, and has the load balancer serve the site
    /// there.
    pub(super) fn build(mut rig: Rig) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
        let (near, far) = (NEAR, FAR);
        let lb = site::LB.to_string();
        ip(&format!(
            "link add {} index {} address {lb} numrxqueues 1 numtxqueues 1 type veth \
             peer name {} index {} numrxqueues 1 numtxqueues 1",
            near.0, near.1, far.0, far.1
        ))?;
        ip(&format!("link set {} up", near.0))?;
        ip(&format!("link set {} up", far.0))?;
        rig.serve_at(NEAR.1)?;
        let mut peers = load_front(&[SOURCE, SINK, SWAP])?;
        let plan = peers.take_map(PLAN).context("no plan")?.try_into()?;
        let arrived = peers.take_map(COUNT).context("no count")?.try_into()?;
        program(&mut peers, SINK)?.attach_to_if_index(FAR.1, XdpMode::Driver)?;
        Ok(Self {
            rig,
            peers,
            plan,
            arrived,
            at_near: None,
        })
    }

    /// Nanoseconds of CPU time a frame of this case, from where it is made to where it ends.
    pub(super) fn measure(&mut self, case: &Case, packets: u32) -> Result<f64> {
        self.put(case.under_test)?;
        self.prepare(case, packets)?;
        let mut reached = 0;
        for _ in 0..ATTEMPTS {
            let before = self.arrived()?;
            let spent = self.send(case.traffic, case.flows, packets)?;
            reached = self.arrived()? - before;
            // Softirqs that the kernel put off to another thread lose frames, and their time.
            if reached == u64::from(packets) {
                #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
                return Ok(spent as f64 / f64::from(packets));
            }
        }
        anyhow::bail!(
            "{}: {reached} of {packets} frames reached their end, in {ATTEMPTS} attempts",
            case.name
        )
    }

    /// Puts a program at the near end.
    fn put(&mut self, under_test: UnderTest) -> Result<()> {
        if self
            .at_near
            .as_ref()
            .is_some_and(|(at, _)| *at == under_test)
        {
            return Ok(());
        }
        if let Some((at, link)) = self.at_near.take() {
            self.program(at)?.detach(link)?;
        }
        let link = self
            .program(under_test)?
            .attach_to_if_index(NEAR.1, XdpMode::Driver)?;
        self.at_near = Some((under_test, link));
        Ok(())
    }

    fn program(&mut self, under_test: UnderTest) -> Result<&mut Xdp> {
        match under_test {
            UnderTest::Sink => program(&mut self.peers, SINK),
            UnderTest::Floor => program(&mut self.peers, SWAP),
            UnderTest::LoadBalancer(_) => self.rig.serve_at(NEAR.1),
            UnderTest::Table(name) => anyhow::bail!("{name} is not measured with live frames"),
        }
    }

    /// Fills the flow table, and warms caches.
    fn prepare(&mut self, case: &Case, packets: u32) -> Result<()> {
        let flows = case.flows.min(packets.max(FLOWS_MAX / 16));
        if case.before == Before::Flows {
            let flows = case.flows.min(FLOWS_MAX);
            let syn = Traffic {
                flags: Tcp::SYN,
                ..case.traffic
            };
            self.send(syn, case.flows, flows)?;
            self.send(case.traffic, case.flows, flows)?;
        }
        self.send(case.traffic, case.flows, flows.max(packets / 16))?;
        Ok(())
    }

    /// Sends frames; nanoseconds of this thread's CPU time.
    fn send(&mut self, traffic: Traffic, flows: u32, packets: u32) -> Result<i64> {
        let frame = site::frame(traffic);
        let turn = self.plan.get(&0, 0)?.turn;
        self.plan.set(0, plan(&frame, traffic.v6, flows, turn), 0)?;
        let source = program(&mut self.peers, SOURCE)?;
        let context = context(frame.len())?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.ctx_in = Some(&context);
        options.repeat = packets;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let before = thread_cpu()?;
        source.test_run(options)?;
        Ok(thread_cpu()? - before)
    }

    /// Frames that reached their end so far.
    fn arrived(&self) -> Result<u64> {
        Ok(self.arrived.get(&0, 0)?.iter().sum())
    }
}

/// A `struct xdp_md` of a frame that came in by the far end, as the source says.
fn context(len: usize) -> Result<Vec<u8>> {
    let words = [0, u32::try_from(len)?, 0, FAR.1, 0, 0];
    Ok(words
        .iter()
        .flat_map(|word: &u32| word.to_ne_bytes())
        .collect())
}

fn ip(command: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(command.split_whitespace())
        .output()
        .context("cannot run `ip`: is iproute2 installed?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {command}: {}", said.trim());
    Ok(())
}
