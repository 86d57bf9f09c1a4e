//! The site: machines, the ways between them, clocks that drift, and what happens next.
//!
//! Not here: what is expected.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::Duration;

use crate::{Action, Elector, Input, Kept, Message, Now, Rules, Server, View, Voter, VoterId};

pub(super) const PROXIES: u8 = 2;
pub(super) const DIRECTORS: u8 = 2;
const VOTERS: u8 = PROXIES + DIRECTORS;
const SERVERS: u8 = 2;
/// From probe to probe, and how long one may take.
const PROBE: u64 = 100;
const TIMEOUT: u64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Machine {
    Voter(u8),
    Server(Server),
}

impl Machine {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let voters = (0..VOTERS).map(Self::Voter);
        voters.chain((0..SERVERS).map(|server| Self::Server(Server(server))))
    }
}

#[derive(Clone, Debug)]
struct Database {
    is_alive: bool,
    is_hung: bool,
    /// Which process it is.
    process: u32,
    /// The proxy that holds the lock.
    lock: Option<u8>,
    is_read_only: bool,
}

enum Node {
    Proxy(Box<Elector>),
    Director(Voter),
}

struct Host {
    node: Option<Node>,
    kept: Kept,
    /// Counts its lives: what was meant for an earlier one is lost.
    life: u32,
    /// Milliseconds that its clock goes per 1000.
    rate: u64,
    /// The process of each server that its connections lead to.
    connected: [u32; SERVERS as usize],
}

enum Event {
    /// Probe this server.
    Probe(u8, u32, Server),
    /// What a probe found, of which process.
    Found(u8, u32, Server, View, u32),
    Deliver(u8, u8, Message),
    Tick(u8, u32),
    Do(u8, Action, u32),
}

pub(super) struct Site {
    now: u64,
    seed: u64,
    queue: BinaryHeap<(Reverse<(u64, u64)>, usize)>,
    events: Vec<Option<Event>>,
    hosts: Vec<Host>,
    servers: Vec<Database>,
    cuts: HashSet<(Machine, Machine)>,
    is_lossy: bool,
}

