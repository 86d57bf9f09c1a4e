//! What an IP packet carries: TCP, UDP, or bytes of another protocol.
//!
//! Not here: the addresses around it ([`super::ipv4`], [`super::ipv6`]), which its checksum covers;
//! packets and what is told of them ([`super::outer`]).

use std::net::IpAddr;

use lb_ebpf::checksum::{fold, whole};
use lb_ebpf::wire;

use super::frame::{Header, Packet};

/// Something that IP carries.
pub trait Segment: Clone {
    /// Its IP protocol number.
    fn protocol(&self) -> u8;

    /// Its bytes, with a checksum that covers the addresses where the protocol wants it.
    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8>;
}

/// A segment between ports.
pub trait Ported: Segment {
    /// Between other ports.
    fn set_ports(&mut self, source: u16, destination: u16);

    /// With this payload.
    fn set_payload(&mut self, payload: &[u8]);
}

impl<H, S: Ported> Packet<H, S> {
    /// Between other ports.
    #[must_use]
    pub fn ports(mut self, source: u16, destination: u16) -> Self {
        self.segment.set_ports(source, destination);
        self
    }

    /// With this payload.
    #[must_use]
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.segment.set_payload(payload);
        self
    }
}

/// A checksum made wrong by `error` (ones' complement, as sums of sixteen bits are).
pub(super) fn damaged(checksum: u16, error: u16) -> u16 {
    if error == 0 {
        checksum
    } else {
        fold(u64::from(checksum) + u64::from(error))
    }
}

/// The checksum of a segment and its pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).
pub(super) fn with_addresses(
    bytes: &[u8],
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
) -> u16 {
    let len = u16::try_from(bytes.len()).expect("a segment below 64 KiB");
    let mut all = Vec::with_capacity(40 + bytes.len());
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => all.extend(address.octets()),
            IpAddr::V6(address) => all.extend(address.octets()),
        }
    }
    if source.is_ipv4() {
        all.extend([0, protocol]);
        all.extend(len.to_be_bytes());
    } else {
        all.extend(u32::from(len).to_be_bytes());
        all.extend([0, 0, 0, protocol]);
    }
    all.extend(bytes);
    whole(&all, 0)
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub struct Tcp {
    source: u16,
    destination: u16,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
    offset: Option<u8>,
    checksum_off_by: u16,
}

impl Tcp {
    pub(super) fn new(source: u16, destination: u16) -> Self {
        Self {
            source,
            destination,
            flags: wire::tcp::Tcp::ACK,
            options: Vec::new(),
            payload: Vec::new(),
            offset: None,
            checksum_off_by: 0,
        }
    }
}

impl Segment for Tcp {
    fn protocol(&self) -> u8 {
        wire::tcp::Tcp::PROTOCOL
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let words = wire::tcp::Tcp::LEN + self.options.len();
        let words = u8::try_from(words / 4).expect("options of at most 40 bytes");
        let mut bytes = Vec::new();
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend([0x11, 0x22, 0x33, 0x44]); // sequence number
        let acknowledges = self.flags & wire::tcp::Tcp::ACK != 0;
        bytes.extend(if acknowledges {
            [0x55, 0x66, 0x77, 0x88]
        } else {
            [0; 4]
        });
        bytes.extend([self.offset.unwrap_or(words) << 4, self.flags]);
        bytes.extend([0xfa, 0xf0, 0, 0, 0, 0]); // window, checksum, urgent pointer
        bytes.extend(&self.options);
        bytes.extend(&self.payload);
        let checksum = with_addresses(&bytes, self.protocol(), source, destination);
        let checksum = damaged(checksum, self.checksum_off_by);
        bytes[wire::tcp::Tcp::CHECKSUM..][..2].copy_from_slice(&checksum.to_ne_bytes());
        bytes
    }
}

impl Ported for Tcp {
    fn set_ports(&mut self, source: u16, destination: u16) {
        (self.source, self.destination) = (source, destination);
    }

