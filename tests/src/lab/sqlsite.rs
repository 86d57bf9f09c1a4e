//! A site of two sqlproxies, two directors and two servers: its network, its site file, its daemons, and
//! a client that keeps a journal of what was acknowledged.
//!
//! ```text
//!   client .1    sql1 .21   sql2 .22    db1 .31   db2 .32    lb1 .2   lb2 .3        all on br0
//! ```
//! The directors' witnesses run in this process, each on its host's network.
//!
//! Not here: what is expected.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use serde_json::Value;
use sqlproxy::election::channel::{Role, witness::Witness};

use super::{
    Lab, find,
    mariadb::{APP, MONITOR, MariaDb, PASSWORD, SCHEMA, Setup},
    netns,
    plan::{Host, Plan, Port},
    process::Process,
    topology::{CLIENT, CLIENT_ADDRESS},
    wait::{SOON, eventually, unix_micros},
};

/// The port that sqlproxies listen on.
pub const PORT: u16 = 8066;
/// The hosts that run a sqlproxy.
pub const PROXIES: [&str; 2] = ["sql1", "sql2"];
/// The hosts whose directors are witnesses.
pub const DIRECTORS: [&str; 2] = ["lb1", "lb2"];
/// The hosts with a server.
pub const SERVERS: [&str; 2] = ["db1", "db2"];

fn address(host: &str) -> Ipv4Addr {
    let last = match host {
        "lb1" => 2,
        "lb2" => 3,
        "sql1" => 21,
        "sql2" => 22,
        "db1" => 31,
        _ => 32,
    };
    Ipv4Addr::new(10, 77, 0, last)
}

/// The network.
#[must_use]
pub fn network() -> Plan {
    let host = |name: &str, address| Host::new(name).port(Port::new("eth0", "br0", address));
    let all = PROXIES.iter().chain(&DIRECTORS).chain(&SERVERS);
    let plan = Plan::default().host(host(CLIENT, CLIENT_ADDRESS));
    all.fold(plan, |plan, name| plan.host(host(name, address(name))))
}

/// Two primaries on this network, as the first writes.
///
/// # Errors
/// As [`Lab::mariadb_pair`].
pub fn servers(lab: &Lab) -> Result<[MariaDb<'_>; 2]> {
    let setup = |id, host: &str| Setup::new(id, address(host));
    lab.mariadb_pair([("db1", setup(1, "db1")), ("db2", setup(2, "db2"))])
}

