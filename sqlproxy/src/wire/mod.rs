//! The client/server protocol of MySQL and MariaDB, as bytes in bounded memory.
//!
//! In reading order: [`fields`] reads and writes the integers and strings that packets are made of;
//! [`packet`] is their framing; [`capability`] what two ends agree to; [`handshake`], [`auth`] and
//! [`sha_crypt`] how a connection begins, [`knock`] how one at a server, [`door`] how one of a client;
//! [`command`] what a client asks, [`status`] the short answers (OK, ERR, EOF) with what [`track`] says of the session,
//! [`prepared`] the head of a prepared statement, and [`reply`] follows a whole answer to its end
//! without reading its rows.
//!
//! Sources: MySQL's source documentation, "Client/Server Protocol"
//! (`dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html`), and MariaDB's knowledge base,
//! "Client/Server Protocol" (`mariadb.com/kb/en/clientserver-protocol/`). Where the two servers
//! differ, the item says so.
//!
//! Not here: sockets and TLS, which carry these bytes; RSA, which a driver does with a library; the
//! meaning of SQL ([`crate::lexer`]).

pub mod auth;
pub mod capability;
pub mod collation;
pub mod command;
pub mod door;
pub mod fields;
pub mod handshake;
pub mod knock;
pub mod packet;
pub mod prepared;
pub mod reply;
pub mod sha_crypt;
pub mod status;
pub mod track;

pub use capability::Capabilities;
pub use command::Command;
pub use packet::{Framer, Header, Piece};
pub use reply::{Follower, Shape};

/// Why bytes are not what the protocol says. After any of these the connection cannot be trusted:
/// where its next packet begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A packet ends inside a field.
    #[error("{0}: the packet ends too early")]
    Truncated(&'static str),
    /// A field holds what it cannot.
    #[error("{0}: {1:#04x} cannot stand here")]
    Unexpected(&'static str, u8),
    /// A packet that has to be held whole is too long for that.
    #[error("{what}: {len} bytes, and at most {max} can be held")]
    TooLong {
        /// Which packet.
        what: &'static str,
        /// Bytes it has.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// A packet out of turn: one was lost, or the ends disagree on whose turn it is.
    #[error("packet {got} came where {expected} was due")]
    Sequence {
        /// Due.
        expected: u8,
        /// In the header.
        got: u8,
    },
}
