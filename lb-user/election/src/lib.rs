//! Which of two primaries is the writer, agreed by the proxies, with the directors as witnesses.
//!
//! ```text
//!   voters: every sqlproxy and every director, n of them, listed in the site file
//!   elect   a majority promises the new epoch; each of them has waited for the leases it granted on
//!           another server, or knows that server dead
//!   keep    leases from n - majority + 1 voters: as many as make a majority without them impossible
//!   write   while the leases hold, the writer answers, shows the lock, and is not read-only
//! ```
//! Any majority and any keeping set have a voter in common, which either refuses the new epoch or
//! grants no more of the old: so at no time two servers take statements through proxies. A server that
//! refuses connections is dead and is replaced without waiting; its leases end with it, because whoever
//! reaches its successor process has been reset, and who was reset gives up the leases it had. Silence is not death: it has to
//! last, and a majority has to hear it.
//!
//! A proxy that reaches too few voters refuses writes, though its writer answers: elsewhere the others
//! may have elected. With two proxies and two directors it needs one of the other three.
//!
//! In reading order: [`rules`] are times and quorums, [`message`] what voters say, [`voter`] one that
//! promises and grants (a director is nothing else), [`elector`] a proxy. Pure; the tests simulate
//! sites with lost and late messages, dying servers and proxies.
//!
//! With the feature `channel`: the voters' authenticated channel, the file of their promises, and a
//! director's voter, whole.
//!
//! Not here: the monitors of a sqlproxy, GET_LOCK and `read_only` themselves.

#![forbid(unsafe_code)]

#[cfg(feature = "channel")]
pub mod channel;
pub mod elector;
pub mod message;
pub mod rules;
pub mod voter;

pub use elector::{Action, Elector, Input};
pub use message::{Message, Reply, Request};
pub use rules::{Quorum, Rules};
pub use voter::{Kept, Voter};

use std::time::Duration;

/// Time since some moment of the one who tells it.
pub type Now = Duration;

/// A server, by its place in the site file; the first is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server(pub u8);

/// A voter, by its place in the site file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoterId(pub u8);

/// A term of office. Each election has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// What a probe says of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// It answers.
    Up {
        /// The writer's lock is held on it.
        has_lock: bool,
        /// It takes no writes.
        is_read_only: bool,
        /// It has applied all that it received of the other.
        is_current: bool,
    },
    /// It refuses connections: there is no such process any more.
    Dead,
    /// The connection was reset or ended. Whether it was only this one, the process, or there is
    /// another process by now, the next probe tells.
    Reset,
    /// It does not answer, or not in time.
    Silent,
}

#[cfg(test)]
mod tests;
