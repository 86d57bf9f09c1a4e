//! Answers to packets that can't go on: "too big for the way", so that path MTU discovery works
//! across an encapsulation (RFC 1191, RFC 8201).
//!
//! The answer is made of the frame itself, and goes back where it came from, in the VIP's name.

use zerocopy::IntoBytes as _;
use zerocopy::network_endian::U32;

use crate::abi::Mac;
use crate::checksum::{fold, sum};
use crate::frame::Frame;
use crate::icmp::{answer_v4, answer_v6, move_link_header, pseudo_header};
use crate::parse::Packet;
use crate::wire::icmp::Icmp;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

/// Of the packet's payload, what the answer quotes: enough for its sender to find the connection
/// (RFC 792: 64 bits).
const QUOTED_PAYLOAD: usize = 8;
/// Longest quote: an IPv4 header with all its options, or an IPv6 header with as much before what it
/// carries, and 8 bytes. Of more extension headers the end is not quoted.
const QUOTED_MAX: usize = 120 + QUOTED_PAYLOAD;

/// Makes the frame an answer to its sender: packets of `mtu` bytes would fit. `None` where there is
/// no room for it.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 136 bytes")]
pub fn too_big<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, mtu: u16) -> Option<()> {
    let quoted = (packet.l4 - packet.l3 + QUOTED_PAYLOAD).min(QUOTED_MAX);
    let ip = if packet.is_v6 { Ipv6::LEN } else { Ipv4::LEN };
    let added = ip + Icmp::LEN;
    if frame.len() > packet.l3 + quoted {
        frame.truncate(packet.l3 + quoted)?;
    }
    frame.grow(added)?;
    move_link_header(frame, packet.l3, added)?;
    let addresses: [Mac; 2] = frame.read(added)?;
    frame.write(0, &[addresses[1], addresses[0]])?;
    let len = (Icmp::LEN + quoted) as u16;
    if packet.is_v6 {
        frame.write(packet.l3, &answer_v6(packet, 0, len))?;
    } else {
        let header = answer_v4(packet, 0, 0, Ipv4::BYTES + len);
        frame.write(packet.l3, &header)?;
    }
    let (kind, code) = if packet.is_v6 {
        Icmp::PACKET_TOO_BIG
    } else {
        Icmp::FRAGMENTATION_NEEDED
    };
    let mut icmp = Icmp {
        kind,
        code,
        checksum: [0; 2],
        mtu: U32::new(u32::from(mtu)),
    };
    let mut total = sum(icmp.as_bytes()) + quote_sum(frame, packet.l3 + added, quoted)?;
    if packet.is_v6 {
        total += pseudo_header(&packet.destination, &packet.source, Icmp::LEN + quoted);
    }
    icmp.checksum = (!fold(total)).to_ne_bytes();
    frame.write(packet.l3 + ip, &icmp)
}

/// The sum over the quoted packet at `at`; its length is even.
#[inline(always)]
fn quote_sum<F: Frame + ?Sized>(frame: &F, at: usize, quoted: usize) -> Option<u64> {
    let mut total = 0;
    for word in 0..QUOTED_MAX / 2 {
        if word * 2 >= quoted {
            break;
        }
        let bytes: [u8; 2] = frame.read(at + word * 2)?;
        total += u64::from(u16::from_ne_bytes(bytes));
    }
    Some(total)
}
