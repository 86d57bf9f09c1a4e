//! What must always hold, looked at between any two events:
//!
//! - **Two that serve** while packets between them arrive and both run: never for longer than it
//!   takes one to hear the other. In planned moves that is the way of a packet there and back.
//! - **Fencing**: who takes over because of silence finds that the router it last followed, dead,
//!   stalled or cut off, has stopped serving.
//! - **The VIP comes back**: some time after the last fault exactly one router serves, none that
//!   should preempt it is left waiting, and so it stays. In planned moves there is not a moment
//!   without one.
//! - **Clients learn it**: after a router was made to step down, another announces itself within an
//!   interval.
//! - **Exact instants**: a dead router is replaced by the best backup to the nanosecond.
//! - **Sleepers**: an active router that wakes after its lease does not go on serving, and a backup
//!   that has slept past its timer does not take over before an active one could have spoken.
//! - No lease is longer than three intervals, none is taken before the data plane is ready, and no
//!   timer fires twice in one instant.
//!
//! Not here: the routers and the network ([`super::world`]).

use std::collections::BTreeMap;

use vrrp::{Preempt, Priority, Reason, State};

use super::plan::{Kind, Time, address, nanos};
use super::world::{Host, Packet, World};

/// What the data plane of a router does.
#[derive(Clone, Copy, Debug, Default)]
struct Service {
    ready: bool,
    /// Since when, if it was not told to stop.
    since: Option<Time>,
    /// The end of the lease, as rounded down by the data plane, and as the router knows it.
    until: Time,
    granted: Time,
}

/// Everything noted so far.
pub(crate) struct Watch {
    kind: Kind,
    services: Vec<Service>,
    /// When a pair was last unable to hear each other.
    disturbed: Vec<Vec<Time>>,
    /// The advert that each backup set its timer by: whose, which, when.
    followed: Vec<Option<(Packet, Time)>>,
    /// Until when someone must announce itself.
    owed: Option<Time>,
    /// When each has woken from a sleep past its timer.
    overslept: Vec<Option<Time>>,
    looked_at: Time,
    served: bool,
    wrong: Option<String>,
    died: Option<(usize, Time)>,
    replaced: bool,
    /// How often what happened.
    pub(crate) tally: BTreeMap<&'static str, u64>,
}

