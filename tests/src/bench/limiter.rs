//! `limiter`: what a decision of a rate limit costs, in nanoseconds of thread CPU time.
//!
//! A decision is all of it: the client's address hashed, the lock, the client found, charged and
//! made the newest. The floor draws the addresses and decides nothing. Addresses are drawn evenly,
//! which is the worst for caches, or mostly from one client in a hundred, which is more like life.
//! Beside it a map of std behind a lock, which does less: it forgets nobody; and one read at a
//! random place in as much memory as a million clients take, of which a decision needs two.
//!
//! Not here: reading the clock, which a proxy does once a turn of its loop.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use anyhow::{Result, anyhow};
use nix::time::{ClockId, clock_gettime};
use proxy::limit::{Burst, Delay, Key, Limit, Limits, Millis, Size, Status, Subject, Zone};

use super::{Goal, Report, rows};

/// The goal, with one client and with a million.
const GOAL: f64 = 100.0;
const MILLION: u32 = 1_000_000;
/// The first client's address.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);

/// One thing measured.
struct Case {
    name: &'static str,
    what: What,
    clients: u32,
    threads: u32,
    draw: Draw,
    goal: Option<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Floor,
    Limiter { limits: usize },
    Map,
    Read,
}

/// How the next client is drawn.
#[derive(Clone, Copy, PartialEq)]
enum Draw {
    Evenly,
    /// Nine in ten requests are from one client in a hundred.
    MostlyFew,
}

const CASES: [Case; 11] = [
    case("floor", What::Floor, MILLION),
    Case {
        goal: Some(GOAL),
        ..case("1 client", What::Limiter { limits: 1 }, 1)
    },
    case("1,000 clients", What::Limiter { limits: 1 }, 1000),
    Case {
        goal: Some(GOAL),
        ..case("1M clients", What::Limiter { limits: 1 }, MILLION)
    },
    Case {
        draw: Draw::MostlyFew,
        ..case(
            "1M clients, mostly few",
            What::Limiter { limits: 1 },
            MILLION,
        )
    },
    case(
        "1,000 clients, two limits",
        What::Limiter { limits: 2 },
        1000,
    ),
    Case {
        threads: 2,
        ..case("1 client, two threads", What::Limiter { limits: 1 }, 1)
    },
    Case {
        threads: 2,
        ..case(
            "1M clients, two threads",
            What::Limiter { limits: 1 },
            MILLION,
        )
    },
    case("one locked read of 40 MB", What::Read, MILLION),
    case("map of std, 1 client", What::Map, 1),
    case("map of std, 1M clients", What::Map, MILLION),
];

const fn case(name: &'static str, what: What, clients: u32) -> Case {
    Case {
        name,
        what,
        clients,
        threads: 1,
        draw: Draw::Evenly,
        goal: None,
    }
}

/// Measures the cases with `only` in their names, or all. A quick run is for a smoke check, its
/// figures are worth nothing.
///
/// # Errors
/// There is no memory for the zones.
pub fn run(quick: bool, only: Option<&str>) -> Result<Report> {
    let (rounds, decisions) = if quick { (1, 2_000) } else { (9, 1_000_000) };
    let wanted =
        |case: &Case| only.is_none_or(|text| case.name.contains(text)) || case.what == What::Floor;
    let mut cases: Vec<Case> = CASES.into_iter().filter(wanted).collect();
    if quick {
        let few = |case: &mut Case| case.clients = case.clients.min(1000);
        cases.iter_mut().for_each(few);
    }
    let rigs: Vec<Rig> = cases.iter().map(Rig::new).collect::<Result<_>>()?;
    let mut figures = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let round: Result<Vec<f64>> = std::iter::zip(&cases, &rigs)
            .map(|(case, rig)| rig.measure(case, decisions))
            .collect();
        figures.push(round?);
    }
    let named = cases
        .iter()
        .map(|case| (case.name.to_owned(), case.goal.map(Goal::AtMost)));
    Ok(Report {
        bench: "limiter",
        what: "ns of CPU time a decision, drawing its client included (the first row)",
        rows: rows(&named.collect::<Vec<_>>(), &figures),
    })
}

/// What a case is measured on, its clients known.
struct Rig {
    limits: Option<Limits>,
    map: Option<Mutex<HashMap<IpAddr, (u64, u64)>>>,
    memory: Option<Mutex<Vec<[u64; 5]>>>,
}

