//! What voters say to each other, as bytes that nobody else can make, change or say again.
//!
//! ```text
//!   "VdE1"  from  to  life of sender  life of receiver  count   message   HMAC-SHA256
//!      4      1    1        8               8             8       18          32
//! ```
//! A *life* is a random number that a voter chooses when it starts. A packet is taken only if it names
//! the receiver's life, which its sender can only have learned in this life of the receiver, and if its
//! count is higher than the last one of that sender's life. Who gets a packet with another life answers
//! with one without a message, from which the sender learns. A life that was replaced never comes back.
//!
//! Everything is bounded: packets have one size, answers are one for one, and of each peer the last
//! [`RETIRED`] lives are remembered.
//!
//! Not here: sockets.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::{Epoch, Message, Reply, Request, Server, VoterId};

/// Of every packet, in bytes.
pub const SIZE: usize = HEAD + BODY + TAG;
const MAGIC: &[u8; 4] = b"VdE1";
const HEAD: usize = 4 + 2 + 3 * 8;
const BODY: usize = 2 + 2 * 8;
const TAG: usize = 32;

/// Former lives of a peer that are remembered.
const RETIRED: usize = 256;

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Another length, or not one of ours.
    #[error("is no packet of the election")]
    Form,
    /// Not of who knows the secret, or changed on its way.
    #[error("has a wrong seal: the secrets differ")]
    Seal,
    /// For another voter, or from one that the site file does not list.
    #[error("is not between voters of this site")]
    Voter,
    /// It was said before.
    #[error("was said before")]
    Repeated,
    /// Right, but for another life: what goes back says which.
    #[error("is for an earlier life of this voter")]
    Life,
}

impl Refusal {
    /// As metrics name it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Seal => "seal",
            Self::Voter => "voter",
            Self::Repeated => "repeated",
            Self::Life => "life",
        }
    }
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A message; nothing of those that only tell a life.
    Taken(VoterId, Option<Message>),
    /// Not taken; where it was for another life, the answer to its sender.
    Refused(Refusal, Option<(VoterId, Vec<u8>)>),
}

#[derive(Clone, Debug, Default)]
struct Peer {
    /// 0: not known.
    life: u64,
    /// The last that was taken.
    count: u64,
    retired: VecDeque<u64>,
}

/// A voter's side of the talk with all others.
pub struct Talk {
    mac: Hmac<Sha256>,
    me: VoterId,
    life: u64,
    count: u64,
    peers: BTreeMap<VoterId, Peer>,
}

