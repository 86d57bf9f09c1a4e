//! A statement's way: to a server, its answer back, and what the session learns of it.
//!
//! What may be sent again when its server dies is sent again, to another; what may have been done is not, and
//! the client is told so. Not here: where it goes (`acquire`), and the bytes (`relay`).

use super::{
    relay::{End, Heed, relay},
    server::Connection,
    session::{Gone, Sent, Session},
    sync::id,
    upload::{Rest, send_file, send_rest},
};
use crate::{
    lexer::{Class, SessionChange, Statement, Traits, Transaction, classify},
    refusal::Refusal,
    session::{Answer, Pin},
    wire::{
        Follower, Shape,
        command::StatementId,
        packet::HEADER,
        prepared::Prepared,
        status::Status,
        track::{Change, Changes},
    },
};

/// How often a statement is sent at most.
const ATTEMPTS: usize = 5;

/// How long a server that takes no writes any more is left alone.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// What came of sending a command.
#[derive(Debug)]
pub(super) enum Came {
    /// The answer, all of it.
    Answer(Told),
    /// The server did nothing.
    Caught(Refusal),
    /// It cannot be done, and this is why; the connection is as it was.
    Refused(Refusal),
    /// The server is lost; whether something went to the client already.
    Lost(bool),
}

/// What an answer told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) status: Option<Status>,
    pub(super) is_error: bool,
    pub(super) warnings: u16,
    pub(super) insert_id: u64,
    pub(super) has_rows: bool,
    pub(super) prepared: Option<Prepared>,
}

impl Session {
    /// COM_QUERY.
    pub(super) async fn query(&mut self, sent: Sent) -> Result<(), Gone> {
        let text = HEADER + 1..sent.len;
        let dialect = self.state.journal.dialect();
        let told = classify(
            &self.client.input.fresh()[text.clone()],
            dialect,
            sent.is_whole,
        );
        if let Some(blank) = told.blank.clone() {
            // A hint of Mycat's that servers would take for SQL.
            self.client.input.fresh_mut()[text][blank].fill(b' ');
        }
        if told.class == Class::Kill {
            return Box::pin(self.kill_text(sent, &told)).await;
        }
        self.statement(sent, &told, None).await
    }

