//! The data directory that all servers of the lab begin with: system tables, accounts, an empty
//! database. Made once for each version of MariaDB and of what is put in, then copied.
//!
//! Not here: servers.

use std::{
    env, fs,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};

use super::{APP, MONITOR, PASSWORD, REPLICATION, SCHEMA};
use crate::lab::netns::output;

/// Files small enough to be copied fast; a server has to be started with the same.
const SIZES: [&str; 2] = [
    "--innodb-log-file-size=4M",
    "--innodb-data-file-path=ibdata1:4M:autoextend",
];

/// A statement a line, as `mariadbd --bootstrap` wants it.
fn statements() -> String {
    let by = format!("IDENTIFIED BY '{PASSWORD}'");
    [
        "FLUSH PRIVILEGES".to_owned(),
        "DELETE FROM mysql.global_priv WHERE User NOT IN ('root', 'mariadb.sys') OR Host <> 'localhost'".to_owned(),
        "FLUSH PRIVILEGES".to_owned(),
        format!("CREATE DATABASE {SCHEMA}"),
        format!("CREATE USER {APP}@'%' {by}"),
        format!("GRANT ALL ON {SCHEMA}.* TO {APP}@'%'"),
        format!("CREATE USER {REPLICATION}@'%' {by}"),
        format!("GRANT REPLICATION SLAVE ON *.* TO {REPLICATION}@'%'"),
        format!("CREATE USER {MONITOR}@'%' {by}"),
        format!("GRANT {MONITOR_RIGHTS} ON *.* TO {MONITOR}@'%'"),
    ]
    .map(|statement| statement + ";\n")
    .concat()
}

/// What docs/sql-failover.md asks for.
const MONITOR_RIGHTS: &str = "PROCESS, CONNECTION ADMIN, READ_ONLY ADMIN, BINLOG MONITOR, \
    REPLICA MONITOR, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN";

/// Makes `dir` with the directory `data` in it.
pub(super) fn copy(dir: &Path) -> Result<()> {
    let template = ready()?;
    fs::create_dir_all(dir)?;
    let mut copy = Command::new("cp");
    copy.args(["-a", "--sparse=always"])
        .arg(template)
        .arg(dir.join("data"));
    output(&mut copy).map(drop)
}

/// The template, made if it is not there.
fn ready() -> Result<PathBuf> {
    let version = output(Command::new("mariadbd").arg("--version"))
        .context("mariadbd is missing: install mariadb-server")?;
    let digest = Sha256::digest(format!("{version}{}{SIZES:?}", statements()));
    let name: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let root = target()?.join("mariadb");
    fs::create_dir_all(&root)?;
    let lock = File::open(&root)?;
    let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let (template, new) = (root.join(&name), root.join("new"));
    if !template.exists() {
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        make(&new).with_context(|| format!("cannot make {}", template.display()))?;
        fs::rename(&new, &template)?;
    }
    drop(lock);
    Ok(template)
}

/// cargo's target directory.
fn target() -> Result<PathBuf> {
    let exe = env::current_exe()?;
    let profile = exe.ancestors().skip(1).find(|dir| !dir.ends_with("deps"));
    let target = profile.and_then(Path::parent);
    target
        .map(Path::to_owned)
        .context("not in a target directory")
}

fn make(dir: &Path) -> Result<()> {
    let datadir = format!("--datadir={}", dir.display());
    let mut install = Command::new("mariadb-install-db");
    install.args([
        "--no-defaults",
        "--user=root",
        "--skip-test-db",
        "--skip-name-resolve",
    ]);
    install
        .arg("--auth-root-authentication-method=normal")
        .arg(&datadir)
        .args(SIZES);
    output(&mut install)?;
    let mut server = Command::new("mariadbd");
    server.args([
        "--no-defaults",
        "--bootstrap",
        "--user=root",
        "--innodb-use-native-aio=0",
    ]);
    let mut server = server
        .arg(&datadir)
        .args(SIZES)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = server.stdin.take().context("no pipe")?;
    input.write_all(statements().as_bytes())?;
    drop(input);
    let out = server.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() || said.contains("ERROR") {
        bail!("mariadbd --bootstrap: {}: {said}", out.status);
    }
    Ok(())
}
