//! The sockets of one interface: adverts in and out, announcements out.
//!
//! Sent to the group, an advert is a whole frame, past the stack: it needs no route, and comes from
//! whichever address it should. To single peers it goes by the kernel's routes. Not here: what is in
//! the datagrams.

use std::io::{self, IoSliceMut, Read as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use lb_ebpf::abi::Mac;
use nix::sys::socket::sockopt::{Ipv6RecvHopLimit, Ipv6RecvPacketInfo, RcvBufForce};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn6, cmsg_space, recvmsg, setsockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp::advert::{GROUP_V4, GROUP_V6};
use vrrp::{Datagram, Ends, Family};

use super::sys::FrameSocket;
use super::wire;

/// Bytes of the longest datagram that is read: 255 IPv4 addresses, or 90 IPv6 ones, with headers and
/// an authentication trailer. What is longer is cut off, and then too short for what it says.
pub(super) const DATAGRAM_MAX: usize = 2048;

/// Bytes of datagrams that may wait for us.
const WAITING_MAX: usize = 1 << 20;

/// `IPPROTO_RAW`: whoever sends writes the header.
const RAW: i32 = 255;

/// Adverts of one family that come in by one interface.
#[derive(Debug)]
pub(super) struct Receiver {
    socket: Socket,
    family: Family,
}

impl Receiver {
    /// Opens it, and joins the group.
    ///
    /// # Errors
    /// No such interface, or no CAP_NET_RAW.
    pub(super) fn open(interface: &str, ifindex: u32, family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let protocol = Protocol::from(i32::from(wire::PROTOCOL));
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        // Beyond what the system allows everyone (net.core.rmem_max), where this is allowed.
        let forced = setsockopt(&socket, RcvBufForce, &WAITING_MAX);
        if forced.is_err() {
            socket.set_recv_buffer_size(WAITING_MAX)?;
        }
        match family {
            Family::V4 => {
                let by = socket2::InterfaceIndexOrAddress::Index(ifindex);
                socket.join_multicast_v4_n(&GROUP_V4, &by)?;
            }
            Family::V6 => {
                socket.join_multicast_v6(&GROUP_V6, ifindex)?;
                setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
                setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
            }
        }
        Ok(Self { socket, family })
    }

    /// The next datagram, if one is there.
    pub(super) fn receive<'b>(&self, buffer: &'b mut [u8; DATAGRAM_MAX]) -> Received<'b> {
        match self.family {
            Family::V4 => match (&self.socket).read(buffer) {
                Ok(length) => wire::read_ipv4(&buffer[..length])
                    .map_or(Received::Unreadable, Received::Datagram),
                Err(error) => Received::of(&error),
            },
            Family::V6 => self.receive_ipv6(buffer),
        }
    }

    fn receive_ipv6<'b>(&self, buffer: &'b mut [u8; DATAGRAM_MAX]) -> Received<'b> {
        let mut control = [0u8; cmsg_space::<[u8; 20]>() + cmsg_space::<i32>()];
        let mut slices = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let fd = self.socket.as_raw_fd();
        let received = match recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut control), flags) {
            Ok(received) => received,
            Err(errno) => return Received::of(&errno.into()),
        };
        let source = received.address.map(|address| address.ip());
        let (mut destination, mut hop_limit) = (None, None);
        for message in received.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
                destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
            } else if let ControlMessageOwned::Ipv6HopLimit(limit) = message {
                hop_limit = u8::try_from(limit).ok();
            }
        }
        let length = received.bytes;
        let (Some(source), Some(destination), Some(hop_limit)) = (source, destination, hop_limit)
        else {
            return Received::Unreadable;
        };
        Received::Datagram(Datagram {
            ends: Ends::V6 {
                source,
                destination,
            },
            hop_limit,
            payload: buffer.get(..length).unwrap_or_default(),
        })
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What was there to read.
pub(super) enum Received<'b> {
    /// A datagram.
    Datagram(Datagram<'b>),
    /// Something that is none.
    Unreadable,
    /// Nothing more for now.
    Nothing,
}

impl Received<'_> {
    fn of(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::Interrupted {
            Self::Unreadable
        } else {
            // An interface that went down says so once; what else there may be is no datagram either.
            Self::Nothing
        }
    }
}

/// Adverts to single peers.
#[derive(Debug)]
pub(super) struct PeerSocket {
    socket: Socket,
    ifindex: u32,
}

impl PeerSocket {
    /// Opens one.
    ///
    /// # Errors
    /// No CAP_NET_RAW.
    pub(super) fn open(interface: &str, ifindex: u32, family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(RAW)))?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        Ok(Self { socket, ifindex })
    }

    /// Sends an IP packet.
    ///
    /// # Errors
    /// No way to the peer, or a full queue.
    pub(super) fn send(&self, packet: &[u8], peer: IpAddr) -> io::Result<()> {
        let to = match peer {
            IpAddr::V4(peer) => SocketAddr::V4(SocketAddrV4::new(peer, 0)),
            IpAddr::V6(peer) => SocketAddr::V6(SocketAddrV6::new(peer, 0, 0, self.ifindex)),
        };
        self.socket.send_to(packet, &to.into()).map(drop)
    }
}

/// The sockets of one interface; those of a family are opened when there is an instance of it.
#[derive(Debug)]
pub(super) struct Interface {
    /// Its index.
    pub(super) ifindex: u32,
    name: String,
    /// Whole frames out.
    pub(super) frames: FrameSocket,
    /// What the card takes besides its own.
    macs: Vec<Mac>,
    v4: Option<OfFamily>,
    v6: Option<OfFamily>,
}

/// The sockets of one family.
#[derive(Debug)]
pub(super) struct OfFamily {
    /// Adverts in.
    pub(super) receiver: Receiver,
    /// Adverts to single peers.
    pub(super) peers: PeerSocket,
}

impl Interface {
    /// Opens what both families need.
    ///
    /// # Errors
    /// No such interface, or no CAP_NET_RAW.
    pub(super) fn open(ifindex: u32) -> io::Result<Self> {
        let name = nix::net::if_::if_indextoname(ifindex)?;
        Ok(Self {
            ifindex,
            name: name.to_string_lossy().into_owned(),
            frames: FrameSocket::open(ifindex)?,
            macs: Vec::new(),
            v4: None,
            v6: None,
        })
    }

    /// Opens the sockets of a family.
    ///
    /// # Errors
    /// As [`Receiver::open`].
    pub(super) fn sockets(&self, family: Family) -> io::Result<OfFamily> {
        Ok(OfFamily {
            receiver: Receiver::open(&self.name, self.ifindex, family)?,
            peers: PeerSocket::open(&self.name, self.ifindex, family)?,
        })
    }

    /// Keeps the sockets of a family.
    pub(super) fn keep(&mut self, family: Family, sockets: OfFamily) {
        match family {
            Family::V4 => self.v4 = Some(sockets),
            Family::V6 => self.v6 = Some(sockets),
        }
    }

    /// Has the card take frames to `mac` as well, for as long as the interface is used.
    ///
    /// # Errors
    /// The driver refuses.
    pub(super) fn take_frames_to(&mut self, mac: Mac) -> io::Result<()> {
        if !self.macs.contains(&mac) {
            self.frames.take_frames_to(mac)?;
            self.macs.push(mac);
        }
        Ok(())
    }

    /// The sockets of a family.
    pub(super) const fn of(&self, family: Family) -> Option<&OfFamily> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }
}
