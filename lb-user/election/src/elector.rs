//! A proxy in the election: it keeps its leases, proposes another writer when the one in office is
//! gone, and says at any moment which server may be written to.
//!
//! Not here: the rules of a voter ([`super::voter`]).

use std::collections::{BTreeMap, BTreeSet};

use super::voter::Kept;
use super::{Epoch, Message, Now, Quorum, Reply, Request, Rules, Server, View, Voter, VoterId};

/// What happens to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A probe ended. Any reset connection to a server counts as one that was reset.
    Seen(Server, View),
    /// A voter says something.
    Heard(VoterId, Message),
    /// An operator wants this writer, and has seen to it that nobody writes: elect it while the other
    /// is well. Given up at this time.
    Move(Server, Now),
    /// [`Elector::deadline`] has come.
    Timer,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell a voter something.
    Send(VoterId, Message),
    /// Make it the writer: apply its relay log, take the lock, end `read_only`.
    Promote(Server),
    /// It is not the writer and looks like one: kill its sessions, set `read_only`, release the lock.
    Fence(Server),
}

/// An election that this proxy runs.
#[derive(Clone, Debug)]
struct Candidacy {
    epoch: Epoch,
    writer: Server,
    promised: BTreeSet<VoterId>,
}

/// One proxy.
#[derive(Clone, Debug)]
pub struct Elector {
    me: VoterId,
    quorum: Quorum,
    servers: u8,
    rules: Rules,
    voter: Voter,
    /// When the requests were sent that voters granted in the epoch that is in office.
    leases: BTreeMap<VoterId, Now>,
    candidacy: Option<Candidacy>,
    /// A planned move, and when it is given up.
    moving: Option<(Server, Now)>,
    /// The highest epoch heard of.
    highest: Epoch,
    /// In this epoch the writer was seen dead: it may be another process now.
    broken: Option<Epoch>,
    next_tick: Now,
}

impl Elector {
    /// A proxy that starts at `now`, voter `me` of so many, with so many servers.
    #[must_use]
    pub fn new(me: VoterId, voters: u8, servers: u8, rules: Rules, kept: Kept, now: Now) -> Self {
        Self {
            me,
            quorum: Quorum::of(usize::from(voters)),
            servers,
            rules,
            voter: Voter::new(rules, kept, now),
            leases: BTreeMap::new(),
            candidacy: None,
            moving: None,
            highest: kept.promised.0,
            broken: None,
            next_tick: now,
        }
    }

