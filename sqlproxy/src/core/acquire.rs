//! A connection for a statement: of which server, whether one is free, and what to do while there is none.
//!
//! Everything waits with a bound: for a writer `writer_timeout`, for a connection `queue_timeout` and no more
//! than `queue` others. Not here: bringing it into the session's state (`sync`).

use std::{rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration};

use super::{
    Local,
    server::{Connection, Seat, Trouble},
    session::Session,
    watch::Over,
};
use crate::{
    lexer::{Class, Reason, SessionChange, Statement, Traits},
    refusal::Refusal,
    session::{Pin, Place, place},
};

/// How long a server that refuses connections is left alone, where there is no other.
const PAUSE: Duration = Duration::from_millis(50);

/// What a statement needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The server that takes writes.
    Writer,
    /// Any that answers, the writer before others.
    Any,
    /// One that answers reads.
    Reader,
    /// The connection that had the last statement, if it is still the session's; else the writer.
    Last,
    /// The one that the session is tied to.
    Held(Pin),
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Lack {
    /// What the client is to be told.
    Told(Refusal),
    /// The server does not let us in.
    Down,
}

impl Session {
    /// What a statement of this session needs.
    pub(super) fn want(&self, told: &Statement) -> Want {
        match place(&self.state.journal, told) {
            Place::Here(pin) => Want::Held(pin),
            Place::Replica => Want::Reader,
            Place::Last(_) => Want::Last,
            Place::Primary(Reason::Session) if is_light(told) => Want::Any,
            Place::Primary(_) => Want::Writer,
        }
    }

    /// A connection, in the session's state, and its server's place.
    pub(super) async fn acquire(
        &mut self,
        want: Want,
        without: &[usize],
    ) -> Result<Box<Connection>, Refusal> {
        let timeout = self.core.local().plan.site.settings.writer_timeout;
        match tokio::time::timeout(timeout, self.find(want, without)).await {
            Ok(found) => found,
            Err(_) if want == Want::Writer || want == Want::Last => {
                self.core.stats(|stats| stats.writer_timeouts.add(1));
                Err(Refusal::no_writer())
            }
            Err(_) => Err(Refusal::no_server()),
        }
    }

