//! Pings of a virtual router's VIP, answered in its name: whoever watches a VIP by ping sees the
//! director that serves it.
//!
//! The answer is made of the frame itself. What is unusual (options, extension headers, fragments, more than
//! fits a common link) is not answered here.

use crate::abi::Mac;
use crate::checksum::Change;
use crate::frame::Frame;
use crate::icmp::{answer_v4, answer_v6};
use crate::parse::Packet;
use crate::wire::icmp::Icmp;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

/// Bytes of a ping at most, its IP header included.
const LEN_MAX: u32 = 1500;

/// Whether a packet is an echo request (RFC 792, RFC 4443 section 4.1) with plain headers, and not too long.
#[inline(always)]
pub fn is_ping<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> bool {
    let header = if packet.is_v6 { Ipv6::LEN } else { Ipv4::LEN };
    let is_plain = packet.l4 == packet.l3 + header && !packet.is_fragment();
    if !is_plain || packet.len > LEN_MAX || (packet.len as usize) < header + Icmp::LEN {
        return false;
    }
    let Some(head) = frame.read::<[u8; 2]>(packet.l4) else {
        return false;
    };
    match (packet.is_v6, packet.protocol) {
        (false, Icmp::PROTOCOL_V4) => head == [Icmp::ECHO_V4, 0],
        (true, Icmp::PROTOCOL_V6) => head == [Icmp::ECHO_V6, 0],
        _ => false,
    }
}

/// Whether a frame comes from a group's Ethernet address, which nobody sends from.
#[inline(always)]
pub fn is_from_group<F: Frame + ?Sized>(frame: &F) -> bool {
    let addresses = frame.read::<[Mac; 2]>(0);
    addresses.is_none_or(|[_, from]| from.is_group())
}

/// Makes the frame of a ping its answer. A wrong checksum stays wrong: it goes back to who made it.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "headers have 16 bits for it"
)]
pub fn answer<F: Frame + ?Sized>(frame: &mut F, packet: &Packet) -> Option<()> {
    let [to, from]: [Mac; 2] = frame.read(0)?;
    frame.write(0, &[from, to])?;
    let (asked, answered) = if packet.is_v6 {
        let payload = packet.len as usize - Ipv6::LEN;
        frame.write(packet.l3, &answer_v6(packet, packet.tos, payload as u16))?;
        (Icmp::ECHO_V6, Icmp::ECHO_REPLY_V6)
    } else {
        let (dont, len) = (Ipv4::DONT_FRAGMENT, packet.len as u16);
        frame.write(packet.l3, &answer_v4(packet, packet.tos, dont, len))?;
        (Icmp::ECHO_V4, Icmp::ECHO_REPLY_V4)
    };
    // Source and destination change places, which no sum notices.
    let [_, _, high, low]: [u8; 4] = frame.read(packet.l4)?;
    let word = |kind| u16::from_ne_bytes([kind, 0]);
    let change = Change::new().word(word(asked), word(answered));
    let checksum = change.apply(u16::from_ne_bytes([high, low]));
    frame.write(packet.l4, &[word(answered), checksum])
}
