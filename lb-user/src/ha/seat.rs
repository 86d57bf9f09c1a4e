//! One instance at work: its machine, its announcements, and the carrying out of what the machine wants.
//!
//! Not here: who calls it when ([`super::driver`]).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use vrrp::advert::MAX_LEN;
use vrrp::{Action, Ends, Input, Notice, Priority, Router, State, announce};

use super::announcing::Announcing;
use super::group::Standing;
use super::instance::{Instance, Part};
use super::sockets::Interface;
use super::wire::{self, Frame};
use super::{LINGER, News, Outlet};
use crate::datapath::Leases;
use crate::time;

/// What is odd again and again is told this often.
const TOLD: Duration = Duration::from_secs(60);

/// What is at hand to carry out actions with.
pub(super) struct Hands<'a> {
    pub(super) leases: &'a Leases,
    pub(super) interfaces: &'a [Interface],
    pub(super) outlet: &'a Outlet,
    pub(super) frame: &'a mut Frame,
}

/// One instance at work.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) instance: Instance,
    pub(super) router: Router,
    announcing: Announcing,
    /// Announcements of the VIPs, ready to be sent.
    frames: Box<[Box<[u8]>]>,
    told_notices: [Option<Instant>; Notice::ALL.len()],
    told_errors: Option<Instant>,
}

impl Seat {
    pub(super) fn new(instance: Instance) -> Self {
        instance.board.set_state(State::Initialize, time::wall());
        instance.board.set_priority(instance.params.priority());
        Self {
            router: Router::new(instance.params.clone()),
            announcing: Announcing::default(),
            frames: frames(&instance),
            told_notices: [None; Notice::ALL.len()],
            told_errors: None,
            instance,
        }
    }

    /// Takes what a new plan says of the same instance.
    pub(super) fn take(&mut self, now: Instant, instance: Instance, hands: &mut Hands<'_>) -> Turn {
        self.frames = frames(&instance);
        instance.board.set_priority(instance.params.priority());
        if !Arc::ptr_eq(&instance.board, &self.instance.board) {
            instance.board.set_state(self.router.state(), time::wall());
        }
        let actions = self.router.reconfigure(now, instance.params.clone());
        let has_moved = self.instance.mac != instance.mac;
        self.instance = instance;
        if has_moved && self.router.state() == State::Active {
            self.announcing.start(now, &self.instance.announce);
        }
        self.act(now, &actions, hands)
    }

    /// Takes the part that the plan gives.
    pub(super) fn follow_part(&mut self, now: Instant, hands: &mut Hands<'_>) -> Turn {
        let input = match (self.instance.part, self.router.state()) {
            (Part::Full, State::Initialize | State::Resigning) => Input::Startup,
            (Part::Offered, State::Backup | State::Active) => Input::Offer,
            (Part::Leaving, State::Backup | State::Active | State::Resigning) => Input::Resign,
            (Part::Out, State::Backup | State::Active | State::Resigning) => Input::Shutdown,
            (Part::Full, State::Backup | State::Active)
            | (Part::Offered, State::Initialize | State::Resigning)
            | (Part::Leaving, State::Initialize)
            | (Part::Out, State::Initialize) => return Turn::None,
        };
        self.give(now, input, hands)
    }

