//! The clients: so many connections, each with one request at a time, for a time or a number.
//!
//! They run on a thread of their own on a host of the lab, pinned to a processor. Not here: what is asked
//! (`case`) and what it costs (`usage`).

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
    time::timeout,
};

use super::{case::Case, usage::pin};
use crate::lab::{netns, wait::unix_micros};

/// A request that takes longer has failed, and with it the measurement.
const PATIENCE: Duration = Duration::from_secs(20);

/// When the clients have asked enough.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    Time(Duration),
    Requests(u64),
}

/// What they saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: u64,
    /// How long it went on, in microseconds.
    pub(super) micros: u64,
    /// How long each request took, in microseconds, the fastest first.
    pub(super) latencies: Vec<u32>,
}

impl Seen {
    /// What so many of a thousand requests did not exceed, in microseconds.
    pub(super) fn quantile(&self, of_thousand: usize) -> u32 {
        let at = self.latencies.len() * of_thousand / 1000;
        let at = at.min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or(0)
    }
}

/// Has clients on this host ask.
pub(super) fn ask(
    netns: &str,
    (target, case, connections): (SocketAddr, Case, usize),
    until: Until,
) -> Result<Seen> {
    on_host(netns, async move || {
        let shared = Rc::new(Shared {
            target,
            case,
            request: case.request(),
            left: Cell::new(match until {
                Until::Time(_) => u64::MAX,
                Until::Requests(count) => count,
            }),
        });
        let begun = unix_micros();
        let workers: Vec<_> = (0..connections)
            .map(|_| tokio::task::spawn_local(Rc::clone(&shared).work()))
            .collect();
        if let Until::Time(time) = until {
            tokio::time::sleep(time).await;
            shared.left.set(0);
        }
        let mut seen = Seen::default();
        for worker in workers {
            seen.latencies.extend(worker.await??);
        }
        seen.micros = unix_micros() - begun;
        seen.requests = seen.latencies.len() as u64;
        seen.latencies.sort_unstable();
        Ok(seen)
    })
}

/// Opens connections, has a request answered on each, and calls `act` while all of them are idle.
pub(super) fn hold<T: Send>(
    netns: &str,
    (target, case, count): (SocketAddr, Case, usize),
    act: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    on_host(netns, async move || {
        let request = case.request();
        let mut buffer = vec![0; case.bytes + (64 << 10)];
        let mut held = Vec::with_capacity(count);
        for nth in 0..count {
            let mut stream = open(target)
                .await
                .with_context(|| format!("connection {nth}"))?;
            exchange(&mut stream, &request, &mut buffer).await?;
            held.push(stream);
        }
        let result = act();
        // Reset, so that no end waits for its time to be over.
        held.iter()
            .try_for_each(|stream| stream.set_zero_linger())?;
        result
    })
}

fn on_host<T: Send>(netns: &str, work: impl AsyncFnOnce() -> Result<T> + Send) -> Result<T> {
    netns::within(netns, || {
        pin(1)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, work())
    })
}

/// What the clients share.
struct Shared {
    target: SocketAddr,
    case: Case,
    request: Vec<u8>,
    left: Cell<u64>,
}

impl Shared {
    /// One connection after the other; how long each request took.
    async fn work(self: Rc<Self>) -> Result<Vec<u32>> {
        let mut latencies = Vec::new();
        let mut buffer = vec![0; self.case.bytes + (64 << 10)];
        let mut kept = None;
        while self.left.get() > 0 {
            self.left.set(self.left.get() - 1);
            let begun = unix_micros();
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => open(self.target).await?,
            };
            exchange(&mut stream, &self.request, &mut buffer).await?;
            latencies.push(u32::try_from(unix_micros() - begun).unwrap_or(u32::MAX));
            kept = Some(stream).filter(|_| self.case.keeps);
        }
        Ok(latencies)
    }
}

async fn open(target: SocketAddr) -> Result<TcpStream> {
    let stream = timeout(PATIENCE, TcpStream::connect(target)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A request and its whole answer.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> Result<()> {
    let work = async {
        stream.write_all(request).await?;
        let mut length = 0;
        let mut whole = None;
        while whole.is_none_or(|whole| length < whole) {
            ensure!(length < buffer.len(), "an answer that is too long");
            let bytes = stream.read(&mut buffer[length..]).await?;
            ensure!(bytes > 0, "closed in the middle of an answer");
            length += bytes;
            whole = match whole {
                Some(whole) => Some(whole),
                None => whole_length(&buffer[..length])?,
            };
        }
        ensure!(whole == Some(length), "more than one answer");
        Ok(())
    };
    timeout(PATIENCE, work).await.context("no answer in time")?
}

/// The length of an answer, once its head is there.
fn whole_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("not served: {}", head.lines().next().unwrap_or_default());
    }
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an answer without a length")?;
    Ok(Some(end + 4 + length.1.trim().parse::<usize>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab";
        assert_eq!(whole_length(&answer[..20]).unwrap(), None);
        assert_eq!(whole_length(answer).unwrap(), Some(answer.len() + 1));
        assert!(whole_length(b"HTTP/1.1 429 Too Many\r\n\r\n").is_err());
    }

    #[test]
    fn quantiles_are_of_what_was_seen() {
        let latencies = (1..=100).collect();
        let seen = Seen {
            latencies,
            ..Seen::default()
        };
        assert_eq!((seen.quantile(500), seen.quantile(990)), (51, 100));
        assert_eq!(Seen::default().quantile(990), 0);
    }
}
