//! The command line of the daemon `viaduct-proxy`.

use std::{net::IpAddr, path::PathBuf};

use clap::{Parser, Subcommand};

/// Where the site file is unless told otherwise.
pub const SITE: &str = "/etc/viaduct/site.toml";
/// Where status is asked for unless told otherwise.
pub const SOCKET: &str = "/run/viaduct/proxy.sock";

/// Viaduct's HTTP reverse proxy.
#[derive(Debug, Parser)]
#[command(name = "viaduct-proxy", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the daemon can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a site file in the foreground. SIGHUP reads it again, SIGUSR1 opens the access log again;
    /// SIGUSR2 starts the program anew and has it take this one's place; SIGTERM announces that the proxy will stop, then ends it when its connections have ended.
    Run(Run),
    /// Check what a site file says to proxies: every mistake with its line. Exits with 64 when there is
    /// one.
    Check {
        /// The site file.
        #[arg(value_name = "FILE", default_value = SITE)]
        file: PathBuf,
        /// Say which route such a request would have, and why; nothing is sent.
        #[arg(long, num_args = 2, value_names = ["METHOD", "URL"])]
        explain: Option<Vec<String>>,
        /// A header of that request: "Name: value".
        #[arg(long = "header", value_name = "LINE", requires = "explain")]
        headers: Vec<String>,
        /// The listener it comes by; the first one.
        #[arg(long, value_name = "NAME", requires = "explain")]
        listener: Option<String>,
        /// Whose it is.
        #[arg(long, value_name = "ADDRESS", requires = "explain")]
        client: Option<IpAddr>,
    },
    /// Show what a running proxy does, as JSON.
    Status {
        /// The daemon's socket.
        #[arg(long, value_name = "FILE", default_value = SOCKET)]
        socket: PathBuf,
    },
}

/// A request that nobody sends: what `check --explain` is asked about.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: String,
    /// A path, or a whole URL.
    pub url: String,
    /// Lines of its head.
    pub headers: Vec<String>,
    /// The name of the listener; the first one.
    pub listener: Option<String>,
    /// Whose it is.
    pub client: Option<IpAddr>,
}

/// Options of `viaduct-proxy run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The site file.
    #[arg(long, value_name = "FILE", default_value = SITE)]
    pub config: PathBuf,
    /// Which host of the site file this is, when neither hostname nor addresses say.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Socket that answers `viaduct-proxy status`.
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    pub socket: PathBuf,
    /// How log lines are written: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: daemon::log::Format,
}