/// Without its secret.
impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Talk")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl Talk {
    /// Voter `me` of so many, in a life that has a random number.
    #[must_use]
    pub fn new(secret: &[u8], me: VoterId, voters: u8, life: u64) -> Self {
        // HMAC takes keys of any length.
        let mac = Hmac::new_from_slice(secret).unwrap_or_else(|_| unreachable!("any length"));
        let peers = (0..voters).map(VoterId).filter(|peer| *peer != me);
        Self {
            mac,
            me,
            life: life.max(1),
            count: 0,
            peers: peers.map(|peer| (peer, Peer::default())).collect(),
        }
    }

    /// The bytes that say this to a voter.
    pub fn seal(&mut self, to: VoterId, message: Option<Message>) -> Vec<u8> {
        let life = self.peers.get(&to).map_or(0, |peer| peer.life);
        self.seal_to(to, life, message)
    }

    fn seal_to(&mut self, to: VoterId, life: u64, message: Option<Message>) -> Vec<u8> {
        self.count += 1;
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[self.me.0, to.0]);
        for number in [self.life, life, self.count] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let (kind, server, a, b) = fields(message);
        bytes.extend_from_slice(&[kind, server]);
        bytes.extend_from_slice(&a.to_be_bytes());
        bytes.extend_from_slice(&b.to_be_bytes());
        let mut mac = self.mac.clone();
        mac.update(&bytes);
        bytes.extend_from_slice(&mac.finalize().into_bytes());
        bytes
    }

    /// Reads a packet.
    pub fn open(&mut self, bytes: &[u8]) -> Opened {
        match self.read(bytes) {
            Ok((from, message)) => Opened::Taken(from, message),
            Err((refusal, None)) => Opened::Refused(refusal, None),
            Err((refusal, Some((from, life)))) => {
                let answer = self.seal_to(from, life, None);
                Opened::Refused(refusal, Some((from, answer)))
            }
        }
    }

    /// Or why not, and to whose life to answer.
    fn read(&mut self, bytes: &[u8]) -> Result<(VoterId, Option<Message>), Refused> {
        let form = (Refusal::Form, None);
        if bytes.len() != SIZE || !bytes.starts_with(MAGIC) {
            return Err(form);
        }
        let (said, tag) = bytes.split_at(SIZE - TAG);
        let mut mac = self.mac.clone();
        mac.update(said);
        if mac.verify_slice(tag).is_err() {
            return Err((Refusal::Seal, None));
        }
        let (from, to) = (VoterId(said[4]), VoterId(said[5]));
        let [sender, receiver, count] = [6, 14, 22].map(|at| number(said, at));
        let Some(peer) = self.peers.get_mut(&from).filter(|_| to == self.me) else {
            return Err((Refusal::Voter, None));
        };
        if receiver != self.life {
            return Err((Refusal::Life, Some((from, sender))));
        }
        if sender != peer.life {
            if sender == 0 || peer.retired.contains(&sender) {
                return Err((Refusal::Repeated, None));
            }
            peer.retired.push_back(peer.life);
            if peer.retired.len() > RETIRED {
                peer.retired.pop_front();
            }
            (peer.life, peer.count) = (sender, 0);
        }
        if count <= peer.count {
            return Err((Refusal::Repeated, None));
        }
        peer.count = count;
        let body = (said[HEAD], said[HEAD + 1]);
        let (a, b) = (number(said, HEAD + 2), number(said, HEAD + 10));
        let message = message(body, a, b).ok_or(form)?;
        Ok((from, message))
    }
}

type Refused = (Refusal, Option<(VoterId, u64)>);

/// Eight bytes at a place that is there.
fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(number)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Kind, server, and two numbers.
fn fields(message: Option<Message>) -> (u8, u8, u64, u64) {
    match message {
        None => (0, 0, 0, 0),
        Some(Message::Request(request)) => match request {
            Request::Lease { epoch, sent } => (1, 0, epoch.0, micros(sent)),
            Request::Vote {
                epoch,
                writer,
                is_planned,
            } => (2, writer.0, epoch.0, u64::from(is_planned)),
            Request::Decided { epoch, writer } => (3, writer.0, epoch.0, 0),
        },
        Some(Message::Reply(reply)) => match reply {
            Reply::Granted { epoch, sent } => (4, 0, epoch.0, micros(sent)),
            Reply::Promised { epoch, writer } => (5, writer.0, epoch.0, 0),
            Reply::Refused { promised, decided } => (6, decided.1.0, promised.0, decided.0.0),
        },
    }
}

