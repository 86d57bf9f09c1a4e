//! `viaduct-demo probe`: an ICMP echo to an address each millisecond, and for how long nobody
//! answered.
//!
//! The echoes go the way of all traffic of the host, by its neighbour cache: a gratuitous ARP that was
//! not sent shows as an outage. Answers are stamped by the kernel. Not here: who answers
//! (`whohas`); what is made of the figures (`bench::failover`).

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};
use serde::{Deserialize, Serialize};

use super::{
    outage::{Probed, Tally},
    pace::{self, Beat, Pace},
    say,
};

/// How many questions lie between two lines of progress.
const TELL: u64 = 25;

/// Begins the payload of our echoes, before the number of each.
const MAGIC: &[u8; 8] = b"viaduct\0";

/// The command line of `probe`.
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// The address to ask.
    #[arg(long)]
    target: IpAddr,
    /// How often, in microseconds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(200..=1_000_000))]
    every: u64,
    /// Ends after so many questions.
    #[arg(long, default_value_t = 120_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Ends after so many seconds.
    #[arg(long = "for", value_name = "SECS", default_value_t = 120)]
    seconds: u64,
}

/// A line of output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// While it runs.
    Progress(Progress),
    /// The last line.
    Summary(Probed),
}

/// How it goes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Echoes sent.
    pub sent: u64,
    /// Answers received, each echo's once.
    pub answered: u64,
    /// Answers received since one last took long or was lost.
    pub streak: u64,
}

/// Asks until the number, the time or a SIGTERM ends it.
///
/// # Errors
/// When the raw socket cannot be had (it needs root) or breaks.
pub fn run(args: &ProbeArgs) -> Result<()> {
    let interval = Duration::from_micros(args.every);
    let mut pace = Pace::start(interval, args.count, Duration::from_secs(args.seconds))?;
    let echo = Echo::open(args.target)?;
    let mut tally = Tally::new(interval, args.count);
    let mut buffer = vec![0; 2048];
    loop {
        match pace.wait(&echo.socket)? {
            Beat::Due => {
                let number = tally.sent(pace::stamp()?);
                echo.send(number);
                if u64::from(number) % TELL == 0 {
                    say(&Line::Progress(tally.progress()))?;
                }
            }
            Beat::Readable => {
                while let Some((length, stamp)) = pace::receive(&echo.socket, &mut buffer)? {
                    if let Some(number) = echo.number(&buffer[..length]) {
                        tally.answered(number, stamp);
                    }
                }
            }
            Beat::Over => return say(&Line::Summary(tally.end(pace::stamp()?, pace.skipped))),
        }
    }
}

/// The socket that asks, and whom.
struct Echo {
    socket: OwnedFd,
    target: SockaddrStorage,
    v6: bool,
    id: [u8; 2],
}

impl Echo {
    fn open(target: IpAddr) -> Result<Self> {
        let (family, protocol) = match target {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .context("no raw socket: this needs root")?;
        pace::prepare(&socket)?;
        let [.., high, low] = std::process::id().to_be_bytes();
        Ok(Self {
            socket,
            target: SocketAddr::new(target, 0).into(),
            v6: target.is_ipv6(),
            id: [high, low],
        })
    }

    /// Sends an echo. One that the kernel refuses (no route, no buffer) counts as lost.
    fn send(&self, number: u32) {
        let echo = self.request(number);
        sendto(
            self.socket.as_raw_fd(),
            &echo,
            &self.target,
            MsgFlags::MSG_DONTWAIT,
        )
        .ok();
    }

    /// Type, code, checksum, identifier, sequence number (RFC 792; RFC 4443 4.1), and the payload.
    fn request(&self, number: u32) -> Vec<u8> {
        let kind = if self.v6 { 128 } else { 8 };
        let [.., high, low] = number.to_be_bytes();
        let mut echo = vec![kind, 0, 0, 0, self.id[0], self.id[1], high, low];
        echo.extend(MAGIC);
        echo.extend(number.to_be_bytes());
        if !self.v6 {
            // That of ICMPv6 is the kernel's work.
            let sum = super::ask::checksum(&echo);
            echo[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        echo
    }

    /// The number of the echo that this packet answers; none when it answers none of ours.
    fn number(&self, packet: &[u8]) -> Option<u32> {
        let (reply, kind) = if self.v6 {
            (packet, 129)
        } else {
            // A raw socket of IPv4 gives the header too.
            let header = usize::from(packet.first()? & 0x0f) * 4;
            (packet.get(header..)?, 0)
        };
        let payload = reply.get(8..)?.strip_prefix(MAGIC)?;
        let ours = reply[0] == kind && reply[4..6] == self.id;
        ours.then(|| payload.try_into().map(u32::from_be_bytes).ok())?
    }
}
