//! The plane in the kernel: the loaded program, run over one frame at a time by
//! `BPF_PROG_TEST_RUN`. To be used within [`super::network`].
//!
//! Not here: attaching; nothing is.

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{MapData, ProgramArray, RingBuf};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use lb_ebpf::abi::{Addr, Flow, FlowKey, Unresolved, Way, name};
use lb_user::datapath::{Counters, Maps, load_stages};
use lb_user::tables::MapOp;
use lb_user::tables::flows::{Entry, Swept};
use tests::lab::find;
use zerocopy::FromBytes as _;

use super::network;
use super::stage::{Out, Plane, Stage};

/// A stage in the kernel, with maps of its own.
pub(super) fn stage() -> Result<Stage> {
    network::set_forwarding(true)?;
    Ok(Stage::new(Kernel::load()?))
}

/// The loaded object.
struct Kernel {
    ebpf: Ebpf,
    maps: Maps,
    unresolved: RingBuf<MapData>,
    /// The kernel empties it when nobody holds it.
    _stages: ProgramArray<MapData>,
}

impl Kernel {
    fn load() -> Result<Self> {
        let path = find::ebpf_object()?;
        let mut ebpf = Ebpf::load_file(&path)
            .with_context(|| format!("cannot load the eBPF object {}", path.display()))?;
        for program in [name::PROGRAM, name::PROGRAM_CLOCK] {
            let loaded: &mut Xdp = ebpf
                .program_mut(program)
                .with_context(|| format!("no {program}"))?
                .try_into()?;
            loaded
                .load()
                .with_context(|| format!("the kernel refused {program}"))?;
        }
        let stages = load_stages(&mut ebpf)?;
        let mut maps = Maps::take(&mut ebpf)?;
        let unresolved = maps.take_unresolved().context("the ring buffer is taken")?;
        Ok(Self {
            ebpf,
            maps,
            unresolved,
            _stages: stages,
        })
    }

    /// Runs a program over a frame that came in by `ingress`; its code and the frame after it.
    fn test_run(&self, program: &str, ingress: u32, frame: &[u8]) -> Result<(u32, Vec<u8>)> {
        let program: &Xdp = self
            .ebpf
            .program(program)
            .with_context(|| format!("no {program}"))?
            .try_into()?;
        let context = context(ingress, frame.len())?;
        let mut out = vec![0; frame.len() + 256];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(&context);
        let result = program
            .test_run(options)
            .with_context(|| format!("cannot run a frame of {} bytes", frame.len()))?;
        out.truncate(usize::try_from(result.data_size_out)?);
        Ok((result.return_value, out))
    }
}

/// A `struct xdp_md` (linux/bpf.h): data, data_end, data_meta, ingress_ifindex, rx_queue_index,
/// egress_ifindex.
fn context(ingress: u32, len: usize) -> Result<Vec<u8>> {
    let words = [0, u32::try_from(len)?, 0, ingress, 0, 0];
    Ok(words
        .iter()
        .flat_map(|word: &u32| word.to_ne_bytes())
        .collect())
}

impl Plane for Kernel {
    fn apply(&mut self, op: &MapOp) -> Result<()> {
        Ok(self.maps.apply(op)?)
    }

    fn run(&mut self, ingress: u32, frame: &[u8]) -> Result<Out> {
        let (code, frame) = self.test_run(name::PROGRAM, ingress, frame)?;
        Ok(Out {
            code,
            egress: None,
            frame,
        })
    }

    fn counters(&self, services: &[u32], reals: &[u32]) -> Result<Counters> {
        Ok(self
            .maps
            .counters(services.iter().copied(), reals.iter().copied())?)
    }

    fn entries(&self) -> Vec<Entry> {
        self.maps.flows().collect()
    }

    fn put_entry(&mut self, at: u32, way: Way, key: &FlowKey, flow: &Flow) {
        self.maps.put_flow(at, way, key, flow);
    }

    fn forget(&mut self, is_gone: &dyn Fn(&FlowKey, &Flow) -> bool) {
        let _: u32 = self.maps.forget_flows(is_gone);
    }

    fn sweep(&mut self, now: u32) {
        let _: Swept = self.maps.sweep(now);
    }

    fn take_unresolved(&mut self) -> Result<Vec<(Addr, u32)>> {
        let mut events = Vec::new();
        while let Some(event) = self.unresolved.next() {
            let read = Unresolved::read_from_bytes(&event);
            ensure!(read.is_ok(), "an event of {} bytes", event.len());
            events.extend(read.map(|event| (event.destination, event.ifindex)));
        }
        Ok(events)
    }

    fn tick(&mut self) -> Result<u64> {
        let (_, clocks) = self.test_run(name::PROGRAM_CLOCK, super::site::LAN, &[0; 64])?;
        let jiffies = clocks.first_chunk::<8>().context("no clock")?;
        Ok(u64::from_ne_bytes(*jiffies))
    }

    fn lend(&mut self, router: u16, until: [u64; 2]) {
        self.maps.put_lease(router, until);
    }

    fn set_forwarding(&mut self, on: bool) -> Result<()> {
        network::set_forwarding(on)
    }
}
