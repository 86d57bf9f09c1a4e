//! MariaDB on the lab's hosts: small, quick to start, with accounts, replication and what goes wrong.
//!
//! ```text
//!   template   a data directory with the accounts, made once (about 4 s), kept in target/mariadb
//!   MariaDb    a copy of it in the lab's directory and a server on it, in well under a second
//!   pair       two that replicate each other, semi-synchronously
//! ```
//! A server is asked through its unix socket as root, from whatever namespace: [`MariaDb::query`].
//! Clients under test use [`APP`], [`MONITOR`] and [`PASSWORD`] at its address, from a lab's host.
//! It ends with the lab. `kill -9` loses nothing that was committed, though nothing is synced: the
//! kernel has it.
//!
//! Not here: the proxy before it, and what is expected of either.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use super::{
    Lab,
    process::Process,
    wait::{SOON, eventually},
};

mod template;

/// The port that servers listen on.
pub const PORT: u16 = 3306;
/// An application's account: everything in the database [`SCHEMA`], and nothing else.
pub const APP: &str = "app";
/// The account of a sqlproxy's monitors, with the rights that the documents ask for.
pub const MONITOR: &str = "monitor";
/// The account that servers replicate as.
const REPLICATION: &str = "repl";
/// The password of all three accounts.
pub const PASSWORD: &str = "lab-secret";
/// The database of the application.
pub const SCHEMA: &str = "shop";

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its `server_id` and GTID domain.
    pub id: u8,
    /// Where it listens besides its unix socket, on [`PORT`].
    pub address: IpAddr,
    /// More options of mariadbd: `--read-only`.
    pub options: Vec<String>,
}

impl Setup {
    /// One that takes writes and replicates nobody.
    #[must_use]
    pub fn new(id: u8, address: impl Into<IpAddr>) -> Self {
        let options = Vec::new();
        let address = address.into();
        Self {
            id,
            address,
            options,
        }
    }

    /// Adds options of mariadbd.
    #[must_use]
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options
            .extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// As one of a pair of primaries: keys that do not collide, semi-synchronous both ways (AFTER_SYNC,
    /// 10 s), and read-only until somebody makes it the writer, as `my.cnf` should say.
    #[must_use]
    pub fn primary(self) -> Self {
        let offset = format!("--auto-increment-offset={}", self.id);
        self.options(&[
            "--auto-increment-increment=2",
            &offset,
            "--rpl-semi-sync-master-enabled=1",
            "--rpl-semi-sync-slave-enabled=1",
            "--rpl-semi-sync-master-wait-point=AFTER_SYNC",
            "--rpl-semi-sync-master-timeout=10000",
            "--read-only=1",
        ])
    }
}

/// A server on a host.
#[derive(Debug)]
pub struct MariaDb<'l> {
    lab: &'l Lab,
    host: String,
    setup: Setup,
    dir: PathBuf,
    process: Mutex<Process>,
}

impl Lab {
    /// Starts MariaDB on a host, with an empty database [`SCHEMA`], and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, or does not answer soon; the log is in the message.
    pub fn mariadb(&self, host: &str, setup: Setup) -> Result<MariaDb<'_>> {
        let server = self.begin_mariadb(host, setup)?;
        server.wait_ready()?;
        Ok(server)
    }

    /// The same without the waiting.
    fn begin_mariadb(&self, host: &str, setup: Setup) -> Result<MariaDb<'_>> {
        let dir = self.host_dir(host)?.join("mariadb");
        template::copy(&dir)?;
        let process = Mutex::new(spawn(self, host, &setup, &dir)?);
        let host = host.to_owned();
        Ok(MariaDb {
            lab: self,
            host,
            setup,
            dir,
            process,
        })
    }

    /// Starts two primaries that replicate each other, both read-only.
    ///
    /// # Errors
    /// As [`Lab::mariadb`], and when they do not replicate soon.
    pub fn mariadb_pair(&self, hosts: [(&str, Setup); 2]) -> Result<[MariaDb<'_>; 2]> {
        let [one, two] = hosts;
        let one = self.begin_mariadb(one.0, one.1.primary())?;
        let two = self.begin_mariadb(two.0, two.1.primary())?;
        one.wait_ready()?;
        two.wait_ready()?;
        one.replicate(&two)?;
        two.replicate(&one)?;
        for server in [&one, &two] {
            server.wait_for(
                "SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'",
                "a semi-synchronous peer",
                |row| row.ends_with("\t1"),
            )?;
        }
        Ok([one, two])
    }
}

