//! Listening sockets that go from a process to the one that takes its place.
//!
//! The old process starts the new one with one end of a socket pair as its standard input, and sends its
//! listening sockets over it (`SCM_RIGHTS`, unix(7)). The new one says a word when it serves. Until then
//! the old one serves; a new one that ends before, or says nothing for [`PATIENCE`], changes nothing. The
//! sockets are the same ones all the time, and so are the connections that wait in them: nobody is refused.
//!
//! Not here: serving, and how the old process ends (`control`).

use std::{
    ffi::OsString,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair, sockopt,
};
use serde::{Deserialize, Serialize};

/// Set for a process whose standard input brings sockets.
const VARIABLE: &str = "VIADUCT_PROXY_TAKES_OVER";
/// How long the new process may take until it serves.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Sockets a message; the kernel takes 253 (`SCM_MAX_FD`).
const SOCKETS_MAX: usize = 64;
/// Bytes of a message: 64 addresses of IPv6 fit.
const MESSAGE: usize = 16 << 10;
/// The order of what is sent; a process that does not know it takes nothing.
const VERSION: u32 = 1;
/// What the new process says when it serves.
const SERVES: &[u8] = b"serves";

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Clients connect to it.
    Listener,
    /// Status and metrics are asked for over it.
    Status,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Handed {
    /// What it is for.
    pub role: Role,
    /// Where it listens, as the site file has it.
    pub address: SocketAddr,
    /// The socket.
    pub socket: OwnedFd,
}

/// What goes beside the sockets of a message, in their order.
#[derive(Debug, Serialize, Deserialize)]
struct Words {
    version: u32,
    sockets: Vec<(Role, SocketAddr)>,
    /// Whether another message follows.
    more: bool,
}

/// The new process, as the old one sees it.
#[derive(Debug)]
pub struct Heir {
    child: Child,
    line: OwnedFd,
}

impl Heir {
    /// Starts a program.
    ///
    /// # Errors
    /// There is no such program, or the system has no descriptor or process left.
    pub fn start(program: &OsString, args: &[OsString]) -> io::Result<Self> {
        let (line, theirs) = pair()?;
        let mut command = Command::new(program);
        command
            .args(args)
            .env(VARIABLE, "1")
            .stdin(Stdio::from(theirs));
        let child = command.spawn()?;
        // With `command` goes our copy of its end: from now on it is closed when the process ends.
        drop(command);
        Ok(Self { child, line })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives it the sockets and waits until it serves; one that does not is ended. Blocks for up to
    /// [`PATIENCE`].
    ///
    /// # Errors
    /// Why it does not serve, in words.
    pub fn settle(mut self, sockets: &[Handed]) -> Result<u32, String> {
        let error = match give(&self.line, sockets).and_then(|()| hear(&self.line)) {
            Ok(true) => return Ok(self.child.id()),
            Ok(false) => None,
            Err(error) => Some(error),
        };
        // It may have ended already; if not, it has had its time.
        drop(self.child.kill());
        let status = self.child.wait().map_err(|error| error.to_string())?;
        Err(match error {
            Some(error) => format!("the new process does not serve: {error} ({status})"),
            None => format!("the new process ended before it served: {status}"),
        })
    }
}

/// Both ends of a line.
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    for end in [&ours, &theirs] {
        sockopt::set_socket_timeout(end, sockopt::Timeout::Recv, Some(PATIENCE))?;
        sockopt::set_socket_timeout(end, sockopt::Timeout::Send, Some(PATIENCE))?;
    }
    Ok((ours, theirs))
}

fn give(line: &OwnedFd, sockets: &[Handed]) -> io::Result<()> {
    let mut pieces = sockets.chunks(SOCKETS_MAX).peekable();
    while let Some(piece) = pieces.next() {
        let words = Words {
            version: VERSION,
            sockets: piece.iter().map(|one| (one.role, one.address)).collect(),
            more: pieces.peek().is_some(),
        };
        let text = serde_json::to_vec(&words)?;
        let fds: Vec<BorrowedFd<'_>> = piece.iter().map(|one| one.socket.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(
            line,
            &[IoSlice::new(&text)],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
    }
    Ok(())
}

/// Whether it says that it serves; `false`: it has ended.
fn hear(line: &OwnedFd) -> io::Result<bool> {
    let mut word = [0; SERVES.len()];
    let (length, _) = rustix::net::recv(line, &mut word[..], RecvFlags::empty()).map_err(said)?;
    match &word[..length] {
        [] => Ok(false),
        SERVES => Ok(true),
        _ => Err(io::Error::other("what it says is not understood")),
    }
}

/// A time that is over, by its name.
fn said(error: rustix::io::Errno) -> io::Error {
    match error {
        rustix::io::Errno::AGAIN => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing was heard for {} s", PATIENCE.as_secs()),
        ),
        other => other.into(),
    }
}

/// What a process has from the one before it.
#[derive(Debug)]
pub struct Inheritance {
    /// Its sockets.
    pub sockets: Vec<Handed>,
    line: OwnedFd,
}

