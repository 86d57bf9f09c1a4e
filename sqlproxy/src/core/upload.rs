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

/// Sends on what is still to come of a message whose front is done with; says whether the server took all of
/// it. It is read to its end in any case: what is left of it would be taken for commands.
pub(super) async fn send_rest(
    core: &Core,
    client: &mut Client,
    connection: &mut Connection,
    rest: &mut Rest,
    mut is_taken: bool,
) -> Result<bool, Gone> {
    loop {
        let (bytes, ends) = rest.follow(client.input.fresh());
        if bytes > 0 {
            let front = &client.input.fresh()[..bytes];
            is_taken = is_taken && connection.link.write_all(front).await.is_ok();
            client.input.take(bytes);
        }
        if ends {
            return Ok(is_taken);
        }
        client.read(core, HEADER, HELD + LENT).await?;
    }
}

/// Sends a file on: messages up to an empty one; the sequence of that, and whether the server took all.
pub(super) async fn send_file(
    core: &Core,
    client: &mut Client,
    connection: &mut Connection,
) -> Result<(u8, bool), Gone> {
    let mut is_taken = true;
    loop {
        let mut rest = Rest {
            framer: Framer::new(),
            sequence: 0,
            has_payload: false,
        };
        is_taken = send_rest(core, client, connection, &mut rest, is_taken).await?;
        if !rest.has_payload {
            return Ok((rest.sequence, is_taken));
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
