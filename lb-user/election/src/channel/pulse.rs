//! Whether a server is dead, silent or well, by what a client of it meets.
//!
//! ```text
//!   refused                                  dead: whatever was on its connections has ended
//!   reset, ended, "shutting down"            the next probe tells, at once
//!   no answer in time, unreachable           silent: it may be the way, or a moment
//!   anything that it says                    it answers
//! ```
//! Not here: what it answers (the monitors of a sqlproxy), and what follows.

use std::{io, net::SocketAddr, time::Duration};

use mysql_async::{Conn, DriverError, Error, IoError, Opts, OptsBuilder, prelude::Queryable as _};

use crate::View;

/// Servers' error numbers that say that they, or the connection, are about to end.
const ENDING: [u16; 3] = [1053, 1077, 1927];

/// Errors that end a connection.
const ENDED: [io::ErrorKind; 4] = [
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::UnexpectedEof,
];

/// How to reach a server.
#[must_use]
pub fn opts(server: SocketAddr, user: &str, password: &str) -> Opts {
    OptsBuilder::default()
        .ip_or_hostname(server.ip().to_string())
        .tcp_port(server.port())
        .user(Some(user))
        .pass(Some(password))
        .prefer_socket(false)
        .stmt_cache_size(0)
        .into()
}

/// What an error says of the server.
#[must_use]
pub fn verdict(error: &Error) -> View {
    let is_ended = match error {
        Error::Io(IoError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return View::Dead;
        }
        Error::Io(IoError::Io(error)) => ENDED.contains(&error.kind()),
        Error::Driver(error) => matches!(error, DriverError::ConnectionClosed),
        Error::Server(error) => ENDING.contains(&error.code),
        Error::Other(_) | Error::Url(_) => false,
    };
    if is_ended { View::Reset } else { View::Silent }
}

/// A witness's connection to a server.
#[derive(Debug)]
pub struct Pulse {
    opts: Opts,
    conn: Option<Conn>,
}

impl Pulse {
    /// Not connected yet.
    #[must_use]
    pub fn new(opts: Opts) -> Self {
        Self { opts, conn: None }
    }

    /// One probe, with the connection there is: a server that ended resets it.
    pub async fn beat(&mut self, timeout: Duration) -> (View, Option<Error>) {
        let up = View::Up {
            has_lock: false,
            is_read_only: false,
            is_current: false,
        };
        let beat = async {
            let mut conn = match self.conn.take() {
                Some(conn) => conn,
                None => Conn::new(self.opts.clone()).await?,
            };
            conn.ping().await?;
            Ok(conn)
        };
        match tokio::time::timeout(timeout, beat).await {
            Ok(Ok(conn)) => {
                self.conn = Some(conn);
                (up, None)
            }
            Ok(Err(error)) => (verdict(&error), Some(error)),
            Err(_) => (View::Silent, None),
        }
    }
}
