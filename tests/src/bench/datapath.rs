//! `datapath`: what a packet costs, in nanoseconds of thread CPU time, by `BPF_PROG_TEST_RUN`.
//!
//! A front program writes each frame anew, as a packet of another flow, and runs the program under
//! test; the first row is the front with a program that only sends the frame back. Every case is
//! checked: all its packets must have left for the reason it is about.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use lb_ebpf::NextHop;
use lb_ebpf::abi::bench::{FRONT, HEAD, PLAN, Plan, SWAP, TARGET};
use lb_ebpf::abi::{Be16, Endpoint, Interface, Mac, Reason, method, name};
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};
use lb_user::datapath::Maps;
use lb_user::tables::build::build;
use lb_user::tables::{Memo, RealWish, ServiceWish, Standing, Tables, Way, Wish, diff};
use nix::time::{ClockId, clock_gettime};

use super::{Report, rows};
use crate::lab::find;
use crate::packet::eth;

const LB: Mac = Mac([2, 0, 0, 0, 0, 1]);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
/// `BPF_PROG_TEST_RUN` lets frames come in by the loopback interface.
const LOOPBACK: u32 = 1;
const REALS: u8 = 100;
const DR: u16 = 80;
const NAT: u16 = 81;
const CHANGED: u16 = 82;
const CLOSED: u16 = 9;

/// One kind of traffic.
struct Case {
    name: String,
    protocol: u8,
    port: u16,
    flags: u8,
    flows: u32,
    /// `None` for the floor, which is another program.
    reason: Option<Reason>,
}

/// Measures. A quick run is for a smoke check, its figures are worth nothing.
///
/// # Errors
/// The objects are not built, the kernel refuses them, or packets left for another reason than
/// the case is about.
pub fn run(quick: bool) -> Result<Report> {
    let (rounds, packets) = if quick { (1, 2_000) } else { (9, 300_000) };
    let cases = cases();
    let mut bench = Bench::load()?;
    let mut figures = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let round: Result<Vec<f64>> = cases
            .iter()
            .map(|case| bench.measure(case, packets))
            .collect();
        figures.push(round?);
    }
    let names: Vec<String> = cases.into_iter().map(|case| case.name).collect();
    Ok(Report {
        bench: "datapath",
        what: "ns of CPU time a packet, front included (its floor is the first row)",
        rows: rows(&names, &figures),
    })
}

fn cases() -> Vec<Case> {
    let case = |name: &str, protocol, port, flags, flows, reason| Case {
        name: format!("{name}, {flows} flows"),
        protocol,
        port,
        flags,
        flows,
        reason,
    };
    let dr = Some(Reason::ForwardedDr);
    let nat = Some(Reason::ForwardedNat);
    let tcp = Tcp::PROTOCOL;
    let mut cases = vec![
        case("floor: swap and send back", tcp, DR, Tcp::ACK, 1, None),
        case(
            "not ours",
            tcp,
            CLOSED,
            Tcp::ACK,
            1024,
            Some(Reason::NoService),
        ),
    ];
    for flows in [1, 1024, 65_536, 524_288] {
        cases.push(case("dr established", tcp, DR, Tcp::ACK, flows, dr));
    }
    cases.push(case("dr new (SYN)", tcp, DR, Tcp::SYN, 524_288, dr));
    cases.push(case("dr UDP", Udp::PROTOCOL, DR, 0, 1024, dr));
    for flows in [1, 1024, 65_536] {
        cases.push(case("nat established", tcp, NAT, Tcp::ACK, flows, nat));
    }
    for flows in [1, 1024, 65_536] {
        cases.push(case(
            "dr after a ring change",
            tcp,
            CHANGED,
            Tcp::ACK,
            flows,
            dr,
        ));
    }
    cases
}

/// The programs and maps.
struct Bench {
    front: Ebpf,
    lb: Ebpf,
    plan: Array<MapData, Plan>,
    target: ProgramArray<MapData>,
    maps: Maps,
}

