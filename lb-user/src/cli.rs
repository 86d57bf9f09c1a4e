//! The command line of the daemon `viaduct-lb`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Where the site file is unless told otherwise.
pub const SITE: &str = "/etc/viaduct/site.toml";
/// Where maps and links are pinned unless told otherwise.
pub const PINS: &str = "/sys/fs/bpf/viaduct";
/// Where the far end of a tunnel is pinned unless told otherwise.
pub const DECAP_PINS: &str = "/sys/fs/bpf/viaduct-decap";
/// Where status is asked for unless told otherwise.
pub const SOCKET: &str = "/run/viaduct/lb.sock";

/// Viaduct's load balancer: XDP programs forward, this daemon keeps their maps right.
#[derive(Debug, Parser)]
#[command(name = "viaduct-lb", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the daemon can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a site file in the foreground. SIGHUP reads it again; SIGTERM ends the daemon and
    /// leaves the data plane forwarding.
    Run(Run),
    /// On a real server of method "tunnel": take packets to its VIPs out of the tunnel, in the
    /// kernel, until `detach` with the same directory. Run it again to change the VIPs.
    Decap {
        /// Interface where the director's packets come in.
        #[arg(long, value_name = "NAME")]
        interface: String,
        /// A VIP that this host holds; may be given several times.
        #[arg(long, value_name = "ADDRESS", required = true)]
        vip: Vec<IpAddr>,
        /// Where program and map are pinned, on a BPF file system.
        #[arg(long, value_name = "DIR", default_value = DECAP_PINS)]
        pin_dir: PathBuf,
    },
    /// Remove the data plane: detach the programs, delete the maps.
    Detach {
        /// Where they are pinned.
        #[arg(long, value_name = "DIR", default_value = PINS)]
        pin_dir: PathBuf,
    },
}

/// Options of `viaduct-lb run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The site file.
    #[arg(long, value_name = "FILE", default_value = SITE)]
    pub config: PathBuf,
    /// Which host of the site file this is, when neither hostname nor addresses say.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Where maps and links are pinned, on a BPF file system.
    #[arg(long, value_name = "DIR", default_value = PINS)]
    pub pin_dir: PathBuf,
    /// Socket that answers `viaduct status`.
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    pub socket: PathBuf,
    /// How log lines are written: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: daemon::log::Format,
}