    /// What has to be in the file before its actions are done.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.voter.kept()
    }

    /// Epoch and server that are in office, as far as is known here.
    #[must_use]
    pub fn office(&self) -> (Epoch, Server) {
        self.voter.decided()
    }

    /// The server that new statements may be written to now, on connections to the process that the
    /// probes speak to: a connection that is reset is told as [`View::Reset`] before another is opened.
    #[must_use]
    pub fn writer(&self, now: Now) -> Option<Server> {
        self.writer_until(now).map(|(writer, _)| writer)
    }

    /// The same, and when the leases end.
    #[must_use]
    pub fn writer_until(&self, now: Now) -> Option<(Server, Now)> {
        let writer = self.office().1;
        let is_ready = matches!(
            self.voter.view(writer),
            View::Up {
                has_lock: true,
                is_read_only: false,
                ..
            }
        );
        let until = self.lease_end().filter(|until| is_ready && now < *until)?;
        Some((writer, until))
    }

    /// How many leases hold, and how many it takes to keep the writer.
    #[must_use]
    pub fn leases(&self, now: Now) -> (usize, usize) {
        (self.held(now), self.quorum.keeping())
    }

    /// Whether the leases hold.
    #[must_use]
    pub fn holds(&self, now: Now) -> bool {
        self.lease_end().is_some_and(|until| now < until)
    }

    /// How many leases hold.
    fn held(&self, now: Now) -> usize {
        let valid = self.rules.lease - self.rules.margin;
        let held = self.leases.values().filter(|&&sent| now < sent + valid);
        held.count()
    }

    /// Until when enough of the leases hold.
    fn lease_end(&self) -> Option<Now> {
        if self.broken == Some(self.office().0) {
            return None;
        }
        let mut sent: Vec<Now> = self.leases.values().copied().collect();
        sent.sort_unstable_by(|a, b| b.cmp(a));
        let last = sent.get(self.quorum.keeping() - 1)?;
        Some(*last + (self.rules.lease - self.rules.margin))
    }

    /// When [`Input::Timer`] is due.
    #[must_use]
    pub fn deadline(&self) -> Now {
        self.next_tick
    }

    /// Takes what happens; gives what is to be done.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        let before = self.office().0;
        match input {
            Input::Seen(server, view) => self.seen(now, server, view, &mut actions),
            Input::Heard(from, Message::Request(request)) => {
                let before = self.office();
                if let Some(reply) = self.voter.asked(now, request) {
                    actions.push(Action::Send(from, Message::Reply(reply)));
                }
                self.after(before);
            }
            Input::Heard(from, Message::Reply(reply)) => {
                self.heard(now, from, reply, &mut actions);
            }
            // Without a majority that answers it would end with neither.
            Input::Move(server, until)
                if self.office().1 != server && self.held(now) >= self.quorum.majority() =>
            {
                self.leases.clear();
                self.moving = Some((server, until));
                self.next_tick = now;
                self.tick(now, &mut actions);
            }
            Input::Move(..) => {}
            Input::Timer if now >= self.next_tick => self.tick(now, &mut actions),
            Input::Timer => {}
        }
        if self.office().0 > before {
            // Leases of the new term, at once.
            self.next_tick = now;
        }
        actions
    }

    fn seen(&mut self, now: Now, server: Server, view: View, actions: &mut Vec<Action>) {
        self.voter.seen(now, server, view);
        let (epoch, writer) = self.office();
        if server == writer && matches!(view, View::Dead | View::Reset) {
            self.leases.clear();
            self.broken = Some(epoch);
            // At once, not at the next tick; the second proxy leaves the first a start.
            self.next_tick = self.next_tick.min(now + self.stagger());
        }
        let View::Up {
            has_lock,
            is_read_only,
            ..
        } = view
        else {
            return;
        };
        // Only who holds the office's leases may say who is not in it: others may be behind the times.
        if server != writer && (has_lock || !is_read_only) && self.holds(now) {
            actions.push(Action::Fence(server));
        }
        let is_ready = has_lock && !is_read_only;
        if server == writer && !is_ready && self.holds(now) {
            actions.push(Action::Promote(server));
        }
    }

    /// Proxies do not all propose at the same moment.
    fn stagger(&self) -> Now {
        self.rules.tick * u32::from(self.me.0) / 4
    }

    /// Another epoch is in office than before: leases of the old one are worth nothing.
    fn after(&mut self, before: (Epoch, Server)) {
        let office = self.office();
        self.highest = self.highest.max(office.0).max(self.voter.promised());
        if office.0 > before.0 {
            self.leases.clear();
            self.moving = None;
            if self.candidacy.as_ref().is_some_and(|c| c.epoch <= office.0) {
                self.candidacy = None;
            }
        }
    }

    fn heard(&mut self, now: Now, from: VoterId, reply: Reply, actions: &mut Vec<Action>) {
        match reply {
            Reply::Granted { epoch, sent } => {
                if epoch == self.office().0 {
                    let last = self.leases.entry(from).or_insert(sent);
                    *last = sent.max(*last);
                }
            }
            Reply::Refused { promised, decided } => {
                self.highest = self.highest.max(promised).max(decided.0);
                // It has promised this epoch or a later one to another server, and never will again.
                if self.candidacy.as_ref().is_some_and(|c| c.epoch <= promised) {
                    self.candidacy = None;
                }
                let before = self.office();
                self.voter.learn(decided.0, decided.1);
                self.after(before);
                // It has not heard of the last decision, and judges by an older one.
                let (epoch, writer) = self.office();
                if decided.0 < epoch {
                    let decided = Message::Request(Request::Decided { epoch, writer });
                    actions.push(Action::Send(from, decided));
                }
            }
            Reply::Promised { epoch, writer } => {
                let Some(candidacy) = &mut self.candidacy else {
                    return;
                };
                if (candidacy.epoch, candidacy.writer) != (epoch, writer) {
                    return;
                }
                candidacy.promised.insert(from);
                self.promise_last(now, actions);
            }
        }
    }

    /// Its own promise comes last: one that alone finds the writer gone would else keep its voter from
    /// those who write, and have them elect again and again.
    fn promise_last(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(candidacy) = &self.candidacy else {
            return;
        };
        let (epoch, writer) = (candidacy.epoch, candidacy.writer);
        let mut promised = candidacy.promised.len();
        if !candidacy.promised.contains(&self.me) && promised + 1 >= self.quorum.majority() {
            let request = Request::Vote {
                epoch,
                writer,
                is_planned: self.moving.is_some(),
            };
            if let Some(Reply::Promised { .. }) = self.voter.asked(now, request) {
                promised += 1;
            }
        }
        if promised >= self.quorum.majority() {
            self.decide(epoch, writer, actions);
        }
    }

    fn decide(&mut self, epoch: Epoch, writer: Server, actions: &mut Vec<Action>) {
        let before = self.office();
        self.candidacy = None;
        self.voter.learn(epoch, writer);
        self.after(before);
        self.send(Request::Decided { epoch, writer }, actions);
    }

    /// Tells all others.
    fn send(&self, request: Request, actions: &mut Vec<Action>) {
        let voters = u8::try_from(self.quorum.voters()).unwrap_or(u8::MAX);
        let others = (0..voters).map(VoterId).filter(|voter| *voter != self.me);
        actions.extend(others.map(|voter| Action::Send(voter, Message::Request(request))));
    }

    fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.next_tick = now + self.rules.tick;
        self.moving = self.moving.filter(|&(_, until)| now < until);
        if let Some((writer, _)) = self.moving {
            self.propose(now, writer, true, actions);
            return;
        }
        if let Some(writer) = self.proposal(now) {
            self.propose(now, writer, false, actions);
            if self.candidacy.is_some() {
                // Who refused may only have looked too early.
                self.next_tick = now + self.rules.tick / 2;
            }
        }
        let (epoch, writer) = self.office();
        let request = Request::Lease { epoch, sent: now };
        // Of a writer that does not answer no lease is asked for: others will want it to have ended.
        let is_up = matches!(self.voter.view(writer), View::Up { .. });
        if is_up && self.broken != Some(epoch) {
            if let Some(Reply::Granted { .. }) = self.voter.asked(now, request) {
                self.leases.insert(self.me, now);
            }
            self.send(request, actions);
        }
    }

    /// Who should be elected, if anybody.
    fn proposal(&self, now: Now) -> Option<Server> {
        let (epoch, writer) = self.office();
        let is_current = |server: &Server| {
            matches!(
                self.voter.view(*server),
                View::Up {
                    is_current: true,
                    ..
                }
            )
        };
        let is_up = matches!(self.voter.view(writer), View::Up { .. });
        if self.voter.is_gone(now, writer) {
            let mut others = (0..self.servers)
                .map(Server)
                .filter(|server| *server != writer);
            return others.find(is_current);
        }
        // It came back as another process, or an election got stuck: it needs an epoch of its own.
        let is_stuck = self.highest > epoch && !self.voter.is_planned(now);
        if is_up && (self.broken == Some(epoch) || is_stuck) {
            return Some(writer);
        }
        None
    }

    fn propose(&mut self, now: Now, writer: Server, is_planned: bool, actions: &mut Vec<Action>) {
        let epoch = match &self.candidacy {
            // The same again: those who refused may have waited for a lease.
            Some(candidacy) if candidacy.epoch >= self.highest && candidacy.writer == writer => {
                candidacy.epoch
            }
            Some(_) | None => Epoch(self.highest.0 + 1 + u64::from(self.me.0) % 2),
        };
        let promised = match self.candidacy.take() {
            Some(candidacy) if candidacy.epoch == epoch => candidacy.promised,
            Some(_) | None => BTreeSet::new(),
        };
        self.highest = self.highest.max(epoch);
        self.candidacy = Some(Candidacy {
            epoch,
            writer,
            promised,
        });
        let request = Request::Vote {
            epoch,
            writer,
            is_planned,
        };
        self.send(request, actions);
        if is_planned && let Some(Reply::Promised { .. }) = self.voter.asked(now, request) {
            // At once, so that its own voter grants no more leases either.
            if let Some(candidacy) = &mut self.candidacy {
                candidacy.promised.insert(self.me);
            }
        }
        self.promise_last(now, actions);
    }
}
