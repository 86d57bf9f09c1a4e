//! The program's reports of next hops that packets missed, read by a thread of their own: the
//! buffer is woken for rarely, and a thread that sleeps in `poll` costs nothing.

use std::io;
use std::os::fd::AsFd as _;
use std::thread;

use aya::maps::{MapData, RingBuf};
use lb_ebpf::abi::Unresolved;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;
use zerocopy::FromBytes as _;

/// Reports at once; the rest of a burst is dropped: the packets behind it will ask again.
const BURST_MAX: usize = 64;
/// How often the thread looks whether it is still wanted, in milliseconds.
const PATIENCE: u16 = 1000;

/// Hands the reports on, until nobody takes them any more.
///
/// # Errors
/// No thread can be had.
pub(crate) fn follow(buffer: RingBuf<MapData>, events: mpsc::Sender<Unresolved>) -> io::Result<()> {
    let builder = thread::Builder::new().name("unresolved".to_owned());
    builder.spawn(move || read(buffer, &events)).map(drop)
}

fn read(mut buffer: RingBuf<MapData>, events: &mpsc::Sender<Unresolved>) {
    while !events.is_closed() {
        let mut ready = [PollFd::new(buffer.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(PATIENCE)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "clients that can't be resolved are not heard of");
                return;
            }
        }
        let mut burst = Vec::new();
        for _ in 0..2 * BURST_MAX {
            let Some(item) = buffer.next() else { break };
            match Unresolved::read_from_bytes(&item) {
                Ok(event) if burst.len() < BURST_MAX && !burst.contains(&event) => {
                    burst.push(event);
                }
                Ok(_) | Err(_) => {}
            }
        }
        for event in burst {
            if events.blocking_send(event).is_err() {
                return;
            }
        }
    }
}
