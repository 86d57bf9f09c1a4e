//! `reply`: the bytes are a shape, where to cut, and a server's answer. Its end is where it is with any
//! cuts, and every byte is told of once.

use anyhow::{Result, ensure};
use sqlproxy::wire::reply::{Step, Tally};
use sqlproxy::wire::{Capabilities, Follower, Shape, WireError};

use super::reader::Reader;

/// How far it came, what it was, and how it ended.
type Told = (usize, Tally, Option<WireError>);

/// Follows an answer in one piece and in many.
///
/// # Errors
/// Says what cannot be.
pub fn reply(bytes: &[u8]) -> Result<()> {
    let mut reader = Reader(bytes);
    let (kind, piece) = (usize::from(reader.byte()), usize::from(reader.byte()) + 1);
    let shape = Shape::ALL[kind % Shape::ALL.len()];
    let capabilities = match kind / 16 % 2 {
        0 => Capabilities::NONE,
        _ => Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK,
    };
    let answer = reader.0;
    let whole = follow(shape, capabilities, answer, answer.len().max(1))?;
    let cut = follow(shape, capabilities, answer, piece)?;
    ensure!(
        whole == cut,
        "{whole:?} in one piece, {cut:?} in pieces of {piece}"
    );
    Ok(())
}

fn follow(shape: Shape, capabilities: Capabilities, answer: &[u8], piece: usize) -> Result<Told> {
    let mut follower = Follower::new(shape, capabilities, 1);
    let (mut from, mut to) = (0, 0);
    loop {
        match follower.step(&answer[from..to]) {
            Ok(Step::Need(more)) => {
                ensure!(
                    more > to - from,
                    "{more} are needed, and {} there",
                    to - from
                );
                if to == answer.len() {
                    return Ok((from, *follower.tally(), None));
                }
                to = (to + piece).min(answer.len());
            }
            Ok(Step::Pass(len) | Step::Packet { len, .. }) => {
                ensure!(len > 0 && from + len <= to, "{len} of {}", to - from);
                from += len;
            }
            Ok(Step::Wait) => {
                // The next number, whatever the other end sent.
                let next = answer.get(from + 3).copied().unwrap_or(0);
                if from + 3 >= answer.len() {
                    return Ok((from, *follower.tally(), None));
                }
                follower.resume(next);
            }
            Ok(Step::Done) => {
                ensure!(follower.is_done(), "done, and not");
                return Ok((from, *follower.tally(), None));
            }
            Err(error) => return Ok((from, *follower.tally(), Some(error))),
        }
    }
}
