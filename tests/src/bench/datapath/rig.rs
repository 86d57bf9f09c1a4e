//! How it is measured: the programs and maps, and the front that prepares frames.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use lb_ebpf::abi::bench::{FRONT_V4, FRONT_V6, HEAD, LRU, OURS, PLAN, Plan, SWAP, TARGET};
use lb_ebpf::abi::{FLOWS_MAX, Interface, NAT_REPLIES, Slot, name};
use lb_ebpf::wire::tcp::Tcp;
use lb_user::datapath::Maps;
use lb_user::tables::build::build;
use lb_user::tables::{MapOp, Memo, Tables, Wish, diff};
use nix::time::{ClockId, clock_gettime};

use super::case::{Before, Case, Traffic, UnderTest};
use super::site::{self, LOOPBACK, port};
use crate::lab::find;

/// The programs and maps.
pub(super) struct Rig {
    front: Ebpf,
    lb: Ebpf,
    plan: Array<MapData, Plan>,
    loaded: Tables,
    target: ProgramArray<MapData>,
    maps: Maps,
    interface: Interface,
    /// Tables side by side, by what they hold.
    known: Ebpf,
    flooded: Option<Ebpf>,
    /// What the flow table holds.
    holds: Before,
    /// Held: the kernel empties an array of programs that nobody holds.
    _stages: ProgramArray<MapData>,
}

impl Rig {
    /// Loads everything, and has the load balancer serve the site.
    pub(super) fn load() -> Result<Self> {
        let mut lb = Ebpf::load_file(find::ebpf_object()?)?;
        let mut front = load_front(&[FRONT_V4, FRONT_V6, SWAP])?;
        program(&mut lb, name::PROGRAM)?.load()?;
        let stages = load_stages(&mut lb)?;
        let plan = front.take_map(PLAN).context("no plan")?.try_into()?;
        let target = front.take_map(TARGET).context("no target")?.try_into()?;
        let mut maps = Maps::take(&mut lb)?;
        let mut loaded = Tables::default();
        serve(&mut maps, &mut loaded, &site::wish(&[], LOOPBACK))?;
        serve(
            &mut maps,
            &mut loaded,
            &site::wish(&[port::CHANGED], LOOPBACK),
        )?;
        maps.apply(&unsettle(&loaded)?)?;
        let interface = *loaded.interfaces.get(&LOOPBACK).context("no interface")?;
        Ok(Self {
            front,
            lb,
            plan,
            loaded,
            target,
            maps,
            interface,
            known: load_front(&[OURS, LRU])?,
            flooded: None,
            holds: Before::Nothing,
            _stages: stages,
        })
    }

    /// Serves the site behind another interface; gives the program that is to run there.
    pub(super) fn serve_at(&mut self, ifindex: u32) -> Result<&mut Xdp> {
        let wish = site::wish(&[port::CHANGED], ifindex);
        serve(&mut self.maps, &mut self.loaded, &wish)?;
        // Nat replies are no part of it: their look-up is spared.
        let mut interface = *self
            .loaded
            .interfaces
            .get(&ifindex)
            .context("no interface")?;
        interface.flags &= !NAT_REPLIES;
        self.maps.apply(&MapOp::PutInterface(interface))?;
        program(&mut self.lb, name::PROGRAM)
    }

    /// Nanoseconds of CPU time a packet of this case.
    pub(super) fn measure(&mut self, case: &Case, packets: u32) -> Result<f64> {
        let room = if packets < 50_000 { packets } else { FLOWS_MAX };
        self.maps.apply(&self.interface_of(case))?;
        // Held while it is measured.
        let _fresh = match case.under_test {
            UnderTest::Floor | UnderTest::Sink => self.aim_at_floor()?,
            UnderTest::LoadBalancer(_) => self.aim_at_load_balancer(case, room)?,
            UnderTest::Table(name) => self.aim_at_table(name, case, room)?,
        };
        let before = self.count(case)?;
        let spent = self.send(case.traffic, case.flows, packets)?;
        let left = self.count(case)? - before;
        ensure!(
            !matches!(case.under_test, UnderTest::LoadBalancer(_)) || left == u64::from(packets),
            "{}: {left} of {packets} packets left for the reason it is about",
            case.name
        );
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Ok(spent as f64 / f64::from(packets))
    }

