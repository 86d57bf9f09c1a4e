//! Who is measured: ours, nginx and HAProxy, each one process on one processor, and the web server behind
//! all of them on another.
//!
//! Each is tuned as its documents recommend, by the files in `tuning`. `full` does what ours does: an access log, a rate limit, `X-Forwarded-For`,
//! `X-Forwarded-Proto` and a request id; `bare` does nothing but pass requests on. Not here: the clients.

use std::{
    fmt::{self, Display},
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::lab::{
    Lab, find, netns,
    process::Process,
    wait::{SOON, eventually},
};

/// The host that all of it is on.
pub(super) const HOST: &str = "bench";
/// Where the web server listens.
const ORIGIN: u16 = 8080;

/// A make of proxy, with or without what a site wants beside the passing on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    Viaduct,
    Nginx { full: bool },
    Haproxy { full: bool },
}

impl Contender {
    /// In the order of the table.
    pub(super) const ALL: [Self; 5] = [
        Self::Viaduct,
        Self::Nginx { full: true },
        Self::Haproxy { full: true },
        Self::Nginx { full: false },
        Self::Haproxy { full: false },
    ];

    /// Whether it does all that ours does.
    pub(super) fn is_full(self) -> bool {
        match self {
            Self::Viaduct => true,
            Self::Nginx { full } | Self::Haproxy { full } => full,
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Viaduct => 8001,
            Self::Nginx { full: true } => 8002,
            Self::Haproxy { full: true } => 8003,
            Self::Nginx { full: false } => 8004,
            Self::Haproxy { full: false } => 8005,
        }
    }

    /// Where it listens.
    pub(super) fn address(self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// Starts it on the first processor.
    ///
    /// # Errors
    /// When it does not listen soon.
    pub(super) fn start(self, lab: &Lab) -> Result<Process> {
        let name = self.to_string().replace(' ', "-");
        let dir = lab.host_dir(HOST)?.join(&name);
        fs::create_dir_all(&dir)?;
        let words = match self {
            Self::Viaduct => viaduct(&dir, self.port())?,
            Self::Nginx { full: true } => {
                nginx(&dir, include_str!("tuning/nginx.conf"), self.port())?
            }
            Self::Nginx { full: false } => {
                nginx(&dir, include_str!("tuning/nginx-bare.conf"), self.port())?
            }
            Self::Haproxy { full: true } => {
                haproxy(&dir, include_str!("tuning/haproxy.cfg"), self.port())?
            }
            Self::Haproxy { full: false } => {
                haproxy(&dir, include_str!("tuning/haproxy-bare.cfg"), self.port())?
            }
        };
        listening(lab, &name, 0, &words, self.address())
    }
}

impl Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, full) = match self {
            Self::Viaduct => ("viaduct", true),
            Self::Nginx { full } => ("nginx", *full),
            Self::Haproxy { full } => ("haproxy", *full),
        };
        f.write_str(name)?;
        f.write_str(if full { "" } else { " bare" })
    }
}

/// Starts the web server on the second processor.
///
/// # Errors
/// When it does not listen soon.
pub(super) fn origin(lab: &Lab) -> Result<Process> {
    let dir = lab.host_dir(HOST)?.join("origin");
    fs::create_dir_all(&dir)?;
    for (name, bytes) in [("1k", 1 << 10), ("64k", 64 << 10)] {
        fs::write(dir.join(name), "x".repeat(bytes))?;
    }
    let words = nginx(&dir, include_str!("tuning/origin.conf"), ORIGIN)?;
    listening(
        lab,
        "origin",
        1,
        &words,
        (Ipv4Addr::LOCALHOST, ORIGIN).into(),
    )
}

/// Starts a program on a processor and waits until it takes connections.
fn listening(
    lab: &Lab,
    name: &str,
    processor: usize,
    words: &[String],
    address: SocketAddr,
) -> Result<Process> {
    let processor = processor.min(super::usage::processors() - 1).to_string();
    let pinned = ["-c".to_owned(), processor].into_iter();
    let args: Vec<String> = pinned.chain(words.iter().cloned()).collect();
    let process = lab.spawn(HOST, name, "taskset", &args)?;
    let namespace = lab.netns(HOST);
    let look = || {
        let connect = || Ok(std::net::TcpStream::connect(address).is_ok());
        Ok(netns::within(&namespace, connect)?.then_some(()))
    };
    eventually(SOON, &format!("{name} to listen"), look).with_context(|| process.story())?;
    Ok(process)
}

/// Writes a tuning with its places filled in; gives where.
fn write(dir: &Path, name: &str, tuning: &str, port: u16) -> Result<String> {
    let text = tuning
        .replace("DIR", &dir.to_string_lossy())
        .replace("PORT", &port.to_string())
        .replace("ORIGIN", &ORIGIN.to_string());
    let file = dir.join(name);
    fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}

fn viaduct(dir: &Path, port: u16) -> Result<Vec<String>> {
    let config = write(dir, "site.toml", include_str!("tuning/viaduct.site"), port)?;
    let program = find::program("viaduct-proxy")?.display().to_string();
    let socket = dir.join("proxy.sock").to_string_lossy().into_owned();
    let words = [&program, "run", "--config", &config, "--socket", &socket];
    Ok(words.map(str::to_owned).into())
}

fn nginx(dir: &Path, tuning: &str, port: u16) -> Result<Vec<String>> {
    let config = write(dir, "nginx.conf", tuning, port)?;
    Ok(["nginx", "-c", &config, "-e", "stderr"]
        .map(str::to_owned)
        .into())
}

fn haproxy(dir: &Path, tuning: &str, port: u16) -> Result<Vec<String>> {
    let config = write(dir, "haproxy.cfg", tuning, port)?;
    Ok(["haproxy", "-db", "-f", &config].map(str::to_owned).into())
}
