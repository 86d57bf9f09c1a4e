//! The command line of the daemon `viaduct-sqlproxy`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Where the site file is unless told otherwise.
pub const SITE: &str = "/etc/viaduct/site.toml";
/// Where status is asked for unless told otherwise.
pub const SOCKET: &str = "/run/viaduct/sqlproxy.sock";

/// Viaduct's SQL proxy.
#[derive(Debug, Parser)]
#[command(name = "viaduct-sqlproxy", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the daemon can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a site file in the foreground. SIGHUP reads it again; SIGTERM announces that the proxy will
    /// stop, then ends it when its sessions have ended.
    Run(Run),
    /// Check what a site file says to sqlproxies: every mistake with its line. Exits with 64 when there is
    /// one.
    Check {
        /// The site file.
        #[arg(value_name = "FILE", default_value = SITE)]
        file: PathBuf,
    },
    /// Move the writer to another primary: new statements wait, those under way end, it catches up, the
    /// voters elect it. Says when it is done, or why the writer is where it was.
    Switchover {
        /// The primary that is to be the writer, by its name in the site file.
        server: String,
        /// Where there is no writer: take this server though it may lack what was acknowledged.
        #[arg(long)]
        force: bool,
        /// The socket of any sqlproxy of the site.
        #[arg(long, value_name = "FILE", default_value = SOCKET)]
        socket: PathBuf,
    },
    /// Show what a running sqlproxy does, as JSON.
    Status {
        /// The daemon's socket.
        #[arg(long, value_name = "FILE", default_value = SOCKET)]
        socket: PathBuf,
    },
}

/// Options of `viaduct-sqlproxy run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The site file.
    #[arg(long, value_name = "FILE", default_value = SITE)]
    pub config: PathBuf,
    /// The host of the site file that this is; its hostname unless told otherwise.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Socket that answers `viaduct-sqlproxy status`.
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    pub socket: PathBuf,
    /// How log lines are written: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: daemon::log::Format,
    /// For tests of what a session carries: before each statement, a session without a reason to stay is
    /// made anew on its connection, as if another had had it.
    #[arg(long, hide = true)]
    pub always_move: bool,
}