impl Site {
    pub(super) fn new(seed: u64) -> Self {
        let server = |nth| Database {
            is_alive: true,
            is_hung: false,
            process: 1,
            lock: None,
            is_read_only: nth > 0,
        };
        let mut site = Self {
            now: 1_000,
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            hosts: Vec::new(),
            servers: (0..SERVERS).map(server).collect(),
            cuts: HashSet::new(),
            is_lossy: false,
        };
        for _ in 0..VOTERS {
            let rate = 980 + site.random(41);
            site.hosts.push(Host {
                node: None,
                kept: Kept::first(Server(0)),
                life: 0,
                rate,
                connected: [0; SERVERS as usize],
            });
        }
        for voter in 0..VOTERS {
            site.boot(voter);
        }
        site
    }

    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below.max(1)
    }

    pub(super) fn now(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    /// A machine's own clock.
    fn clock(&self, host: u8) -> Now {
        Duration::from_micros(self.now * self.hosts[usize::from(host)].rate)
    }

    fn put(&mut self, after: u64, event: Event) {
        self.events.push(Some(event));
        let at = Reverse((self.now + after, self.events.len() as u64));
        self.queue.push((at, self.events.len() - 1));
    }

    fn boot(&mut self, voter: u8) {
        let now = self.clock(voter);
        let (rules, kept) = (Rules::default(), self.hosts[usize::from(voter)].kept);
        let host = &mut self.hosts[usize::from(voter)];
        host.life += 1;
        host.node = Some(if voter < PROXIES {
            let elector = Elector::new(VoterId(voter), VOTERS, SERVERS, rules, kept, now);
            Node::Proxy(Box::new(elector))
        } else {
            Node::Director(Voter::new(rules, kept, now))
        });
        let life = host.life;
        for server in 0..SERVERS {
            let after = self.random(PROBE);
            self.put(after, Event::Probe(voter, life, Server(server)));
        }
        if voter < PROXIES {
            self.put(1, Event::Tick(voter, life));
        }
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + u64::try_from(span.as_millis()).unwrap();
        while let Some(&(Reverse((at, _)), nth)) = self.queue.peek() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            if let Some(event) = self.events[nth].take() {
                self.happen(event);
                self.look();
            }
        }
        self.now = end;
        self.look();
    }

    fn is_cut(&self, a: Machine, b: Machine) -> bool {
        self.cuts.contains(&(a, b)) || self.cuts.contains(&(b, a))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Probe(voter, life, server) if self.hosts[usize::from(voter)].life == life => {
                self.probe(voter, life, server);
            }
            Event::Found(voter, life, server, view, process) => {
                if self.hosts[usize::from(voter)].life == life {
                    self.found(voter, server, view, process);
                }
            }
            Event::Deliver(from, to, message) => self.deliver(from, to, message),
            Event::Tick(voter, life) if self.hosts[usize::from(voter)].life == life => {
                self.handle(voter, Input::Timer);
                let now = self.clock(voter);
                if let Some(Node::Proxy(elector)) = &self.hosts[usize::from(voter)].node {
                    let wait = elector.deadline().saturating_sub(now).as_millis();
                    let wait = u64::try_from(wait).unwrap().clamp(1, 20);
                    self.put(wait, Event::Tick(voter, life));
                }
            }
            Event::Do(proxy, action, life) => self.act(proxy, action, life),
            Event::Probe(..) | Event::Tick(..) => {}
        }
    }

    /// A probe on the connection there is; a reset shows that the process is another.
    fn probe(&mut self, voter: u8, life: u32, server: Server) {
        let database = self.servers[usize::from(server.0)].clone();
        let is_cut = self.is_cut(Machine::Voter(voter), Machine::Server(server));
        let connected = self.hosts[usize::from(voter)].connected[usize::from(server.0)];
        let (view, after) = if is_cut || (database.is_alive && database.is_hung) {
            (View::Silent, TIMEOUT)
        } else if !database.is_alive {
            (View::Dead, 1 + self.random(20))
        } else if connected != database.process && connected != 0 {
            (View::Reset, 1 + self.random(20))
        } else {
            let view = View::Up {
                has_lock: database.lock.is_some(),
                is_read_only: database.is_read_only,
                is_current: true,
            };
            (view, 1 + self.random(20))
        };
        // After a reset the next probe connects anew.
        let process = match view {
            View::Dead | View::Reset => 0,
            View::Up { .. } | View::Silent => database.process,
        };
        self.put(after, Event::Found(voter, life, server, view, process));
        self.put(after.max(PROBE), Event::Probe(voter, life, server));
    }

    fn found(&mut self, voter: u8, server: Server, view: View, process: u32) {
        if view != View::Silent {
            self.hosts[usize::from(voter)].connected[usize::from(server.0)] = process;
        }
        let now = self.clock(voter);
        match &mut self.hosts[usize::from(voter)].node {
            Some(Node::Proxy(_)) => self.handle(voter, Input::Seen(server, view)),
            Some(Node::Director(director)) => director.seen(now, server, view),
            None => {}
        }
    }

    fn deliver(&mut self, from: u8, to: u8, message: Message) {
        let now = self.clock(to);
        let host = &mut self.hosts[usize::from(to)];
        match (&mut host.node, message) {
            (Some(Node::Proxy(_)), message) => {
                self.handle(to, Input::Heard(VoterId(from), message))
            }
            (Some(Node::Director(director)), Message::Request(request)) => {
                let reply = director.asked(now, request);
                host.kept = director.kept();
                if let Some(reply) = reply {
                    self.send(to, from, Message::Reply(reply));
                }
            }
            (Some(Node::Director(_)), Message::Reply(_)) | (None, _) => {}
        }
    }

    fn send(&mut self, from: u8, to: u8, message: Message) {
        let is_lost = self.is_lossy && self.random(20) == 0;
        if is_lost || self.is_cut(Machine::Voter(from), Machine::Voter(to)) {
            return;
        }
        let late = self.is_lossy && self.random(20) == 0;
        let delay = 1 + self.random(if late { 1_500 } else { 10 });
        self.put(delay, Event::Deliver(from, to, message));
    }

    fn handle(&mut self, proxy: u8, input: Input) {
        let now = self.clock(proxy);
        let host = &mut self.hosts[usize::from(proxy)];
        let Some(Node::Proxy(elector)) = &mut host.node else {
            return;
        };
        let actions = elector.handle(now, input);
        host.kept = elector.kept();
        let life = host.life;
        for action in actions {
            match action {
                Action::Send(to, message) => self.send(proxy, to.0, message),
                Action::Promote(_) | Action::Fence(_) => {
                    let after = 1 + self.random(50);
                    self.put(after, Event::Do(proxy, action, life));
                }
            }
        }
    }

    fn act(&mut self, proxy: u8, action: Action, life: u32) {
        let (Action::Promote(server) | Action::Fence(server)) = action else {
            return;
        };
        let is_cut = self.is_cut(Machine::Voter(proxy), Machine::Server(server));
        let is_over = self.hosts[usize::from(proxy)].life != life;
        let database = &mut self.servers[usize::from(server.0)];
        if is_cut || is_over || !database.is_alive || database.is_hung {
            return;
        }
        if matches!(action, Action::Promote(_)) {
            database.lock = database.lock.or(Some(proxy));
            database.is_read_only = false;
        } else {
            database.lock = None;
            database.is_read_only = true;
        }
    }

    /// The invariant: statements that two proxies send now do not reach two servers. One that is sent
    /// to a process that has ended reaches nothing.
    fn look(&self) {
        let mut taken: Option<(u8, Server)> = None;
        for proxy in 0..PROXIES {
            let Some(writer) = self.writer(proxy) else {
                continue;
            };
            let database = &self.servers[usize::from(writer.0)];
            let connected = self.hosts[usize::from(proxy)].connected[usize::from(writer.0)];
            if !database.is_alive || connected != database.process {
                continue;
            }
            if let Some((other, server)) = taken.filter(|(_, server)| *server != writer) {
                panic!(
                    "at {} ms proxy {other} writes to {server:?} and {proxy} to {writer:?}",
                    self.now
                );
            }
            taken = Some((proxy, writer));
        }
    }

    fn writer(&self, proxy: u8) -> Option<Server> {
        match &self.hosts[usize::from(proxy)].node {
            Some(Node::Proxy(elector)) => elector.writer(self.clock(proxy)),
            Some(Node::Director(_)) | None => None,
        }
    }

    pub(super) fn writers(&self) -> [Option<Server>; 2] {
        [self.writer(0), self.writer(1)]
    }

    pub(super) fn lives(&self, voter: u8) -> bool {
        self.hosts[usize::from(voter)].node.is_some()
    }

    /// The highest epoch that was decided.
    pub(super) fn epoch(&self) -> u64 {
        let epochs = self.hosts.iter().map(|host| host.kept.decided.0.0);
        epochs.max().unwrap_or(0)
    }

    pub(super) fn lossy(&mut self) {
        self.is_lossy = true;
    }

    pub(super) fn kill(&mut self, server: Server) {
        let database = &mut self.servers[usize::from(server.0)];
        database.is_alive = false;
        database.is_hung = false;
        database.lock = None;
    }

    /// It comes up read-only, as its configuration says.
    pub(super) fn start(&mut self, server: Server) {
        let database = &mut self.servers[usize::from(server.0)];
        if !database.is_alive {
            database.is_alive = true;
            database.process += 1;
            database.is_read_only = true;
        }
    }

    pub(super) fn hang(&mut self, server: Server) {
        self.servers[usize::from(server.0)].is_hung = true;
    }

    pub(super) fn wake(&mut self, server: Server) {
        self.servers[usize::from(server.0)].is_hung = false;
    }

    fn stop(&mut self, voter: u8) {
        let host = &mut self.hosts[usize::from(voter)];
        host.node = None;
        host.life += 1;
        for database in &mut self.servers {
            // The server notices that the lock's session is gone.
            database.lock = database.lock.filter(|holder| *holder != voter);
        }
    }

    /// An operator wants this writer.
    pub(super) fn plan(&mut self, proxy: u8, server: Server) {
        let until = self.clock(proxy) + Duration::from_secs(3);
        self.handle(proxy, Input::Move(server, until));
    }

    pub(super) fn kill_proxy(&mut self, proxy: u8) {
        self.stop(proxy);
    }

    pub(super) fn kill_director(&mut self, director: u8) {
        self.stop(PROXIES + director);
    }

    pub(super) fn start_proxy(&mut self, proxy: u8) {
        if !self.lives(proxy) {
            self.boot(proxy);
        }
    }

    /// Cuts the ways between machines here and all others.
    pub(super) fn cut(&mut self, here: impl Fn(&Machine) -> bool) {
        for a in Machine::all().filter(|machine| here(machine)) {
            for b in Machine::all().filter(|machine| !here(machine)) {
                self.cuts.insert((a, b));
            }
        }
    }

    /// Cuts the way between two machines.
    pub(super) fn cut_way(&mut self, a: Machine, b: Machine) {
        self.cuts.insert((a, b));
    }

    /// Everything works again, and nothing is lost any more.
    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.is_lossy = false;
        for server in 0..SERVERS {
            self.start(Server(server));
            self.wake(Server(server));
        }
        for voter in 0..VOTERS {
            if !self.lives(voter) {
                self.boot(voter);
            }
        }
    }

    /// One thing goes wrong, or right again.
    pub(super) fn mischief(&mut self) {
        let server = Server(u8::try_from(self.random(2)).unwrap());
        let voter = u8::try_from(self.random(u64::from(VOTERS))).unwrap();
        match self.random(16) {
            0 | 1 => self.kill(server),
            2..=4 => {
                self.start(Server(0));
                self.start(Server(1));
            }
            5 => self.hang(server),
            6 => {
                self.wake(Server(0));
                self.wake(Server(1));
            }
            7 => {
                let mask = self.random(64);
                let all: Vec<Machine> = Machine::all().collect();
                self.cut(|machine| {
                    let at = all.iter().position(|m| m == machine).unwrap();
                    mask >> at & 1 == 1
                });
            }
            8 => self.cuts.clear(),
            9 => self.stop(voter),
            // One way, or one server from most voters: what most see, some do not.
            10 | 11 => {
                self.cuts
                    .insert((Machine::Voter(voter), Machine::Server(server)));
            }
            12 => {
                let others = (0..VOTERS).filter(|other| *other != voter);
                let cuts = others.map(|other| (Machine::Voter(other), Machine::Server(server)));
                self.cuts.extend(cuts);
            }
            13 => {
                let other = u8::try_from(self.random(u64::from(VOTERS))).unwrap();
                self.cuts
                    .insert((Machine::Voter(voter), Machine::Voter(other)));
            }
            14 => self.plan(voter % PROXIES, server),
            _ if !self.lives(voter) => self.boot(voter),
            _ => {}
        }
    }
}