    /// COM_QUERY, or COM_STMT_EXECUTE of a prepared statement.
    pub(super) async fn statement(
        &mut self,
        sent: Sent,
        told: &Statement,
        prepared: Option<StatementId>,
    ) -> Result<(), Gone> {
        let shape = match prepared {
            Some(_) => Shape::Execute,
            None => Shape::Query,
        };
        if let Some(refusal) = self.forbids(told) {
            return self.refuse(sent, &refusal).await;
        }
        if let Some(refusal) = self.mind_reader(told).await {
            return self.refuse(sent, &refusal).await;
        }
        self.state.journal.asks(told);
        let may_repeat = sent.is_whole && is_repeatable(told);
        let mut without = Vec::new();
        let mut sent = sent;
        let patience = self.core.local().plan.site.settings.writer_timeout;
        let (mut caught, most_caught) = (0, patience.as_millis() / PAUSE.as_millis());
        for attempt in 1.. {
            let want = self.want(told);
            let mut connection = match self.acquire(want, &without).await {
                Ok(connection) => connection,
                Err(refusal) => return self.refuse(sent, &refusal).await,
            };
            let server = connection.life.place();
            let is_free = self.state.journal.pins().is_empty();
            let catches = is_free && sent.is_whole && caught < most_caught;
            self.count(server, told);
            let came = match prepared {
                Some(id) => self.run(&mut connection, &mut sent, id, catches).await?,
                None => {
                    self.exchange(&mut connection, &mut sent, shape, None, catches)
                        .await?
                }
            };
            match came {
                Came::Answer(answer) => {
                    match prepared {
                        Some(id) => self.learn_prepared(&mut connection, id, told, answer),
                        None => self.learn_text(&mut connection, sent, told, answer),
                    }
                    self.keep(connection);
                    self.done(sent);
                    return Ok(());
                }
                Came::Refused(refusal) => {
                    self.keep(connection);
                    return self.refuse(sent, &refusal).await;
                }
                Came::Caught(refusal) => {
                    // It was the writer a moment ago: the monitors will say who is.
                    drop(connection);
                    tracing::debug!(server, code = refusal.code, "sent again");
                    caught += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Came::Lost(has_sent) => {
                    drop(connection);
                    self.core.server_stats(server, |stats| stats.losses.add(1));
                    let again = may_repeat && is_free && !has_sent && attempt < ATTEMPTS;
                    if !again {
                        return self.tell_lost(sent, told, has_sent).await;
                    }
                    self.core.server_stats(server, |stats| stats.retries.add(1));
                    without.push(server);
                }
            }
        }
        Ok(())
    }

    fn count(&self, server: usize, told: &Statement) {
        let is_read = told.class == Class::Read;
        self.core.server_stats(server, |stats| match is_read {
            true => stats.reads.add(1),
            false => stats.writes.add(1),
        });
    }

    /// Read-only users only read.
    fn forbids(&self, told: &Statement) -> Option<Refusal> {
        if !self.login.user.is_read_only {
            return None;
        }
        let more = Traits::LOCKING
            .with(Traits::INTO)
            .with(Traits::GLOBAL)
            .with(Traits::SEVERAL);
        let may = match told.class {
            Class::Read | Class::Transaction(_) | Class::Session(_) => !told.traits.any(more),
            Class::Kill => true,
            Class::Write | Class::Unknown => false,
        };
        (!may).then(|| Refusal::read_only(&self.login.user.name))
    }

    /// What the session learns of the answer to a text, which is still at the front of what came.
    fn learn_text(
        &mut self,
        connection: &mut Connection,
        sent: Sent,
        told: &Statement,
        answer: Told,
    ) {
        // The buffer is elsewhere for as long as the session learns of it.
        let input = std::mem::take(&mut self.client.input);
        let text = input.fresh().get(HEADER + 1..sent.len).unwrap_or_default();
        self.learn(connection, text, told, answer);
        self.client.input = input;
    }

    /// Sends a command and its answer on.
    pub(super) async fn exchange(
        &mut self,
        connection: &mut Connection,
        sent: &mut Sent,
        shape: Shape,
        number: Option<StatementId>,
        catches: bool,
    ) -> Result<Came, Gone> {
        self.client.watch.waits_for(Some(connection.life.place()));
        let core = std::rc::Rc::clone(&self.core);
        let sequence = self.send(connection, sent).await?.wrapping_add(1);
        let mut follower = Follower::new(shape, connection.capabilities, sequence);
        let mut heed = Heed::new(self.capabilities, &mut self.state.changes, &mut self.out);
        (heed.number, heed.catches) = (number, catches);
        loop {
            let end = relay(
                &core,
                &mut self.client,
                connection,
                &mut follower,
                &mut heed,
            )
            .await;
            match end {
                End::Done => break,
                End::Caught(refusal) => return Ok(Came::Caught(refusal)),
                End::Gone => return Err(Gone),
                End::Lost(trouble) => {
                    tracing::debug!(%trouble, "a connection is lost");
                    let has_sent = heed.has_sent;
                    if has_sent {
                        // An error can stand where a packet would, and nowhere else.
                        sent.sequence = follower.next_sequence().wrapping_sub(1);
                        if !follower.is_between() {
                            return Err(Gone);
                        }
                    }
                    return Ok(Came::Lost(has_sent));
                }
                End::File => {
                    // The command is done with: what comes now is the file.
                    self.client.input.take(sent.len);
                    sent.len = 0;
                    let file = send_file(&core, &mut self.client, connection).await?;
                    let (sequence, is_taken) = file;
                    if !is_taken {
                        sent.sequence = sequence;
                        return Ok(Came::Lost(true));
                    }
                    follower.resume(sequence.wrapping_add(1));
                }
            }
        }
        Ok(Came::Answer(Told {
            status: heed.status,
            is_error: heed.is_error,
            warnings: heed.warnings,
            insert_id: heed.insert_id,
            has_rows: follower.tally().rows > 0,
            prepared: heed.prepared,
        }))
    }

    /// Sends a command; the sequence of its last packet. A server that takes no more may have said why: that
    /// is seen by who reads its answer.
    async fn send(&mut self, connection: &mut Connection, sent: &mut Sent) -> Result<u8, Gone> {
        let mut is_stuck = connection.say_pending().await.is_err();
        let front = &self.client.input.fresh()[..sent.len];
        // A command that had to be changed goes instead of what came.
        let bytes = connection.instead.take();
        let bytes = bytes.as_deref().unwrap_or(front);
        is_stuck |= connection.link.write_all(bytes).await.is_err();
        if sent.is_whole {
            return Ok(sent.sequence);
        }
        let mut rest = Rest::behind(front);
        self.client.input.take(sent.len);
        (sent.len, sent.is_whole) = (0, true);
        let core = std::rc::Rc::clone(&self.core);
        send_rest(&core, &mut self.client, connection, &mut rest, !is_stuck).await?;
        sent.sequence = rest.sequence;
        Ok(rest.sequence)
    }

    /// What the session learns of an answer.
    pub(super) fn learn(
        &mut self,
        connection: &mut Connection,
        text: &[u8],
        told: &Statement,
        answer: Told,
    ) {
        let state = &mut self.state;
        if let Some(status) = answer.status {
            state.status = Status(
                status.0
                    & !(Status::MORE_RESULTS
                        | Status::SESSION_CHANGED
                        | Status::CURSOR
                        | Status::LAST_ROW),
            );
        }
        let changes = std::mem::take(&mut state.changes);
        state.journal.answered(
            text,
            told,
            &Answer {
                status: answer.status,
                is_error: answer.is_error,
                warnings: answer.warnings,
                last_insert_id: answer.insert_id,
                changes: Changes::new(&changes),
            },
        );
        state.changes = changes;
        if answer.insert_id != 0 {
            state.insert_id = answer.insert_id;
            state.insert_at = Some(connection.life.place());
            connection.has_insert_id = true;
        }
        let server = connection.life.place();
        state.last = Some(server);
        if changes_state(told, Changes::new(&state.changes)) {
            state.version += 1;
            connection.version = state.version;
            connection.schema = state.journal.schema().map(Box::from);
        }
        if answer.has_rows {
            state.floor.read(id(server));
            if told.class == Class::Read {
                state.reader = Some(server);
            }
        }
        if !state.changes.is_empty() {
            let local = self.core.local();
            self.wrote(&local, server);
        }
        self.face.set_pins(self.state.journal.pins());
    }

    /// The connection stays with a session that is tied to it; else it is the pool's.
    pub(super) fn keep(&mut self, connection: Box<Connection>) {
        if self.state.journal.pins().is_empty() {
            self.face.is_free();
            self.give(connection);
        } else {
            self.state.held = Some(connection);
        }
    }

    /// The server was lost with a statement in flight that is not sent again.
    async fn tell_lost(
        &mut self,
        sent: Sent,
        told: &Statement,
        has_sent: bool,
    ) -> Result<(), Gone> {
        let pins = self.state.journal.pins();
        let is_commit = told.class == Class::Transaction(Transaction::Commit);
        let refusal = match pins.iter().find(|pin| pin.is_lost_with_the_connection()) {
            Some(_) if is_commit => {
                let lost = self.lost(Pin::Transaction);
                self.core.stats(|stats| stats.unknown_outcomes.add(1));
                match lost.is_final {
                    true => Refusal::unknown_outcome().and_close(),
                    false => Refusal::unknown_outcome(),
                }
            }
            Some(pin) => self.lost(pin),
            None if told.class == Class::Read => match has_sent {
                true => Refusal::broken_answer(),
                false => Refusal::no_server(),
            },
            None => {
                self.core.stats(|stats| stats.unknown_outcomes.add(1));
                Refusal::unknown_outcome()
            }
        };
        self.state.journal.rolled_back();
        self.face.set_pins(self.state.journal.pins());
        self.face.is_free();
        self.refuse(sent, &refusal).await
    }

    /// What a session has is given back as if it had never been there.
    pub(super) async fn release_reset(&mut self) {
        let Some(mut held) = self.state.held.take() else {
            return;
        };
        // What it holds on the server (locks, a transaction) is given back at once, not by the next who
        // comes.
        held.of = None;
        self.client.watch.waits_for(None);
        let reset = async {
            held.send(&[&[0x1f]]).await?;
            held.ok(&super::watch::Watch::new(None)).await
        };
        let patience = self.core.local().plan.site.settings.connect_timeout;
        if let Ok(Ok(Ok(_))) = tokio::time::timeout(patience, reset).await {
            self.give(held);
        }
    }
}

/// Whether doing it twice is as doing it once.
fn is_repeatable(told: &Statement) -> bool {
    let effects = Traits::UNKNOWN_FUNCTION
        .with(Traits::TAKES_LOCK)
        .with(Traits::GIVES_LOCK)
        .with(Traits::SEQUENCE)
        .with(Traits::INTO)
        .with(Traits::SETS_USER_VARIABLE)
        .with(Traits::WRITES)
        .with(Traits::GLOBAL)
        .with(Traits::SEVERAL)
        .with(Traits::OPAQUE);
    let is_harmless = matches!(
        told.class,
        Class::Read
            | Class::Transaction(Transaction::Begin | Transaction::BeginReadOnly)
            | Class::Session(
                SessionChange::Schema
                    | SessionChange::Charset
                    | SessionChange::Variables
                    | SessionChange::Isolation
            )
    );
    is_harmless && !told.traits.any(effects)
}

/// Whether another connection of this session has to be told something now.
fn changes_state(told: &Statement, changes: Changes<'_>) -> bool {
    let more = Traits::SETS_VARIABLE
        .with(Traits::SCHEMA)
        .with(Traits::AUTOCOMMIT);
    let is_change = |change| match change {
        Ok(Change::Variable { name, .. }) => name != b"last_gtid",
        Ok(Change::Schema(_)) | Err(_) => true,
        Ok(
            Change::State(_)
            | Change::Gtids(_)
            | Change::Characteristics(_)
            | Change::Transaction(_)
            | Change::Other(..),
        ) => false,
    };
    matches!(told.class, Class::Session(_))
        || told.traits.any(more)
        || changes.iter().any(is_change)
}
