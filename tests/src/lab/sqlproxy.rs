//! A SQL proxy: a host's site file, its `viaduct-sqlproxy`, and clients before it.
//!
//! Not here: the servers behind it (`mariadb`). The daemon is run as a user runs it, and seen through its
//! status and its log.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    Lab, find,
    mariadb::{APP, MariaDb, PASSWORD, SCHEMA},
    netns,
    process::Process,
    proxy::{PROXY, PROXY_ADDRESS},
    topology::CLIENT,
    wait::{SOON, eventually},
};

/// The port that it listens on.
pub const PORT: u16 = 8066;

/// A host with a running `viaduct-sqlproxy`.
#[derive(Debug)]
pub struct SqlProxy<'l> {
    lab: &'l Lab,
    config: PathBuf,
    socket: PathBuf,
    daemon: Process,
}

/// A site file for these servers, the first of them a primary; `more` stands in `[sqlproxy]`.
///
/// # Errors
/// When the password cannot be written.
pub fn site(lab: &Lab, servers: &[&MariaDb<'_>], more: &str) -> Result<String> {
    let secret = lab.host_dir(PROXY)?.join("app.password");
    fs::write(&secret, PASSWORD)?;
    let mut text = format!(
        "[hosts.{PROXY}.sqlproxy]\nlisten = [\"0.0.0.0:{PORT}\", \"{}\"]\n[sqlproxy]\nthreads = 2\n\
         announce = \"0s\"\n{more}\n",
        socket_of(lab)?.display()
    );
    for (place, server) in servers.iter().enumerate() {
        let role = if place == 0 { "primary" } else { "replica" };
        text += &format!(
            "[[sqlproxy.server]]\nname = \"db{}\"\naddress = \"{}\"\nrole = \"{role}\"\n",
            place + 1,
            server.address()
        );
    }
    let hash = servers[0].query(&format!("SELECT PASSWORD('{PASSWORD}')"))?;
    text += &format!(
        "[[sqlproxy.user]]\nname = \"{APP}\"\npassword_hash = \"{hash}\"\n\
         server_password_file = \"{}\"\n",
        secret.display()
    );
    Ok(text)
}

/// The unix socket that a proxy listens at.
fn socket_of(lab: &Lab) -> Result<PathBuf> {
    Ok(lab.host_dir(PROXY)?.join("mysql.sock"))
}

impl<'l> SqlProxy<'l> {
    /// Writes the site file, starts the daemon without a single capability, and waits until it is ready.
    ///
    /// # Errors
    /// When the daemon is not built, ends, or is not ready soon; the log is in the message.
    pub fn start(lab: &'l Lab, site: &str, options: &[&str]) -> Result<Self> {
        let dir = lab.host_dir(PROXY)?;
        let (config, socket) = (dir.join("site.toml"), dir.join("sqlproxy.sock"));
        fs::write(&config, site)?;
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let program = text(&find::program("viaduct-sqlproxy")?);
        let (config_text, socket_text) = (text(&config), text(&socket));
        let mut args = vec![
            "--no-new-privs",
            "--bounding-set=-all",
            "--",
            &program,
            "run",
            "--config",
            &config_text,
            "--socket",
            &socket_text,
        ];
        args.extend(options);
        let daemon = lab.spawn(PROXY, "viaduct-sqlproxy", "setpriv", &args)?;
        daemon.wait_for_log("`ready`", |line| {
            line.split(' ').any(|word| word == "ready")
        })?;
        Ok(Self {
            lab,
            config,
            socket,
            daemon,
        })
    }

    /// The daemon.
    #[must_use]
    pub fn daemon(&self) -> &Process {
        &self.daemon
    }

    /// The unix socket that it listens at.
    ///
    /// # Errors
    /// When the lab has no directory for it.
    pub fn path(&self) -> Result<PathBuf> {
        socket_of(self.lab)
    }

    /// Its status now.
    ///
    /// # Errors
    /// When nobody answers; the log is in the message.
    pub fn status(&self) -> Result<Value> {
        let mut ask = Command::new(find::program("viaduct-sqlproxy")?);
        let out = ask
            .args(["status", "--socket"])
            .arg(&self.socket)
            .output()?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            return Err(anyhow::anyhow!(said)).with_context(|| self.daemon.story());
        }
        Ok(serde_json::from_slice(&out.stdout)?)
    }

    /// What its status server says at a path.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn told(&self, path: &str) -> Result<String> {
        let mut curl = Command::new("curl");
        let out = curl
            .args(["-sS", "--unix-socket"])
            .arg(&self.socket)
            .arg(format!("http://sqlproxy{path}"))
            .output()?;
        Ok(String::from_utf8(out.stdout)?)
    }

    /// Waits until the status is as `wanted`.
    ///
    /// # Errors
    /// When it is not soon; the log is in the message.
    pub fn wait_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = eventually(SOON, what, || Ok(Some(self.status()?).filter(&wanted)));
        found.with_context(|| self.daemon.story())
    }

    /// Replaces the site file, asks for a reload and waits until it is taken; `Err` of the inner result
    /// says why it was refused.
    ///
    /// # Errors
    /// When the status shows no outcome soon.
    pub fn reload(&self, site: &str) -> Result<Result<u64, String>> {
        let before = self.status()?;
        let new = self.config.with_extension("new");
        fs::write(&new, site)?;
        fs::rename(&new, &self.config)?;
        self.daemon.signal(Signal::SIGHUP)?;
        let differs = |now: &Value, key: &str| now[key] != before[key];
        let after = self.wait_status("the outcome of the reload", |now| {
            differs(now, "generation") || differs(now, "last_error")
        })?;
        Ok(match after["last_error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(after["generation"].as_u64().context("no generation")?),
        })
    }

    /// Runs the mariadb client on the client's host: what it is told by its standard input, and more
    /// arguments.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn mariadb(&self, args: &[&str], sql: &str) -> Result<Output> {
        let mut client = netns::command(&self.lab.netns(CLIENT), "mariadb");
        let (user, password) = (format!("--user={APP}"), format!("--password={PASSWORD}"));
        let (host, port) = (format!("--host={PROXY_ADDRESS}"), format!("--port={PORT}"));
        let to = [
            "--no-defaults",
            "--batch",
            "--skip-column-names",
            "--connect-timeout=10",
        ];
        client.args(to).args([&user, &password, &host, &port]);
        client.args(args).args([SCHEMA, "-e", sql]);
        Ok(client.output()?)
    }

    /// What the mariadb client shows.
    ///
    /// # Errors
    /// When it fails; the reason is in the message.
    pub fn query(&self, sql: &str) -> Result<String> {
        let out = self.mariadb(&[], sql)?;
        if !out.status.success() {
            bail!(
                "`{sql}`: {}\n{}",
                String::from_utf8_lossy(&out.stderr),
                self.daemon.story()
            );
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }
}
