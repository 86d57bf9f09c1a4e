//! What happens in a simulation, all thrown before it begins: the routers, the network, the faults.
//!
//! Not here: the simulation.

use std::time::Duration;

use vrrp::{ChecksumForm, Interval, Params, Preempt};

use super::dice::Dice;
use crate::desk::{VIP, interval, priority};

/// Nanoseconds since the beginning.
pub(crate) type Time = u64;

/// A kind of simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything goes wrong; then nothing does, and all must be well after a while.
    Chaos,
    /// Nothing goes wrong, directors are taken out and put back: nobody may notice.
    Planned,
    /// The active router dies: exact instants.
    Death,
}

/// Something that happens to a router, or to the network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// The process starts, perhaps after a crash.
    Start(usize),
    /// `kill -9`: the data plane stays.
    Crash(usize),
    /// The active router, whichever it is, crashes.
    CrashActive,
    /// The process does not run; what arrives waits for it.
    Stall(usize),
    /// The whole host does not run, as a virtual machine that is moved; what arrives is lost.
    Pause(usize),
    /// It runs again.
    Resume(usize),
    /// Stopped as the RFC has it.
    Shutdown(usize),
    /// Taken out of service; not if it is the last.
    Resign(usize),
    /// Tracking has found another priority.
    Priority(usize, u8),
    /// From the first to the second nothing arrives.
    Cut(usize, usize),
    /// All arrives again.
    Heal,
    /// From here on nothing goes wrong.
    Calm,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) routers: Vec<Params>,
    pub(crate) happenings: Vec<(Time, Happening)>,
    /// How long a packet takes, from and to.
    pub(crate) delay: (Time, Time),
    /// By how much a timer may be late.
    pub(crate) jitter: Time,
    /// Of a thousand packets, before the calm.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// By how much leases are rounded down.
    pub(crate) tick: Time,
    /// When nothing goes wrong any more, when it must be settled, and the end.
    pub(crate) calm: Time,
    pub(crate) settled: Time,
    pub(crate) end: Time,
    /// The longest interval, and the shortest.
    pub(crate) longest: Time,
    pub(crate) shortest: Time,
}

