//! What a server says of itself: whether it is read-only, who holds the writer's lock, what it has
//! executed, and how its replication stands.
//!
//! MariaDB's words; MySQL's differ (`gtid_executed`, `SHOW REPLICA STATUS`) and are not read by this
//! version. Pure but for the two statements' texts. Not here: what is made of it ([`super::book`]).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The lock whose holder's server is the writer.
pub const WRITER_LOCK: &str = "viaduct.writer";
/// The lock that says: the writer is about to move, begin nothing new on it.
pub const HOLD_LOCK: &str = "viaduct.hold";

/// Answers with one row, read by [`Facts::of`].
pub const STATE: &str = "SELECT @@global.read_only, IS_USED_LOCK('viaduct.writer'), \
     IS_USED_LOCK('viaduct.hold'), @@global.rpl_semi_sync_master_enabled, \
     (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
      WHERE VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_CLIENTS'), \
     @@global.gtid_binlog_state, @@global.server_id, \
     @@global.log_bin AND @@global.log_slave_updates";

/// Answers with a row for each server that this one replicates.
pub const REPLICATION: &str = "SHOW ALL SLAVES STATUS";

/// Reads columns of text by their name.
pub type Column<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The last transaction of each domain and server: `1-1-5` is domain, server, sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed(BTreeMap<(u32, u32), u64>);

/// Transactions that one server alone has: of a domain and server, the sequences from … to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranded {
    domain: u32,
    server: u32,
    from: u64,
    to: u64,
}

impl fmt::Display for Stranded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            server,
            from,
            to,
        } = self;
        write!(f, "{domain}-{server}-{from}")?;
        if to > from {
            write!(f, "..{to}")?;
        }
        Ok(())
    }
}

impl Executed {
    /// Reads `gtid_binlog_state`; what is no GTID is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let one = |gtid: &str| {
            let mut parts = gtid.trim().split('-');
            let mut next = || parts.next()?.parse::<u64>().ok();
            let (domain, server, sequence) = (next()?, next()?, next()?);
            let key = (u32::try_from(domain).ok()?, u32::try_from(server).ok()?);
            Some((key, sequence))
        };
        Self(text.split(',').filter_map(one).collect())
    }

    /// What it has that another, which takes the writes now, has not. What that one itself executed may
    /// have come here since it was asked.
    #[must_use]
    pub fn beyond(&self, writer: &Self, writer_id: u32) -> Vec<Stranded> {
        let own = self
            .0
            .iter()
            .filter(|((_, server), _)| *server != writer_id);
        let missing = own.filter_map(|(&(domain, server), &to)| {
            let there = writer.0.get(&(domain, server)).copied().unwrap_or(0);
            (to > there).then_some(Stranded {
                domain,
                server,
                from: there + 1,
                to,
            })
        });
        missing.collect()
    }

    /// Whether it has all of another.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let has = |(key, last): (&(u32, u32), &u64)| self.0.get(key).is_some_and(|own| own >= last);
        other.0.iter().all(has)
    }
}

/// How it replicates one other server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The connection's name; most have none.
    pub name: String,
    /// It receives.
    pub is_receiving: bool,
    /// It applies what it receives.
    pub is_applying: bool,
    /// Somebody stopped it, and nothing is wrong with it.
    pub is_stopped: bool,
    /// It has applied all that it received.
    pub has_applied: bool,
    /// How far it is behind.
    pub behind: Option<Duration>,
    /// Why it does not apply or receive.
    pub error: String,
}

impl Channel {
    /// Of a row of [`REPLICATION`].
    #[must_use]
    pub fn of(column: Column<'_>) -> Self {
        let is = |name: &str| column(name).as_deref() == Some("Yes");
        let same = |one: &str, other: &str| column(one).is_some() && column(one) == column(other);
        let error =
            ["Last_SQL_Error", "Last_IO_Error"].map(|name| column(name).unwrap_or_default());
        Self {
            name: column("Connection_name").unwrap_or_default(),
            is_receiving: is("Slave_IO_Running"),
            is_applying: is("Slave_SQL_Running"),
            is_stopped: column("Slave_IO_Running").as_deref() == Some("No")
                && column("Last_SQL_Errno").as_deref() == Some("0")
                && column("Last_IO_Errno").is_some_and(|error| is_of_the_way(&error)),
            has_applied: same("Master_Log_File", "Relay_Master_Log_File")
                && same("Read_Master_Log_Pos", "Exec_Master_Log_Pos"),
            behind: column("Seconds_Behind_Master")
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            error: error
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or_default(),
        }
    }
}