    fn aim_at_floor(&mut self) -> Result<Option<Ebpf>> {
        self.target
            .set(0, program(&mut self.front, SWAP)?.fd()?, 0)?;
        Ok(None)
    }

    /// Has the front run the load balancer, its flow table as the case wants it.
    fn aim_at_load_balancer(&mut self, case: &Case, room: u32) -> Result<Option<Ebpf>> {
        self.target
            .set(0, program(&mut self.lb, name::PROGRAM)?.fd()?, 0)?;
        if case.before != Before::Anything && self.holds != case.before {
            self.maps.forget_flows(|_, _| true);
        }
        if case.before != Before::Flood || self.holds != Before::Flood {
            self.prepare(case, room)?;
        }
        if case.before == Before::Nothing {
            self.maps.forget_flows(|_, _| true);
        }
        if case.before != Before::Anything {
            self.holds = case.before;
        }
        Ok(None)
    }

    /// Has the front run a table of flows; one that is used for this case alone is handed back.
    fn aim_at_table(&mut self, name: &str, case: &Case, room: u32) -> Result<Option<Ebpf>> {
        match case.before {
            Before::Nothing => {
                let mut fresh = load_front(&[name])?;
                self.target.set(0, program(&mut fresh, name)?.fd()?, 0)?;
                Ok(Some(fresh))
            }
            Before::Flood => {
                let is_new = self.flooded.is_none();
                let flooded = match &mut self.flooded {
                    Some(flooded) => flooded,
                    none => none.insert(load_front(&[OURS, LRU])?),
                };
                for name in [OURS, LRU].iter().filter(|_| is_new) {
                    self.target.set(0, program(flooded, name)?.fd()?, 0)?;
                    send(
                        &mut self.front,
                        &mut self.plan,
                        case.traffic,
                        case.flows,
                        room + room / 4,
                    )?;
                }
                self.target.set(0, program(flooded, name)?.fd()?, 0)?;
                Ok(None)
            }
            Before::Flows | Before::Anything | Before::Full => {
                self.target
                    .set(0, program(&mut self.known, name)?.fd()?, 0)?;
                self.prepare(case, room)?;
                Ok(None)
            }
        }
    }

    /// The interface as it is with and without nat.
    fn interface_of(&self, case: &Case) -> MapOp {
        let mut interface = self.interface;
        if !case.nat {
            interface.flags &= !NAT_REPLIES;
        }
        MapOp::PutInterface(interface)
    }

