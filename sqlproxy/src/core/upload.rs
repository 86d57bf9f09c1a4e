//! What comes from a client in pieces: commands too long to be held, and files for LOAD DATA LOCAL.
//!
//! Not here: what is held whole.

use super::{
    Core,
    buffer::LENT,
    server::Connection,
    session::{Client, Gone, HELD, Sent, Session},
};
use crate::wire::packet::{Framer, HEADER, Piece};

/// Why it did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// The server takes no more: it may have said why.
    Server,
    /// The client is gone.
    Client,
}

impl From<Gone> for Stuck {
    fn from(_: Gone) -> Self {
        Self::Client
    }
}

/// Where a message ends that has begun.
#[derive(Debug)]
pub(super) struct Rest {
    framer: Framer,
    /// The sequence of its last packet so far.
    pub(super) sequence: u8,
    /// Payload of it so far, of this piece.
    has_payload: bool,
}

impl Rest {
    /// Of a message of which these bytes are the front.
    pub(super) fn behind(front: &[u8]) -> Self {
        let mut rest = Self {
            framer: Framer::new(),
            sequence: 0,
            has_payload: false,
        };
        rest.follow(front);
        rest
    }

    /// How many of these bytes are of the message, and whether it ends with them.
    fn follow(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        loop {
            match self.framer.step(&bytes[taken..]) {
                Piece::Need => return (taken, false),
                Piece::Header { header, ends, .. } => {
                    self.sequence = header.sequence;
                    self.has_payload |= header.len > 0;
                    taken += HEADER;
                    if ends {
                        return (taken, true);
                    }
                }
                Piece::Body { len, ends } => {
                    taken += len;
                    if ends {
                        return (taken, true);
                    }
                }
            }
        }
    }
}

/// Sends on what is still to come of a message whose front is done with; the sequence of its last packet.
pub(super) async fn send_rest(
    core: &Core,
    client: &mut Client,
    connection: &mut Connection,
    rest: &mut Rest,
) -> Result<(), Stuck> {
    loop {
        let (bytes, ends) = rest.follow(client.input.fresh());
        if bytes > 0 {
            let written = connection
                .link
                .write_all(&client.input.fresh()[..bytes])
                .await;
            client.input.take(bytes);
            if written.is_err() {
                return Err(Stuck::Server);
            }
        }
        if ends {
            return Ok(());
        }
        client.read(core, HEADER, HELD + LENT).await?;
    }
}

/// Sends a file on: messages up to an empty one; the sequence of that.
pub(super) async fn send_file(
    core: &Core,
    client: &mut Client,
    connection: &mut Connection,
) -> Result<u8, Stuck> {
    loop {
        let mut rest = Rest {
            framer: Framer::new(),
            sequence: 0,
            has_payload: false,
        };
        send_rest(core, client, connection, &mut rest).await?;
        if !rest.has_payload {
            return Ok(rest.sequence);
        }
    }
}

impl Session {
    /// Throws away a command whose front is there: nothing of it is left.
    pub(super) async fn swallow(&mut self, sent: Sent) -> Result<Sent, Gone> {
        let mut rest = Rest::behind(&self.client.input.fresh()[..sent.len]);
        self.client.input.take(sent.len);
        loop {
            let (bytes, ends) = rest.follow(self.client.input.fresh());
            self.client.input.take(bytes);
            if ends {
                return Ok(Sent {
                    len: 0,
                    is_whole: true,
                    sequence: rest.sequence,
                });
            }
            self.client.read(&self.core, HEADER, HELD + LENT).await?;
        }
    }
}
