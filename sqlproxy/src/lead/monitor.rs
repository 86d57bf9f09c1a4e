//! A monitor: one session with one server, which asks it ten times a second how it is, and holds the
//! writer's lock there when told to.
//!
//! The session has a short `wait_timeout`: if this process hangs or its host is gone, the server ends
//! the session, and with it the lock. An answer that is late makes the server silent, and is still
//! waited for a while: a slow server comes back by it, a hung one never does.
//!
//! Not here: what is made of the answers ([`super::book`]).

use std::time::Duration;

use election::{
    View,
    channel::pulse::{self, verdict},
};
use mysql_async::{Conn, Error, Opts, Row, Value, prelude::Queryable as _};
use tokio::sync::mpsc;

use super::{
    book::Seen,
    facts::{Channel, Facts, HOLD_LOCK, REPLICATION, STATE, WRITER_LOCK},
};
use crate::config;

/// Seconds after which a server ends a monitor's session that is not heard of.
const FORGOTTEN: u32 = 3;
/// How often a late answer is waited for again before the connection is given up.
const LATE: u32 = 4;

/// What a monitor is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Take the writer's lock.
    Lock,
    /// Take the lock that holds new statements back.
    Hold,
    /// Give that one up.
    ReleaseHold,
    /// Give up both.
    Release,
    /// Look now.
    Look,
}

/// A probe's outcome, of the server at this place.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The server.
    pub place: usize,
    /// What was seen.
    pub seen: Seen,
}

/// One monitor.
#[derive(Debug)]
pub struct Monitor {
    place: usize,
    name: String,
    opts: Opts,
    interval: Duration,
    timeout: Duration,
    conn: Option<Conn>,
    /// The last reason told.
    told: String,
    was_up: bool,
}

impl Monitor {
    /// Of a server, not connected yet.
    #[must_use]
    pub fn new(
        place: usize,
        server: &config::Server,
        opts: Opts,
        settings: &config::Monitor,
    ) -> Self {
        Self {
            place,
            name: server.name.clone(),
            opts,
            interval: settings.interval,
            timeout: settings.timeout,
            conn: None,
            told: String::new(),
            was_up: false,
        }
    }

    /// How a server is reached.
    #[must_use]
    pub fn opts(server: &config::Server, user: &str, password: &str) -> Opts {
        pulse::opts(server.address, user, password)
    }

    /// Watches until nobody listens any more.
    pub async fn run(mut self, tell: mpsc::Sender<Sight>, mut orders: mpsc::Receiver<Order>) {
        loop {
            let is_told = self.look(&tell).await;
            if !is_told {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
            }
        }
    }

    /// One probe; two where the connection was reset: was it only that one?
    async fn look(&mut self, tell: &mpsc::Sender<Sight>) -> bool {
        let seen = self.probe(tell).await;
        let is_sudden = seen == Seen::Reset && self.was_up;
        self.was_up = matches!(seen, Seen::Up(_));
        let place = self.place;
        let is_told = tell.send(Sight { place, seen }).await.is_ok();
        if is_sudden && is_told {
            let seen = self.probe(tell).await;
            self.was_up = matches!(seen, Seen::Up(_));
            return tell.send(Sight { place, seen }).await.is_ok();
        }
        is_told
    }

    async fn probe(&mut self, tell: &mpsc::Sender<Sight>) -> Seen {
        let (opts, conn) = (self.opts.clone(), self.conn.take());
        let mut asked = Box::pin(ask(opts, conn));
        for _ in 0..LATE {
            match tokio::time::timeout(self.timeout, &mut asked).await {
                Ok(Ok((conn, facts))) => {
                    self.conn = Some(conn);
                    self.say(String::new());
                    return Seen::Up(Box::new(facts));
                }
                Ok(Err(error)) => {
                    self.say(error.to_string());
                    return match verdict(&error) {
                        View::Dead => Seen::Dead,
                        View::Reset => Seen::Reset,
                        View::Silent | View::Up { .. } => Seen::Silent,
                    };
                }
                Err(_) => {
                    self.say("does not answer".to_owned());
                    let (place, seen) = (self.place, Seen::Silent);
                    if tell.send(Sight { place, seen }).await.is_err() {
                        return Seen::Silent;
                    }
                }
            }
        }
        Seen::Silent
    }

    /// Each change once.
    fn say(&mut self, why: String) {
        if why == self.told {
            return;
        }
        let server = self.name.as_str();
        if why.is_empty() {
            tracing::info!(server, "answers its monitor again");
        } else {
            tracing::warn!(server, why, "monitor");
        }
        self.told = why;
    }

    /// Without a session there is nothing to hold or to release.
    async fn obey(&mut self, order: Order) {
        let statement = match order {
            Order::Lock => format!("DO GET_LOCK('{WRITER_LOCK}', 0)"),
            Order::Hold => format!("DO GET_LOCK('{HOLD_LOCK}', 0)"),
            Order::ReleaseHold => format!("DO RELEASE_LOCK('{HOLD_LOCK}')"),
            Order::Release => "DO RELEASE_ALL_LOCKS()".to_owned(),
            Order::Look => return,
        };
        let Some(mut conn) = self.conn.take() else {
            return;
        };
        let done = tokio::time::timeout(self.timeout, conn.query_drop(statement));
        // A session that failed is given up, and with it whatever it held.
        if let Ok(Ok(())) = done.await {
            self.conn = Some(conn);
        }
    }
}

async fn ask(opts: Opts, conn: Option<Conn>) -> Result<(Conn, Facts), Error> {
    let mut conn = match conn {
        Some(conn) => conn,
        None => {
            let mut conn = Conn::new(opts).await?;
            let short = format!("SET SESSION wait_timeout = {FORGOTTEN}");
            conn.query_drop(short).await?;
            conn
        }
    };
    let row: Option<Row> = conn.query_first(STATE).await?;
    let session = u64::from(conn.id());
    let column = |at: usize| row.as_ref().and_then(|row| text(row.as_ref(at)));
    let mut facts = Facts::of(&column, session);
    let rows: Vec<Row> = conn.query(REPLICATION).await?;
    facts.channels = rows.iter().map(channel).collect();
    Ok((conn, facts))
}

fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::NULL | Value::Float(_) | Value::Double(_) | Value::Date(..) | Value::Time(..) => {
            None
        }
    }
}

/// A row of [`REPLICATION`].
#[must_use]
pub fn channel(row: &Row) -> Channel {
    let columns = row.columns_ref();
    Channel::of(&|name: &str| {
        let at = columns
            .iter()
            .position(|column| column.name_str() == name)?;
        text(row.as_ref(at))
    })
}
