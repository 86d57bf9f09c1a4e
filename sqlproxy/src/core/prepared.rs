//! Prepared statements of the binary protocol: prepared again on whichever connection they are executed on,
//! under the client's number everywhere.
//!
//! Not here: the numbers ([`crate::session::prepared`]); sending again (`exchange`).

use super::{
    acquire::Want,
    exchange::{Came, Told},
    relay::on,
    server::{Connection, Trouble},
    session::{Gone, HELD, Sent, Session},
};
use crate::{
    lexer::{Class, Statement, classify},
    refusal::Refusal,
    session::{Pin, prepared::Prepared},
    wire::{
        Follower, Shape,
        command::{StatementId, renumber},
        packet::{HEADER, Header, put_message},
        reply::{Packet, Step},
        status::Status,
    },
};

/// Where the parameters begin in COM_STMT_EXECUTE: command, number, flags, iterations.
const PARAMETERS: usize = 10;

impl Session {
    /// COM_STMT_PREPARE.
    pub(super) async fn prepare(&mut self, mut sent: Sent) -> Result<(), Gone> {
        if !sent.is_whole {
            let text = format!("viaduct: a statement of more than {HELD} bytes cannot be prepared");
            return self.refuse(sent, &Refusal::new(1153, b"08S01", text)).await;
        }
        let Ok(number) = self.state.statements.next() else {
            let text = "Can't create more than max_prepared_stmt_count statements";
            return self.refuse(sent, &Refusal::new(1461, b"42000", text)).await;
        };
        let text: std::sync::Arc<[u8]> = self.client.input.fresh()[HEADER + 1..sent.len].into();
        let mut told = classify(&text, self.state.journal.dialect(), true);
        // A hint of Mycat's would be SQL to servers.
        if let Some(blank) = told.blank.take() {
            self.client.input.fresh_mut()[HEADER + 1..sent.len][blank].fill(b' ');
        }
        let text = match self.client.input.fresh().get(HEADER + 1..sent.len) {
            Some(text) => text.into(),
            None => text,
        };
        let mut without = Vec::new();
        loop {
            let want = self.want(&told);
            let mut connection = match self.acquire(want, &without).await {
                Ok(connection) => connection,
                Err(refusal) => return self.refuse(sent, &refusal).await,
            };
            let server = connection.life.place();
            match self
                .exchange(
                    &mut connection,
                    &mut sent,
                    Shape::Prepare,
                    Some(number),
                    false,
                )
                .await?
            {
                Came::Answer(answer) => {
                    if let Some(head) = answer.prepared.filter(|_| !answer.is_error) {
                        let first = on(&connection, &head);
                        let added = self
                            .state
                            .statements
                            .add(text, told, head.parameters, first);
                        debug_assert_eq!(added, Ok(number));
                    }
                    self.keep(connection);
                    self.done(sent);
                    return Ok(());
                }
                Came::Lost(false) if self.state.journal.pins().is_empty() && without.len() < 3 => {
                    without.push(server);
                }
                Came::Lost(_) | Came::Caught(_) | Came::Refused(_) => {
                    let refusal = match self.state.journal.pins().first() {
                        Some(pin) => self.lost(pin),
                        None => Refusal::no_server(),
                    };
                    return self.refuse(sent, &refusal).await;
                }
            }
        }
    }

    /// COM_STMT_EXECUTE.
    pub(super) async fn execute(
        &mut self,
        sent: Sent,
        id: StatementId,
        _flags: u8,
    ) -> Result<(), Gone> {
        let Some(prepared) = self.state.statements.get(id) else {
            return self.unknown(sent, id, "mysqld_stmt_execute").await;
        };
        let told = prepared.told.clone();
        if told.class == Class::Kill {
            let text = "viaduct: KILL cannot be prepared: its number is the proxy's";
            return self.refuse(sent, &Refusal::new(1295, b"HY000", text)).await;
        }
        self.statement(sent, &told, Some(id)).await
    }

