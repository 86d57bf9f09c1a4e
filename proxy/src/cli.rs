//! The command line of the daemon `viaduct-proxy`.

use std::path::PathBuf;

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
    /// SIGTERM announces that the proxy will stop, then ends it when its connections have ended.
    Run(Run),
    /// Check what a site file says to proxies: every mistake with its line. Exits with 64 when there is
    /// one.
    Check {
        /// The site file.
        #[arg(value_name = "FILE", default_value = SITE)]
        file: PathBuf,
    },
    /// Show what a running proxy does, as JSON.
    Status {
        /// The daemon's socket.
        #[arg(long, value_name = "FILE", default_value = SOCKET)]
        socket: PathBuf,
    },
}

/// Options of `viaduct-proxy run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The site file.
    #[arg(long, value_name = "FILE", default_value = SITE)]
    pub config: PathBuf,
    /// Socket that answers `viaduct-proxy status`.
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    pub socket: PathBuf,
    /// How log lines are written: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: daemon::log::Format,
}