    /// Fills the tables as the case wants it; caches are as they are under load.
    fn prepare(&mut self, case: &Case, room: u32) -> Result<()> {
        let Traffic { flags, .. } = case.traffic;
        let syn = Traffic {
            flags: Tcp::SYN,
            ..case.traffic
        };
        let ack = Traffic {
            flags: Tcp::ACK,
            ..case.traffic
        };
        match case.before {
            Before::Nothing | Before::Anything => {
                let flows = if case.flows > room { 0 } else { case.flows };
                self.send(case.traffic, case.flows, room / 16 + flows)?;
            }
            Before::Flows => {
                let flows = case.flows.min(room);
                self.send(syn, case.flows, flows)?;
                self.send(Traffic { flags, ..ack }, case.flows, flows.max(room / 16))?;
            }
            Before::Flood => {
                self.send(syn, case.flows, room + room / 4)?;
            }
            Before::Full => {
                self.send(syn, room * 2, room * 2)?;
                self.send(ack, room * 2, room * 2)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, traffic: Traffic, flows: u32, packets: u32) -> Result<i64> {
        send(&mut self.front, &mut self.plan, traffic, flows, packets)
    }

    /// Packets that left for the case's reason so far.
    fn count(&self, case: &Case) -> Result<u64> {
        let UnderTest::LoadBalancer(reason) = case.under_test else {
            return Ok(0);
        };
        let counters = self.maps.counters(std::iter::empty(), std::iter::empty())?;
        let mut of_reason = counters
            .verdicts
            .iter()
            .filter(|(counted, _)| *counted == reason);
        Ok(of_reason.next().map_or(0, |(_, count)| *count))
    }
}

/// Has the maps hold what a wish says.
fn serve(maps: &mut Maps, loaded: &mut Tables, wish: &Wish) -> Result<()> {
    let wanted = build(wish, loaded, &mut Memo::default())?.tables;
    for op in diff(loaded, &wanted) {
        maps.apply(&op)?;
    }
    *loaded = wanted;
    Ok(())
}

/// Sends packets; nanoseconds of this thread's CPU time.
fn send(
    front: &mut Ebpf,
    plans: &mut Array<MapData, Plan>,
    traffic: Traffic,
    flows: u32,
    packets: u32,
) -> Result<i64> {
    let frame = site::frame(traffic);
    let turn = plans.get(&0, 0)?.turn;
    plans.set(0, plan(&frame, traffic.v6, flows, turn), 0)?;
    let name = if traffic.v6 { FRONT_V6 } else { FRONT_V4 };
    let front = program(front, name)?;
    let mut options = TestRunOptions::new();
    options.data_in = Some(&frame);
    options.repeat = packets;
    let before = thread_cpu()?;
    let result = front.test_run(options)?;
    let spent = thread_cpu()? - before;
    ensure!(
        result.return_value != 0,
        "the front found no program to run"
    );
    Ok(spent)
}

/// The object of fronts and peers, with these programs of it.
pub(super) fn load_front(names: &[&str]) -> Result<Ebpf> {
    let object: PathBuf = find::ebpf_object()?.with_file_name("lb-bench");
    let mut front =
        Ebpf::load_file(object).context("the front is not built: run `cargo xtask build`")?;
    for name in names {
        program(&mut front, name)?.load()?;
    }
    Ok(front)
}

/// Loads what the load balancer calls, and has it find them.
fn load_stages(lb: &mut Ebpf) -> Result<ProgramArray<MapData>> {
    let stages = lb.take_map(name::STAGES).context("no stages")?;
    let mut stages = ProgramArray::try_from(stages)?;
    for (at, name) in (0..).zip(name::STAGE_PROGRAMS) {
        let program = program(lb, name)?;
        program.load()?;
        stages.set(at, program.fd()?, 0)?;
    }
    Ok(stages)
}

pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

/// All slots of a service's ring unsettled.
fn unsettle(tables: &Tables) -> Result<MapOp> {
    let mut services = tables.services.values();
    let service = services
        .find(|service| service.first == port::UNSETTLED)
        .context("no such service")?;
    let ring = tables.ring_of(service);
    let unsettled = ring
        .iter()
        .map(|slot| Slot::unsettled(slot.current(), slot.current()));
    Ok(MapOp::PutSlots {
        at: service.ring,
        slots: unsettled.collect(),
    })
}

/// The frames of a case; `flows` is a power of two.
pub(super) fn plan(frame: &[u8], v6: bool, flows: u32, turn: u32) -> Plan {
    let mut head = [0; HEAD];
    let places: &[(usize, usize)] = if v6 { &PLACES_V6 } else { &PLACES_V4 };
    for (word, (at, len)) in head.iter_mut().zip(places) {
        let mut bytes = [0; 8];
        bytes[..*len].copy_from_slice(&frame[*at..at + len]);
        *word = u64::from_ne_bytes(bytes);
    }
    Plan {
        turn,
        flows_mask: flows - 1,
        len: frame.len() as u64,
        head,
    }
}

/// Where the words of a frame's headers are, and how long they are: Ethernet, IP, TCP.
const PLACES_V4: [(usize, usize); 8] = [
    (0, 8),
    (8, 6),
    (14, 8),
    (22, 8),
    (30, 4),
    (34, 8),
    (42, 8),
    (50, 4),
];
const PLACES_V6: [(usize, usize); HEAD] = [
    (0, 8),
    (8, 6),
    (14, 8),
    (22, 8),
    (30, 8),
    (38, 8),
    (46, 8),
    (54, 8),
    (62, 8),
    (70, 4),
];

/// CPU time of this thread, in nanoseconds.
pub(super) fn thread_cpu() -> Result<i64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}