/// The site file; with `voters`, an election among both sqlproxies and both directors.
///
/// # Errors
/// When a secret cannot be written.
pub fn site_file(lab: &Lab, servers: &[MariaDb<'_>; 2], has_voters: bool) -> Result<PathBuf> {
    let dir = lab.dir();
    for (name, text) in [("password", PASSWORD), ("secret", "the site's own secret")] {
        fs::write(dir.join(name), text)?;
    }
    let at = dir.display();
    let hash = servers[0].query(&format!("SELECT PASSWORD('{PASSWORD}')"))?;
    let mut text = format!(
        "[sqlproxy]\nthreads = 1\nannounce = \"0s\"\nreaders = \"all\"\nstatus = \"127.0.0.1:9146\"\n\
         [sqlproxy.monitor]\nuser = \"{MONITOR}\"\npassword_file = \"{at}/password\"\nsettle = \"1s\"\n\
         state = \"{at}/STATE\"\n\
         [[sqlproxy.user]]\nname = \"{APP}\"\npassword_hash = \"{hash}\"\nschema = \"{SCHEMA}\"\n\
         server_password_file = \"{at}/password\"\n"
    );
    for host in PROXIES {
        text += &format!("[hosts.{host}.sqlproxy]\nlisten = [\"0.0.0.0:{PORT}\"]\n");
    }
    for (name, server) in SERVERS.iter().zip(servers) {
        let address = server.address();
        text += &format!(
            "[[sqlproxy.server]]\nname = \"{name}\"\naddress = \"{address}\"\nrole = \"primary\"\n"
        );
    }
    if has_voters {
        let [one, two] = [&servers[0], &servers[1]].map(|server| server.address());
        text += &format!(
            "[election]\nsecret_file = \"{at}/secret\"\nservers = [\"{one}\", \"{two}\"]\n\
             user = \"{MONITOR}\"\npassword_file = \"{at}/password\"\nstate = \"{at}/STATE\"\n"
        );
        let roles = PROXIES.map(|host| (host, "sqlproxy")).into_iter();
        for (host, role) in roles.chain(DIRECTORS.map(|host| (host, "director"))) {
            let address = address(host);
            text += &format!(
                "[[election.voter]]\nhost = \"{host}\"\nrole = \"{role}\"\naddress = \"{address}:7447\"\n"
            );
        }
    }
    let file = dir.join("site.toml");
    fs::write(&file, text)?;
    Ok(file)
}

/// The site file as a host has it: with a directory of its own for what it keeps.
fn own_file(lab: &Lab, file: &Path, host: &str) -> Result<PathBuf> {
    let dir = lab.host_dir(host)?;
    let own = dir.join("site.toml");
    fs::write(&own, fs::read_to_string(file)?.replace("STATE", host))?;
    Ok(own)
}

/// A host with a running sqlproxy.
#[derive(Debug)]
pub struct Leader {
    /// Its host.
    pub host: &'static str,
    socket: PathBuf,
    /// The daemon.
    pub daemon: Process,
}

impl Leader {
    /// Starts the daemon and waits until it is ready.
    ///
    /// # Errors
    /// When it ends before; the log is in the message.
    pub fn start(lab: &Lab, file: &Path, host: &'static str) -> Result<Self> {
        let own = own_file(lab, file, host)?;
        let socket = lab.host_dir(host)?.join("sqlproxy.sock");
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let program = text(&find::program("viaduct-sqlproxy")?);
        let (own, at) = (text(&own), text(&socket));
        let args = ["run", "--config", &own, "--socket", &at, "--host", host];
        let daemon = lab.spawn(host, &format!("sqlproxy-{host}"), &program, &args)?;
        daemon.wait_for_log("`ready`", |line| {
            line.split(' ').any(|word| word == "ready")
        })?;
        Ok(Self {
            host,
            socket,
            daemon,
        })
    }

    /// Its status now.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn status(&self) -> Result<Value> {
        let out = Command::new(find::program("viaduct-sqlproxy")?)
            .args(["status", "--socket"])
            .arg(&self.socket)
            .output()?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            return Err(anyhow::anyhow!(said)).with_context(|| self.daemon.story());
        }
        Ok(serde_json::from_slice(&out.stdout)?)
    }

    /// Waits until the status is as `wanted`.
    ///
    /// # Errors
    /// When it is not soon.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = eventually(SOON, what, || Ok(Some(self.status()?).filter(&wanted)));
        found.with_context(|| self.daemon.story())
    }

    /// Waits until this server takes its writes.
    ///
    /// # Errors
    /// When it does not soon.
    pub fn wait_writer(&self, server: Option<&str>) -> Result<()> {
        let what = format!("the writer {server:?} at {}", self.host);
        self.wait(&what, |status| status["writer"].as_str() == server)
            .map(drop)
    }

    /// Runs `viaduct-sqlproxy switchover`; what it says, where it fails.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn switchover(&self, args: &[&str]) -> Result<Result<(), String>> {
        let out = Command::new(find::program("viaduct-sqlproxy")?)
            .arg("switchover")
            .args(args)
            .arg("--socket")
            .arg(&self.socket)
            .output()?;
        Ok(match out.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        })
    }
}

/// A director's witness, until it is dropped.
#[derive(Debug)]
pub struct InWitness {
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl InWitness {
    /// Starts it on its host's network.
    ///
    /// # Errors
    /// When the site file is not good.
    pub fn start(lab: &Lab, file: &Path, host: &'static str) -> Result<Self> {
        let own = own_file(lab, file, host)?;
        let site =
            sqlproxy::config::SqlSite::load(&own).map_err(|error| anyhow::anyhow!("{error}"))?;
        let election = site.site.election.context("no election")?;
        fs::create_dir_all(&election.state)?;
        let me = election.voter(host, Role::Director).context("no voter")?;
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let netns = lab.netns(host);
        let work = move || {
            netns::within(&netns, move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(async {
                    let witness = Witness::open(&election, me)?;
                    tokio::select! {
                        () = witness.run() => {}
                        _ = ended => {}
                    }
                    Ok(())
                })
            })
        };
        Ok(Self {
            end: Some(end),
            thread: Some(std::thread::spawn(work)),
        })
    }
}

impl Drop for InWitness {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && !matches!(thread.join(), Ok(Ok(())))
        {
            eprintln!("a witness failed");
        }
    }
}

/// A statement of the journal that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Its number: each is sent once, whatever becomes of it.
    pub number: u64,
    /// When it was sent, microseconds since 1970.
    pub sent: u64,
    /// And acknowledged.
    pub acknowledged: u64,
}

/// What a client did.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// What was acknowledged.
    pub written: Vec<Written>,
    /// What failed, and how.
    pub failures: Vec<String>,
}

