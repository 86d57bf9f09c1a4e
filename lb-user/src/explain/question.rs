//! The flow that is asked about, and a frame of it as it would come in.
//!
//! Not here: who would have sent it, which does not matter to the decision.

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use lb_ebpf::abi::Mac;
use lb_ebpf::wire::{eth::Eth, ipv4::Ipv4, ipv6::Ipv6, tcp::Tcp, udp::Udp};
use serde::Serialize;
use zerocopy::network_endian::{U16, U32};
use zerocopy::{IntoBytes as _, transmute};

use crate::tables::lookups::HostFrame;

/// What flows are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => Tcp::PROTOCOL,
            Self::Udp => Udp::PROTOCOL,
        }
    }

    /// As the site file writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Who sends it.
    pub client: SocketAddr,
    /// Where it goes.
    pub vip: SocketAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Whether it opens a connection: a SYN. Not so: one of a connection that is under way.
    pub syn: bool,
}

/// Why a question makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// IPv4 to IPv6, or the other way round.
    #[error("{0} and {1} are not of the same family: no packet goes from one to the other")]
    Families(IpAddr, IpAddr),
    /// UDP has no SYN.
    #[error("--syn is of TCP; a UDP packet opens a flow where there is none")]
    Syn,
}

/// The hops that a fresh packet has left on most systems.
const TTL: u8 = 64;
/// Who the frame says it is from: an address that nobody has.
const SENDER: Mac = Mac([2, 0, 0, 0, 0, 1]);

impl Question {
    /// Makes sure that there can be such a packet.
    ///
    /// # Errors
    /// There can't.
    pub fn checked(self) -> Result<Self, Wrong> {
        if self.client.is_ipv4() != self.vip.is_ipv4() {
            return Err(Wrong::Families(self.client.ip(), self.vip.ip()));
        }
        if self.syn && self.protocol == Protocol::Udp {
            return Err(Wrong::Syn);
        }
        Ok(self)
    }

    /// The packet in a frame for `to`, without data. Its checksums are zero: nobody looks at them.
    pub fn frame(&self, to: Mac) -> HostFrame {
        let segment = self.segment();
        let (ethertype, header) = match (self.client.ip(), self.vip.ip()) {
            (IpAddr::V4(client), IpAddr::V4(vip)) => {
                let header = self.ipv4(client.octets(), vip.octets(), len(&segment));
                (Eth::IPV4, header.as_bytes().to_vec())
            }
            (client, vip) => {
                let v6 = |address: IpAddr| match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                    IpAddr::V6(v6) => v6.octets(),
                };
                let header = self.ipv6(v6(client), v6(vip), len(&segment));
                (Eth::IPV6, header.as_bytes().to_vec())
            }
        };
        let eth = Eth {
            destination: to,
            source: SENDER,
            ethertype,
        };
        HostFrame([eth.as_bytes(), &header, &segment].concat())
    }

    fn ipv4(&self, source: [u8; 4], destination: [u8; 4], payload: u16) -> Ipv4 {
        Ipv4 {
            version_ihl: 0x45,
            tos: 0,
            total_len: U16::new(Ipv4::BYTES + payload),
            id: U16::ZERO,
            fragment: U16::new(Ipv4::DONT_FRAGMENT),
            ttl: TTL,
            protocol: self.protocol.number(),
            checksum: [0; 2],
            source,
            destination,
        }
    }

    fn ipv6(&self, source: [u8; 16], destination: [u8; 16], payload: u16) -> Ipv6 {
        Ipv6 {
            version_class: 0x60,
            class_flow: [0; 3],
            payload_len: U16::new(payload),
            next_header: self.protocol.number(),
            hop_limit: TTL,
            source: transmute!(source),
            destination: transmute!(destination),
        }
    }

    fn segment(&self) -> Vec<u8> {
        let [source, destination] = [self.client, self.vip].map(|end| end.port().to_be_bytes());
        match self.protocol {
            Protocol::Tcp => Tcp {
                source,
                destination,
                sequence: U32::ZERO,
                acknowledgement: U32::ZERO,
                offset: 5 << 4,
                flags: if self.syn { Tcp::SYN } else { Tcp::ACK },
                window: U16::MAX_VALUE,
                checksum: [0; 2],
                urgent: U16::ZERO,
            }
            .as_bytes()
            .to_vec(),
            Protocol::Udp => Udp {
                source,
                destination,
                length: U16::new(Udp::BYTES),
                checksum: [0; 2],
            }
            .as_bytes()
            .to_vec(),
        }
    }
}

/// The length of a segment as headers tell it.
fn len(segment: &[u8]) -> u16 {
    u16::try_from(segment.len()).unwrap_or(u16::MAX)
}
