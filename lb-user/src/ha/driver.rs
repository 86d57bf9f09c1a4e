//! The protocol thread: one loop over sockets, timer and plans.
//!
//! What came in is handed in before any timer is: after a stall, what waits in the sockets says more
//! than the clock. Not here: what an instance does ([`super::seat`]), what a plan changes ([`plan`]).

mod plan;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use vrrp::{Datagram, Family, Input, Refusal, State};

use super::board::RefusedBoard;
use super::group;
use super::instance::Plan;
use super::seat::{Hands, Seat, Turn, is_time};
use super::sockets::{DATAGRAM_MAX, Interface, Received};
use super::wire::Frame;
use super::{News, Outlet, sys};
use crate::datapath::Leases;
use crate::time;

/// Real-time priority of the thread: above all that is not, below the kernel's own threads.
const PRIORITY: i32 = 40;
/// Datagrams that are read of one socket before timers are looked at.
const BATCH: usize = 256;
/// Announcements that are sent before sockets and timers are looked at.
const ANNOUNCED_AT_ONCE: usize = 64;
/// An engine that is silent for so long hangs: another director is better.
const HANGS: Duration = Duration::from_secs(15);
/// The thread looks after the engine this often.
const LOOKS: Duration = Duration::from_secs(5);

const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// The engine's sign of life.
#[derive(Debug)]
pub(super) struct Pulse {
    start: Instant,
    /// Milliseconds since `start`.
    last: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            start: time::now(),
            last: AtomicU64::new(0),
        }
    }
}

impl Pulse {
    pub(super) fn beat(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.start).as_millis();
        self.last
            .store(u64::try_from(millis).unwrap_or(u64::MAX), Relaxed);
    }

    fn is_alive(&self, now: Instant) -> bool {
        let last = self.start + Duration::from_millis(self.last.load(Relaxed));
        now.saturating_duration_since(last) < HANGS
    }
}

/// The state of the thread.
pub(super) struct Driver {
    leases: Leases,
    beat: Arc<Pulse>,
    outlet: Outlet,
    epoll: Epoll,
    timer: TimerFd,
    interfaces: Vec<Interface>,
    seats: Vec<Seat>,
    /// By interface, VRID and family.
    places: HashMap<(u32, u8, Family), usize>,
    /// The places of each instance's group, in the order of `seats`.
    groups: Vec<Arc<[usize]>>,
    refused: BTreeMap<u32, Arc<RefusedBoard>>,
    told: [Option<Instant>; Refusal::ALL.len()],
    frame: Frame,
    looks_at: Instant,
    is_orphan: bool,
}

