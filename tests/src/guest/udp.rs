//! `viaduct-demo udp`: datagrams to a UDP echo server, and who answered which socket.
//!
//! Not here: repetition. A datagram that is not answered counts as lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a socket says that no answer came, or that nobody listens where the datagram went.
const UNANSWERED: [io::ErrorKind; 3] = [
    io::ErrorKind::WouldBlock,
    io::ErrorKind::TimedOut,
    io::ErrorKind::ConnectionRefused,
];

/// The command line of `udp`.
#[derive(Args, Clone, Debug)]
pub struct UdpArgs {
    /// Where to send datagrams, IP:PORT.
    #[arg(long)]
    target: SocketAddr,
    /// From how many sockets, each with a port of its own.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    sockets: u16,
    /// How many datagrams in all.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    count: u32,
    /// Bytes of each datagram at least.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=60_000))]
    size: u16,
}

/// What came of all datagrams.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Echoed {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams not answered.
    pub lost: u64,
    /// Answers, by server.
    pub servers: BTreeMap<String, u64>,
    /// For each socket, the servers that answered it.
    pub sockets: Vec<BTreeSet<String>>,
}

/// Sends the datagrams, a socket after the other, and writes an [`Echoed`] as JSON.
///
/// # Errors
/// When a socket cannot be had or used.
pub fn run(args: &UdpArgs) -> Result<()> {
    let sockets = (0..args.sockets)
        .map(|_| socket(args.target))
        .collect::<Result<Vec<_>>>()?;
    let mut echoed = Echoed {
        sockets: vec![BTreeSet::new(); sockets.len()],
        ..Echoed::default()
    };
    for number in 0..args.count {
        let at = number as usize % sockets.len();
        let payload = format!(" {number:>0$}", usize::from(args.size).saturating_sub(1));
        echoed.sent += 1;
        match ask(&sockets[at], &payload)? {
            Some(server) => {
                *echoed.servers.entry(server.clone()).or_default() += 1;
                echoed.sockets[at].insert(server);
            }
            None => echoed.lost += 1,
        }
    }
    writeln!(io::stdout(), "{}", serde_json::to_string(&echoed)?)?;
    Ok(())
}

fn socket(target: SocketAddr) -> Result<UdpSocket> {
    let any = match target {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    // Connected: an answer from another address than the one asked is not delivered.
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// The server that answered; none when the datagram or its answer was lost or refused.
fn ask(socket: &UdpSocket, payload: &str) -> Result<Option<String>> {
    socket.send(payload.as_bytes())?;
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
                // An answer to an earlier datagram may come late.
                if let Some(server) = answer.strip_suffix(payload) {
                    return Ok(Some(server.to_owned()));
                }
            }
            Err(error) if UNANSWERED.contains(&error.kind()) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}