    /// As groups see it.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            state: self.router.state(),
            deadline: self.router.deadline(),
        }
    }

    /// When an announcement is due.
    pub(super) fn announces_at(&self) -> Option<Instant> {
        self.announcing.deadline()
    }

    /// Hands in an input and does what follows.
    pub(super) fn give(&mut self, now: Instant, input: Input, hands: &mut Hands<'_>) -> Turn {
        let actions = self.router.handle(now, input);
        self.act(now, &actions, hands)
    }

    fn act(&mut self, now: Instant, actions: &[Action], hands: &mut Hands<'_>) -> Turn {
        let mut turn = Turn::None;
        for action in actions {
            match *action {
                // All is ready: the tables are in place before this instance takes part.
                Action::TakeOver => {
                    self.instance.board.takeovers.fetch_add(1, Relaxed);
                }
                Action::RenewLease { until } => hands.leases.renew(self.instance.index, until),
                Action::Advertise { priority } => self.advertise(now, priority, hands),
                Action::Announce => self.announcing.start(now, &self.instance.announce),
                Action::StepDown => {
                    self.announcing.stop();
                    hands.leases.step_down(self.instance.index, now + LINGER);
                }
                Action::Changed { from, to, reason } => {
                    turn = Turn::of(from, to).unwrap_or(turn);
                    self.changed(from, to, reason, hands.outlet);
                }
            }
        }
        turn
    }

    fn changed(&self, from: State, to: State, reason: vrrp::Reason, outlet: &Outlet) {
        // Whoever sees the state has been told of it.
        outlet.tell(News::Changed {
            key: self.instance.key.clone(),
            from,
            to,
            reason,
            priority: self.router.params().priority(),
        });
        let board = &self.instance.board;
        board.set_state(to, time::wall());
        if reason == vrrp::Reason::WokenLate {
            board.woken_late.fetch_add(1, Relaxed);
        }
    }

    fn advertise(&mut self, now: Instant, priority: Option<Priority>, hands: &mut Hands<'_>) {
        let ifindex = self.instance.key.ifindex;
        let interfaces = hands.interfaces.iter();
        let Some(interface) = interfaces.clone().find(|at| at.ifindex == ifindex) else {
            return;
        };
        let source = self.router.params().primary();
        if self.router.params().peers().is_empty() {
            self.write(Ends::multicast(source), priority, hands.frame);
            let sent = interface.frames.send(hands.frame.bytes());
            self.sent(now, sent, hands.outlet);
            return;
        }
        for at in 0..self.router.params().peers().len() {
            let peer = self.router.params().peers()[at];
            let sockets = interface.of(self.instance.key.family);
            let (Some(ends), Some(sockets)) = (wire::unicast(source, peer), sockets) else {
                continue;
            };
            self.write(ends, priority, hands.frame);
            let sent = sockets.peers.send(hands.frame.packet(), peer);
            self.sent(now, sent, hands.outlet);
        }
    }

    fn write(&self, ends: Ends, priority: Option<Priority>, frame: &mut Frame) {
        let mut message = [0; MAX_LEN];
        let message = self.router.encode(priority, ends, &mut message);
        frame.write(self.instance.mac, ends, message);
    }

    fn sent(&mut self, now: Instant, sent: io::Result<()>, outlet: &Outlet) {
        let board = &self.instance.board;
        match sent {
            Ok(()) => {
                board.sent.fetch_add(1, Relaxed);
            }
            Err(error) => self.not_sent(now, &error, outlet),
        }
    }

    fn not_sent(&mut self, now: Instant, error: &io::Error, outlet: &Outlet) {
        self.instance.board.send_errors.fetch_add(1, Relaxed);
        if is_time(&mut self.told_errors, now) {
            outlet.tell(News::NotSent {
                key: self.instance.key.clone(),
                errno: error.raw_os_error().unwrap_or(0),
            });
        }
    }

    /// Sends announcements that are due, at most so many; how many are left of those.
    pub(super) fn announce(&mut self, now: Instant, most: usize, hands: &Hands<'_>) -> usize {
        let ifindex = self.instance.key.ifindex;
        let interface = hands.interfaces.iter().find(|at| at.ifindex == ifindex);
        let Some(interface) = interface else {
            self.announcing.stop();
            return most;
        };
        for left in (0..most).rev() {
            let plan = &self.instance.announce;
            let Some(place) = self.announcing.due(now, plan, self.frames.len()) else {
                return left + 1;
            };
            match interface.frames.send(&self.frames[place]) {
                Ok(()) => {
                    self.instance.board.announced.fetch_add(1, Relaxed);
                }
                Err(error) => self.not_sent(now, &error, hands.outlet),
            }
        }
        0
    }

    /// Tells of what is odd about an advert.
    pub(super) fn notice(
        &mut self,
        now: Instant,
        from: IpAddr,
        notices: vrrp::Notices,
        outlet: &Outlet,
    ) {
        for notice in notices.iter().filter(|notice| notice.is_a_mistake()) {
            if is_time(&mut self.told_notices[notice as usize], now) {
                outlet.tell(News::Noticed {
                    key: self.instance.key.clone(),
                    from,
                    notice,
                });
            }
        }
    }
}

/// What an instance's change means for its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    None,
    /// It has taken over.
    TookOver,
    /// It has stepped down.
    SteppedDown,
}

impl Turn {
    const fn of(from: State, to: State) -> Option<Self> {
        match (from, to) {
            (State::Backup, State::Active) => Some(Self::TookOver),
            (State::Active, State::Backup | State::Initialize) => Some(Self::SteppedDown),
            _ => None,
        }
    }
}

/// Whether something is to be told again, and that it is.
pub(super) fn is_time(told: &mut Option<Instant>, now: Instant) -> bool {
    let is_time = told.is_none_or(|at| now.saturating_duration_since(at) >= TOLD);
    if is_time {
        *told = Some(now);
    }
    is_time
}

/// The frames by which an instance's VIPs are announced.
fn frames(instance: &Instance) -> Box<[Box<[u8]>]> {
    let mac = instance.mac.0;
    let frame = |vip: &IpAddr| -> Box<[u8]> {
        match vip {
            IpAddr::V4(vip) => Box::from(&announce::gratuitous_arp(mac, *vip)[..]),
            IpAddr::V6(vip) => Box::from(&announce::neighbour_advertisement(mac, *vip)[..]),
        }
    };
    instance.vips.iter().map(frame).collect()
}
