//! What the room tells others: who is in office and why, what each server alone has, what was done.
//!
//! Not here: sockets; this is a value that the status page and `switchover` read.

use std::collections::BTreeMap;

use election::{Epoch, Server};
use serde::Serialize;

use super::facts::Facts;

/// A server, as its monitor sees it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ToldServer {
    /// Its name.
    pub name: String,
    /// `up`, `dead`, `reset`, `silent`.
    pub seen: &'static str,
    /// It takes no writes.
    pub is_read_only: bool,
    /// A monitor's session holds the writer's lock on it.
    pub has_lock: bool,
    /// Its commits wait for a replica.
    pub waits_for_replica: bool,
    /// It could be the writer.
    pub is_current: bool,
    /// Why it does not replicate.
    pub replication_error: String,
    /// Transactions that it alone has, by GTID.
    pub stranded: Vec<String>,
    /// What it said last, while it answers.
    #[serde(skip)]
    pub facts: Option<Facts>,
}

/// The state of the election, as seen here.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Told {
    /// The term of office.
    pub epoch: u64,
    /// Who is in office.
    pub office: String,
    /// Who takes writes now, if anybody.
    pub writer: Option<String>,
    /// How many leases hold, and how many are needed.
    pub leases: (usize, usize),
    /// A planned move is under way.
    pub is_moving: bool,
    /// Planned moves that have ended here, well or not.
    pub moves: u64,
    /// How the last of them ended: nothing where it was done, else why the writer stayed.
    pub last_move: String,
    /// The servers, in the order of the site file.
    pub servers: Vec<ToldServer>,
    /// Elections seen, promotions and fencings done here, by outcome.
    pub counts: BTreeMap<&'static str, u64>,
    /// Packets that were not taken, by why.
    pub refused: BTreeMap<&'static str, u64>,
    /// Epoch and place of who is in office.
    #[serde(skip)]
    pub term: Option<(Epoch, Server, usize)>,
    /// The place of who takes writes now.
    #[serde(skip)]
    pub writes: Option<usize>,
    /// Each server was seen once.
    #[serde(skip)]
    pub is_full: bool,
}