/// The reverse; nothing of what is none.
fn message((kind, server): (u8, u8), a: u64, b: u64) -> Option<Option<Message>> {
    let (epoch, writer, sent) = (Epoch(a), Server(server), Duration::from_micros(b));
    let message = match kind {
        0 => return Some(None),
        1 => Message::Request(Request::Lease { epoch, sent }),
        2 => Message::Request(Request::Vote {
            epoch,
            writer,
            is_planned: b == 1,
        }),
        3 => Message::Request(Request::Decided { epoch, writer }),
        4 => Message::Reply(Reply::Granted { epoch, sent }),
        5 => Message::Reply(Reply::Promised { epoch, writer }),
        6 => Message::Reply(Reply::Refused {
            promised: epoch,
            decided: (Epoch(b), writer),
        }),
        _ => return None,
    };
    Some(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: VoterId = VoterId(0);
    const B: VoterId = VoterId(1);
    const SECRET: &[u8] = b"of the site";

    fn talk(me: VoterId, life: u64) -> Talk {
        Talk::new(SECRET, me, 3, life)
    }

    fn vote(epoch: u64) -> Option<Message> {
        Some(Message::Request(Request::Vote {
            epoch: Epoch(epoch),
            writer: Server(1),
            is_planned: true,
        }))
    }

    /// A's first packet makes B tell its life; from then on they understand each other.
    fn met(a: &mut Talk, b: &mut Talk) {
        let first = a.seal(B, vote(1));
        let Opened::Refused(Refusal::Life, Some((A, answer))) = b.open(&first) else {
            panic!("B has not been met");
        };
        assert_eq!(a.open(&answer), Opened::Taken(B, None));
        let second = a.seal(B, vote(2));
        assert_eq!(b.open(&second), Opened::Taken(A, vote(2)));
    }

    #[test]
    fn every_message_is_read_back() {
        let (epoch, writer, sent) = (Epoch(7), Server(3), Duration::from_micros(123_456));
        let decided = (Epoch(6), Server(2));
        let messages = [
            Message::Request(Request::Lease { epoch, sent }),
            Message::Request(Request::Decided { epoch, writer }),
            Message::Reply(Reply::Granted { epoch, sent }),
            Message::Reply(Reply::Promised { epoch, writer }),
            Message::Reply(Reply::Refused {
                promised: epoch,
                decided,
            }),
        ];
        let (mut a, mut b) = (talk(A, 11), talk(B, 22));
        met(&mut a, &mut b);
        for message in messages.map(Some).into_iter().chain([vote(8), None]) {
            let bytes = a.seal(B, message);
            assert_eq!(bytes.len(), SIZE);
            assert_eq!(b.open(&bytes), Opened::Taken(A, message));
        }
    }

    #[test]
    fn what_was_said_before_is_not_taken_again_not_even_after_a_restart_of_either() {
        let (mut a, mut b) = (talk(A, 11), talk(B, 22));
        met(&mut a, &mut b);
        let old = a.seal(B, vote(3));
        assert_eq!(b.open(&old), Opened::Taken(A, vote(3)));
        let refused = Opened::Refused(Refusal::Repeated, None);
        assert_eq!(b.open(&old), refused);
        let mut a = talk(A, 12);
        met(&mut a, &mut b);
        assert_eq!(b.open(&old), refused, "of a former life");
        let mut b = talk(B, 23);
        let answer = b.open(&old);
        assert!(matches!(answer, Opened::Refused(Refusal::Life, Some(_))));
        let now = a.seal(B, vote(4));
        assert!(matches!(b.open(&now), Opened::Refused(Refusal::Life, _)));
    }

    #[test]
    fn nothing_is_taken_that_was_changed_or_is_for_another() {
        let (mut a, mut b) = (talk(A, 11), talk(B, 22));
        met(&mut a, &mut b);
        let good = a.seal(B, vote(3));
        for at in 0..SIZE {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let due = if at < 4 { Refusal::Form } else { Refusal::Seal };
            assert_eq!(b.open(&bad), Opened::Refused(due, None), "byte {at}");
        }
        for cut in 0..SIZE {
            let short = Opened::Refused(Refusal::Form, None);
            assert_eq!(b.open(&good[..cut]), short);
        }
        let other = a.seal(VoterId(2), vote(3));
        assert_eq!(b.open(&other), Opened::Refused(Refusal::Voter, None));
        let mut stranger = Talk::new(b"of another site", A, 3, 11);
        let foreign = stranger.seal(B, vote(3));
        assert_eq!(b.open(&foreign), Opened::Refused(Refusal::Seal, None));
        assert_eq!(b.open(&good), Opened::Taken(A, vote(3)), "none of it hurt");
    }
}
