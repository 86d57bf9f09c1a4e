//! A server's answer on its way to the client: bytes go on as they are, but for the short packets whose
//! content is the proxy's to say.
//!
//! Memory is one buffer, whatever the answer's size: while the client does not take what it was sent,
//! nothing more is read of the server. Not here: sending the command; what the answer means for the session
//! (`exchange`).

use super::{
    Core,
    server::{Connection, Trouble},
    session::{Client, Gone},
    watch::Over,
};
use crate::{
    refusal::Refusal,
    session::prepared::ConnectionId,
    wire::{
        Capabilities, Follower,
        command::StatementId,
        packet::{HEADER, Header},
        prepared::Prepared,
        reply::{HELD_MAX, Packet, Step},
        status::{OkPacket, Status},
        track::{Change, Changes, put_change},
    },
};

/// What came of it.
#[derive(Debug)]
pub(super) enum End {
    /// The answer is over.
    Done,
    /// The server asks for a file: the client's turn.
    File,
    /// The server says that it did nothing: it stops, or takes no writes any more.
    Caught(Refusal),
    /// The server is lost. What was sent to the client cannot be taken back.
    Lost(Trouble),
    /// The client is.
    Gone,
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// What was heard of an answer on its way.
#[derive(Debug)]
pub(super) struct Heed<'a> {
    /// What the client agreed to.
    pub(super) capabilities: Capabilities,
    /// Where changes are kept.
    pub(super) changes: &'a mut Vec<u8>,
    /// An error that says that nothing was done is kept from the client.
    pub(super) catches: bool,
    /// The number that a statement gets for its client.
    pub(super) number: Option<StatementId>,
    /// What the server said of it.
    pub(super) prepared: Option<Prepared>,
    /// Flags of the last OK or EOF.
    pub(super) status: Option<Status>,
    /// It ended by an error.
    pub(super) is_error: bool,
    /// Warnings of the last result.
    pub(super) warnings: u16,
    /// Of the last OK.
    pub(super) insert_id: u64,
    /// Something went to the client.
    pub(super) has_sent: bool,
    /// Packets built here.
    pub(super) out: &'a mut Vec<u8>,
}

impl<'a> Heed<'a> {
    pub(super) fn new(
        capabilities: Capabilities,
        changes: &'a mut Vec<u8>,
        out: &'a mut Vec<u8>,
    ) -> Self {
        changes.clear();
        Self {
            capabilities,
            changes,
            catches: false,
            number: None,
            prepared: None,
            status: None,
            is_error: false,
            warnings: 0,
            insert_id: 0,
            has_sent: false,
            out,
        }
    }
}

/// Sends an answer on until it is over, or the client's turn.
pub(super) async fn relay(
    core: &Core,
    client: &mut Client,
    connection: &mut Connection,
    follower: &mut Follower,
    heed: &mut Heed<'_>,
) -> End {
    core.store.borrow_mut().lend(&mut connection.input);
    let end = go(client, connection, follower, heed).await;
    if matches!(end, End::Done) {
        core.store.borrow_mut().take(&mut connection.input);
    }
    end
}

async fn go(
    client: &mut Client,
    connection: &mut Connection,
    follower: &mut Follower,
    heed: &mut Heed<'_>,
) -> End {
    loop {
        let capabilities = connection.capabilities;
        let step = match follower.step(connection.input.fresh()) {
            Ok(step) => step,
            Err(error) => return End::Lost(error.into()),
        };
        match step {
            Step::Pass(bytes) => connection.input.pass(bytes),
            Step::Packet {
                len,
                sequence,
                packet,
            } => match hear(&packet, heed, capabilities) {
                Heard::Keep => connection.input.pass(len),
                Heard::Other => {
                    frame(heed.out, sequence);
                    connection.input.pass_as(len, heed.out);
                }
                Heard::Caught(refusal) if !heed.has_sent && connection.input.ready().is_empty() => {
                    connection.input.take(len);
                    return End::Caught(refusal);
                }
                Heard::Caught(_) => connection.input.pass(len),
            },
            Step::Need(bytes) => {
                if let Err(end) = flush(client, connection, heed).await {
                    return end;
                }
                let missing = bytes.saturating_sub(connection.input.fresh().len()).max(1);
                let most = HELD_MAX + super::buffer::LENT;
                if let Err(trouble) = connection.read(missing, most, Some(&client.watch)).await {
                    let is_over =
                        matches!(trouble, Trouble::Over(over) if over != Over::ServerGone);
                    return match is_over {
                        true => End::Gone,
                        false => End::Lost(trouble),
                    };
                }
            }
            Step::Wait => {
                return match flush(client, connection, heed).await {
                    Ok(()) => End::File,
                    Err(end) => end,
                };
            }
            Step::Done => {
                return match flush(client, connection, heed).await {
                    Ok(()) => End::Done,
                    Err(end) => end,
                };
            }
        }
    }
}