/// The length of an interval.
pub(crate) fn nanos(span: Duration) -> Time {
    u64::try_from(span.as_nanos()).expect("short")
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn throw(kind: Kind, dice: &mut Dice) -> Self {
        let base = dice.of(&[1_u16, 1, 2, 5, 10, 100]);
        let mixed = kind == Kind::Chaos && dice.happens(200);
        let count = dice.from(2, 5);
        let intervals = (0..count).map(|_| {
            let factor = if mixed { dice.of(&[1, 1, 2, 7]) } else { 1 };
            interval(base * factor)
        });
        let intervals = intervals.collect::<Vec<_>>();
        let longest = intervals.iter().copied().map(Interval::period).max();
        let longest = nanos(longest.expect("routers"));
        let shortest = u64::from(base) * 10_000_000;
        let routers = throw_routers(kind, &intervals, dice);
        let chaos = match kind {
            Kind::Chaos => longest * dice.from(20, 80),
            Kind::Planned | Kind::Death => 0,
        };
        let delayed = longest * 4 * u64::from(kind != Kind::Death);
        let calm = chaos;
        let settled = calm + longest * 16 + delayed;
        let slow = match kind {
            Kind::Chaos => dice.of(&[100, 20, 5, 2]),
            Kind::Planned => dice.of(&[100, 40, 20]),
            Kind::Death => 100,
        };
        let delay = dice.from(10_000, shortest / slow);
        let mut plan = Self {
            happenings: Vec::new(),
            delay: match kind {
                Kind::Death => (delay, delay),
                Kind::Chaos | Kind::Planned => (dice.from(1000, delay), delay),
            },
            jitter: match kind {
                Kind::Death => 0,
                Kind::Chaos | Kind::Planned => dice.from(0, shortest / 10),
            },
            lost: dice.of(&[0, 10, 100, 300]),
            doubled: dice.of(&[0, 0, 50]),
            tick: dice.of(&[0, 1_000_000, 4_000_000]),
            calm,
            settled,
            end: settled + longest * 12,
            routers,
            longest,
            shortest,
        };
        match kind {
            Kind::Chaos => plan.throw_chaos(dice),
            Kind::Planned => plan.throw_moves(dice),
            Kind::Death => plan.throw_death(dice),
        }
        plan.happenings.sort_by_key(|(at, _)| *at);
        plan
    }

    fn starts(&mut self, dice: &mut Dice, within: Time) {
        for router in 0..self.routers.len() {
            let at = dice.from(0, within);
            self.happenings.push((at, Happening::Start(router)));
        }
    }

    fn throw_chaos(&mut self, dice: &mut Dice) {
        let count = self.routers.len();
        self.starts(dice, self.longest * 5);
        for _ in 0..dice.from(1, 25) {
            let at = dice.from(0, self.calm);
            let span = dice.from(self.longest / 10, self.longest * 10);
            let (router, other) = (dice.below(count), dice.below(count));
            let until = (at + span).min(self.calm);
            let mut then = |at, what| self.happenings.push((at, what));
            match dice.below(8) {
                0 | 1 => {
                    let stall = dice.of(&[Happening::Stall(router), Happening::Pause(router)]);
                    then(at, stall);
                    then(until, Happening::Resume(router));
                }
                2 => {
                    then(at, Happening::Crash(router));
                    then(until, Happening::Start(router));
                }
                3 => {
                    then(at, Happening::Cut(router, other));
                    then(at, Happening::Cut(other, router));
                    then(until, Happening::Heal);
                }
                4 => {
                    for (from, to) in [(router, 0), (0, router)].repeat(usize::from(count > 2)) {
                        then(at, Happening::Cut(from, to));
                    }
                    then(at, Happening::Cut(other, router));
                    then(until, Happening::Heal);
                }
                5 => {
                    then(at, Happening::Resign(router));
                    then(until, Happening::Start(router));
                }
                6 => {
                    then(at, Happening::Shutdown(router));
                    then(until, Happening::Start(router));
                }
                _ => {
                    let priority = u8::try_from(dice.from(2, 254)).expect("a byte");
                    then(at, Happening::Priority(router, priority));
                }
            }
        }
        // The calm begins after all faults of its instant have ended.
        self.happenings.push((self.calm, Happening::Heal));
        self.happenings.push((self.calm, Happening::Calm));
    }

    fn throw_moves(&mut self, dice: &mut Dice) {
        self.starts(dice, self.longest);
        self.happenings.push((0, Happening::Calm));
        let mut at = self.settled;
        for _ in 0..dice.from(2, 8) {
            let router = dice.below(self.routers.len());
            let what = match dice.below(3) {
                0 | 1 => Happening::Resign(router),
                _ => Happening::Start(router),
            };
            self.happenings.push((at, what));
            at += self.longest * 14 + dice.from(0, self.longest);
        }
        self.end = at + self.longest * 14;
    }

    fn throw_death(&mut self, dice: &mut Dice) {
        self.starts(dice, self.longest);
        self.happenings.push((0, Happening::Calm));
        let at = self.settled + dice.from(0, self.longest * 5);
        self.happenings.push((at, Happening::CrashActive));
        self.end = at + self.longest * 10;
    }
}

fn throw_routers(kind: Kind, intervals: &[Interval], dice: &mut Dice) -> Vec<Params> {
    let vrid = vrrp::Vrid::new(51).expect("not 0");
    let owner = dice.happens(100).then(|| dice.below(intervals.len()));
    let routers = intervals.iter().enumerate().map(|(router, interval)| {
        let of = match dice.below(4) {
            0 => 100,
            _ => u8::try_from(dice.from(2, 254)).expect("a byte"),
        };
        let of = if owner == Some(router) { 255 } else { of };
        let preempt = match dice.below(6) {
            0 => Preempt::Never,
            1 if kind == Kind::Chaos => Preempt::After(interval.period() * 3),
            _ => Preempt::After(Duration::ZERO),
        };
        let host = address(router);
        let params = Params::new(vrid, priority(of), host, &[VIP]).expect("parameters");
        let plain = dice.happens(300);
        params
            .with_interval(*interval)
            .with_preempt(preempt)
            .with_checksum(if plain {
                ChecksumForm::MessageOnly
            } else {
                ChecksumForm::PseudoHeader
            })
    });
    routers.collect()
}

/// Where a router's adverts come from.
pub(crate) fn address(router: usize) -> std::net::IpAddr {
    crate::desk::host(u8::try_from(router).expect("few") + 1)
}