impl Journal {
    /// The longest time from one acknowledgement to the next.
    #[must_use]
    pub fn gap(&self) -> Duration {
        let pairs = self.written.windows(2);
        let gaps = pairs.map(|pair| pair[1].acknowledged - pair[0].acknowledged);
        Duration::from_micros(gaps.max().unwrap_or_default())
    }
}

/// A client that writes a row after the other through one proxy.
#[derive(Debug)]
pub struct Writer {
    is_over: Arc<AtomicBool>,
    count: Arc<std::sync::atomic::AtomicU64>,
    thread: Option<JoinHandle<Result<Journal>>>,
}

impl Writer {
    /// Begins; numbers count from `first`.
    #[must_use]
    pub fn start(lab: &Lab, proxy: &str, first: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let (netns, at) = (lab.netns(CLIENT), address(proxy));
        let (over, counter) = (Arc::clone(&is_over), Arc::clone(&count));
        let work = move || {
            netns::within(&netns, move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                Ok(runtime.block_on(write(at, first, &over, &counter)))
            })
        };
        Self {
            is_over,
            count,
            thread: Some(std::thread::spawn(work)),
        }
    }

    /// Waits until so many more rows were acknowledged.
    ///
    /// # Errors
    /// When they are not soon.
    pub fn more(&self, rows: u64) -> Result<()> {
        let before = self.count.load(Relaxed);
        eventually(SOON, "more rows", || {
            Ok((self.count.load(Relaxed) >= before + rows).then_some(()))
        })
    }

    /// Ends, and tells.
    ///
    /// # Errors
    /// When the client itself failed.
    pub fn finish(mut self) -> Result<Journal> {
        self.is_over.store(true, Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(journal)) => journal,
            Some(Err(_)) | None => bail!("the client has panicked"),
        }
    }
}

async fn write(
    at: Ipv4Addr,
    first: u64,
    is_over: &AtomicBool,
    count: &std::sync::atomic::AtomicU64,
) -> Journal {
    let opts = OptsBuilder::default()
        .ip_or_hostname(at.to_string())
        .tcp_port(PORT)
        .user(Some(APP))
        .pass(Some(PASSWORD))
        .prefer_socket(false);
    let mut journal = Journal::default();
    let mut conn: Option<Conn> = None;
    let mut number = first;
    while !is_over.load(Relaxed) {
        let sent = unix_micros();
        let row = format!("INSERT INTO journal (n, s) VALUES ({number}, @@server_id)");
        number += 1;
        let one = async {
            let mut conn = match conn.take() {
                Some(conn) => conn,
                None => Conn::new(opts.clone()).await?,
            };
            conn.query_drop(row).await?;
            Ok::<_, mysql_async::Error>(conn)
        };
        match tokio::time::timeout(Duration::from_secs(20), one).await {
            Ok(Ok(alive)) => {
                conn = Some(alive);
                let (number, acknowledged) = (number - 1, unix_micros());
                journal.written.push(Written {
                    number,
                    sent,
                    acknowledged,
                });
                count.fetch_add(1, Relaxed);
            }
            Ok(Err(error)) => journal.failures.push(error.to_string()),
            Err(_) => journal.failures.push("no answer within 20 s".to_owned()),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    journal
}

/// Makes the journal's table.
///
/// # Errors
/// What the server says.
pub fn make_journal(server: &MariaDb<'_>) -> Result<()> {
    let table = format!(
        "CREATE TABLE {SCHEMA}.journal (id BIGINT PRIMARY KEY AUTO_INCREMENT, n BIGINT NOT NULL, \
         s INT NOT NULL, KEY (n))"
    );
    server.query(&table).map(drop)
}

/// Sees to it that each row that was acknowledged is there, and none is twice; and that no two servers took
/// statements: in the order of all acknowledgements, the server that gave them changes as often as the writer.
///
/// # Errors
/// What is wrong.
pub fn check(server: &MariaDb<'_>, journals: &[&Journal], moves: usize) -> Result<()> {
    let rows = server.query(&format!("SELECT n, s FROM {SCHEMA}.journal"))?;
    let mut on = std::collections::BTreeMap::new();
    for row in rows.lines() {
        let (number, by) = row.split_once('\t').context("a row of two")?;
        if on.insert(number.parse::<u64>()?, by.to_owned()).is_some() {
            bail!("row {number} was written twice");
        }
    }
    let mut written = Vec::new();
    for one in journals.iter().flat_map(|journal| &journal.written) {
        let by = on.get(&one.number);
        let by =
            by.with_context(|| format!("row {} was acknowledged and is not there", one.number))?;
        written.push((one.acknowledged, by.clone()));
    }
    written.sort();
    let changes = written.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    let changes = changes.count();
    if changes != moves {
        bail!("the server that acknowledged changed {changes} times, and the writer {moves} times");
    }
    Ok(())
}
