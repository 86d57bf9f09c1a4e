//! `viaduct-demo downloads`: many downloads at a time, each slow enough to last for seconds, and what
//! became of them.
//!
//! It writes a JSON line of progress several times a second and a summary at its end. Not here: one
//! download as fast as it goes (`fetch`).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    blob::{Blob, hex},
    say,
};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(50);
/// For how long nothing may come before a download counts as hung: TCP's own patience with a lost
/// packet, several times over.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often each download reads.
const BEAT: Duration = Duration::from_millis(100);
/// Bytes that the kernel may hold for a download: the server is still sending when most is read.
const WINDOW: u32 = 16 * 1024;

/// The command line of `downloads`.
#[derive(Args, Clone, Debug)]
pub struct DownloadsArgs {
    /// Where to download from, IP:PORT.
    #[arg(long)]
    target: SocketAddr,
    /// How many at a time.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=2000))]
    count: u32,
    /// Bytes of each.
    #[arg(long)]
    bytes: u64,
    /// For so many seconds each lasts, at least.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

/// A line of output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// While it runs.
    Progress(Progress),
    /// The last line.
    Summary(Summary),
}

/// How it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Downloads of which the first bytes have come.
    pub begun: u64,
    /// Downloads that are over, one way or the other.
    pub over: u64,
    /// Bytes that have come, of all.
    pub bytes: u64,
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Downloads that came whole, all bytes right.
    pub whole: u64,
    /// What went wrong with the others.
    pub failures: Vec<String>,
}

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    over: AtomicU64,
    bytes: AtomicU64,
}

/// Downloads, and tells of it.
///
/// # Errors
/// When standard output is gone.
pub fn run(args: DownloadsArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let counts = Arc::new(Counts::default());
        let mut downloads = JoinSet::new();
        for number in 0..args.count {
            let (args, counts) = (args.clone(), Arc::clone(&counts));
            downloads.spawn(async move {
                let outcome = download(&args, number.into(), &counts).await;
                counts.over.fetch_add(1, Relaxed);
                outcome
            });
        }
        let mut summary = Summary::default();
        let mut tick = interval(PROGRESS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                next = downloads.join_next() => match next {
                    None => break,
                    Some(Ok(Ok(()))) => summary.whole += 1,
                    Some(Ok(Err(error))) => summary.failures.push(format!("{error:#}")),
                    Some(Err(error)) => summary.failures.push(error.to_string()),
                },
                _ = tick.tick() => say(&Line::Progress(Progress {
                    begun: counts.begun.load(Relaxed),
                    over: counts.over.load(Relaxed),
                    bytes: counts.bytes.load(Relaxed),
                }))?,
            }
        }
        say(&Line::Summary(summary))
    })
}

/// One download of bytes that its number decides.
async fn download(args: &DownloadsArgs, number: u64, counts: &Counts) -> Result<()> {
    let socket = match args.target {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_recv_buffer_size(WINDOW)?;
    let connected = timeout(PATIENCE, socket.connect(args.target)).await;
    let mut stream = connected.context("no connection")??;
    let path = format!("/blob/{}?{number}", args.bytes);
    let request = format!("GET {path} HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;

    let beats = u128::from(args.seconds) * 1000 / BEAT.as_millis();
    let at_once = usize::try_from(u128::from(args.bytes) / beats.max(1))?.max(1);
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut head, mut hash, mut came) = (Some(Vec::new()), Sha256::new(), 0_u64);
    let mut buffer = vec![0; at_once];
    loop {
        beat.tick().await;
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await;
        let read = read.with_context(|| format!("hung after {came} bytes"))?;
        let read = read.with_context(|| format!("broke after {came} bytes"))?;
        if read == 0 {
            break;
        }
        let mut bytes = &buffer[..read];
        let rest;
        if let Some(mut so_far) = head.take() {
            so_far.extend_from_slice(bytes);
            let Some(end) = so_far.windows(4).position(|four| four == b"\r\n\r\n") else {
                head = Some(so_far);
                continue;
            };
            ensure!(so_far.starts_with(b"HTTP/1.1 200"), "not a 200");
            rest = so_far.split_off(end + 4);
            bytes = &rest;
            counts.begun.fetch_add(1, Relaxed);
        }
        came += bytes.len() as u64;
        counts.bytes.fetch_add(bytes.len() as u64, Relaxed);
        hash.update(bytes);
    }
    if came != args.bytes {
        bail!("ended after {came} of {} bytes", args.bytes);
    }
    let right = Blob::new(number, args.bytes).sha256();
    ensure!(
        hex(&hash.finalize()) == right,
        "all bytes, but not the right ones"
    );
    Ok(())
}
