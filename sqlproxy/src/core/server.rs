//! A connection to a server: made by [`Knock`], asked short questions, brought into a session's state.
//!
//! Not here: which server, and whose turn it is (`pool`, `acquire`); long answers (`relay`).

use std::{cell::Cell, future::poll_fn, io, rc::Rc, sync::Arc, task::Poll, time::Duration};

use tokio::net::TcpStream;

use super::{
    buffer::Buffer,
    link::Link,
    tls::Tls,
    watch::{Over, Ticks, Watch},
};
use crate::{
    plan::{Credentials, ServerLife},
    refusal::Refusal,
    session::prepared::ConnectionId,
    trust::{Mode, Way},
    wire::{
        Capabilities, WireError,
        fields::Fields,
        handshake,
        knock::{Account, Knock, Refused, Say},
        packet::{HEADER, put_message, whole},
        status::{ErrPacket, OkPacket, Status},
    },
};

/// Longest answer to a question of the proxy's own.
const SHORT: usize = 64 << 10;

/// Which sessions a connection can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// As whom it is logged in.
    pub(super) account: Arc<Credentials>,
    /// The collation of its login.
    pub(super) collation: u8,
    /// What was agreed for its clients ([`Capabilities::OF_A_POOL`]).
    pub(super) pool: Capabilities,
}

/// What a session leaves on the connections that it had.
#[derive(Debug, Default)]
pub(super) struct Tag {
    /// It has ended: nobody misses what it had.
    pub(super) is_over: Cell<bool>,
    /// Another session took the connection that could still be asked for LAST_INSERT_ID: this is it.
    pub(super) insert_id: Cell<Option<u64>>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) life: Seat,
    /// The server's number of it.
    pub(super) number: u32,
    pub(super) link: Link,
    pub(super) input: Buffer,
    pub(super) capabilities: Capabilities,
    pub(super) key: Key,
    /// Its default database.
    pub(super) schema: Option<Box<[u8]>>,
    /// The session that had it last.
    pub(super) of: Option<Rc<Tag>>,
    /// The state of that session that it is in.
    pub(super) version: u64,
    /// It could be asked for that session's LAST_INSERT_ID.
    pub(super) has_insert_id: bool,
    /// Nobody had it yet.
    pub(super) is_fresh: bool,
    /// Commands without an answer that go before the next one.
    pub(super) pending: Vec<u8>,
    /// What goes instead of the command that came.
    pub(super) instead: Option<Vec<u8>>,
    pub(super) born: Ticks,
    pub(super) idle_since: Ticks,
}

/// A place among a server's connections, which is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    life: Arc<ServerLife>,
    is_counted: bool,
}

impl Seat {
    /// One of so many, if there is one left.
    pub(super) fn take(life: &Arc<ServerLife>, most: u32) -> Option<Self> {
        life.admit(most).then(|| Self {
            life: Arc::clone(life),
            is_counted: true,
        })
    }

    /// One beside them, for who looks after the server: `max_connections` is for clients' statements.
    pub(super) fn beside(life: &Arc<ServerLife>) -> Self {
        Self {
            life: Arc::clone(life),
            is_counted: false,
        }
    }
}

impl std::ops::Deref for Seat {
    type Target = ServerLife;

    fn deref(&self) -> &ServerLife {
        &self.life
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.is_counted {
            self.life.left();
        }
    }
}

/// Why a connection is of no use any more, or does not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its bytes make no sense.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The login was refused.
    #[error(transparent)]
    Login(#[from] Refused),
    /// Whoever waits for it need not wait.
    #[error("the waiting is over")]
    Over(Over),
    /// It took too long.
    #[error("no answer in time")]
    Late,
}

