//! One client's session: command after command, and what is left of it at its end.
//!
//! Not here: what each command does (`commands`, `exchange`, `prepared`), and the login (`enter`).

use std::{
    future::poll_fn,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use super::{
    Core,
    buffer::{Buffer, LENT},
    link::Link,
    server::{Connection, Key, Tag},
    watch::{Over, Ticks, Watch, ticks},
};
use crate::{
    faces::Face,
    plan::Login,
    refusal::Refusal,
    session::{Journal, Statements, causal::Floor},
    wire::{
        Capabilities, Command,
        door::Door,
        packet::{FULL, HEADER, Header, put_message},
        status::{OkPacket, Status},
    },
};

/// Bytes of a command that are held and looked at whole; what is longer goes on in pieces.
pub(super) const HELD: usize = 128 << 10;

/// Of clients that wait for a command, as servers' `wait_timeout`.
const IDLE: Duration = Duration::from_secs(8 * 3600);

/// The client is gone, or must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// The client's end.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) link: Link,
    pub(super) input: Buffer,
    pub(super) watch: Rc<Watch>,
}

/// What is of the session, whatever connection serves it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) journal: Journal,
    pub(super) floor: Floor,
    pub(super) statements: Statements,
    /// The connection that it is tied to.
    pub(super) held: Option<Box<Connection>>,
    /// What it leaves on connections.
    pub(super) tag: Rc<Tag>,
    /// Which state it is in: one more with each change that another connection has to be told.
    pub(super) version: u64,
    /// The server that it read from last.
    pub(super) reader: Option<usize>,
    /// The server that had its last statement.
    pub(super) last: Option<usize>,
    /// The id in the last OK.
    pub(super) insert_id: u64,
    /// And the server that said it.
    pub(super) insert_at: Option<usize>,
    /// The flags of the last OK or EOF, for answers of the proxy's own.
    pub(super) status: Status,
    /// What the last answer told of changes.
    pub(super) changes: Vec<u8>,
}

impl State {
    /// At the beginning of a session.
    pub(super) fn new(schema: Option<&[u8]>, collation: u8) -> Self {
        Self {
            journal: Journal::new(schema, collation.into()),
            floor: Floor::default(),
            statements: Statements::new(),
            held: None,
            tag: Rc::default(),
            version: 0,
            reader: None,
            last: None,
            insert_id: 0,
            insert_at: None,
            status: Status(Status::AUTOCOMMIT),
            changes: Vec::new(),
        }
    }
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) core: Rc<Core>,
    pub(super) client: Client,
    pub(super) face: Arc<Face>,
    pub(super) login: Arc<Login>,
    /// What its client agreed to.
    pub(super) capabilities: Capabilities,
    /// Which connections can serve it.
    pub(super) key: Key,
    /// For another login on the same connection.
    pub(super) door: Door,
    pub(super) state: State,
    /// Reused for packets of the proxy's own.
    pub(super) out: Vec<u8>,
}

/// A command, as it stands at the front of the client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Bytes of it that are there, with its header.
    pub(super) len: usize,
    /// All of it is there.
    pub(super) is_whole: bool,
    /// The sequence of its header.
    pub(super) sequence: u8,
}

impl Client {
    /// Reads some more. Without anything in it the buffer has no memory, so that a session that waits
    /// costs none.
    pub(super) async fn read(
        &mut self,
        core: &Core,
        at_least: usize,
        most: usize,
    ) -> Result<(), Gone> {
        let Self { link, input, watch } = self;
        poll_fn(|cx| {
            if matches!(watch.over(), Some(over) if over != Over::ServerGone) {
                return Poll::Ready(Err(Gone));
            }
            let has_none = input.is_empty();
            if has_none {
                if link.poll_readable(cx).is_pending() {
                    watch.park(cx);
                    return Poll::Pending;
                }
                core.store.borrow_mut().lend(input);
            }
            match link.poll_read(cx, input.room(at_least, most)) {
                Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Gone)),
                Poll::Ready(Ok(bytes)) => {
                    input.came(bytes);
                    Poll::Ready(Ok(()))
                }
                Poll::Pending => {
                    core.store.borrow_mut().take(input);
                    watch.park(cx);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        let Self { link, watch, .. } = self;
        while !bytes.is_empty() {
            let written = poll_fn(|cx| {
                if watch.over() == Some(Over::Killed) {
                    return Poll::Ready(Err(Gone));
                }
                match link.poll_write(cx, bytes) {
                    Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Gone)),
                    Poll::Ready(Ok(written)) => Poll::Ready(Ok(written)),
                    Poll::Pending => {
                        watch.park(cx);
                        Poll::Pending
                    }
                }
            });
            bytes = &bytes[written.await?..];
        }
        Ok(())
    }