impl Rig {
    fn new(case: &Case) -> Result<Self> {
        let limits = match case.what {
            What::Limiter { limits } => Some(build(limits, case.clients)?),
            What::Floor | What::Map | What::Read => None,
        };
        let map = (case.what == What::Map).then(|| Mutex::new(HashMap::new()));
        let memory = (case.what == What::Read)
            .then(|| Mutex::new((0..u64::from(case.clients)).map(|n| [n; 5]).collect()));
        let rig = Self {
            limits,
            map,
            memory,
        };
        for number in 0..case.clients {
            rig.decide(Millis(1_000_000), address(number));
        }
        Ok(rig)
    }

    fn measure(&self, case: &Case, decisions: u32) -> Result<f64> {
        let each = decisions / case.threads;
        let barrier = &Barrier::new(usize::try_from(case.threads)?);
        let times: Vec<Result<i64>> = thread::scope(|scope| {
            let threads = (0..case.threads).map(|n| {
                scope.spawn(move || {
                    barrier.wait();
                    self.decisions(case, each, n)
                })
            });
            let threads: Vec<_> = threads.collect();
            let joined = threads.into_iter().map(|thread| {
                let time = thread.join();
                time.unwrap_or_else(|_| Err(anyhow!("a thread of {} failed", case.name)))
            });
            joined.collect()
        });
        let sum = times.into_iter().sum::<Result<i64>>()?;
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a second or two")]
        Ok(sum as f64 / f64::from(each * case.threads))
    }

    fn decisions(&self, case: &Case, count: u32, thread: u32) -> Result<i64> {
        let mut state = u64::from(thread + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start = thread_cpu()?;
        for n in 0..count {
            let client = case.draw.next(&mut state, case.clients);
            // A thousand requests a millisecond.
            let now = Millis(2_000_000 + u64::from(n / 1000));
            self.decide(now, address(client));
        }
        Ok(thread_cpu()? - start)
    }

    fn decide(&self, now: Millis, from: IpAddr) {
        if let Some(limits) = &self.limits {
            black_box(limits.decide(now, &From(from)));
        } else if let Some(map) = &self.map {
            black_box(decide_by_map(map, now, from));
        } else if let Some(memory) = &self.memory {
            black_box(read(memory, from));
        } else {
            black_box((now, from));
        }
    }
}

/// What waits for one line of memory.
fn read(memory: &Mutex<Vec<[u64; 5]>>, from: IpAddr) -> Option<u64> {
    let IpAddr::V4(from) = from else {
        return None;
    };
    let memory = memory.lock().ok()?;
    let place = from.to_bits() - FIRST.to_bits();
    memory.get(place as usize).map(|line| line[0])
}

/// The same reckoning on a map of std; it grows without bound.
fn decide_by_map(map: &Mutex<HashMap<IpAddr, (u64, u64)>>, now: Millis, from: IpAddr) -> bool {
    let Ok(mut map) = map.lock() else {
        return false;
    };
    let (last, excess) = map.entry(from).or_insert((now.0, 0));
    let new = (*excess + 1000).saturating_sub(now.0.saturating_sub(*last) * 10);
    let passed = new <= 100_000;
    if passed {
        (*last, *excess) = (now.0, new);
    }
    passed
}

fn build(limits: usize, clients: u32) -> Result<Limits> {
    let limits = (0..limits).map(|n| {
        let (rate, size) = ("10r/s".parse()?, Size::for_clients(clients));
        Ok(Limit {
            zone: Arc::new(Zone::new(&format!("zone{n}"), Key::address(), rate, size)?),
            burst: Burst::new(100)?,
            delay: Delay::NEVER,
        })
    });
    let limits = limits.collect::<Result<Vec<_>>>()?;
    Ok(Limits::new(limits, Status::default(), false)?)
}

impl Draw {
    fn next(self, state: &mut u64, clients: u32) -> u32 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let few = self == Self::MostlyFew && !(*state >> 8).is_multiple_of(10);
        let clients = if few { clients / 100 } else { clients };
        let scaled = (*state >> 32) * u64::from(clients);
        u32::try_from(scaled >> 32).unwrap_or(0)
    }
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(FIRST.to_bits() + number).into()
}

/// A request of which only the client matters.
struct From(IpAddr);

impl Subject for From {
    fn address(&self) -> IpAddr {
        self.0
    }

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn host(&self) -> &[u8] {
        b""
    }

    fn path(&self) -> &[u8] {
        b""
    }
}

/// CPU time of this thread, in nanoseconds.
fn thread_cpu() -> Result<i64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}
