//! `viaduct-demo whohas`: asks the network each 2 ms who has an address, by a frame of its own
//! making, and writes down who answered when. No cache is in between.
//!
//! Not here: the frames (`ask`), the book-keeping (`slots`).

use std::{
    net::IpAddr,
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, send,
        socket,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    ask::Question,
    pace::{self, Beat, Pace},
    say,
    slots::{Asked, Progress, Slots},
};

/// How many questions lie between two lines of progress.
const TELL: u64 = 10;

/// The command line of `whohas`.
#[derive(Args, Clone, Debug)]
pub struct WhoHasArgs {
    /// The address to ask for.
    #[arg(long)]
    target: IpAddr,
    /// By which interface.
    #[arg(long, default_value = "eth0")]
    interface: String,
    /// How often, in microseconds.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(500..=1_000_000))]
    every: u64,
    /// Ends after so many questions.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
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
    Summary(Asked),
}

/// Asks until the number, the time or a SIGTERM ends it.
///
/// # Errors
/// When the interface has no address of the target's family, or the packet socket cannot be had (it
/// needs root).
pub fn run(args: &WhoHasArgs) -> Result<()> {
    let interval = Duration::from_micros(args.every);
    let mut pace = Pace::start(interval, args.count, Duration::from_secs(args.seconds))?;
    let (socket, question) = open(&args.interface, args.target)?;
    let frame = question.frame();
    let mut slots = Slots::default();
    let (mut asked, mut buffer) = (0, vec![0; 2048]);
    loop {
        match pace.wait(&socket)? {
            Beat::Due => {
                slots.asked(pace::stamp()?);
                // A frame that the kernel refuses is a question without an answer.
                send(socket.as_raw_fd(), &frame, MsgFlags::MSG_DONTWAIT).ok();
                asked += 1;
                if asked % TELL == 0 {
                    say(&Line::Progress(slots.progress()))?;
                }
            }
            Beat::Readable => {
                while let Some((length, _)) = pace::receive(&socket, &mut buffer)? {
                    if let Some(mac) = question.answer(&buffer[..length]) {
                        slots.answered(mac);
                    }
                }
            }
            Beat::Over => return say(&Line::Summary(slots.end(pace.skipped))),
        }
    }
}

/// The socket, bound to the interface, and the question in the interface's own name.
fn open(interface: &str, target: IpAddr) -> Result<(OwnedFd, Question)> {
    let mine: Vec<_> = getifaddrs()?
        .filter(|one| one.interface_name == interface)
        .collect();
    // The only safe way to a link address: bound with no protocol, the socket keeps its own.
    let mut addresses = mine.iter().filter_map(|one| one.address);
    let link = addresses.find_map(|one| one.as_link_addr().copied());
    let link = link.with_context(|| format!("no interface is called {interface}"))?;
    let mac = link.addr().context("it has no MAC")?;
    let from = own_address(&mine, target.is_ipv6())
        .with_context(|| format!("{interface} has no address to ask for {target} from"))?;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::EthAll,
    )
    .context("no packet socket: this needs root")?;
    pace::prepare(&socket)?;
    bind(socket.as_raw_fd(), &link)?;
    Ok((socket, Question::new(mac, from, target)?))
}

/// The interface's address of a family; with IPv6, one that is not link-local where there is one.
fn own_address(mine: &[InterfaceAddress], v6: bool) -> Option<IpAddr> {
    let all = mine.iter().filter_map(|one| address(one.address?));
    let mut family: Vec<_> = all.filter(|one| one.is_ipv6() == v6).collect();
    family.sort_by_key(|one| matches!(one, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    family.first().copied()
}

fn address(storage: SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}