    fn set_payload(&mut self, payload: &[u8]) {
        self.payload = payload.to_vec();
    }
}

impl<H> Packet<H, Tcp> {
    /// With these flags (ACK unless told otherwise).
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.segment.flags = flags;
        self
    }

    /// With these options; filled up with zeroes (end of list) to a multiple of 4.
    #[must_use]
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        self.segment.options = options.to_vec();
        self.segment
            .options
            .resize(options.len().next_multiple_of(4), 0);
        self
    }

    /// Saying that its header is so many words of 4 bytes long.
    #[must_use]
    pub fn claims_offset(mut self, words: u8) -> Self {
        self.segment.offset = Some(words);
        self
    }

    /// With a TCP checksum that is wrong by so much.
    #[must_use]
    pub fn tcp_checksum_off_by(mut self, error: u16) -> Self {
        self.segment.checksum_off_by = error;
        self
    }
}

/// A UDP datagram.
#[derive(Clone, Debug)]
pub struct Udp {
    source: u16,
    destination: u16,
    payload: Vec<u8>,
    length: Option<u16>,
    has_checksum: bool,
}

impl Udp {
    pub(super) fn new(source: u16, destination: u16) -> Self {
        Self {
            source,
            destination,
            payload: Vec::new(),
            length: None,
            has_checksum: true,
        }
    }
}

impl Segment for Udp {
    fn protocol(&self) -> u8 {
        wire::udp::Udp::PROTOCOL
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let len = wire::udp::Udp::LEN + self.payload.len();
        let len = u16::try_from(len).expect("a datagram below 64 KiB");
        let mut bytes = Vec::new();
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.length.unwrap_or(len).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(&self.payload);
        if self.has_checksum {
            let checksum = match with_addresses(&bytes, self.protocol(), source, destination) {
                0 => 0xffff, // RFC 768: zero would say that there is none.
                sum => sum,
            };
            bytes[wire::udp::Udp::CHECKSUM..][..2].copy_from_slice(&checksum.to_ne_bytes());
        }
        bytes
    }
}

impl Ported for Udp {
    fn set_ports(&mut self, source: u16, destination: u16) {
        (self.source, self.destination) = (source, destination);
    }

    fn set_payload(&mut self, payload: &[u8]) {
        self.payload = payload.to_vec();
    }
}

impl<H: Header> Packet<H, Udp> {
    /// Without a checksum, which UDP over IPv4 allows, and over IPv6 for tunnels (RFC 6935).
    #[must_use]
    pub fn no_checksum(mut self) -> Self {
        self.segment.has_checksum = false;
        self
    }

    /// With the two bytes at the end of the payload that make the sum come out as 0, which UDP
    /// writes as 0xffff. For payloads of an even length.
    #[must_use]
    pub fn with_checksum_zero(mut self) -> Self {
        assert!(
            self.segment.payload.len().is_multiple_of(2),
            "the last two bytes must be one word"
        );
        self.segment.payload.extend([0, 0]);
        let at = self.segment.payload.len() - 2;
        let packet = self.packet();
        let header = packet.len() - self.segment.payload.len() - wire::udp::Udp::LEN;
        let checksum = &packet[header + wire::udp::Udp::CHECKSUM..][..2];
        self.segment.payload[at..].copy_from_slice(checksum);
        self
    }

    /// Saying that the datagram is so many bytes long.
    #[must_use]
    pub fn claims_length(mut self, bytes: u16) -> Self {
        self.segment.length = Some(bytes);
        self
    }
}

/// Bytes of another protocol.
#[derive(Clone, Debug)]
pub struct Other {
    pub(super) protocol: u8,
    pub(super) bytes: Vec<u8>,
}

impl Segment for Other {
    fn protocol(&self) -> u8 {
        self.protocol
    }

    fn bytes(&self, _source: IpAddr, _destination: IpAddr) -> Vec<u8> {
        self.bytes.clone()
    }
}