/// Whether what ended a receiving thread is nothing, or an error of connecting: one that the other server
/// has told would come again.
fn is_of_the_way(error: &str) -> bool {
    error
        .parse::<u32>()
        .is_ok_and(|error| error == 0 || (2000..3000).contains(&error))
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// It takes no writes.
    pub is_read_only: bool,
    /// The connection that holds [`WRITER_LOCK`].
    pub lock: Option<u64>,
    /// Somebody holds [`HOLD_LOCK`].
    pub is_held: bool,
    /// A commit waits for a replica.
    pub waits: bool,
    /// How many replicas it could wait for.
    pub replicas: u32,
    /// What it has executed.
    pub executed: Executed,
    /// Its number among servers.
    pub server_id: u32,
    /// It logs what it executes, also what it replicates: else nobody can tell what it has.
    pub is_logged: bool,
    /// Whom it replicates.
    pub channels: Vec<Channel>,
    /// The connection of the monitor that asked.
    pub session: u64,
}

impl Facts {
    /// Of the row of [`STATE`], by place, asked on this connection.
    #[must_use]
    pub fn of(column: &dyn Fn(usize) -> Option<String>, session: u64) -> Self {
        let is_on = |at: usize| column(at).is_some_and(|value| value != "0" && value != "OFF");
        let number = |at: usize| column(at).and_then(|value| value.parse::<u64>().ok());
        let small = |at: usize| number(at).and_then(|value| u32::try_from(value).ok());
        Self {
            is_read_only: is_on(0),
            lock: number(1),
            is_held: column(2).is_some(),
            waits: is_on(3),
            replicas: small(4).unwrap_or_default(),
            executed: Executed::parse(&column(5).unwrap_or_default()),
            server_id: small(6).unwrap_or_default(),
            is_logged: is_on(7),
            channels: Vec::new(),
            session,
        }
    }

    /// Whether it has applied all that it received, and goes on applying.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let is_good = |channel: &Channel| channel.is_applying && channel.has_applied;
        self.is_logged && !self.channels.is_empty() && self.channels.iter().all(is_good)
    }

    /// Whether what is written elsewhere comes here.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        let is_good = |channel: &Channel| channel.is_applying && channel.is_receiving;
        !self.channels.is_empty() && self.channels.iter().all(is_good)
    }

    /// How far it is behind: the worst of its channels.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        self.channels
            .iter()
            .filter_map(|channel| channel.behind)
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_server_alone_has_is_told_by_domain_server_and_range() {
        let old = Executed::parse("1-1-9,2-2-3,1-2-7");
        let new = Executed::parse("1-1-6,2-2-3");
        let stranded: Vec<String> = old
            .beyond(&new, 2)
            .iter()
            .map(Stranded::to_string)
            .collect();
        assert_eq!(stranded, ["1-1-7..9"]);
        let one = Executed::parse("1-1-7").beyond(&new, 2);
        assert_eq!(one[0].to_string(), "1-1-7");
        assert!(new.beyond(&old, 1).is_empty());
        let ahead = Executed::parse("2-2-99");
        assert!(ahead.beyond(&new, 2).is_empty(), "the writer goes on");
    }

    #[test]
    fn one_domain_for_both_hides_nothing() {
        let old = Executed::parse("0-1-7");
        let new = Executed::parse("0-1-6,0-2-9");
        assert_eq!(old.beyond(&new, 2).len(), 1);
        assert!(!new.contains(&old));
        assert!(new.contains(&Executed::parse("0-1-6,0-2-8")));
        assert!(new.contains(&Executed::parse("")));
    }

    #[test]
    fn a_row_of_replication_is_read() {
        let row = |position: &'static str, sql: &'static str| {
            move |name: &str| {
                let value = match name {
                    "Slave_IO_Running" => "Connecting",
                    "Slave_SQL_Running" => sql,
                    "Master_Log_File" | "Relay_Master_Log_File" => "binlog.000001",
                    "Read_Master_Log_Pos" => "905",
                    "Exec_Master_Log_Pos" => position,
                    "Seconds_Behind_Master" => "3",
                    "Last_IO_Error" => "refused",
                    _ => "",
                };
                Some(value.to_owned())
            }
        };
        let facts = |position, sql| Facts {
            channels: vec![Channel::of(&row(position, sql))],
            is_logged: true,
            ..Facts::default()
        };
        let good = facts("905", "Yes");
        assert!(good.is_current() && !good.is_attached());
        assert_eq!(good.lag(), Some(Duration::from_secs(3)));
        assert_eq!(good.channels[0].error, "refused");
        assert!(!facts("704", "Yes").is_current());
        assert!(!facts("905", "No").is_current());
        assert!(!Facts::default().is_current(), "it replicates nobody");
        let stopped = |error: &'static str| {
            move |name: &str| {
                let value = match name {
                    "Slave_IO_Running" | "Slave_SQL_Running" => "No",
                    "Last_SQL_Errno" => "0",
                    "Last_IO_Errno" => error,
                    _ => "",
                };
                Some(value.to_owned())
            }
        };
        assert!(Channel::of(&stopped("0")).is_stopped);
        assert!(
            Channel::of(&stopped("2003")).is_stopped,
            "the other was gone"
        );
        assert!(!Channel::of(&stopped("1236")).is_stopped, "it is broken");
    }
}