impl Watch {
    pub(crate) fn new(kind: Kind, count: usize) -> Self {
        Self {
            kind,
            services: vec![Service::default(); count],
            disturbed: vec![vec![0; count]; count],
            followed: vec![None; count],
            owed: None,
            overslept: vec![None; count],
            looked_at: 0,
            served: false,
            wrong: None,
            died: None,
            replaced: false,
            tally: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Something is wrong already.
    pub(crate) fn fail(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    pub(crate) fn lost(&mut self, packet: Packet, now: Time) {
        self.disturbed[packet.from][packet.to] = now;
        self.disturbed[packet.to][packet.from] = now;
        self.count("packets lost");
    }

    /// It did not run, or changed its priority: nothing is to be expected of it before now.
    pub(crate) fn disturb(&mut self, router: usize, now: Time) {
        for other in 0..self.services.len() {
            self.disturbed[router][other] = now;
            self.disturbed[other][router] = now;
        }
        self.followed[router] = None;
    }

    /// It runs again. Who sleeps through its second chance to listen has had it: else an overloaded
    /// host that is the last one would never serve.
    pub(crate) fn woke(&mut self, router: usize, now: Time, overslept: bool) {
        self.disturb(router, now);
        let first = self.overslept[router].is_none();
        self.overslept[router] = (overslept && first).then_some(now);
        if overslept {
            self.count("backups that overslept");
        }
    }

    /// Whether it takes over without having listened since.
    pub(crate) fn too_early(&self, router: usize, now: Time, interval: Time) -> bool {
        let woke = self.overslept[router];
        woke.is_some_and(|woke| now < woke + interval)
    }

    pub(crate) fn followed(&mut self, packet: Packet, priority: Option<Priority>, now: Time) {
        self.followed[packet.to] = priority.map(|_| (packet, now));
        self.overslept[packet.to] = None;
    }

    pub(crate) fn ready(&mut self, router: usize) {
        let service = &mut self.services[router];
        service.ready = true;
        service.since = None;
    }

    pub(crate) fn renewed(&mut self, router: usize, now: Time, until: Time, tick: Time) {
        let service = &mut self.services[router];
        let wrong = if !service.ready {
            Some("serves before it is ready")
        } else if service.since.is_some() && service.granted <= now {
            Some("serves on after its lease")
        } else {
            None
        };
        let lapsed = service.until <= now;
        service.since = service.since.filter(|_| !lapsed).or(Some(now));
        service.until = until.saturating_sub(tick);
        service.granted = until;
        self.served = true;
        if let Some(wrong) = wrong {
            self.fail(format!("{} {wrong}", address(router)));
        }
    }

    pub(crate) fn announced(&mut self, router: usize, now: Time) {
        if self.serves(router, now) {
            self.owed = None;
        } else {
            self.fail(format!(
                "{} announces what it does not serve",
                address(router)
            ));
        }
        self.count("announcements");
    }

    pub(crate) fn stepped_down(&mut self, router: usize, now: Time) {
        let service = &mut self.services[router];
        service.ready = false;
        service.since = None;
        service.until = now;
    }

    pub(crate) fn died(&mut self, router: usize, now: Time) {
        self.died = Some((router, now));
    }

    /// A change of state.
    pub(crate) fn changed(&mut self, router: usize, now: Time, how: (State, State, Reason)) {
        let (from, to, reason) = how;
        self.count(reason.label());
        let serving = matches!(to, State::Active | State::Resigning);
        // What crashed while it served may serve on until its lease ends, also as a backup.
        let served = matches!(from, State::Active | State::Resigning);
        let leftover = !served && !serving;
        if serving != self.serves(router, now) && !leftover {
            let what = format!("{} is {to}, its data plane is not", address(router));
            self.wrong.get_or_insert(what);
        }
        self.followed[router] = None;
        if to != State::Active {
            self.overslept[router] = None;
        }
        if matches!(reason, Reason::Beaten | Reason::Succeeded) {
            self.owed = Some(now);
        }
    }

    /// Fencing, and the exact instant of a takeover after a death.
    pub(crate) fn silence(
        world: &mut World,
        router: usize,
        to: State,
        reason: Reason,
    ) -> Option<String> {
        let now = world.now;
        if to != State::Active || reason != Reason::Silence {
            return None;
        }
        let (packet, heard_at) = world.watch.followed[router]?;
        let dead = packet.from;
        let latest = world.hosts[dead].sent == packet.number;
        if latest && world.watch.serves(dead, now) {
            let (new, old) = (address(router), address(dead));
            return Some(format!("{new} has taken over while {old} serves on"));
        }
        if world.watch.died.is_some_and(|(died, _)| died == dead) && !world.watch.replaced {
            world.watch.replaced = true;
            return world.not_exact(router, dead, heard_at);
        }
        None
    }

    /// Looks at everything; called after each event.
    pub(crate) fn look(world: &mut World) -> Result<(), String> {
        if let Some(wrong) = world.watch.wrong.take() {
            return Err(wrong);
        }
        Ok(())
    }

    /// Looks at the time from the last event to this one, in which nothing happened but that leases
    /// may have ended.
    pub(crate) fn pass(world: &mut World, to: Time) -> Result<(), String> {
        let from = std::mem::replace(&mut world.watch.looked_at, to);
        if to == from {
            return Ok(());
        }
        world.no_gap(from, to)?;
        for one in 0..world.hosts.len() {
            for other in 0..one {
                world.no_two(one, other, from, to)?;
            }
        }
        world.no_debt(to)
    }

    /// Looks at the end.
    pub(crate) fn finish(world: &mut World) -> Result<(), String> {
        let now = world.now;
        if world.watch.died.is_some() && !world.watch.replaced {
            return Err("nobody has replaced the dead router".to_owned());
        }
        let takes_part = |host: &&Host| host.router.state() != State::Initialize;
        let Some(serving) = (0..world.hosts.len()).find(|it| world.watch.serves(*it, now)) else {
            return if world.hosts.iter().filter(takes_part).count() == 0 {
                Ok(())
            } else {
                Err("nobody serves".to_owned())
            };
        };
        let active = world.hosts[serving].router.params().priority();
        let preempts = |host: &&Host| {
            let params = host.router.params();
            let willing = params.preempt() != Preempt::Never || params.priority().is_owner();
            willing && params.priority() > active
        };
        let better = world.hosts.iter().filter(takes_part).find(preempts);
        better.map_or(Ok(()), |host| {
            let (best, serving) = (host.router.params().primary(), address(serving));
            Err(format!("{best} should have taken over from {serving}"))
        })
    }

    /// Whether its data plane answers.
    pub(crate) fn serves(&self, router: usize, now: Time) -> bool {
        self.services[router].since.is_some() && self.services[router].until > now
    }
}

impl World {
    /// Someone serves all the time, when someone must.
    fn no_gap(&self, from: Time, to: Time) -> Result<(), String> {
        let must = match self.watch.kind {
            Kind::Chaos => from >= self.plan.settled && self.some_take_part(),
            Kind::Planned => self.watch.served,
            Kind::Death => false,
        };
        let services = self.watch.services.iter();
        let serving = services.filter(|service| service.since.is_some());
        let until = serving.map(|service| service.until).max().unwrap_or(0);
        if must && until < to {
            return Err(format!("nobody serves since {}", until.max(from)));
        }
        Ok(())
    }

    fn some_take_part(&self) -> bool {
        let takes_part = |host: &Host| host.router.state() != State::Initialize;
        self.hosts.iter().any(takes_part)
    }

    /// Two do not serve for longer than they need to hear each other.
    fn no_two(&mut self, one: usize, other: usize, from: Time, to: Time) -> Result<(), String> {
        let (a, b) = (self.watch.services[one], self.watch.services[other]);
        let (Some(a_since), Some(b_since)) = (a.since, b.since) else {
            return Ok(());
        };
        let end = a.until.min(b.until).min(to);
        if end <= from {
            return Ok(());
        }
        self.watch.count("moments with two");
        if !self.would_hear(one, other) {
            self.watch.disturbed[one][other] = to;
            return Ok(());
        }
        let start = a_since
            .max(b_since)
            .max(self.watch.disturbed[one][other])
            .max(self.watch.disturbed[other][one]);
        let way = self.plan.delay.1 * 2;
        let allowed = match self.watch.kind {
            Kind::Planned | Kind::Death => way,
            Kind::Chaos => way + self.plan.jitter + self.plan.longest,
        };
        let settled = self.watch.kind == Kind::Chaos && from >= self.plan.settled;
        if settled || end.saturating_sub(start) > allowed {
            let (one, other) = (address(one), address(other));
            return Err(format!("{one} and {other} both serve since {start}"));
        }
        Ok(())
    }

    /// Whether both say so regularly, and at least one will yield.
    fn would_hear(&self, one: usize, other: usize) -> bool {
        let [one, other] = [one, other].map(|router| &self.hosts[router]);
        let speaks = |host: &Host| {
            let state = host.router.state();
            host.alive && !host.stalled && matches!(state, State::Active | State::Resigning)
        };
        let active = |host: &Host| host.router.state() == State::Active;
        speaks(one) && speaks(other) && (active(one) || active(other))
    }

    /// Whoever made another step down has announced itself after that.
    fn no_debt(&mut self, to: Time) -> Result<(), String> {
        let Some(since) = self.watch.owed else {
            return Ok(());
        };
        // What was sent before the calm may be of one that has died since.
        if self.plan.calm > 0 && since <= self.plan.calm + self.plan.delay.1 {
            self.watch.owed = None;
            return Ok(());
        }
        let within = self.plan.longest + self.plan.jitter + self.plan.delay.1 * 2;
        if to > since + within {
            return Err(format!("nobody has announced itself since {since}"));
        }
        Ok(())
    }

    /// The best backup of a dead router takes over, Active_Down_Interval after its last advert came.
    fn not_exact(&self, new: usize, dead: usize, heard_at: Time) -> Option<String> {
        let interval = self.hosts[dead].router.params().interval();
        let backups = self.hosts.iter().enumerate();
        let backups = backups.filter(|(router, host)| {
            *router != dead && (*router == new || host.router.state() == State::Backup)
        });
        let down = |(_, host): (usize, &Host)| {
            nanos(interval.active_down(host.router.params().priority()))
        };
        let due = heard_at + backups.map(down).min()?;
        let what = format!("{} took over, due {due}", address(new));
        (self.now != due).then_some(what)
    }
}
