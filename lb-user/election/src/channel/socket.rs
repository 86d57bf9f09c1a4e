//! The UDP socket of a voter: sealed packets out, opened ones in, counted where they are not.
//!
//! Nothing is repeated or queued here: what is lost is asked again by the next tick. What the kernel
//! holds back is its own matter (a few packets of 80 bytes).
//!
//! Not here: what is said.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::net::UdpSocket;

use super::{
    packet::{self, Opened, Refusal, Talk},
    table::Election,
};
use crate::{Message, VoterId};

/// Shorter secrets can be guessed.
const SECRET_LEAST: usize = 16;

/// Why a voter cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The secret cannot be read.
    #[error("{}: {error}; all voters share this secret: make it with `head -c 32 /dev/urandom | base64`", .path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// It is too short.
    #[error("{}: shorter than {SECRET_LEAST} characters; make it with `head -c 32 /dev/urandom | base64`", .0.display())]
    Short(PathBuf),
    /// The address is not ours, or taken.
    #[error("cannot listen on {at}/udp: {error}; is `[[election.voter]]` this host's own address?")]
    Bind {
        /// The address.
        at: SocketAddr,
        /// What the kernel says.
        error: io::Error,
    },
    /// Where random numbers come from.
    #[error("/dev/urandom: {0}")]
    Random(io::Error),
}

/// Reads a secret: its file without the white space around it.
///
/// # Errors
/// When it cannot be read or is too short.
pub fn secret(path: &Path) -> Result<Vec<u8>, LinkError> {
    let text = fs::read(path).map_err(|error| LinkError::Secret {
        path: path.to_owned(),
        error,
    })?;
    let secret = text.trim_ascii();
    if secret.len() < SECRET_LEAST {
        return Err(LinkError::Short(path.to_owned()));
    }
    Ok(secret.to_vec())
}

/// A voter's socket.
#[derive(Debug)]
pub struct Link {
    socket: UdpSocket,
    talk: Talk,
    peers: BTreeMap<VoterId, SocketAddr>,
    refused: BTreeMap<&'static str, u64>,
    told: Option<Refusal>,
}

impl Link {
    /// Binds the address of voter `me`. On a tokio runtime.
    ///
    /// # Errors
    /// Its secret, its address.
    pub fn open(election: &Election, me: VoterId) -> Result<Self, LinkError> {
        let secret = secret(&election.secret_file)?;
        let all = (0_u8..).map(VoterId).zip(&election.voters);
        let mut peers: BTreeMap<_, _> = all.map(|(id, voter)| (id, voter.address)).collect();
        let voters = u8::try_from(peers.len()).unwrap_or(u8::MAX);
        let at = peers
            .remove(&me)
            .unwrap_or_else(|| SocketAddr::from(([0; 4], 0)));
        let bound = std::net::UdpSocket::bind(at).and_then(|socket| {
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        });
        let socket = bound.map_err(|error| LinkError::Bind { at, error })?;
        let life = random().map_err(LinkError::Random)?;
        Ok(Self {
            socket,
            talk: Talk::new(&secret, me, voters, life),
            peers,
            refused: BTreeMap::new(),
            told: None,
        })
    }

    /// Sends a message, or loses it.
    pub fn send(&mut self, to: VoterId, message: Message) {
        let bytes = self.talk.seal(to, Some(message));
        self.put(to, &bytes);
    }

    fn put(&self, to: VoterId, bytes: &[u8]) {
        if let Some(at) = self.peers.get(&to) {
            // Unreachable, or no room: as good as lost on the way.
            drop(self.socket.try_send_to(bytes, *at));
        }
    }

    /// Waits for a message. May be dropped and called again.
    pub async fn receive(&mut self) -> (VoterId, Message) {
        let mut bytes = [0; packet::SIZE + 1];
        loop {
            // ICMP errors about what was sent come back here: the peer is not there now.
            let Ok((length, _)) = self.socket.recv_from(&mut bytes).await else {
                continue;
            };
            match self.talk.open(&bytes[..length]) {
                Opened::Taken(from, Some(message)) => return (from, message),
                Opened::Taken(_, None) => {}
                Opened::Refused(refusal, answer) => {
                    self.count(refusal);
                    if let Some((to, bytes)) = answer {
                        self.put(to, &bytes);
                    }
                }
            }
        }
    }

    fn count(&mut self, refusal: Refusal) {
        *self.refused.entry(refusal.label()).or_default() += 1;
        let is_news = self.told != Some(refusal);
        if is_news && !matches!(refusal, Refusal::Life | Refusal::Repeated) {
            self.told = Some(refusal);
            tracing::warn!("a packet to the election's port {refusal}");
        }
    }

    /// Packets that were not taken, by why.
    #[must_use]
    pub fn refused(&self) -> &BTreeMap<&'static str, u64> {
        &self.refused
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
