//! The loop: sights, packets, time and commands go to the elector; what it wants is sent and done; the
//! board says who the writer is for as long as the leases hold.
//!
//! What has to outlive the process is in the file before anything is sent. Work on servers is done by
//! tasks, one a server at a time, which this loop never waits for.
//!
//! Not here: what is done to servers ([`super::duty`]), what is told ([`super::picture`]), the rules
//! ([`election`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use election::{
    Action, Elector, Input, Message, Now, Server, VoterId,
    channel::{Keeper, Link},
};
use mysql_async::Opts;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};

use super::{
    book::Book,
    duty::Done,
    monitor::{Order, Sight},
    switchover::{self, Route, Step, Unmoved},
    told::Told,
};
use crate::{board::Board, clock, config};

/// How long a planned move may take to be elected.
const MOVE: Duration = Duration::from_secs(4);

/// What others want of the loop.
#[derive(Debug)]
pub enum Command {
    /// Move the writer to the server of this name; by force, name it though it lacks something. The
    /// answer says that it has begun.
    Switchover(String, bool, oneshot::Sender<Result<(), Unmoved>>),
}

/// All that the loop has.
pub(super) struct Driver {
    pub(super) elector: Elector,
    pub(super) me: VoterId,
    pub(super) keeper: Keeper,
    pub(super) link: Option<Link>,
    pub(super) board: Arc<Board>,
    pub(super) book: Book,
    pub(super) servers: Vec<config::Server>,
    pub(super) opts: Vec<Opts>,
    /// The place in the site file of each server that can be elected.
    pub(super) primaries: Vec<usize>,
    pub(super) orders: Vec<mpsc::Sender<Order>>,
    pub(super) semi_sync: bool,
    pub(super) origin: Instant,
    pub(super) told: watch::Sender<Told>,
    pub(super) state: Working,
}

/// What is under way.
#[derive(Default)]
pub(super) struct Working {
    pub(super) busy: BTreeSet<usize>,
    pub(super) rest: BTreeMap<usize, Now>,
    /// By server: since when its lock outlasts its office.
    pub(super) outlasting: BTreeMap<usize, Now>,
    /// By server: since when it lacks what the other has.
    pub(super) lacking: BTreeMap<usize, Now>,
    pub(super) moving: Option<Route>,
    pub(super) stranded: BTreeMap<usize, Vec<String>>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) writer: Option<usize>,
    pub(super) is_mute: bool,
    pub(super) moves: u64,
    pub(super) last_move: String,
}

/// The ends of the loop's channels.
pub(super) struct Ends {
    pub(super) sights: mpsc::Receiver<Sight>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) end: oneshot::Receiver<()>,
}

impl Driver {
    /// Goes on until the other end of `end` is dropped.
    pub(super) async fn run(mut self, mut ends: Ends) {
        let (done, mut dones) = mpsc::channel(64);
        let (step, mut steps) = mpsc::channel(8);
        loop {
            let wait = self.elector.deadline().saturating_sub(self.now());
            tokio::select! {
                (from, message) = receive(self.link.as_mut()) => {
                    self.handle(Input::Heard(from, message), &done);
                }
                Some(sight) = ends.sights.recv() => self.sight(sight, &done),
                Some(end) = dones.recv() => self.done(end),
                Some(step) = steps.recv() => self.step(step, &done),
                Some(command) = ends.commands.recv() => self.command(command, &step),
                _ = &mut ends.end => break,
                () = sleep(wait) => self.handle(Input::Timer, &done),
            }
            self.publish();
        }
        self.board.set_writer(None);
    }

    pub(super) fn now(&self) -> Now {
        clock::now() - self.origin
    }

    pub(super) fn place(&self, server: Server) -> usize {
        let place = self.primaries.get(usize::from(server.0));
        place.copied().unwrap_or_default()
    }

    pub(super) fn server(&self, place: usize) -> Option<Server> {
        let nth = self
            .primaries
            .iter()
            .position(|primary| *primary == place)?;
        u8::try_from(nth).ok().map(Server)
    }

    pub(super) fn office(&self) -> usize {
        self.place(self.elector.office().1)
    }

    fn handle(&mut self, input: Input, done: &mpsc::Sender<Done>) {
        let before = self.elector.office();
        let actions = self.elector.handle(self.now(), input);
        if let Err(error) = self.keeper.keep(self.elector.kept()) {
            // Nothing may be said that could be forgotten; and who is mute soon has no leases.
            if !self.state.is_mute {
                tracing::error!("no voice in the election: {error}");
            }
            self.state.is_mute = true;
            return;
        }
        self.state.is_mute = false;
        self.elected(before);
        for action in actions {
            match action {
                Action::Send(to, message) => {
                    if let Some(link) = &mut self.link {
                        link.send(to, message);
                    }
                }
                Action::Promote(server) => self.promote(self.place(server), done),
                Action::Fence(server) => self.fence(self.place(server), done),
            }
        }
    }