impl Driver {
    pub(super) fn new(leases: Leases, beat: Arc<Pulse>, outlet: Outlet) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self {
            leases,
            beat,
            outlet,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?,
            interfaces: Vec::new(),
            seats: Vec::new(),
            places: HashMap::new(),
            groups: Vec::new(),
            refused: BTreeMap::new(),
            told: [None; Refusal::ALL.len()],
            frame: Frame::EMPTY,
            looks_at: time::now() + LOOKS,
            is_orphan: false,
        })
    }

    /// Runs until the other end of `plans` is gone.
    pub(super) fn run(mut self, plans: &Receiver<Plan>, wake: &EventFd) -> io::Result<()> {
        self.prepare();
        let readable = |token| EpollEvent::new(EpollFlags::EPOLLIN, token);
        self.epoll.add(wake, readable(WAKE))?;
        self.epoll.add(&self.timer, readable(TIMER))?;
        let mut ready = [EpollEvent::empty(); 64];
        let mut buffer = [0; DATAGRAM_MAX];
        loop {
            self.set_timer()?;
            let count = match self.epoll.wait(&mut ready, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            let mut has_plan = false;
            for event in &ready[..count] {
                match event.data() {
                    // Both only say "look": what there is to read is a count.
                    WAKE => has_plan = wake.read().is_ok(),
                    TIMER => drop(self.timer.wait()),
                    socket => self.receive(socket, &mut buffer),
                }
            }
            if has_plan {
                match plans.try_recv() {
                    Ok(plan) => self.take(plan),
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.turn();
        }
    }

    /// Takes what makes a thread punctual, as far as it is to be had.
    fn prepare(&self) {
        let lacking = |what, why: String| self.outlet.tell(News::Lacking { what, why });
        // A limit on it kills whoever runs for long at real-time priority.
        let unlimited = setrlimit(
            Resource::RLIMIT_RTTIME,
            nix::libc::RLIM_INFINITY,
            nix::libc::RLIM_INFINITY,
        );
        if let Err(error) = unlimited {
            lacking("no limit on real-time use", error.to_string());
            return;
        }
        if let Err(error) = sys::become_realtime(PRIORITY) {
            lacking("real-time priority", error.to_string());
        }
        if let Err(error) = sys::lock_memory() {
            lacking("locked memory", error.to_string());
        }
    }

    /// Has the timer call when something is due next.
    fn set_timer(&self) -> io::Result<()> {
        let now = time::now();
        let machines = (0..self.seats.len()).filter_map(|place| self.deadline(place));
        let announcements = self.seats.iter().filter_map(Seat::announces_at);
        let next = machines.chain(announcements).min();
        let next = next.map_or(self.looks_at, |next| next.min(self.looks_at));
        // Nothing would switch the timer off.
        let left = next
            .saturating_duration_since(now)
            .max(Duration::from_nanos(1));
        self.timer.set(
            Expiration::OneShot(TimeSpec::from_duration(left)),
            TimerSetTimeFlags::empty(),
        )?;
        Ok(())
    }

    /// When an instance is to be called, its group considered.
    fn deadline(&self, place: usize) -> Option<Instant> {
        let others = self.group(place).filter(|(other, _)| *other != place);
        let others = others.map(|(_, seat)| seat.standing());
        group::deadline(self.seats[place].standing(), others)
    }

    /// The instances that go together with one, itself among them.
    fn group(&self, place: usize) -> impl Iterator<Item = (usize, &Seat)> {
        let places = self.groups[place].iter();
        places.map(|place| (*place, &self.seats[*place]))
    }

    /// Reads a socket.
    fn receive(&mut self, socket: u64, buffer: &mut [u8; DATAGRAM_MAX]) {
        let (ifindex, family) = plan::socket_of(socket);
        for _ in 0..BATCH {
            let mut interfaces = self.interfaces.iter();
            let interface = interfaces.find(|interface| interface.ifindex == ifindex);
            let Some(sockets) = interface.and_then(|interface| interface.of(family)) else {
                return;
            };
            match sockets.receiver.receive(buffer) {
                Received::Datagram(datagram) => self.hear(ifindex, &datagram),
                Received::Unreadable => {
                    let nobody = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
                    self.refuse(ifindex, nobody, Refusal::Length);
                }
                Received::Nothing => return,
            }
        }
    }

    fn hear(&mut self, ifindex: u32, datagram: &Datagram<'_>) {
        let now = time::now();
        let (ends, from) = (datagram.ends, datagram.ends.source());
        let (advert, mut notices) = match vrrp::advert::decode(datagram) {
            Ok(decoded) => decoded,
            Err(refusal) => return self.refuse(ifindex, from, refusal),
        };
        let place = (ifindex, advert.vrid.get(), ends.family());
        let Some(place) = self.places.get(&place).copied() else {
            return self.refuse(ifindex, from, Refusal::Vrid);
        };
        let seat = &mut self.seats[place];
        let (heard, more) = match seat.router.params().hear(&advert, ends) {
            Ok(heard) => heard,
            Err(refusal) => return self.refuse(ifindex, from, refusal),
        };
        more.iter().for_each(|notice| notices.add(notice));
        seat.instance.board.hear(&heard, notices);
        seat.notice(now, from, notices, &self.outlet);
        self.give(now, place, Input::Heard(heard));
    }

    fn refuse(&mut self, ifindex: u32, from: IpAddr, refusal: Refusal) {
        if let Some(board) = self.refused.get(&ifindex) {
            board.refuse(refusal);
        }
        if is_time(&mut self.told[refusal as usize], time::now()) {
            self.outlet.tell(News::Refused {
                ifindex,
                from,
                refusal,
            });
        }
    }

    /// Hands in an input; where that changes who serves, the group follows.
    fn give(&mut self, now: Instant, place: usize, input: Input) {
        let turn = self.with(place, |seat, hands| seat.give(now, input, hands));
        self.group_follows(now, place, turn);
    }

    fn group_follows(&mut self, now: Instant, leader: usize, turn: Turn) {
        let input = match turn {
            Turn::None => return,
            Turn::TookOver => Input::Follow,
            Turn::SteppedDown => Input::Yield,
        };
        let group = Arc::clone(&self.groups[leader]);
        for place in group.iter().filter(|place| **place != leader) {
            // Those that follow lead nobody: all of the group are told.
            self.with(*place, |seat, hands| seat.give(now, input, hands));
        }
    }

    /// An instance, with all that is at hand to carry out what it wants.
    fn with<T>(&mut self, place: usize, work: impl FnOnce(&mut Seat, &mut Hands<'_>) -> T) -> T {
        let mut hands = Hands {
            leases: &self.leases,
            interfaces: &self.interfaces,
            outlet: &self.outlet,
            frame: &mut self.frame,
        };
        work(&mut self.seats[place], &mut hands)
    }

    /// Calls those that are due.
    fn turn(&mut self) {
        let now = time::now();
        if now >= self.looks_at {
            self.looks_at = now + LOOKS;
            self.look_after_engine(now);
        }
        for place in 0..self.seats.len() {
            if self.deadline(place).is_none_or(|at| at > now) {
                continue;
            }
            let first = match self.seats[place].router.state() {
                State::Backup => {
                    let group = self.group(place);
                    group::first(group.map(|(at, seat)| (at, seat.standing()))).unwrap_or(place)
                }
                State::Initialize | State::Active | State::Resigning => place,
            };
            self.give(time::now(), first, Input::Timer);
        }
        let mut left = ANNOUNCED_AT_ONCE;
        for place in 0..self.seats.len() {
            left = self.with(place, |seat, hands| seat.announce(now, left, hands));
        }
    }

    /// While the engine hangs, health is not what it seems: where another director can serve, it is to. A
    /// backup stays one, for the day there is no other.
    fn look_after_engine(&mut self, now: Instant) {
        let is_orphan = !self.beat.is_alive(now);
        if is_orphan == self.is_orphan {
            return;
        }
        self.is_orphan = is_orphan;
        for place in 0..self.seats.len() {
            if !is_orphan {
                let turn = self.with(place, |seat, hands| seat.follow_part(now, hands));
                self.group_follows(now, place, turn);
            } else if self.seats[place].router.state() == State::Active {
                self.give(now, place, Input::Offer);
            }
        }
    }
}