async fn flush(
    client: &mut Client,
    connection: &mut Connection,
    heed: &mut Heed<'_>,
) -> Result<(), End> {
    let ready = connection.input.ready();
    if ready.is_empty() {
        return Ok(());
    }
    heed.has_sent = true;
    client.write(ready).await?;
    let bytes = ready.len();
    connection.input.sent(bytes);
    Ok(())
}

/// What becomes of a packet.
enum Heard {
    /// It goes on as it is.
    Keep,
    /// It goes on as what stands in `out`.
    Other,
    /// It says that nothing was done.
    Caught(Refusal),
}

fn hear(packet: &Packet<'_>, heed: &mut Heed<'_>, server: Capabilities) -> Heard {
    match packet {
        Packet::Ok { first, ok } => {
            heed.status = Some(ok.status);
            heed.warnings = ok.warnings;
            if *first == 0 {
                heed.insert_id = ok.last_insert_id;
            }
            heed.changes.extend_from_slice(ok.changes.bytes());
            let is_same = server.has(Capabilities::SESSION_TRACK)
                == heed.capabilities.has(Capabilities::SESSION_TRACK);
            if ok.changes.is_empty() && (is_same || ok.info.is_empty()) {
                return Heard::Keep;
            }
            rewrite(*first, ok, heed);
            Heard::Other
        }
        Packet::Eof(eof) => {
            heed.status = Some(eof.status);
            heed.warnings = eof.warnings;
            Heard::Keep
        }
        Packet::Err(err) => {
            heed.is_error = true;
            match heed.catches && says_nothing_was_done(err.code, err.message) {
                true => Heard::Caught(Refusal::of(err)),
                false => Heard::Keep,
            }
        }
        Packet::Prepared(head) => {
            heed.prepared = Some(*head);
            let Some(number) = heed.number else {
                return Heard::Keep;
            };
            heed.out.clear();
            heed.out.extend_from_slice(&[0; HEADER]);
            let head = Prepared {
                statement: number.0,
                ..*head
            };
            head.put(heed.out);
            Heard::Other
        }
        Packet::File(_) | Packet::Switch(_) | Packet::More(_) => Heard::Keep,
    }
}

/// An OK without what the client did not ask for: it is never longer.
fn rewrite(first: u8, ok: &OkPacket<'_>, heed: &mut Heed<'_>) {
    let mut changes = Vec::new();
    if heed.capabilities.has(Capabilities::SESSION_TRACK) {
        for change in ok.changes.iter().map_while(Result::ok).filter(is_told) {
            put_change(&mut changes, change);
        }
    }
    let ok = OkPacket {
        changes: Changes::new(&changes),
        ..*ok
    };
    heed.out.clear();
    heed.out.extend_from_slice(&[0; HEADER]);
    ok.put(heed.out, first, heed.capabilities);
}

/// What servers tell by themselves (the defaults of their `session_track_…` variables).
fn is_told(change: &Change<'_>) -> bool {
    const TOLD: [&[u8]; 5] = [
        b"autocommit",
        b"character_set_client",
        b"character_set_connection",
        b"character_set_results",
        b"time_zone",
    ];
    match change {
        Change::Variable { name, .. } => TOLD.contains(name),
        Change::Schema(_) => true,
        Change::State(_)
        | Change::Gtids(_)
        | Change::Characteristics(_)
        | Change::Transaction(_)
        | Change::Other(..) => false,
    }
}

/// The header of the packet in `out`, for which there is room at its front.
fn frame(out: &mut [u8], sequence: u8) {
    let header = Header {
        len: out.len() - HEADER,
        sequence,
    };
    out[..HEADER].copy_from_slice(&header.bytes());
}

/// A server that stops, or that was made read-only, did nothing of the statement.
fn says_nothing_was_done(code: u16, message: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(message, word).is_some();
    match code {
        1053 | 1836 => true,
        // 1290 is said of other options, too.
        1290 => has(b"read-only") || has(b"read_only"),
        _ => false,
    }
}

/// Who has the connection: for prepared statements.
pub(super) fn on(connection: &Connection, head: &Prepared) -> (ConnectionId, StatementId) {
    (connection.id, StatementId(head.statement))
}
