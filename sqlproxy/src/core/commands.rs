//! Commands that are no statements.
//!
//! Not here: KILL (`kill`), prepared statements (`prepared`).

use super::{
    acquire::Want,
    enter,
    exchange::Came,
    session::{Gone, Sent, Session, State},
};
use crate::{
    refusal::Refusal,
    session::Pin,
    wire::{
        Capabilities, Shape,
        handshake::{self, ChangeUser},
        packet::HEADER,
        status::{EofPacket, Status},
    },
};

/// Multi-statements off (COM_SET_OPTION).
const OPTION_OFF: u16 = 1;

impl Session {
    /// COM_INIT_DB.
    pub(super) async fn init_db(&mut self, sent: Sent) -> Result<(), Gone> {
        let name = self.client.input.fresh()[HEADER + 1..sent.len].to_vec();
        let Some((mut connection, told)) = self.ask_one(sent, Shape::Short, Want::Any).await?
        else {
            return Ok(());
        };
        if !told {
            self.state.journal.uses(&name);
            self.state.version += 1;
            connection.version = self.state.version;
            connection.schema = Some(name.into());
        }
        self.keep(connection);
        Ok(())
    }

    /// A question that any server can answer.
    pub(super) async fn ask_any(&mut self, sent: Sent, shape: Shape) -> Result<(), Gone> {
        if let Some((connection, _)) = self.ask_one(sent, shape, Want::Writer).await? {
            self.keep(connection);
        }
        Ok(())
    }

    /// Sends a short command on; the connection, and whether the answer was an error. `None`: the client was
    /// told that it could not be sent.
    async fn ask_one(
        &mut self,
        mut sent: Sent,
        shape: Shape,
        want: Want,
    ) -> Result<Option<(Box<super::server::Connection>, bool)>, Gone> {
        let pins = self.state.journal.pins();
        let want = match pins.iter().find(|pin| *pin != Pin::Previous) {
            Some(pin) => Want::Held(pin),
            None => want,
        };
        let mut connection = match self.acquire(want, &[]).await {
            Ok(connection) => connection,
            Err(refusal) => {
                self.refuse(sent, &refusal).await?;
                return Ok(None);
            }
        };
        match self
            .exchange(&mut connection, &mut sent, shape, None, false)
            .await?
        {
            Came::Answer(told) => {
                self.done(sent);
                Ok(Some((connection, told.is_error)))
            }
            Came::Caught(refusal) | Came::Refused(refusal) => {
                self.refuse(sent, &refusal).await?;
                Ok(None)
            }
            Came::Lost(_) => {
                drop(connection);
                let refusal = match self.state.journal.pins().first() {
                    Some(pin) => self.lost(pin),
                    None => Refusal::no_server(),
                };
                self.refuse(sent, &refusal).await?;
                Ok(None)
            }
        }
    }

    /// COM_SET_OPTION: multi-statements on or off. The connections that serve it are others from now on.
    pub(super) async fn set_option(&mut self, mut sent: Sent, option: u16) -> Result<(), Gone> {
        let pool = match option == OPTION_OFF {
            true => self.key.pool.without(Capabilities::MULTI_STATEMENTS),
            false => self.key.pool | Capabilities::MULTI_STATEMENTS,
        };
        if let Some(mut held) = self.state.held.take() {
            let came = self
                .exchange(&mut held, &mut sent, Shape::Short, None, false)
                .await?;
            let Came::Answer(_) = came else {
                return Err(Gone);
            };
            self.key.pool = pool;
            held.key.pool = pool;
            held.capabilities = held.capabilities.without(Capabilities::MULTI_STATEMENTS)
                | pool.and(Capabilities::MULTI_STATEMENTS);
            self.state.held = Some(held);
            self.done(sent);
            return Ok(());
        }
        self.key.pool = pool;
        let mut payload = Vec::new();
        let eof = EofPacket {
            warnings: 0,
            status: self.state.status,
        };
        eof.put(&mut payload);
        self.answer(sent, &payload).await
    }

    /// COM_RESET_CONNECTION: all but the database and the user is as at the beginning.
    pub(super) async fn reset(&mut self, sent: Sent) -> Result<(), Gone> {
        self.renew().await;
        self.fine(sent).await
    }

    async fn renew(&mut self) {
        self.release_reset().await;
        let mut state = State::new(self.state.journal.schema(), self.key.collation);
        // What it has seen it has seen.
        state.floor = std::mem::take(&mut self.state.floor);
        state.reader = self.state.reader;
        self.state.tag.is_over.set(true);
        self.state = state;
        self.state.status = Status(Status::AUTOCOMMIT);
        self.face.set_pins(self.state.journal.pins());
        self.face.is_free();
    }

    /// COM_CHANGE_USER: another login on the same connection.
    pub(super) async fn change_user(&mut self, sent: Sent) -> Result<(), Gone> {
        if sent.len > handshake::MAX || !sent.is_whole {
            return Err(Gone);
        }
        let payload = self.client.input.fresh()[HEADER + 1..sent.len].to_vec();
        self.done(sent);
        let Ok(change) = ChangeUser::read(&payload, self.capabilities) else {
            return Err(Gone);
        };
        let plan = std::sync::Arc::clone(&self.core.local().plan);
        let step = self.door.change(&change, |user| enter::secret(&plan, user));
        let end = enter::play(
            &self.core,
            &mut self.client,
            &mut self.door,
            step,
            sent.sequence,
        );
        let (sequence, login) = match end.await {
            Ok(entered) => entered,
            Err(Gone) => {
                self.core.stats(|stats| stats.denied.add(1));
                return Err(Gone);
            }
        };
        self.renew().await;
        let entrant = self.door.entrant().clone();
        let collation = u8::try_from(entrant.collation).unwrap_or(self.key.collation);
        self.begin(login, collation);
        let default = self.login.user.schema.clone().map(String::into_bytes);
        let schema = entrant.database.or(default);
        self.state = State::new(schema.as_deref(), collation);
        self.welcome(sequence).await
    }

    /// The end of a login: OK, or why the database cannot be had.
    pub(super) async fn welcome(&mut self, sequence: u8) -> Result<(), Gone> {
        let sent = Sent {
            len: 0,
            is_whole: true,
            sequence: sequence.wrapping_sub(1),
        };
        if self.state.journal.schema().is_some() {
            match self.acquire(Want::Any, &[]).await {
                Ok(connection) => self.keep(connection),
                Err(refusal) => return self.refuse(sent, &refusal.and_close()).await,
            }
        }
        self.fine(sent).await
    }
}