    /// The next packet whole, which has to be short: its sequence, and its payload, which stays at the
    /// front of the bytes.
    pub(super) async fn packet(&mut self, core: &Core, most: usize) -> Result<(u8, usize), Gone> {
        loop {
            let fresh = self.input.fresh();
            if let Some(header) = Header::read(fresh) {
                if header.len > most {
                    return Err(Gone);
                }
                if fresh.len() >= HEADER + header.len {
                    return Ok((header.sequence, header.len));
                }
            }
            self.read(core, 1, most + HEADER).await?;
        }
    }
}

impl Session {
    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        while self.command().await.is_ok() {
            if self.core.is_draining() && self.state.held.is_none() && self.client.input.is_empty()
            {
                break;
            }
        }
        self.leave().await;
    }

    async fn command(&mut self) -> Result<(), Gone> {
        self.client.watch.until(self.core.tick.get() + ticks(IDLE));
        self.client.watch.waits_for_client();
        let sent = self.next().await?;
        self.client.watch.waits_for(None);
        self.client.watch.until(Ticks::MAX);
        self.face.statements.fetch_add(1, Relaxed);
        let payload = &self.client.input.fresh()[HEADER..sent.len];
        let Ok(command) = Command::read(payload) else {
            let refusal = Refusal::new(1835, b"HY000", "Malformed communication packet");
            return self.refuse(sent, &refusal.and_close()).await;
        };
        // What is short by nature has to be whole.
        match command {
            Command::Query(_) => self.query(sent).await,
            Command::Execute(id, flags) => self.execute(sent, id, flags).await,
            Command::Quit => Err(Gone),
            Command::Prepare(_) => self.prepare(sent).await,
            Command::LongData(id) => self.long_data(sent, id).await,
            Command::Close(id) => self.close(sent, id).await,
            Command::ResetStatement(id) => self.reset_statement(sent, id).await,
            Command::Fetch(id, _) => self.fetch(sent, id).await,
            Command::Ping => self.fine(sent).await,
            Command::InitDb(_) => self.init_db(sent).await,
            Command::FieldList(_) | Command::Statistics | Command::ProcessInfo => {
                let shape = command.shape();
                self.ask_any(sent, shape).await
            }
            Command::Kill(id) => self.kill(sent, id.into(), false).await,
            Command::ChangeUser(_) => self.change_user(sent).await,
            Command::SetOption(option) => self.set_option(sent, option).await,
            Command::Reset => self.reset(sent).await,
            Command::Refused(code) => {
                let refusal = Refusal::new(1047, b"08S01", Command::refusal(code));
                self.refuse(sent, &refusal).await
            }
        }
    }

    /// Waits for the next command, or as much of it as is held.
    async fn next(&mut self) -> Result<Sent, Gone> {
        loop {
            let fresh = self.client.input.fresh();
            if let Some(header) = Header::read(fresh) {
                let due = HEADER + header.len;
                if fresh.len() >= due && header.len < FULL {
                    if header.len == 0 {
                        return Err(Gone);
                    }
                    return Ok(Sent {
                        len: due,
                        is_whole: true,
                        sequence: header.sequence,
                    });
                }
                if due > HELD && fresh.len() >= HELD {
                    return Ok(Sent {
                        len: fresh.len().min(due),
                        is_whole: false,
                        sequence: header.sequence,
                    });
                }
                let missing = due.min(HELD).saturating_sub(fresh.len()).max(1);
                self.client.read(&self.core, missing, HELD + LENT).await?;
            } else {
                self.client.read(&self.core, 1, HELD + LENT).await?;
            }
        }
    }

    /// The command is done with.
    pub(super) fn done(&mut self, sent: Sent) {
        self.client.input.take(sent.len);
        self.core.store.borrow_mut().take(&mut self.client.input);
    }

    /// Answers by OK.
    pub(super) async fn fine(&mut self, sent: Sent) -> Result<(), Gone> {
        let ok = OkPacket {
            status: self.state.status,
            ..OkPacket::default()
        };
        let mut payload = Vec::with_capacity(16);
        ok.put(&mut payload, 0, self.capabilities);
        self.answer(sent, &payload).await
    }

    /// Answers by an error.
    pub(super) async fn refuse(&mut self, sent: Sent, refusal: &Refusal) -> Result<(), Gone> {
        let mut payload = Vec::new();
        refusal.put(&mut payload);
        // What is still to come would be taken for commands: it is read and thrown away.
        let sent = match sent.is_whole {
            true => sent,
            false => self.swallow(sent).await?,
        };
        let answered = self.answer(sent, &payload).await;
        match refusal.is_final {
            true => Err(Gone),
            false => answered,
        }
    }

    /// Answers by one packet.
    pub(super) async fn answer(&mut self, sent: Sent, payload: &[u8]) -> Result<(), Gone> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        put_message(&mut out, sent.sequence.wrapping_add(1), payload);
        let written = self.client.write(&out).await;
        self.out = out;
        self.done(sent);
        written
    }

    /// Gives back what it has.
    async fn leave(mut self) {
        self.face.is_free();
        self.state.tag.is_over.set(true);
        self.release_reset().await;
    }
}
