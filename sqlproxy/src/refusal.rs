//! What clients are told where the proxy itself answers: MySQL's numbers, so that clients react as they
//! would to a server.
//!
//! | | number | why this one |
//! |---|---|---|
//! | no writer | 1290 | what a server that is read_only says; Go's, Java's and other drivers try again |
//! | transaction lost | 1213, 40001 | rolled back, as after a deadlock: begin it again |
//! | outcome unknown | 2013 | what clients say themselves when a server dies in a statement |
//! | state lost | 2006 | the session has to be made anew, so the connection ends |
//! | no connection free | 1203 | too many connections of this user |
//!
//! Not here: errors of servers, which go on as they are.

use crate::wire::status::ErrPacket;

/// An error, and whether the connection ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// MySQL's number.
    pub code: u16,
    /// SQLSTATE.
    pub state: [u8; 5],
    /// The text.
    pub message: Vec<u8>,
    /// The connection ends.
    pub is_final: bool,
}

impl Refusal {
    /// One that leaves the session as it is.
    #[must_use]
    pub fn new(code: u16, state: &[u8; 5], message: impl Into<Vec<u8>>) -> Self {
        Self {
            code,
            state: *state,
            message: message.into(),
            is_final: false,
        }
    }

    /// The connection ends with it.
    #[must_use]
    pub fn and_close(mut self) -> Self {
        self.is_final = true;
        self
    }

    /// What a server said.
    #[must_use]
    pub fn of(err: &ErrPacket<'_>) -> Self {
        Self::new(err.code, &err.state, err.message)
    }

    /// No server takes writes, and that for longer than a statement waits.
    #[must_use]
    pub fn no_writer() -> Self {
        let text = "viaduct: no server takes writes now; nothing was done, try again";
        Self::new(1290, b"HY000", text)
    }

    /// No server answers reads.
    #[must_use]
    pub fn no_server() -> Self {
        let text = "viaduct: no server answers now; nothing was done, try again";
        Self::new(1290, b"HY000", text)
    }

    /// All connections to a server are in use.
    #[must_use]
    pub fn no_connection() -> Self {
        let text = "viaduct: all connections to the server are in use (max_connections, queue, \
                    queue_timeout); nothing was done, try again";
        Self::new(1203, b"42000", text)
    }

    /// The server of a transaction is lost.
    #[must_use]
    pub fn lost_transaction() -> Self {
        let text = "viaduct: the server of this transaction was lost, and the transaction with it; \
                    try restarting transaction";
        Self::new(1213, b"40001", text)
    }

    /// A write was in flight.
    #[must_use]
    pub fn unknown_outcome() -> Self {
        let text = "Lost connection to MySQL server during query (viaduct: whether it was done is \
                    not known, and it was not sent again)";
        Self::new(2013, b"HY000", text)
    }

    /// A read was in flight, its answer had begun, and cannot be begun again.
    #[must_use]
    pub fn broken_answer() -> Self {
        let text = "Lost connection to MySQL server during query (viaduct: the rest of the answer \
                    is lost; it only read)";
        Self::new(2013, b"HY000", text)
    }

    /// The session had something on a server that was lost.
    #[must_use]
    pub fn lost_state(what: &str) -> Self {
        let text = format!(
            "MySQL server has gone away (viaduct: and with it this session's {what}: connect again)"
        );
        Self::new(2006, b"HY000", text).and_close()
    }

    /// A read-only user wants to write.
    #[must_use]
    pub fn read_only(user: &str) -> Self {
        let text = format!("viaduct: user '{user}' is read-only in the site file");
        Self::new(1290, b"HY000", text)
    }

    /// A session that is tied to a reader wants to write.
    #[must_use]
    pub fn tied_to_reader(what: &str) -> Self {
        let text = format!(
            "viaduct: this session's {what} is on a server that only reads; nothing was done: \
             reset the session, or connect again"
        );
        Self::new(1290, b"HY000", text)
    }

    /// Somebody has killed the session.
    #[must_use]
    pub fn killed() -> Self {
        Self::new(1317, b"70100", "Query execution was interrupted").and_close()
    }

    /// KILL of what is not there.
    #[must_use]
    pub fn unknown_session(id: u64) -> Self {
        Self::new(1094, b"HY000", format!("Unknown thread id: {id}"))
    }

    /// The payload of its packet.
    pub fn put(&self, out: &mut Vec<u8>) {
        let err = ErrPacket {
            code: self.code,
            state: self.state,
            message: &self.message,
        };
        err.put(out);
    }
}
