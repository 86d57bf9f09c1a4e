//! A connection brought into a session's state, and made to wait until it has what the session has seen.
//!
//! All that a connection has to be told goes out in one write: a reset, the variables, the database. Nothing
//! is said to one that the session had last. Not here: which connection (`acquire`).

use std::rc::Rc;

use super::{
    Local,
    acquire::Lack,
    server::{Connection, Reply, Trouble},
    session::Session,
};
use crate::{
    refusal::Refusal,
    session::{
        Wait,
        causal::{self, Position, ServerId},
        journal::Replay,
    },
    wire::{Capabilities, collation, track::Change},
};

/// What servers are to tell of their sessions: of MariaDB also `last_gtid`.
const TRACKING: &str = "session_track_system_variables='*',session_track_state_change=1";
/// Unknown system variable.
const UNKNOWN_VARIABLE: u16 = 1193;

/// What an answer to a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    Reset,
    Tracking,
    Replay,
    Schema(Box<[u8]>),
}

impl From<Trouble> for Lack {
    fn from(_: Trouble) -> Self {
        Self::Down
    }
}

impl Session {
    /// Brings a connection into this session's state.
    pub(super) async fn sync(
        &mut self,
        local: &Rc<Local>,
        connection: &mut Connection,
    ) -> Result<(), Lack> {
        let is_own = connection
            .of
            .as_ref()
            .is_some_and(|of| Rc::ptr_eq(of, &self.state.tag));
        if is_own && connection.version == self.state.version && !local.plan.always_moves {
            return Ok(());
        }
        self.inherit(connection).await?;
        let place = connection.life.place();
        self.core.server_stats(place, |stats| stats.moves.add(1));
        self.state.statements.lost(connection.id);
        let (commands, about) = self.commands(connection);
        let commands: Vec<&[u8]> = commands.iter().map(Vec::as_slice).collect();
        connection.of = None;
        connection.send(&commands).await?;
        let mut refusal = None;
        for about in about {
            let said = connection.ok(&self.client.watch).await?;
            match (about, said) {
                (About::Reset, Err(_)) => return Err(Lack::Down),
                (About::Tracking, Err(told)) if told.code == UNKNOWN_VARIABLE => {
                    self.state.journal.is_not_tracked();
                }
                (About::Schema(name), Ok(_)) => connection.schema = Some(name),
                (_, Ok(_)) => {}
                (_, Err(told)) => refusal = refusal.or(Some(told)),
            }
        }
        connection.is_fresh = false;
        if let Some(refusal) = refusal {
            return Err(Lack::Told(refusal));
        }
        connection.of = Some(Rc::clone(&self.state.tag));
        connection.version = self.state.version;
        connection.has_insert_id = false;
        Ok(())
    }

    /// What another session could still ask of this connection is asked for it; and what another session
    /// asked for this one is taken.
    async fn inherit(&mut self, connection: &mut Connection) -> Result<(), Lack> {
        if connection.has_insert_id {
            let of = connection.of.clone().filter(|of| !of.is_over.get());
            if let Some(of) = of {
                let asked = connection
                    .ask("SELECT LAST_INSERT_ID()", &self.client.watch)
                    .await?;
                if let Reply::Value(Some(text)) = asked {
                    let id = std::str::from_utf8(&text)
                        .ok()
                        .and_then(|text| text.parse().ok());
                    of.insert_id.set(id);
                }
            }
            connection.has_insert_id = false;
        }
        if let Some(id) = self.state.tag.insert_id.take() {
            self.state.journal.insert_id(id);
        } else if self.state.journal.question().is_some()
            && self.lost_insert_id(connection.life.place())
        {
            // The connection that could be asked is lost: what the last OK said is the best there is.
            self.state.journal.insert_id(self.state.insert_id);
        }
        Ok(())
    }

    /// Whether the connection that had the last INSERT cannot be had again: this one is of the same server,
    /// or that one writes no more.
    fn lost_insert_id(&self, place: usize) -> bool {
        let at = self.state.insert_at;
        at == Some(place) || at != self.core.local().writer()
    }

