//! The simulation: routers, their data planes, a network, and one queue of what comes next.
//!
//! A router's process may be dead or stalled; its data plane then still answers until its lease ends,
//! as XDP does. After a stall it gets what waits in its socket first and its timer last.
//!
//! Not here: what is right ([`super::watch`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use vrrp::advert::{MAX_LEN, decode};
use vrrp::{Action, Datagram, Ends, Input, Params, Priority, Router, State};

use super::dice::Dice;
use super::plan::{Happening, Kind, Plan, Time, address, nanos};
use super::watch::Watch;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Number in the plan.
    Happening(usize),
    Arrival(Packet),
    /// A timer, unless it was set anew since.
    Timer {
        router: usize,
        setting: u64,
    },
}

/// An advert under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Packet {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Which of its sender's.
    pub(crate) number: u64,
    bytes: [u8; 12],
}

/// A host.
pub(crate) struct Host {
    pub(crate) router: Router,
    pub(crate) alive: bool,
    pub(crate) stalled: bool,
    /// What arrives does not even wait.
    deaf: bool,
    /// Adverts sent.
    pub(crate) sent: u64,
    setting: u64,
    timer_at: Option<Time>,
    socket: Vec<Packet>,
}

/// All hosts.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) hosts: Vec<Host>,
    pub(crate) now: Time,
    pub(crate) watch: Watch,
    base: Instant,
    dice: Dice,
    queue: BinaryHeap<Reverse<(Time, u64, Event)>>,
    queued: u64,
    cut: Vec<Vec<bool>>,
    calm: bool,
    trace: Option<Vec<String>>,
    buffer: [u8; MAX_LEN],
}

