//! What is asked for: which VIPs, by which method, by which interface.
//!
//! Not here: whether this host can do it ([`super::plan`](mod@super::plan)).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

/// A forwarding method that real servers are prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// Packets come as they are, in frames to this host.
    Dr,
    /// Packets come inside others; this host takes them out.
    Tunnel,
}

/// A real server as it should be.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Wanted {
    /// A VIP that this host is to serve; may be given several times.
    #[arg(long = "vip", value_name = "ADDRESS", required = true)]
    pub vips: Vec<IpAddr>,
    /// The method of the VIPs' services.
    #[arg(long, value_enum)]
    pub method: Method,
    /// Interface where the director's packets come in.
    #[arg(long, value_name = "NAME")]
    pub interface: String,
    /// Where the far end of the tunnel is pinned, on a BPF file system.
    #[arg(long, value_name = "DIR", default_value = crate::cli::DECAP_PINS)]
    pub pin_dir: PathBuf,
}

impl Wanted {
    /// The VIPs, each once.
    pub fn vips(&self) -> BTreeSet<IpAddr> {
        self.vips.iter().copied().collect()
    }

    /// Whether there is a VIP of IPv4.
    pub fn has_v4(&self) -> bool {
        self.vips.iter().any(IpAddr::is_ipv4)
    }

    /// Whether there is a VIP of IPv6.
    pub fn has_v6(&self) -> bool {
        self.vips.iter().any(IpAddr::is_ipv6)
    }
}
