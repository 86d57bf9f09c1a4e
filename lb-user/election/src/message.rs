//! What proxies ask of voters, and what these answer.
//!
//! Not here: bytes and authentication, which are the channel's.

use super::{Epoch, Now, Server};

/// A proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A lease on the decided writer.
    Lease {
        /// Of this epoch.
        epoch: Epoch,
        /// When it was sent, by the proxy's clock: comes back in the answer.
        sent: Now,
    },
    /// A promise: this server in this epoch, and none of an earlier one.
    Vote {
        /// The new epoch.
        epoch: Epoch,
        /// Who is to be the writer.
        writer: Server,
        /// An operator wants it so, and nobody writes meanwhile: whether the one in office is gone does
        /// not matter. Its leases have to end all the same, so none is granted any more.
        is_planned: bool,
    },
    /// A majority has promised.
    Decided {
        /// The epoch.
        epoch: Epoch,
        /// The writer.
        writer: Server,
    },
}

/// A voter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The lease.
    Granted {
        /// Of this epoch.
        epoch: Epoch,
        /// From the request.
        sent: Now,
    },
    /// The promise.
    Promised {
        /// Of this epoch.
        epoch: Epoch,
        /// For this server.
        writer: Server,
    },
    /// Neither: what the voter knows.
    Refused {
        /// What it has promised last.
        promised: Epoch,
        /// What was decided last, as far as it knows.
        decided: (Epoch, Server),
    },
}

/// Either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks.
    Request(Request),
    /// Answers.
    Reply(Reply),
}
