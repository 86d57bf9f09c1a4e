//! What the loop has done to servers, and when: the one in office is promoted, others that look like a
//! writer are fenced, commits wait for a replica or not. One task a server at a time.
//!
//! Not here: SQL ([`super::act`]).

use std::time::Duration;

use tokio::sync::mpsc;

use super::{
    act::{self, ActError},
    driver::Driver,
    facts::Facts,
    monitor::Order,
};

/// After something failed on a server, it is left alone for so long.
const AGAIN: Duration = Duration::from_millis(300);
/// How long a lock may outlast the office before its holder is ended.
const OUTLAST: Duration = Duration::from_secs(1);
/// How long a promotion waits for what the other, reachable one has, before it goes on without.
const CONTAIN: Duration = Duration::from_secs(10);

/// A task's end.
#[derive(Debug)]
pub(super) struct Done {
    place: usize,
    what: &'static str,
    outcome: Result<usize, ActError>,
}

impl Driver {
    /// What the holder of the lock looks after: commits wait for a replica if there is one; a promoted
    /// server replicates again when the other has nothing of its own.
    pub(super) fn tend(&mut self, place: usize, done: &mpsc::Sender<Done>) {
        let office = self.office();
        let Some(facts) = self.book.facts(office) else {
            return;
        };
        let is_ours = facts.lock == Some(facts.session);
        if !is_ours || facts.is_read_only || self.state.moving.is_some() || !self.may(office) {
            return;
        }
        let (now, opts) = (self.now(), self.opts[office].clone());
        let others = (0..self.servers.len()).filter(|other| *other != office);
        let is_well = |other: &usize| self.book.facts(*other).is_some_and(Facts::is_attached);
        let is_fed = others.clone().any(|other| is_well(&other));
        // Who does not wait any more must not be followed by one that lacks what was not waited for.
        let have_left = others.clone().all(|other| self.book.lacks(other, office));
        let is_vain = facts.waits
            && if is_fed {
                facts.replicas == 0
            } else {
                have_left
            };
        let is_due = !facts.waits && is_fed && facts.replicas > 0;
        let is_settled = |other: usize| self.book.is_back(now, other, office);
        if self.semi_sync && is_vain {
            let work = act::wait_for_replica(opts, false);
            self.begin(office, "no wait for a replica", done, work);
        } else if self.semi_sync && is_due {
            let work = act::wait_for_replica(opts, true);
            self.begin(office, "wait for a replica", done, work);
        } else if self.semi_sync && self.waits_in_vain(place, office) {
            let work = act::wait_for_replica(self.opts[place].clone(), false);
            self.begin(place, "no wait for a replica", done, work);
        } else if place != office
            && self.primaries.contains(&place)
            && facts.channels.iter().any(|channel| channel.is_stopped)
            && is_settled(place)
        {
            self.begin(office, "replicate again", done, act::replicate(opts));
        }
    }

    /// Whether a reader waits with each transaction that it applies: for the writer, and where that has
    /// died, for ten seconds.
    fn waits_in_vain(&self, place: usize, office: usize) -> bool {
        let facts = self.book.facts(place);
        let is_so = facts.is_some_and(|facts| facts.waits && facts.is_read_only);
        place != office && is_so && self.may(place)
    }

    /// Whether something may be begun on a server now.
    pub(super) fn may(&self, place: usize) -> bool {
        let rests = self
            .state
            .rest
            .get(&place)
            .is_some_and(|until| self.now() < *until);
        !rests && !self.state.busy.contains(&place)
    }

    fn begin(
        &mut self,
        place: usize,
        what: &'static str,
        done: &mpsc::Sender<Done>,
        work: impl Future<Output = Result<(), ActError>> + Send + 'static,
    ) {
        self.begin_counted(place, what, done, async { work.await.map(|()| 0) });
    }

    fn begin_counted(
        &mut self,
        place: usize,
        what: &'static str,
        done: &mpsc::Sender<Done>,
        work: impl Future<Output = Result<usize, ActError>> + Send + 'static,
    ) {
        self.state.busy.insert(place);
        let done = done.clone();
        tokio::spawn(async move {
            let outcome = work.await;
            drop(
                done.send(Done {
                    place,
                    what,
                    outcome,
                })
                .await,
            );
        });
    }

    pub(super) fn done(
        &mut self,
        Done {
            place,
            what,
            outcome,
        }: Done,
    ) {
        self.state.busy.remove(&place);
        let server = self.servers[place].name.as_str();
        match outcome {
            Ok(killed) => {
                tracing::info!(server, what, killed, "done");
                *self.state.counts.entry(what).or_default() += 1;
            }
            Err(error) => {
                tracing::warn!(server, what, %error, "not done; it is tried again");
                *self.state.counts.entry("failed").or_default() += 1;
                let until = self.now() + AGAIN;
                self.state.rest.insert(place, until);
            }
        }
        self.order(place, Order::Look);
    }

    /// It is in office, and not ready: read-only, or without the lock.
    pub(super) fn promote(&mut self, place: usize, done: &mpsc::Sender<Done>) {
        let now = self.now();
        let Some(facts) = self.book.facts(place) else {
            return;
        };
        if facts.is_held
            || self
                .state
                .moving
                .as_ref()
                .is_some_and(|route| route.from == place)
        {
            return;
        }
        if !facts.is_read_only {
            self.order(place, Order::Lock);
            return;
        }
        let peers = self.primaries.iter().filter(|peer| **peer != place);
        let peers: Vec<_> = peers.filter_map(|peer| self.book.facts(*peer)).collect();
        if peers.iter().any(|peer| !peer.is_read_only) {
            // It is being fenced: one after the other.
            return;
        }
        let has_all = peers
            .iter()
            .all(|peer| facts.executed.contains(&peer.executed));
        let since = *self.state.lacking.entry(place).or_insert(now);
        if !has_all && now < since + CONTAIN {
            return;
        }
        if !self.may(place) {
            return;
        }
        self.state.lacking.remove(&place);
        let is_well = has_all && !peers.is_empty();
        let work = act::promote(self.opts[place].clone(), is_well, self.semi_sync);
        self.begin(place, "promote", done, work);
    }

    /// It is not in office, and looks like a writer.
    pub(super) fn fence(&mut self, place: usize, done: &mpsc::Sender<Done>) {
        let now = self.now();
        let Some(facts) = self.book.facts(place) else {
            return;
        };
        let opts = self.opts[place].clone();
        if facts.is_read_only {
            // Only a lock is left. Whoever holds it gives it up as soon as it hears; else it is ended.
            let (ours, holder) = (facts.session, facts.lock);
            self.order(place, Order::Release);
            let since = *self.state.outlasting.entry(place).or_insert(now);
            if let Some(holder) = holder.filter(|holder| *holder != ours)
                && now >= since + OUTLAST
                && self.may(place)
            {
                self.begin(
                    place,
                    "end the lock's holder",
                    done,
                    act::end_holder(opts, holder),
                );
            }
            return;
        }
        self.state.outlasting.remove(&place);
        if self.may(place) {
            self.begin_counted(place, "fence", done, act::fence(opts, self.semi_sync));
        }
    }
}