    fn commands(&self, connection: &Connection) -> (Vec<Vec<u8>>, Vec<About>) {
        let (mut commands, mut about) = (Vec::new(), Vec::new());
        if !connection.is_fresh {
            commands.push(vec![0x1f]);
            about.push(About::Reset);
        }
        let names = collation::of(self.key.collation.into()).filter(|_| !connection.is_fresh);
        let names = names.map(|(name, charset)| format!("SET NAMES {charset} COLLATE {name}"));
        if let Some(names) = names {
            commands.push([b"\x03", names.as_bytes()].concat());
            about.push(About::Replay);
        }
        if connection.capabilities.has(Capabilities::SESSION_TRACK) {
            commands.push([b"\x03SET ", TRACKING.as_bytes()].concat());
            about.push(About::Tracking);
        }
        for replay in self.state.journal.replay() {
            match replay {
                Replay::Query(text) => {
                    commands.push([b"\x03", &*text].concat());
                    about.push(About::Replay);
                }
                // A reset keeps the database.
                Replay::Schema(name) if connection.schema.as_deref() == Some(&*name) => {}
                Replay::Schema(name) => {
                    commands.push([b"\x02", &*name].concat());
                    about.push(About::Schema(name.into()));
                }
            }
        }
        (commands, about)
    }

    /// Whether a server has what this session has seen; it waits for it, with a bound.
    pub(super) async fn is_current(
        &mut self,
        local: &Rc<Local>,
        server: usize,
        connection: &mut Connection,
    ) -> Result<bool, Lack> {
        let Some(writer) = local.writer().filter(|writer| *writer != server) else {
            return Ok(true);
        };
        let settings = &local.plan.site.settings;
        let mut is_raised = false;
        // Asked of the writer, then of the server that was read from last, then waited.
        for _ in 0..3 {
            let wait = {
                let known = local.reached[server].borrow();
                let (replica, primary) = (id(server), id(writer));
                self.state
                    .floor
                    .wait(settings.causal, replica, known.as_ref(), primary, is_raised)
            };
            match wait {
                Wait::No => return Ok(true),
                Wait::Ask(ServerId(asked)) => {
                    is_raised |= usize::from(asked) == writer;
                    let Some(position) = self.position(local, asked.into()).await else {
                        return Ok(false);
                    };
                    self.state.floor.asked(ServerId(asked), &position);
                }
                Wait::Until(position) => {
                    self.core.server_stats(server, |stats| stats.waits.add(1));
                    let sql = causal::statement(&position, settings.causal_timeout);
                    let said = connection.ask(&sql, &self.client.watch).await?;
                    if said != Reply::Value(Some(b"0".to_vec())) {
                        self.core
                            .server_stats(server, |stats| stats.late_waits.add(1));
                        return Ok(false);
                    }
                    let mut reached = local.reached[server].borrow_mut();
                    match &mut *reached {
                        Some(reached) => reached.join(&position),
                        None => *reached = Some(position),
                    }
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The position of a server, asked on a connection of its own; `None`: it does not say.
    async fn position(&mut self, local: &Rc<Local>, server: usize) -> Option<Position> {
        let flavor = local.plan.servers.get(server)?.about()?.flavor();
        let mut connection = Box::pin(self.spare(local, server)).await?;
        let said = connection
            .ask(causal::question(flavor), &self.client.watch)
            .await;
        let Ok(Reply::Value(Some(text))) = said else {
            return None;
        };
        self.give(connection);
        Position::parse(flavor, &text).ok()
    }

    /// The GTIDs among the changes of an answer from this server.
    pub(super) fn wrote(&mut self, local: &Local, server: usize) {
        let Some(flavor) = local
            .plan
            .servers
            .get(server)
            .and_then(|life| Some(life.about()?.flavor()))
        else {
            return;
        };
        for change in crate::wire::track::Changes::new(&self.state.changes).iter() {
            let gtid = match change {
                Ok(Change::Variable {
                    name: b"last_gtid",
                    value,
                }) => value,
                Ok(Change::Gtids(gtids)) => gtids,
                Ok(_) | Err(_) => continue,
            };
            if self.state.floor.wrote(flavor, gtid).is_err() {
                // Nobody knows what to wait for: as if the server had been read from.
                self.state.floor.read(id(server));
            }
        }
    }
}

/// A server as the floor names it.
pub(super) fn id(server: usize) -> ServerId {
    ServerId(u16::try_from(server).unwrap_or(u16::MAX))
}

impl From<Refusal> for Lack {
    fn from(refusal: Refusal) -> Self {
        Self::Told(refusal)
    }
}
