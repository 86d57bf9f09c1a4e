//! One that promises epochs and grants leases, by what it sees of the servers itself. A director is
//! nothing else; a proxy has one inside.
//!
//! What it has promised outlives it: the driver keeps [`Voter::kept`] in a file, written before the
//! answer goes. What it has granted does not; so after a start it grants and promises nothing for a
//! lease's time and more: whatever it had granted is over by then.
//!
//! Not here: asking ([`super::elector`]).

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Epoch, Now, Reply, Request, Rules, Server, View};

/// What outlives a voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The last promise.
    pub promised: (Epoch, Server),
    /// The last decision it knows of.
    pub decided: (Epoch, Server),
}

impl Kept {
    /// Of a voter that never ran: `first` is the writer of epoch 0, the same for all.
    #[must_use]
    pub fn first(first: Server) -> Self {
        Self {
            promised: (Epoch(0), first),
            decided: (Epoch(0), first),
        }
    }
}

/// What a voter knows.
#[derive(Clone, Debug)]
pub struct Voter {
    rules: Rules,
    /// Nothing of an earlier epoch is granted or promised.
    promised: (Epoch, Server),
    decided: (Epoch, Server),
    /// The last server that leases were granted on, and when the last of them ends.
    granted: Option<(Server, Now)>,
    /// A planned move waits for the leases to end: until then none is granted.
    closing_until: Now,
    /// A planned move is under way, as far as is known, and is not to be disturbed.
    planned_until: Now,
    /// By server: what was seen last, and since when it is silent.
    views: BTreeMap<Server, (View, Now)>,
    /// After a restart: not before.
    mute_until: Now,
}

impl Voter {
    /// A voter that starts at `now`.
    #[must_use]
    pub fn new(rules: Rules, kept: Kept, now: Now) -> Self {
        Self {
            rules,
            promised: kept.promised,
            decided: kept.decided,
            granted: None,
            closing_until: Now::ZERO,
            planned_until: Now::ZERO,
            views: BTreeMap::new(),
            mute_until: now + rules.lease + rules.margin,
        }
    }

    /// What has to be in the file before an answer goes.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            promised: self.promised,
            decided: self.decided,
        }
    }

    /// What was decided last.
    #[must_use]
    pub fn decided(&self) -> (Epoch, Server) {
        self.decided
    }

    /// What was promised last.
    #[must_use]
    pub fn promised(&self) -> Epoch {
        self.promised.0
    }

    /// A probe ended.
    pub fn seen(&mut self, now: Now, server: Server, view: View) {
        let since = match self.views.get(&server) {
            Some(&(View::Silent, since)) if view == View::Silent => since,
            Some(_) | None => now,
        };
        self.views.insert(server, (view, since));
    }

    /// What was seen of a server last.
    #[must_use]
    pub fn view(&self, server: Server) -> View {
        self.views.get(&server).map_or(View::Silent, |view| view.0)
    }

    /// Whether a server is gone, as far as can be seen from here.
    #[must_use]
    pub fn is_gone(&self, now: Now, server: Server) -> bool {
        match self.views.get(&server) {
            Some(&(View::Dead, _)) => true,
            Some(&(View::Silent, since)) => now >= since + self.rules.patience,
            Some(&(View::Up { .. } | View::Reset, _)) | None => false,
        }
    }

    /// How long a server has been silent; zero if it answers or is dead.
    #[must_use]
    pub fn silence(&self, now: Now, server: Server) -> Duration {
        match self.views.get(&server) {
            Some(&(View::Silent, since)) => now.saturating_sub(since),
            Some(_) | None => Duration::ZERO,
        }
    }

    /// Whether somebody moves the writer by plan now.
    #[must_use]
    pub fn is_planned(&self, now: Now) -> bool {
        now < self.planned_until
    }

    /// Answers a request.
    pub fn asked(&mut self, now: Now, request: Request) -> Option<Reply> {
        match request {
            Request::Decided { epoch, writer } => {
                self.learn(epoch, writer);
                None
            }
            Request::Lease { epoch, sent } => Some(self.lease(now, epoch, sent)),
            Request::Vote {
                epoch,
                writer,
                is_planned,
            } => Some(self.vote(now, epoch, writer, is_planned)),
        }
    }

    /// A decision, from whoever knows of it.
    pub fn learn(&mut self, epoch: Epoch, writer: Server) {
        if epoch > self.decided.0 {
            self.decided = (epoch, writer);
        }
        if epoch > self.promised.0 {
            self.promised = (epoch, writer);
        }
    }

    fn refuse(&self) -> Reply {
        Reply::Refused {
            promised: self.promised.0,
            decided: self.decided,
        }
    }

    fn lease(&mut self, now: Now, epoch: Epoch, sent: Now) -> Reply {
        let writer = self.decided.1;
        let is_current = epoch == self.decided.0 && epoch == self.promised.0;
        let is_late = now < self.mute_until || now < self.closing_until;
        if !is_current || is_late || !self.is_free(now, writer) {
            return self.refuse();
        }
        self.granted = Some((writer, now + self.rules.lease));
        Reply::Granted { epoch, sent }
    }

    fn vote(&mut self, now: Now, epoch: Epoch, writer: Server, is_planned: bool) -> Reply {
        if (epoch, writer) == self.promised {
            return Reply::Promised { epoch, writer };
        }
        let office = self.decided.1;
        let is_agreed = is_planned || writer == office || self.is_gone(now, office);
        let may = epoch > self.promised.0 && now >= self.mute_until;
        if is_planned {
            self.planned_until = now + self.rules.lease;
        }
        if may && is_planned && !self.is_free(now, writer) {
            // For as long as the last of them runs: who asks again in time gets the promise.
            self.closing_until = now + self.rules.lease;
        }
        if !(may && is_agreed && self.is_free(now, writer)) {
            return self.refuse();
        }
        self.promised = (epoch, writer);
        self.closing_until = Now::ZERO;
        Reply::Promised { epoch, writer }
    }

    /// Whether no lease of this voter's is out on another server, or that is dead.
    fn is_free(&self, now: Now, writer: Server) -> bool {
        match self.granted {
            Some((server, until)) if server != writer => {
                now >= until || self.view(server) == View::Dead
            }
            Some(_) | None => true,
        }
    }
}