fn spawn(lab: &Lab, host: &str, setup: &Setup, dir: &Path) -> Result<Process> {
    let at = dir.display();
    let (id, address) = (setup.id, setup.address);
    let mut args: Vec<String> = [
        "--no-defaults",
        "--user=root",
        "--log-bin=binlog",
        "--log-slave-updates",
        "--skip-name-resolve",
        "--max-connections=1000",
        "--performance-schema=0",
        "--innodb-buffer-pool-size=16M",
        "--innodb-log-file-size=4M",
        "--innodb-log-buffer-size=1M",
        "--innodb-data-file-path=ibdata1:4M:autoextend",
        "--innodb-temp-data-file-path=ibtmp1:1M:autoextend",
        "--innodb-buffer-pool-dump-at-shutdown=0",
        "--innodb-buffer-pool-load-at-startup=0",
        // Not io_uring: containers often forbid it.
        "--innodb-use-native-aio=0",
        // The kernel has what was written: enough for kill -9, and all that tests do.
        "--innodb-flush-log-at-trx-commit=2",
        "--sync-binlog=0",
        "--key-buffer-size=1M",
        "--aria-pagecache-buffer-size=1M",
        "--slave-net-timeout=4",
        "--relay-log=relay",
    ]
    .map(str::to_owned)
    .to_vec();
    args.extend([
        format!("--datadir={at}/data"),
        format!("--socket={}", socket(dir).display()),
        format!("--pid-file={at}/pid"),
        format!("--bind-address={address}"),
        format!("--port={PORT}"),
        format!("--server-id={id}"),
        format!("--gtid-domain-id={id}"),
    ]);
    args.extend(setup.options.iter().cloned());
    lab.spawn(host, &format!("mariadb-{host}"), "mariadbd", &args)
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("sock")
}

impl MariaDb<'_> {
    /// Its host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where clients find it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.setup.address, PORT)
    }

    /// Its unix socket, which any namespace reaches.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket(&self.dir)
    }

    /// The program as it runs now.
    #[must_use]
    pub fn process(&self) -> Process {
        self.process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn ask(&self, sql: &str) -> Result<Output> {
        let mut client = Command::new("mariadb");
        client.args([
            "--no-defaults",
            "--user=root",
            "--batch",
            "--skip-column-names",
            "--connect-timeout=5",
        ]);
        client.arg(format!("--socket={}", self.socket().display()));
        let mut child = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run `mariadb`: is mariadb-client installed?")?;
        // Gone before it read all: its exit says why.
        let mut pipe = child.stdin.take().context("no pipe")?;
        drop(pipe.write_all(sql.as_bytes()));
        drop(pipe);
        Ok(child.wait_with_output()?)
    }

    /// What statements give, as root: rows as lines, values parted by tabs, no headings.
    ///
    /// # Errors
    /// What the server says, or that it does not answer.
    pub fn query(&self, sql: &str) -> Result<String> {
        let out = self.ask(sql)?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            return Err(anyhow::anyhow!("{}: `{sql}`: {}", self.host, said.trim()))
                .with_context(|| self.process().story());
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }

    /// Waits until what a query gives is as `wanted`.
    ///
    /// # Errors
    /// When it is not soon, with what it gives instead.
    pub fn wait_for(&self, sql: &str, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let found = eventually(SOON, &format!("{what} on {}", self.host), || {
            last = self.query(sql)?;
            Ok(wanted(&last).then(|| last.clone()))
        });
        found.with_context(|| format!("last: {last}"))
    }

    fn wait_ready(&self) -> Result<()> {
        let process = self.process();
        let ready = eventually(SOON, &format!("{} to answer", process.name()), || {
            if let Some(status) = process.exit()? {
                bail!("it ended: {status}");
            }
            Ok(self.ask("SELECT 1")?.status.success().then_some(()))
        });
        ready.with_context(|| process.story())
    }

    /// Makes it replicate another, by GTID; what it is behind it fetches.
    ///
    /// # Errors
    /// What the server says.
    pub fn replicate(&self, primary: &MariaDb<'_>) -> Result<()> {
        let host = primary.setup.address;
        self.query(&format!(
            "CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={PORT}, MASTER_USER='{REPLICATION}', \
             MASTER_PASSWORD='{PASSWORD}', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, \
             MASTER_HEARTBEAT_PERIOD=1; START SLAVE"
        ))?;
        self.wait_for("SHOW ALL SLAVES STATUS", "replication", |row| {
            // Slave_IO_Running, Slave_SQL_Running
            row.contains("\tYes\tYes\t")
        })?;
        Ok(())
    }

    /// Waits until it has all that another has committed.
    ///
    /// # Errors
    /// When it does not soon.
    pub fn catch_up(&self, primary: &MariaDb<'_>) -> Result<()> {
        let position = primary.query("SELECT @@gtid_binlog_pos")?;
        let wait = format!("SELECT MASTER_GTID_WAIT('{position}', 30)");
        let outcome = self.query(&wait)?;
        if outcome != "0" {
            bail!("{} has not reached {position}: {outcome}", self.host);
        }
        Ok(())
    }

    /// Ends it at once, as a crash does (SIGKILL).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<()> {
        self.process().kill().map(drop)
    }

    /// Ends it in good order (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it does not end soon.
    pub fn stop(&self) -> Result<()> {
        self.process().terminate().map(drop)
    }

    /// Hangs it (SIGSTOP): its sockets stay open and say nothing.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn hang(&self) -> Result<()> {
        self.process().signal(Signal::SIGSTOP)
    }

    /// Goes on after [`MariaDb::hang`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wake(&self) -> Result<()> {
        self.process().signal(Signal::SIGCONT)
    }

    /// Starts it again after its end, on what it had, and waits until it answers.
    ///
    /// # Errors
    /// When it does not soon.
    pub fn start(&self) -> Result<()> {
        let process = spawn(self.lab, &self.host, &self.setup, &self.dir)?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
        self.wait_ready()
    }
}