/// What went wrong, and all that led to it.
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) trace: Vec<String>,
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(kind: Kind, seed: u64, base: Instant, traced: bool) -> Self {
        let mut dice = Dice::new(kind as u64, seed);
        let plan = Plan::throw(kind, &mut dice);
        let host = |params: &Params| Host {
            router: Router::new(params.clone()),
            alive: false,
            stalled: false,
            deaf: false,
            sent: 0,
            setting: 0,
            timer_at: None,
            socket: Vec::new(),
        };
        let hosts = plan.routers.iter().map(host).collect::<Vec<_>>();
        let mut world = Self {
            watch: Watch::new(kind, hosts.len()),
            cut: vec![vec![false; hosts.len()]; hosts.len()],
            now: 0,
            queue: BinaryHeap::new(),
            queued: 0,
            calm: false,
            trace: traced.then(Vec::new),
            buffer: [0; MAX_LEN],
            plan,
            hosts,
            base,
            dice,
        };
        for at in 0..world.plan.happenings.len() {
            world.push(world.plan.happenings[at].0, Event::Happening(at));
        }
        world
    }

    /// Lets it run to its end.
    pub(crate) fn run(mut self) -> Result<Watch, Failure> {
        for params in self.plan.routers.clone() {
            self.tell(|| {
                let (who, of, each) = (params.primary(), params.priority(), params.interval());
                format!(
                    "{who} of priority {of}, each {each}, preempts {:?}",
                    params.preempt()
                )
            });
        }
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            if at > self.plan.end {
                break;
            }
            if let Err(what) = Watch::pass(&mut self, at) {
                self.now = at;
                return Err(self.failed(what));
            }
            self.now = at;
            self.happen(event);
            if let Err(what) = Watch::look(&mut self) {
                return Err(self.failed(what));
            }
        }
        self.now = self.plan.end;
        let end = self.now;
        match Watch::pass(&mut self, end).and_then(|()| Watch::finish(&mut self)) {
            Ok(()) => Ok(self.watch),
            Err(what) => Err(self.failed(what)),
        }
    }

    fn failed(self, what: String) -> Failure {
        Failure {
            what: format!("at {:?}: {what}", Duration::from_nanos(self.now)),
            trace: self.trace.unwrap_or_default(),
        }
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let at = Duration::from_nanos(self.now);
            trace.push(format!("{at:>14?} {}", line()));
        }
    }

    fn push(&mut self, at: Time, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((at, self.queued, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Happening(number) => {
                let what = self.plan.happenings[number].1;
                self.tell(|| format!("{what:?}"));
                self.befall(what);
            }
            Event::Arrival(packet) => {
                let host = &mut self.hosts[packet.to];
                if !host.alive || host.deaf {
                    self.watch.lost(packet, self.now);
                } else if host.stalled {
                    host.socket.push(packet);
                } else {
                    self.hear(packet);
                }
            }
            Event::Timer { router, setting } => {
                let host = &self.hosts[router];
                if host.alive && !host.stalled && host.setting == setting {
                    self.hosts[router].timer_at = None;
                    self.give(router, Input::Timer);
                }
            }
        }
    }

    fn befall(&mut self, what: Happening) {
        match what {
            Happening::Start(router) => self.start(router),
            Happening::Crash(router) => self.crash(router),
            Happening::CrashActive => {
                let active = |host: &Host| host.alive && host.router.state() == State::Active;
                if let Some(router) = self.hosts.iter().position(active) {
                    self.crash(router);
                    self.watch.died(router, self.now);
                }
            }
            Happening::Stall(router) => {
                let host = &mut self.hosts[router];
                host.stalled = host.alive;
            }
            Happening::Pause(router) => {
                let host = &mut self.hosts[router];
                host.stalled = host.alive;
                host.deaf = host.alive;
            }
            Happening::Resume(router) => self.resume(router),
            Happening::Shutdown(router) => self.ask(router, Input::Shutdown),
            Happening::Resign(router) => {
                let takes_part = |host: &Host| host.router.state() != State::Initialize;
                let others = self.hosts.iter().filter(|host| takes_part(host)).count();
                if others > 1 {
                    self.ask(router, Input::Resign);
                }
            }
            Happening::Priority(router, of) => {
                self.watch.disturb(router, self.now);
                self.hosts[router]
                    .router
                    .set_priority(crate::desk::priority(of));
                self.set_timer(router);
            }
            Happening::Cut(from, to) => self.cut[from][to] = true,
            Happening::Heal => self.cut.iter_mut().flatten().for_each(|cut| *cut = false),
            Happening::Calm => self.calm = true,
        }
    }

    fn start(&mut self, router: usize) {
        let params = self.hosts[router].router.params().clone();
        let host = &mut self.hosts[router];
        if !host.alive {
            host.router = Router::new(params);
            host.alive = true;
            host.socket.clear();
        }
        self.ask(router, Input::Startup);
    }

    fn crash(&mut self, router: usize) {
        let host = &mut self.hosts[router];
        host.alive = false;
        host.stalled = false;
        host.deaf = false;
        host.setting += 1;
        host.timer_at = None;
        host.router = Router::new(host.router.params().clone());
        self.watch.disturb(router, self.now);
    }

    /// What the process does not hear while it is stalled, it does not do.
    fn ask(&mut self, router: usize, input: Input) {
        if self.hosts[router].alive && !self.hosts[router].stalled {
            self.give(router, input);
        }
    }

    fn resume(&mut self, router: usize) {
        if !self.hosts[router].alive || !self.hosts[router].stalled {
            return;
        }
        let host = &mut self.hosts[router];
        host.stalled = false;
        host.deaf = false;
        let due = host
            .timer_at
            .filter(|_| host.router.state() == State::Backup);
        let overslept = due.is_some_and(|due| due + self.plan.longest < self.now);
        self.watch.woke(router, self.now, overslept);
        for packet in std::mem::take(&mut self.hosts[router].socket) {
            self.hear(packet);
        }
        self.give(router, Input::Timer);
    }

    fn hear(&mut self, packet: Packet) {
        let ends = Ends::multicast(address(packet.from));
        let datagram = Datagram {
            ends,
            hop_limit: 255,
            payload: &packet.bytes,
        };
        let (advert, _) = decode(&datagram).expect("an advert of ours");
        let host = &self.hosts[packet.to];
        let (heard, _) = host.router.params().hear(&advert, ends).expect("for us");
        let before = (host.router.state(), host.router.deadline());
        self.give(packet.to, Input::Heard(heard));
        let after = self.hosts[packet.to].router.deadline();
        if before.0 == State::Backup && before.1 != after {
            self.watch.followed(packet, heard.priority, self.now);
        }
    }

    fn give(&mut self, router: usize, input: Input) {
        let now = self.base + Duration::from_nanos(self.now);
        let actions = self.hosts[router].router.handle(now, input);
        self.tell(|| {
            let heard = match input {
                Input::Heard(heard) => {
                    let priority = heard.priority.map_or(0, Priority::get);
                    format!("hears {priority} of {}", heard.from)
                }
                Input::Startup
                | Input::Shutdown
                | Input::Resign
                | Input::Offer
                | Input::Follow
                | Input::Yield
                | Input::Timer => {
                    format!("{input:?}")
                }
            };
            let actions = crate::desk::words_at(now, &actions);
            format!("  {} {heard} => {}", address(router), actions.join(", "))
        });
        for action in actions.iter() {
            self.act(router, *action);
        }
        let due = self.hosts[router].router.deadline();
        if input == Input::Timer && due.is_some_and(|due| due <= now) {
            self.watch.fail(format!("{} would spin", address(router)));
        }
        self.set_timer(router);
    }

    fn act(&mut self, router: usize, action: Action) {
        match action {
            Action::TakeOver => self.watch.ready(router),
            Action::RenewLease { until } => {
                let until = nanos(until - self.base);
                let host = &self.hosts[router];
                let most = self.now + nanos(host.router.params().interval().lease());
                self.watch.renewed(router, self.now, until, self.plan.tick);
                if until > most {
                    let what = format!("the lease of {} is too long", address(router));
                    self.watch.fail(what);
                }
            }
            Action::Advertise { priority } => self.advertise(router, priority),
            Action::Announce => self.watch.announced(router, self.now),
            Action::StepDown => self.watch.stepped_down(router, self.now),
            Action::Changed { from, to, reason } => {
                if let Some(wrong) = Watch::silence(self, router, to, reason) {
                    self.watch.fail(wrong);
                }
                self.watch.changed(router, self.now, (from, to, reason));
                if to == State::Active && self.watch.too_early(router, self.now, self.plan.shortest)
                {
                    let what = format!("{} has not listened after its sleep", address(router));
                    self.watch.fail(what);
                }
            }
        }
    }

    fn advertise(&mut self, from: usize, priority: Option<Priority>) {
        let host = &mut self.hosts[from];
        host.sent += 1;
        let number = host.sent;
        let ends = Ends::multicast(address(from));
        let bytes = host.router.encode(priority, ends, &mut self.buffer);
        let bytes = bytes.try_into().expect("one VIP");
        for to in (0..self.hosts.len()).filter(|to| *to != from) {
            let packet = Packet {
                from,
                to,
                number,
                bytes,
            };
            let lost = !self.calm && self.dice.happens(self.plan.lost);
            if lost || self.cut[from][to] {
                self.watch.lost(packet, self.now);
                continue;
            }
            let copies = 1 + u8::from(self.dice.happens(self.plan.doubled));
            for _ in 0..copies {
                let delay = self.dice.from(self.plan.delay.0, self.plan.delay.1);
                self.push(self.now + delay, Event::Arrival(packet));
            }
        }
    }

    fn set_timer(&mut self, router: usize) {
        let due = self.hosts[router].router.deadline();
        let due = due.map(|due| nanos(due.saturating_duration_since(self.base)));
        if self.hosts[router].timer_at == due {
            return;
        }
        let host = &mut self.hosts[router];
        host.timer_at = due;
        host.setting += 1;
        let setting = host.setting;
        if let Some(due) = due {
            let late = self.dice.from(0, self.plan.jitter);
            self.push(due.max(self.now) + late, Event::Timer { router, setting });
        }
    }
}