    /// Executes a statement on a connection, where it is prepared first if it is not.
    pub(super) async fn run(
        &mut self,
        connection: &mut Connection,
        sent: &mut Sent,
        id: StatementId,
        catches: bool,
    ) -> Result<Came, Gone> {
        match self.ready(connection, id).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => return Ok(Came::Refused(refusal)),
            Err(_) => return Ok(Came::Lost(false)),
        }
        let Some(prepared) = self.state.statements.get(id) else {
            return Err(Gone);
        };
        let command = &mut self.client.input.fresh_mut()[HEADER..sent.len];
        if let Some(there) = prepared.on(connection.id) {
            renumber(command, there);
        }
        connection.instead = with_types(prepared, connection, command, sent.sequence);
        self.exchange(connection, sent, Shape::Execute, None, catches)
            .await
    }

    /// Sees to it that a statement is prepared on a connection.
    async fn ready(
        &mut self,
        connection: &mut Connection,
        id: StatementId,
    ) -> Result<Result<(), Refusal>, Trouble> {
        let Some(prepared) = self.state.statements.get(id) else {
            return Ok(Ok(()));
        };
        if prepared.on(connection.id).is_some() {
            return Ok(Ok(()));
        }
        let text = std::sync::Arc::clone(&prepared.text);
        connection.send(&[&[b"\x16", &*text].concat()]).await?;
        let mut follower = Follower::new(Shape::Prepare, connection.capabilities, 1);
        let mut refusal = None;
        loop {
            let taken = match follower.step(connection.input.fresh())? {
                Step::Pass(bytes) => bytes,
                Step::Packet { len, packet, .. } => {
                    match packet {
                        Packet::Prepared(head) => {
                            let (at, number) = on(connection, &head);
                            prepared.prepared(at, number);
                        }
                        Packet::Err(err) => refusal = Some(Refusal::of(&err)),
                        Packet::Ok { .. }
                        | Packet::Eof(_)
                        | Packet::File(_)
                        | Packet::Switch(_)
                        | Packet::More(_) => {}
                    }
                    len
                }
                Step::Need(bytes) => {
                    let missing = bytes.saturating_sub(connection.input.fresh().len()).max(1);
                    connection
                        .read(missing, 2 * HELD, Some(&self.client.watch))
                        .await?;
                    0
                }
                Step::Done | Step::Wait => break,
            };
            connection.input.take(taken);
        }
        Ok(refusal.map_or(Ok(()), Err))
    }

    /// What the session learns of an execution.
    pub(super) fn learn_prepared(
        &mut self,
        connection: &mut Connection,
        id: StatementId,
        told: &Statement,
        answer: Told,
    ) {
        let Some(prepared) = self.state.statements.get(id) else {
            return;
        };
        let text = std::sync::Arc::clone(&prepared.text);
        let has_cursor = answer
            .status
            .is_some_and(|status| status.has(Status::CURSOR));
        let had = prepared.cursor.is_some() || prepared.pieces.is_some();
        prepared.cursor = has_cursor.then_some(connection.id);
        prepared.pieces = None;
        if has_cursor || had {
            self.tie();
        }
        self.learn(connection, &text, told, answer);
    }

    /// What statements tie the session by.
    fn tie(&mut self) {
        let (cursor, pieces) = self.state.statements.ties();
        self.state.journal.set(Pin::Cursor, cursor);
        self.state.journal.set(Pin::LongData, pieces);
        self.face.set_pins(self.state.journal.pins());
    }

    /// COM_STMT_SEND_LONG_DATA, which has no answer. Where it cannot be sent, the session ends.
    pub(super) async fn long_data(&mut self, mut sent: Sent, id: StatementId) -> Result<(), Gone> {
        let Some(prepared) = self.state.statements.get(id) else {
            let sent = match sent.is_whole {
                true => sent,
                false => self.swallow(sent).await?,
            };
            self.done(sent);
            return Ok(());
        };
        let told = prepared.told.clone();
        let want = self.want(&told);
        let acquired = self.acquire(want, &[]).await;
        let mut connection = acquired.ok().ok_or(Gone)?;
        if !matches!(self.ready(&mut connection, id).await, Ok(Ok(()))) {
            return Err(Gone);
        }
        let prepared = self.state.statements.get(id).ok_or(Gone)?;
        prepared.pieces = Some(connection.id);
        if let Some(there) = prepared.on(connection.id) {
            renumber(&mut self.client.input.fresh_mut()[HEADER..sent.len], there);
        }
        self.tie();
        self.exchange(&mut connection, &mut sent, Shape::Nothing, None, false)
            .await?;
        self.keep(connection);
        self.done(sent);
        Ok(())
    }

    /// COM_STMT_CLOSE, which has no answer. Connections are told with the next command.
    pub(super) async fn close(&mut self, sent: Sent, id: StatementId) -> Result<(), Gone> {
        if let Some(prepared) = self.state.statements.remove(id) {
            let local = self.core.local();
            for (at, number) in prepared.everywhere() {
                let close = |connection: &mut Connection| {
                    let mut command = [0x19, 0, 0, 0, 0];
                    renumber(&mut command, *number);
                    put_message(&mut connection.pending, 0, &command);
                };
                match &mut self.state.held {
                    Some(held) if held.id == *at => close(held),
                    Some(_) | None => local.pools.iter().for_each(|pool| pool.with(*at, close)),
                }
            }
            self.tie();
            self.loosen();
        }
        self.done(sent);
        Ok(())
    }

    /// A pin may have gone: the connection is the pool's again.
    fn loosen(&mut self) {
        if let Some(held) = self.state.held.take() {
            self.keep(held);
        }
    }

    /// COM_STMT_RESET.
    pub(super) async fn reset_statement(
        &mut self,
        mut sent: Sent,
        id: StatementId,
    ) -> Result<(), Gone> {
        let Some(prepared) = self.state.statements.get(id) else {
            return self.unknown(sent, id, "mysqld_stmt_reset").await;
        };
        let there = self
            .state
            .held
            .as_ref()
            .and_then(|held| prepared.on(held.id));
        (prepared.cursor, prepared.pieces) = (None, None);
        self.tie();
        let (Some(there), Some(mut held)) = (there, self.state.held.take()) else {
            return self.fine(sent).await;
        };
        renumber(&mut self.client.input.fresh_mut()[HEADER..sent.len], there);
        match self
            .exchange(&mut held, &mut sent, Shape::Short, None, false)
            .await?
        {
            Came::Answer(_) => {
                self.keep(held);
                self.done(sent);
                Ok(())
            }
            Came::Lost(_) | Came::Caught(_) | Came::Refused(_) => Err(Gone),
        }
    }

    /// COM_STMT_FETCH.
    pub(super) async fn fetch(&mut self, mut sent: Sent, id: StatementId) -> Result<(), Gone> {
        let Some(prepared) = self.state.statements.get(id) else {
            return self.unknown(sent, id, "mysqld_stmt_fetch").await;
        };
        if prepared.cursor.is_none() {
            let text = format!("The statement ({}) has no open cursor.", id.0);
            return self.refuse(sent, &Refusal::new(1421, b"HY000", text)).await;
        }
        let mut connection = match self.acquire(Want::Held(Pin::Cursor), &[]).await {
            Ok(connection) => connection,
            Err(refusal) => return self.refuse(sent, &refusal).await,
        };
        let Some(there) = self
            .state
            .statements
            .get(id)
            .and_then(|one| one.on(connection.id))
        else {
            return Err(Gone);
        };
        renumber(&mut self.client.input.fresh_mut()[HEADER..sent.len], there);
        match self
            .exchange(&mut connection, &mut sent, Shape::Rows, None, false)
            .await?
        {
            Came::Answer(answer) => {
                let is_last = answer
                    .status
                    .is_some_and(|status| status.has(Status::LAST_ROW));
                if is_last || answer.is_error {
                    if let Some(prepared) = self.state.statements.get(id) {
                        prepared.cursor = None;
                    }
                    self.tie();
                }
                self.keep(connection);
                self.done(sent);
                Ok(())
            }
            Came::Lost(_) | Came::Caught(_) | Came::Refused(_) => {
                drop(connection);
                let refusal = self.lost(Pin::Cursor);
                self.refuse(sent, &refusal).await
            }
        }
    }

    async fn unknown(&mut self, sent: Sent, id: StatementId, what: &str) -> Result<(), Gone> {
        let text = format!(
            "Unknown prepared statement handler ({}) given to {what}",
            id.0
        );
        self.refuse(sent, &Refusal::new(1243, b"HY000", text)).await
    }
}

/// An execution leaves the types of its parameters out where its server knows them; another server has to
/// be told: the command with them, if it needs another. What was told is noted.
fn with_types(
    prepared: &mut Prepared,
    connection: &Connection,
    command: &[u8],
    sequence: u8,
) -> Option<Vec<u8>> {
    if prepared.parameters == 0 {
        return None;
    }
    let count = usize::from(prepared.parameters);
    let bound = PARAMETERS + count.div_ceil(8);
    let values = bound + 1;
    if command.get(bound) == Some(&1) {
        if let Some(types) = command.get(values..values + 2 * count) {
            prepared.typed(connection.id, types);
        }
        return None;
    }
    if prepared.is_typed(connection.id) {
        return None;
    }
    let types = prepared.types.clone()?;
    prepared.typed(connection.id, &types);
    let payload = [command.get(..bound)?, &[1], &types, command.get(values..)?].concat();
    let mut out = Vec::with_capacity(payload.len() + HEADER);
    let header = Header {
        len: payload.len(),
        sequence,
    };
    out.extend_from_slice(&header.bytes());
    out.extend_from_slice(&payload);
    Some(out)
}