    /// A new office: locks elsewhere are given up.
    fn elected(&mut self, before: (election::Epoch, Server)) {
        let (epoch, server) = self.elector.office();
        if epoch <= before.0 {
            return;
        }
        *self.state.counts.entry("elections").or_default() += 1;
        let office = self.place(server);
        let name = self.servers[office].name.as_str();
        tracing::info!(epoch = epoch.0, writer = name, "elected");
        let others = (0..self.servers.len()).filter(|place| *place != office);
        others.for_each(|place| self.order(place, Order::Release));
    }

    fn sight(&mut self, Sight { place, seen }: Sight, done: &mpsc::Sender<Done>) {
        let now = self.now();
        let office = self.office();
        self.book.note(now, place, office, seen);
        if let Some(server) = self.server(place) {
            let view = self.book.view(now, place, self.office());
            self.handle(Input::Seen(server, view), done);
        }
        self.strand(place);
        self.tend(place, done);
    }

    /// What a server alone has is said once, and when it changes.
    fn strand(&mut self, place: usize) {
        let Some(_) = self.book.facts(place) else {
            return;
        };
        let found = self.book.stranded(place, self.office());
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let before = self.state.stranded.entry(place).or_default();
        if *before == found {
            return;
        }
        let server = self.servers[place].name.as_str();
        match found.is_empty() {
            true => tracing::info!(server, "has nothing any more that the writer has not"),
            false => tracing::error!(
                server,
                gtids = found.join(","),
                "stranded transactions: it alone has them"
            ),
        }
        *before = found;
    }

    /// Tells a monitor. One whose queue is full waits for a silent server, and is told again later.
    pub(super) fn order(&self, place: usize, order: Order) {
        if let Some(orders) = self.orders.get(place) {
            orders.try_send(order).unwrap_or_default();
        }
    }

    fn step(&mut self, step: Step, done: &mpsc::Sender<Done>) {
        let Some(route) = self.state.moving.clone() else {
            return;
        };
        match step {
            Step::Hold => self.order(route.from, Order::Hold),
            Step::Elect(place) => {
                if let Some(server) = self.server(place) {
                    let until = self.now() + MOVE;
                    self.handle(Input::Move(server, until), done);
                }
            }
            Step::Over(outcome) => {
                self.state.moves += 1;
                self.state.last_move = outcome;
                self.state.moving = None;
                let order = if self.office() == route.from {
                    Order::ReleaseHold
                } else {
                    Order::Release
                };
                self.order(route.from, order);
            }
        }
    }

    fn command(&mut self, command: Command, steps: &mpsc::Sender<Step>) {
        let Command::Switchover(name, is_forced, answer) = command;
        let outcome = self.begin_move(&name, is_forced);
        match outcome {
            Ok(Some(route)) => {
                tracing::info!(to = name, "the writer is to move");
                self.state.moving = Some(route.clone());
                let (steps, told) = (steps.clone(), self.told.subscribe());
                tokio::spawn(switchover::run(route, steps, told));
                drop(answer.send(Ok(())));
            }
            Ok(None) => drop(answer.send(Ok(()))),
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    /// Nothing where the server is only named for the next election.
    fn begin_move(&mut self, name: &str, is_forced: bool) -> Result<Option<Route>, Unmoved> {
        if self.state.moving.is_some() {
            return Err(Unmoved::Busy);
        }
        let told = self.told.borrow().clone();
        let is_primary = |place: usize| self.primaries.contains(&place);
        match switchover::check(&told, name, is_primary) {
            Ok((from, to)) => {
                let from_opts = self.opts[from].clone();
                Ok(Some(Route {
                    from,
                    from_opts,
                    to,
                }))
            }
            Err(Unmoved::NoWriter) if is_forced => {
                let place = told.servers.iter().position(|server| server.name == name);
                let now = self.now();
                place
                    .into_iter()
                    .for_each(|place| self.book.force(now, place));
                tracing::warn!(
                    server = name,
                    "may be taken by an operator's word, whatever it lacks"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Which voter this is.
    pub(super) fn voter(&self) -> VoterId {
        self.me
    }
}

async fn receive(link: Option<&mut Link>) -> (VoterId, Message) {
    match link {
        Some(link) => link.receive().await,
        None => std::future::pending().await,
    }
}