/// A short answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// OK.
    Ok,
    /// The first value of the first row, if there is any; `None`: NULL.
    Value(Option<Vec<u8>>),
    /// An error.
    Err(Refusal),
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(
        id: ConnectionId,
        life: Seat,
        key: Key,
        way: &Way,
        now: Ticks,
        patience: Duration,
    ) -> Result<Box<Self>, Trouble> {
        let opening = Self::login(id, life, key, way, now);
        match tokio::time::timeout(patience, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(Trouble::Late),
        }
    }

    async fn login(
        id: ConnectionId,
        life: Seat,
        key: Key,
        way: &Way,
        now: Ticks,
    ) -> Result<Box<Self>, Trouble> {
        let stream = TcpStream::connect(life.address).await?;
        stream.set_nodelay(true)?;
        let mut connection = Box::new(Self {
            id,
            life,
            number: 0,
            link: Link::Tcp(stream),
            input: Buffer::default(),
            capabilities: Capabilities::NONE,
            schema: None,
            of: None,
            version: 0,
            has_insert_id: false,
            is_fresh: true,
            pending: Vec::new(),
            instead: None,
            born: now,
            idle_since: now,
            key,
        });
        let mut knock = Knock::new(connection.account(way.mode));
        let mut out = Vec::new();
        loop {
            let (mut sequence, mut said) = {
                let (sequence, payload) = connection.packet(handshake::MAX, None).await?;
                (sequence.wrapping_add(1), knock.heard(&payload)?)
            };
            if let Say::Tls(request) = said {
                out.clear();
                sequence = put_message(&mut out, sequence, &request);
                connection.link.write_all(&out).await?;
                let machine = way.machine().map_err(io::Error::other)?;
                let shaken = connection.link.secure(|tcp| Tls::connect(tcp, machine));
                shaken.await?;
                said = knock.secured();
            }
            match said {
                Say::Send(payload) => {
                    out.clear();
                    put_message(&mut out, sequence, &payload);
                    connection.link.write_all(&out).await?;
                }
                Say::Wait => {}
                Say::In(_) => break,
                Say::Tls(_) | Say::Encrypt { .. } => return Err(Refused::Listeners.into()),
            }
        }
        connection.capabilities = knock.capabilities();
        if let Some(greeting) = knock.greeting() {
            connection.number = greeting.connection;
            connection.life.greeted(greeting);
        }
        Ok(connection)
    }

    fn account(&self, mode: Mode) -> Account {
        Account {
            user: self.key.account.user.clone(),
            password: self.key.account.password.clone(),
            database: None,
            collation: self.key.collation,
            pool: self.key.pool,
            attributes: Vec::new(),
            is_local: matches!(self.link, Link::Unix(_)),
            wants_tls: mode != Mode::Off,
            needs_tls: matches!(mode, Mode::VerifyCa | Mode::VerifyIdentity),
            takes_key: false,
        }
    }

    /// The next packet: its sequence and payload.
    pub(super) async fn packet(
        &mut self,
        most: usize,
        watch: Option<&Watch>,
    ) -> Result<(u8, Vec<u8>), Trouble> {
        loop {
            if let Some((header, payload, end)) = whole(self.input.fresh(), most, "an answer")? {
                let packet = (header.sequence, payload.to_vec());
                self.input.take(end);
                return Ok(packet);
            }
            self.read(1, most + HEADER, watch).await?;
        }
    }

    /// Reads some more.
    pub(super) async fn read(
        &mut self,
        at_least: usize,
        most: usize,
        watch: Option<&Watch>,
    ) -> Result<(), Trouble> {
        let (link, input) = (&mut self.link, &mut self.input);
        let bytes = poll_fn(|cx| {
            if let Some(over) = watch.and_then(Watch::over) {
                return Poll::Ready(Err(Trouble::Over(over)));
            }
            match link.poll_read(cx, input.room(at_least, most)) {
                Poll::Ready(Ok(0)) => {
                    Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()))
                }
                Poll::Ready(result) => Poll::Ready(result.map_err(Trouble::Io)),
                Poll::Pending => {
                    if let Some(watch) = watch {
                        watch.park(cx);
                    }
                    Poll::Pending
                }
            }
        });
        let bytes = bytes.await?;
        self.input.came(bytes);
        Ok(())
    }

    /// Says what could wait until now.
    pub(super) async fn say_pending(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.link.write_all(&pending).await
    }

    /// Sends commands, each a payload, in one go.
    pub(super) async fn send(&mut self, commands: &[&[u8]]) -> Result<(), Trouble> {
        let mut out = std::mem::take(&mut self.pending);
        for command in commands {
            put_message(&mut out, 0, command);
        }
        Ok(self.link.write_all(&out).await?)
    }

    /// Asks a question of the proxy's own.
    pub(super) async fn ask(&mut self, sql: &str, watch: &Watch) -> Result<Reply, Trouble> {
        self.send(&[&[b"\x03", sql.as_bytes()].concat()]).await?;
        self.reply(watch).await
    }

    /// The answer to one short command.
    pub(super) async fn reply(&mut self, watch: &Watch) -> Result<Reply, Trouble> {
        let watch = Some(watch);
        let (_, first) = self.packet(SHORT, watch).await?;
        match first.first() {
            Some(0) => return Ok(Reply::Ok),
            Some(0xff) => return Ok(Reply::Err(Refusal::of(&ErrPacket::read(&first)?))),
            Some(0xfe) if first.len() < 9 => return Ok(Reply::Ok),
            Some(_) | None => {}
        }
        let columns = Fields::new(&first, "a column count").lenenc()?;
        let has_eofs = !self.capabilities.has(Capabilities::DEPRECATE_EOF);
        for _ in 0..columns + u64::from(has_eofs) {
            self.packet(SHORT, watch).await?;
        }
        let mut value = None;
        for row in 0_u32.. {
            let (_, packet) = self.packet(SHORT, watch).await?;
            match packet.first() {
                Some(0xfe) if packet.len() < 9 || !has_eofs => break,
                Some(0xff) => return Ok(Reply::Err(Refusal::of(&ErrPacket::read(&packet)?))),
                Some(0xfb) => {}
                _ if row == 0 => {
                    value = Some(Fields::new(&packet, "a row").lenenc_bytes()?.to_vec());
                }
                _ => {}
            }
        }
        Ok(Reply::Value(value))
    }

    /// The answer to COM_RESET_CONNECTION and its like: its status, or the error.
    pub(super) async fn ok(&mut self, watch: &Watch) -> Result<Result<Status, Refusal>, Trouble> {
        let (_, payload) = self.packet(SHORT, Some(watch)).await?;
        Ok(match payload.first() {
            Some(0xff) => Err(Refusal::of(&ErrPacket::read(&payload)?)),
            Some(0) => Ok(OkPacket::read(&payload, self.capabilities)?.status),
            first => {
                let first = first.copied().unwrap_or(0);
                return Err(WireError::Unexpected("an answer", first).into());
            }
        })
    }
}