impl Inheritance {
    /// What this process was given, if it was started to take over.
    ///
    /// # Errors
    /// What was sent is not understood, or the other process is gone.
    pub fn take() -> io::Result<Option<Self>> {
        match std::env::var_os(VARIABLE) {
            Some(_) => Self::read(io::stdin().as_fd().try_clone_to_owned()?).map(Some),
            None => Ok(None),
        }
    }

    fn read(line: OwnedFd) -> io::Result<Self> {
        let mut sockets = Vec::new();
        while read(&line, &mut sockets)? {}
        Ok(Self { sockets, line })
    }

    /// Tells the other process that this one serves.
    ///
    /// # Errors
    /// It is gone; this one serves all the same.
    pub fn settled(self) -> io::Result<()> {
        rustix::net::send(&self.line, SERVES, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// Reads a message; says whether there is another one.
fn read(line: &OwnedFd, sockets: &mut Vec<Handed>) -> io::Result<bool> {
    let mut text = vec![0; MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut room = [IoSliceMut::new(&mut text)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(line, &mut room, &mut control, flags).map_err(said)?;
    if message.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let lost = ReturnFlags::TRUNC | ReturnFlags::CTRUNC;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    let words: Words = serde_json::from_slice(&text[..message.bytes])?;
    if words.version != VERSION {
        return Err(io::Error::other(format!(
            "the other process speaks version {} of the hand-over, this one {VERSION}",
            words.version
        )));
    }
    if message.flags.intersects(lost) || fds.len() != words.sockets.len() {
        return Err(io::Error::other("sockets were lost on their way"));
    }
    let named = words.sockets.into_iter().zip(fds);
    sockets.extend(named.map(|((role, address), socket)| Handed {
        role,
        address,
        socket,
    }));
    Ok(words.more)
}

/// Deals the sockets of an address out to so many threads: each socket has an owner, however many there
/// are; a thread may have none, or several.
#[must_use]
pub fn deal(sockets: Vec<TcpListener>, threads: usize) -> Vec<Vec<TcpListener>> {
    let mut dealt: Vec<Vec<TcpListener>> = (0..threads.max(1)).map(|_| Vec::new()).collect();
    for (nth, socket) in sockets.into_iter().enumerate() {
        dealt[nth % threads.max(1)].push(socket);
    }
    dealt
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    fn handed(socket: TcpListener) -> Handed {
        Handed {
            role: Role::Listener,
            address: socket.local_addr().unwrap(),
            socket: socket.into(),
        }
    }

    #[test]
    fn sockets_arrive_in_their_order_and_still_listen() {
        let (old, new) = pair().unwrap();
        // More than one message takes.
        let sockets: Vec<Handed> = (0..SOCKETS_MAX + 3).map(|_| handed(listener())).collect();
        let places: Vec<SocketAddr> = sockets.iter().map(|one| one.address).collect();
        give(&old, &sockets).unwrap();
        drop(sockets);
        let inheritance = Inheritance::read(new).unwrap();
        let got: Vec<SocketAddr> = inheritance.sockets.iter().map(|one| one.address).collect();
        assert_eq!(got, places);
        for one in &inheritance.sockets {
            let socket = TcpListener::from(one.socket.try_clone().unwrap());
            assert_eq!(socket.local_addr().unwrap(), one.address);
        }
        // A client that connected in between waits in the socket.
        let client = TcpStream::connect(places[0]).unwrap();
        let first = TcpListener::from(inheritance.sockets[0].socket.try_clone().unwrap());
        let (_, from) = first.accept().unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        inheritance.settled().unwrap();
        assert!(hear(&old).unwrap());
    }

    #[test]
    fn an_end_without_a_word_is_no_success() {
        let (old, new) = pair().unwrap();
        drop(new);
        assert!(!hear(&old).unwrap());
        let (old, new) = pair().unwrap();
        drop(old);
        assert!(Inheritance::read(new).is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let (old, new) = pair().unwrap();
        let words = r#"{"version":2,"sockets":[],"more":false}"#;
        rustix::net::send(&old, words.as_bytes(), SendFlags::empty()).unwrap();
        let error = Inheritance::read(new).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
    }

    #[test]
    fn a_program_that_fails_is_told_of() {
        let heir = Heir::start(&"false".into(), &[]).unwrap();
        let error = heir.settle(&[handed(listener())]).unwrap_err();
        assert!(error.contains("exit status: 1"), "{error}");
        assert!(Heir::start(&"/nonexistent".into(), &[]).is_err());
    }

    #[test]
    fn every_socket_has_an_owner() {
        let count = |sockets: usize, threads| {
            let dealt = deal((0..sockets).map(|_| listener()).collect(), threads);
            dealt.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(count(2, 2), [1, 1]);
        assert_eq!(count(3, 2), [2, 1]);
        assert_eq!(count(1, 3), [1, 0, 0]);
    }
}
