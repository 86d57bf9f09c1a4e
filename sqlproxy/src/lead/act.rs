//! What is done to servers: made the writer, fenced, told to wait for a replica or not, held for a
//! planned move. Each on a connection of its own, in bounded time, and each may be done again.
//!
//! Not here: when ([`super::driver`]), and the locks, which the monitors' sessions hold.

use std::{collections::BTreeSet, time::Duration};

use mysql_async::{Conn, Error, Opts, Row, prelude::Queryable as _};
use tokio::time::{sleep, timeout};

use super::facts::{Channel, REPLICATION};
use super::monitor::channel;

/// A statement that should take no time.
const SHORT: Duration = Duration::from_secs(2);
/// For a receiving thread to stop reading.
const STOPPED: Duration = Duration::from_millis(250);
/// And to be gone, which nobody waits for.
const STOP: Duration = Duration::from_secs(30);
/// For how long a relay log is applied before the attempt is given up, and made again.
const APPLY: Duration = Duration::from_secs(60);
/// From look to look.
const PAUSE: Duration = Duration::from_millis(20);
/// How long transactions may take to end before a planned move.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The server says no, or is gone.
    #[error("{0}")]
    Server(#[from] Error),
    /// It takes too long.
    #[error("{0} took more than {1:?}")]
    Late(&'static str, Duration),
    /// It does not apply what it received.
    #[error("its replication is broken: {0}")]
    Broken(String),
    /// Statements went on.
    #[error("{0} transactions or statements did not end within {DRAIN:?}")]
    Busy(u64),
}

/// One server, for a few statements.
struct Hand(Conn);

impl Hand {
    async fn reach(opts: Opts) -> Result<Self, ActError> {
        Ok(Self(within("connecting", SHORT, Conn::new(opts)).await?))
    }

    async fn run(&mut self, what: &'static str, statement: &str) -> Result<(), ActError> {
        within(what, SHORT, self.0.query_drop(statement)).await
    }

    async fn channels(&mut self) -> Result<Vec<Channel>, ActError> {
        let rows: Vec<Row> = within(REPLICATION, SHORT, self.0.query(REPLICATION)).await?;
        Ok(rows.iter().map(channel).collect())
    }

    async fn number(&mut self, what: &'static str, query: &str) -> Result<u64, ActError> {
        let number: Option<u64> = within(what, SHORT, self.0.query_first(query)).await?;
        Ok(number.unwrap_or_default())
    }
}

async fn within<T>(
    what: &'static str,
    most: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, ActError> {
    match timeout(most, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ActError::Late(what, most)),
    }
}

/// Makes a server take writes: what it has received is applied first, nothing more is received (a writer
/// that wakes could send what nobody was told of), no commit waits for a replica that is gone.
///
/// With `peer_is_well` the other is there, read-only, and has nothing that this one lacks: replication
/// goes on then, and so does waiting.
///
/// # Errors
/// Where it stopped; the server is read-only then, as it was.
pub async fn promote(opts: Opts, peer_is_well: bool, semi_sync: bool) -> Result<(), ActError> {
    let mut hand = Hand::reach(opts.clone()).await?;
    if !peer_is_well {
        if semi_sync {
            // First: what is applied is logged here too, and each commit of it would wait for the peer.
            let off = "SET GLOBAL rpl_semi_sync_master_enabled = 0";
            hand.run(off, off).await?;
        }
        stop_receiving(&mut hand, opts).await?;
        apply(&mut hand).await?;
    }
    let on = "SET GLOBAL read_only = 0";
    hand.run(on, on).await
}

/// Ends the receiving threads. They stop reading at once; one that was semi-synchronous then tries for
/// seconds to reach a primary that hangs, and the statement with it: that is not waited for.
async fn stop_receiving(hand: &mut Hand, opts: Opts) -> Result<(), ActError> {
    for channel in hand.channels().await? {
        let name = channel.name.replace('\'', "''");
        let stop = format!("STOP SLAVE '{name}' IO_THREAD");
        let mut other = Hand::reach(opts.clone()).await?;
        let stopping = tokio::spawn(async move { timeout(STOP, other.0.query_drop(stop)).await });
        match timeout(STOPPED, stopping).await {
            Ok(Ok(Ok(done))) => done?,
            Ok(Ok(Err(_)) | Err(_)) => return Err(ActError::Late("STOP SLAVE", STOP)),
            // It goes on by itself.
            Err(_) => {}
        }
    }
    Ok(())
}

async fn apply(hand: &mut Hand) -> Result<(), ActError> {
    let look = async {
        loop {
            let channels = hand.channels().await?;
            if let Some(broken) = channels.iter().find(|channel| !channel.is_applying) {
                return Err(ActError::Broken(broken.error.clone()));
            }
            if channels.iter().all(|channel| channel.has_applied) {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    };
    match timeout(APPLY, look).await {
        Ok(done) => done,
        Err(_) => Err(ActError::Late("applying the relay log", APPLY)),
    }
}

/// Sees to it that a server takes no writes. Its sessions are killed first, since one that holds a table
/// would keep `read_only` waiting; then again those that came in between. Replication, and monitors
/// that hold no lock, stay.
///
/// # Errors
/// Where it stopped: to be done again.
pub async fn fence(opts: Opts, semi_sync: bool) -> Result<usize, ActError> {
    let mut hand = Hand::reach(opts).await?;
    hand.run(
        "a short lock_wait_timeout",
        "SET SESSION lock_wait_timeout = 1",
    )
    .await?;
    let killed = kill_sessions(&mut hand).await?;
    if semi_sync {
        // A commit that waits for a replica keeps `read_only` waiting; nobody hears any more that it ends.
        let off = "SET GLOBAL rpl_semi_sync_master_enabled = 0";
        hand.run(off, off).await?;
    }
    let off = "SET GLOBAL read_only = 1";
    hand.run(off, off).await?;
    Ok(killed + kill_sessions(&mut hand).await?)
}

async fn kill_sessions(hand: &mut Hand) -> Result<usize, ActError> {
    const OTHERS: &str = "SELECT ID FROM information_schema.PROCESSLIST \
        WHERE USER NOT IN ('system user', 'event_scheduler', SUBSTRING_INDEX(USER(), '@', 1)) \
        AND COMMAND NOT LIKE 'Binlog Dump%'";
    const HOLDERS: &str = "SELECT ID FROM information_schema.PROCESSLIST \
        WHERE ID IN (IS_USED_LOCK('viaduct.writer'), IS_USED_LOCK('viaduct.hold'))";
    let mut sessions = BTreeSet::new();
    for query in [OTHERS, HOLDERS] {
        let ids: Vec<u64> = within("the list of sessions", SHORT, hand.0.query(query)).await?;
        sessions.extend(ids);
    }
    for id in &sessions {
        let killed = hand.run("KILL", &format!("KILL CONNECTION {id}")).await;
        // Gone meanwhile: as good.
        if let Err(ActError::Server(Error::Server(error))) = &killed
            && error.code == 1094
        {
            continue;
        }
        killed?;
    }
    Ok(sessions.len())
}

/// Ends the session that holds a lock on a server that is not the writer any more.
///
/// # Errors
/// As the server says.
pub async fn end_holder(opts: Opts, session: u64) -> Result<(), ActError> {
    let mut hand = Hand::reach(opts).await?;
    hand.run("KILL", &format!("KILL CONNECTION {session}"))
        .await
}

/// Whether commits wait until a replica has them.
///
/// # Errors
/// As the server says.
pub async fn wait_for_replica(opts: Opts, waits: bool) -> Result<(), ActError> {
    let mut hand = Hand::reach(opts).await?;
    let set = format!(
        "SET GLOBAL rpl_semi_sync_master_enabled = {}",
        u8::from(waits)
    );
    hand.run("SET GLOBAL rpl_semi_sync_master_enabled", &set)
        .await
}

/// Replicates again after a promotion, once the other has nothing of its own.
///
/// # Errors
/// As the server says.
pub async fn replicate(opts: Opts) -> Result<(), ActError> {
    let mut hand = Hand::reach(opts).await?;
    hand.run("START ALL SLAVES", "START ALL SLAVES").await
}

/// Waits until nobody has a transaction or statement under way, then sets `read_only`. New ones are
/// being held back.
///
/// # Errors
/// When some do not end; nothing was changed then.
pub async fn quiesce(opts: Opts) -> Result<(), ActError> {
    const BUSY: &str = "SELECT \
        (SELECT COUNT(*) FROM information_schema.INNODB_TRX AS t \
         JOIN information_schema.PROCESSLIST AS p ON p.ID = t.trx_mysql_thread_id \
         WHERE p.USER <> 'system user') + \
        (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Query', 'Execute') \
         AND USER NOT IN ('system user', SUBSTRING_INDEX(USER(), '@', 1)))";
    let mut hand = Hand::reach(opts).await?;
    let mut busy = 0;
    let look = async {
        loop {
            busy = hand.number("the list of transactions", BUSY).await?;
            if busy == 0 {
                return Ok::<(), ActError>(());
            }
            sleep(PAUSE).await;
        }
    };
    let looked = timeout(DRAIN, look).await;
    match looked {
        Ok(done) => done?,
        Err(_) => return Err(ActError::Busy(busy)),
    }
    hand.run(
        "a short lock_wait_timeout",
        "SET SESSION lock_wait_timeout = 1",
    )
    .await?;
    let off = "SET GLOBAL read_only = 1";
    hand.run(off, off).await
}

/// Takes writes again after a planned move that was given up.
///
/// # Errors
/// As the server says.
pub async fn unquiesce(opts: Opts) -> Result<(), ActError> {
    let mut hand = Hand::reach(opts).await?;
    let on = "SET GLOBAL read_only = 0";
    hand.run(on, on).await
}