impl Bench {
    fn load() -> Result<Self> {
        let object = find::ebpf_object()?;
        let mut lb = Ebpf::load_file(&object)?;
        let mut front = Ebpf::load_file(object.with_file_name("lb-bench"))
            .context("the front is not built: run `cargo xtask build`")?;
        program(&mut lb, name::PROGRAM)?.load()?;
        for name in [FRONT, SWAP] {
            program(&mut front, name)?.load()?;
        }
        let plan = front.take_map(PLAN).context("no plan")?.try_into()?;
        let target = front.take_map(TARGET).context("no target")?.try_into()?;
        let mut maps = Maps::take(&mut lb)?;
        let mut loaded = Tables::default();
        for wish in [wish(&[]), wish(&[CHANGED])] {
            let wanted = build(&wish, &loaded, &mut Memo::default())?.tables;
            for op in diff(&loaded, &wanted) {
                maps.apply(&op)?;
            }
            loaded = wanted;
        }
        Ok(Self {
            front,
            lb,
            plan,
            target,
            maps,
        })
    }

    /// Nanoseconds of CPU time a packet of this case.
    fn measure(&mut self, case: &Case, packets: u32) -> Result<f64> {
        let frame = frame(case);
        self.plan.set(0, plan(&frame, case.flows), 0)?;
        let target = match case.reason {
            Some(_) => program(&mut self.lb, name::PROGRAM)?.fd()?.try_clone()?,
            None => program(&mut self.front, SWAP)?.fd()?.try_clone()?,
        };
        self.target.set(0, &target, 0)?;
        // Known flows are known, caches are as they are under load.
        self.send(&frame, packets / 2 + case.flows.min(packets))?;
        let before = self.count(case)?;
        let spent = self.send(&frame, packets)?;
        let left = self.count(case)? - before;
        ensure!(
            case.reason.is_none() || left == u64::from(packets),
            "{}: {left} of {packets} packets left for the reason it is about",
            case.name
        );
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Ok(spent as f64 / f64::from(packets))
    }

    /// Sends the packets; nanoseconds of this thread's CPU time.
    fn send(&mut self, frame: &[u8], packets: u32) -> Result<i64> {
        let front = program(&mut self.front, FRONT)?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = packets;
        let before = thread_cpu()?;
        front.test_run(options)?;
        Ok(thread_cpu()? - before)
    }

    /// Packets that left for the case's reason so far.
    fn count(&self, case: &Case) -> Result<u64> {
        let counters = self.maps.counters(std::iter::empty(), std::iter::empty())?;
        let count = counters
            .verdicts
            .iter()
            .find(|(reason, _)| Some(*reason) == case.reason);
        Ok(count.map_or(0, |(_, count)| *count))
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

/// All services with a hundred real servers; those in `changed` lack one of them.
fn wish(changed: &[u16]) -> Wish {
    let service = |port: u16, protocol, method| ServiceWish {
        key: Endpoint::new(VIP.into(), Be16::new(port), protocol),
        method,
        timeout: 1 << 20,
        reals: (0..REALS)
            .map(|last| RealWish {
                address: Ipv4Addr::new(10, 1, 0, last).into(),
                port,
                weight: u16::from(last > 0 || !changed.contains(&port)),
                standing: Standing::Up,
                way: Some(Way::Via(NextHop {
                    ifindex: LOOPBACK,
                    destination: Mac([2, 0, 0, 0, 1, last]),
                    source: LB,
                })),
            })
            .collect(),
    };
    Wish {
        interfaces: vec![Interface {
            ifindex: LOOPBACK,
            flags: 0,
            mac: LB,
            _pad: [0; 2],
        }],
        services: vec![
            service(DR, Tcp::PROTOCOL, method::DR),
            service(DR, Udp::PROTOCOL, method::DR),
            service(NAT, Tcp::PROTOCOL, method::NAT),
            service(CHANGED, Tcp::PROTOCOL, method::DR),
        ],
    }
}

fn frame(case: &Case) -> Vec<u8> {
    let packet = eth(Mac([2, 0, 0, 0, 9, 9]), LB).ipv4(CLIENT, VIP);
    match case.protocol {
        Udp::PROTOCOL => packet.udp(1024, case.port).payload(&[0; 12]).build(),
        _ => packet
            .tcp(1024, case.port)
            .flags(case.flags)
            .payload(&[0; 6])
            .build(),
    }
}

/// The frames of a case; `flows` is a power of two.
fn plan(frame: &[u8], flows: u32) -> Plan {
    let mut head = [0; HEAD];
    for (word, bytes) in head.iter_mut().zip(frame.chunks_exact(2)) {
        *word = u16::from_ne_bytes([bytes[0], bytes[1]]);
    }
    Plan {
        turn: 0,
        flows_mask: flows - 1,
        head,
        _pad: 0,
    }
}

/// CPU time of this thread, in nanoseconds.
fn thread_cpu() -> Result<i64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}
