//! What the protocol thread asks of the kernel and no safe wrapper offers: packet sockets by
//! interface, frames to another Ethernet address than the interface's own, real-time priority.
//!
//! Not here: what is sent ([`super::wire`]), and when.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use lb_ebpf::abi::Mac;
use nix::libc;
use socket2::{Domain, Socket, Type};

// libc has them as plain `int`s.
const AF_PACKET: libc::sa_family_t = 17;
const PACKET_MR_UNICAST: libc::c_ushort = 3;
const _: () = assert!(AF_PACKET as i32 == libc::AF_PACKET);
const _: () = assert!(PACKET_MR_UNICAST as i32 == libc::PACKET_MR_UNICAST);

/// A socket that sends whole frames by one interface, past the stack, and receives none.
#[derive(Debug)]
pub(super) struct FrameSocket {
    socket: Socket,
    ifindex: u32,
}

impl FrameSocket {
    /// Opens one; it never blocks.
    ///
    /// # Errors
    /// No such interface, or no CAP_NET_RAW.
    pub(super) fn open(ifindex: u32) -> io::Result<Self> {
        // Protocol 0: nothing is ever received.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        let address = libc::sockaddr_ll {
            sll_family: AF_PACKET,
            sll_protocol: 0,
            sll_ifindex: index(ifindex)?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let length = length_of(&address)?;
        // SAFETY: a plain value of this size, only read, and only during the call.
        let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        done(result)?;
        Ok(Self { socket, ifindex })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The interface is down or gone, or its queue is full.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }

    /// Has the card take frames to `mac` as well (its unicast filter), for as long as this socket
    /// lives.
    ///
    /// # Errors
    /// The driver refuses.
    pub(super) fn take_frames_to(&self, mac: Mac) -> io::Result<()> {
        let mut request = libc::packet_mreq {
            mr_ifindex: index(self.ifindex)?,
            mr_type: PACKET_MR_UNICAST,
            mr_alen: 6,
            mr_address: [0; 8],
        };
        request.mr_address[..6].copy_from_slice(&mac.0);
        let length = length_of(&request)?;
        // SAFETY: a plain value of this size, only read, and only during the call.
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const request).cast(),
                length,
            )
        };
        done(result)
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Gives the calling thread real-time priority, ahead of everything that is not; what it starts
/// does not inherit it.
///
/// # Errors
/// Not allowed (CAP_SYS_NICE, RLIMIT_RTPRIO).
pub(super) fn become_realtime(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: 0 is the calling thread; a plain value, only read, and only during the call.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    done(result)
}

/// Keeps in memory what is touched from now on: a page that was swapped out costs more than an
/// interval. What is never touched is not loaded.
///
/// # Errors
/// Not allowed (CAP_IPC_LOCK, RLIMIT_MEMLOCK).
pub(super) fn lock_memory() -> io::Result<()> {
    // SAFETY: takes flags, touches no memory of ours.
    let result =
        unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    done(result)
}

fn length_of<T>(value: &T) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(size_of_val(value))
        .map_err(|_too_long| io::ErrorKind::InvalidInput.into())
}

fn index(ifindex: u32) -> io::Result<i32> {
    i32::try_from(ifindex).map_err(|_too_large| io::ErrorKind::InvalidInput.into())
}

fn done(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