    async fn find(&mut self, want: Want, without: &[usize]) -> Result<Box<Connection>, Refusal> {
        let mut without = without.to_vec();
        let mut news = None;
        loop {
            if self.client.watch.over() == Some(Over::Killed) {
                return Err(Refusal::killed());
            }
            let local = self.core.local();
            let server = match want {
                Want::Held(pin) => return self.held(pin),
                Want::Last => match self.last() {
                    Some(connection) => return Ok(connection),
                    None => local.writer(),
                },
                Want::Writer => local.writer(),
                Want::Any => local.any(),
                Want::Reader => local.reader(self.state.reader, &without),
            };
            if let Some(server) = server {
                match self.of(&local, server, want == Want::Reader).await {
                    Ok(Some(connection)) => return Ok(connection),
                    // It is behind, and the wait was in vain: the writer reads.
                    Ok(None) => match local.writer() {
                        Some(writer) if writer != server => without = others(&local, writer),
                        Some(_) | None => without.push(server),
                    },
                    Err(Lack::Told(refusal)) => return Err(refusal),
                    Err(Lack::Down) => {
                        without.push(server);
                        let is_last =
                            want != Want::Reader || local.reader(None, &without).is_none();
                        if is_last {
                            without.clear();
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                }
                continue;
            }
            if want == Want::Reader && !without.is_empty() {
                // Those that failed are tried again before nobody is left.
                without.clear();
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            match &mut news {
                None => {
                    self.core.stats(|stats| stats.writer_waits.add(1));
                    news = Some(local.plan.board.news());
                }
                // A reload may have another board: it is asked again now and then.
                Some(news) => {
                    let changed = tokio::time::timeout(Duration::from_secs(1), news.changed());
                    drop(changed.await);
                }
            }
        }
    }

    /// The connection that the session is tied to.
    fn held(&mut self, pin: Pin) -> Result<Box<Connection>, Refusal> {
        if let Some(mut held) = self.state.held.take()
            && !held.link.has_news()
        {
            return Ok(held);
        }
        Err(self.lost(pin))
    }

    /// The connection that had the last statement.
    fn last(&mut self) -> Option<Box<Connection>> {
        if let Some(held) = self.state.held.take() {
            return Some(held);
        }
        let local = self.core.local();
        let pool = local.pools.get(self.state.last?)?;
        pool.own(&self.state.tag, &self.key)
    }

    /// What the client is told where its connection is lost, and what the session is then.
    pub(super) fn lost(&mut self, pin: Pin) -> Refusal {
        let pins = self.state.journal.pins();
        let of_transaction = [
            Pin::Transaction,
            Pin::NoAutocommit,
            Pin::NextTransaction,
            Pin::Previous,
        ];
        let other = pins.iter().find(|pin| !of_transaction.contains(pin));
        self.state.journal.rolled_back();
        self.state.status.0 &= !crate::wire::status::Status::IN_TRANSACTION;
        match other {
            Some(other) => {
                self.core.stats(|stats| stats.lost_sessions.add(1));
                Refusal::lost_state(other.word())
            }
            None if pin == Pin::Previous => {
                let text = "viaduct: the server that had the last statement was lost, and what can \
                            be asked of it";
                Refusal::new(1105, b"HY000", text)
            }
            None => {
                self.core.stats(|stats| stats.lost_transactions.add(1));
                Refusal::lost_transaction()
            }
        }
    }

    /// A connection to this server in the session's state; `None` where it is behind what the session saw.
    async fn of(
        &mut self,
        local: &Rc<Local>,
        server: usize,
        is_read: bool,
    ) -> Result<Option<Box<Connection>>, Lack> {
        let mut connection = self.any_of(local, server).await?;
        self.face.goes_to(server, connection.number);
        self.client.watch.waits_for(Some(server));
        self.sync(local, &mut connection).await?;
        if is_read && !self.is_current(local, server, &mut connection).await? {
            self.give(connection);
            return Ok(None);
        }
        Ok(Some(connection))
    }

    /// A connection to this server, in whatever state.
    async fn any_of(&mut self, local: &Rc<Local>, server: usize) -> Result<Box<Connection>, Lack> {
        if let Some(mut held) = self.state.held.take() {
            if held.life.place() == server && !held.link.has_news() {
                return Ok(held);
            }
            self.give(held);
        }
        if let Some(found) = self.waiting(local, server).await? {
            return Ok(found);
        }
        let (pool, life) = (&local.pools[server], &local.plan.servers[server]);
        let settings = &local.plan.site.settings;
        if life.waiting.load(Relaxed) >= settings.queue {
            self.core.stats(|stats| stats.queue_timeouts.add(1));
            return Err(Lack::Told(Refusal::no_connection()));
        }
        self.core.stats(|stats| stats.queued.add(1));
        let _place = pool.queue(life);
        self.core.shared.wanted.send_replace(());
        let waiting = async {
            loop {
                tokio::select! {
                    () = pool.freed() => {}
                    () = life.freed.notified() => {}
                }
                if let Some(found) = self.waiting(local, server).await? {
                    return Ok(found);
                }
            }
        };
        match tokio::time::timeout(settings.queue_timeout, waiting).await {
            Ok(found) => found,
            Err(_) => {
                self.core.stats(|stats| stats.queue_timeouts.add(1));
                Err(Lack::Told(Refusal::no_connection()))
            }
        }
    }

    /// One that waits, or a new one, if there may be one more.
    async fn waiting(
        &self,
        local: &Rc<Local>,
        server: usize,
    ) -> Result<Option<Box<Connection>>, Lack> {
        let (pool, life) = (&local.pools[server], &local.plan.servers[server]);
        let (key, has_schema) = (&self.key, self.state.journal.schema().is_some());
        let found = pool
            .own(&self.state.tag, key)
            .or_else(|| pool.free(key, has_schema));
        if found.is_some() {
            return Ok(found);
        }
        let most = local.plan.site.servers[server].max_connections;
        let mut seat = Seat::take(life, most);
        if seat.is_none() {
            if let Some(found) = pool.any(key, has_schema) {
                return Ok(Some(found));
            }
            if pool.make_room() {
                seat = Seat::take(life, most);
            }
        }
        match seat {
            Some(seat) => self.open(local, server, seat).await.map(Some),
            None => Ok(None),
        }
    }

    /// A connection for a question beside the session's own, in whatever state; `None` where none is to be
    /// had at once.
    pub(super) async fn spare(&self, local: &Rc<Local>, server: usize) -> Option<Box<Connection>> {
        self.waiting(local, server).await.ok().flatten()
    }

    async fn open(
        &self,
        local: &Rc<Local>,
        server: usize,
        seat: Seat,
    ) -> Result<Box<Connection>, Lack> {
        let patience = local.plan.site.settings.connect_timeout;
        let id = self.core.connection_id();
        let now = self.core.tick.get();
        self.core
            .server_stats(server, |stats| stats.connects.add(1));
        match Connection::open(
            id,
            seat,
            self.key.clone(),
            &local.plan.ways[server],
            now,
            patience,
        )
        .await
        {
            Ok(connection) => Ok(connection),
            Err(trouble) => {
                self.core
                    .server_stats(server, |stats| stats.refusals.add(1));
                let name = &local.plan.servers[server].name;
                tracing::warn!(server = name, user = self.login.user.server_user, %trouble, "no connection");
                Err(match trouble {
                    Trouble::Login(crate::wire::knock::Refused::Server { code, message })
                        if !is_of_the_moment(code) =>
                    {
                        Lack::Told(Refusal::new(code, b"HY000", message))
                    }
                    Trouble::Io(_)
                    | Trouble::Wire(_)
                    | Trouble::Login(_)
                    | Trouble::Over(_)
                    | Trouble::Late => Lack::Down,
                })
            }
        }
    }

    /// The connection is the pool's again.
    pub(super) fn give(&self, mut connection: Box<Connection>) {
        let local = self.core.local();
        let place = connection.life.place();
        let is_known = local
            .plan
            .servers
            .get(place)
            .is_some_and(|life| life.address == connection.life.address);
        if !is_known || !connection.input.is_empty() {
            return;
        }
        self.core.store.borrow_mut().take(&mut connection.input);
        local.pools[place].give(connection, self.core.tick.get());
    }
}

/// Errors of a login that may be gone the next moment: too many connections, blocked hosts, shutdown.
fn is_of_the_moment(code: u16) -> bool {
    matches!(code, 1040 | 1041 | 1053 | 1129 | 1203 | 1226)
}

fn others(local: &Local, writer: usize) -> Vec<usize> {
    (0..local.plan.servers.len())
        .filter(|server| *server != writer)
        .collect()
}

/// It changes what the journal carries, and nothing on a server: any can take it.
fn is_light(told: &Statement) -> bool {
    let is_carried = matches!(
        told.class,
        Class::Session(
            SessionChange::Schema
                | SessionChange::Charset
                | SessionChange::Variables
                | SessionChange::Isolation
        )
    );
    let more = Traits::GLOBAL
        .with(Traits::SETS_USER_VARIABLE)
        .with(Traits::SEVERAL)
        .with(Traits::OPAQUE)
        .with(Traits::WRITES)
        .with(Traits::UNKNOWN_FUNCTION);
    is_carried && !told.traits.any(more)
}
