//! What holds for every frame, whatever came: one that passes or is dropped is as it came; one that
//! goes on has one hop fewer and checksums that are right if they were; what is put around it, or
//! told of it, is right.

use lb_ebpf::abi::Reason;
use lb_ebpf::checksum::whole;
use proptest::prelude::*;

use super::anatomy::{self, Anatomy};
use super::stage::{Seen, xdp};

/// Fails where what was seen of a frame cannot be.
pub(super) fn sound(came: &[u8], seen: &Seen) -> Result<(), TestCaseError> {
    let left = &seen.frame;
    if seen.code == xdp::PASS || seen.code == xdp::DROP {
        prop_assert_eq!(came, &left[..]);
        return Ok(());
    }
    let Some(packet) = anatomy::of(came) else {
        return Err(TestCaseError::fail("it is no packet, and goes on"));
    };
    if seen.reason == Reason::TooBigTold {
        return told(came, &packet, left);
    }
    let added = left.len() - came.len();
    prop_assert_eq!(added > 0, seen.reason == Reason::ForwardedTunnel);
    if added > 0 {
        carried(&packet, left, added)?;
    }
    let there = packet.later(added);
    prop_assert_eq!(&came[12..packet.l3 - 2], &left[12..packet.l3 - 2], "tags");
    prop_assert_eq!(came[packet.hops()] - 1, left[there.hops()], "hops");
    prop_assert_eq!(
        header_error(came, &packet),
        header_error(left, &there),
        "IPv4 checksum"
    );
    prop_assert_eq!(
        segment_error(came, &packet),
        segment_error(left, &there),
        "TCP or UDP checksum"
    );
    prop_assert_eq!(&came[packet.end..], &left[there.end..], "padding");
    Ok(())
}

/// The outer headers of a packet that grew by `added` bytes say what is so.
fn carried(packet: &Anatomy, left: &[u8], added: usize) -> Result<(), TestCaseError> {
    let Some(outer) = anatomy::of(left) else {
        return Err(TestCaseError::fail("it is in no packet"));
    };
    let ends = packet.later(added);
    prop_assert_eq!((outer.l3, outer.end), (packet.l3, ends.end));
    prop_assert_eq!(header_error(left, &outer), 0, "outer IPv4 checksum");
    prop_assert_eq!(left[outer.hops()], 64);
    if outer.protocol == 17 {
        prop_assert_eq!(outer.l4 + 8, ends.l3);
        let length = two_bytes(outer.end - outer.l4);
        let udp = [6080u16.to_be_bytes(), length, [0; 2]].concat();
        prop_assert_eq!(&left[outer.l4 + 2..outer.l4 + 8], &udp[..]);
    } else {
        prop_assert_eq!(outer.l4, ends.l3);
        prop_assert_eq!(outer.protocol, if packet.is_v6 { 41 } else { 4 });
    }
    Ok(())
}

/// A message about a packet goes back to its sender, quotes it, and has right checksums.
fn told(came: &[u8], packet: &Anatomy, left: &[u8]) -> Result<(), TestCaseError> {
    let Some(message) = anatomy::of(left) else {
        return Err(TestCaseError::fail("the message is in no packet"));
    };
    let protocol = if packet.is_v6 { 58 } else { 1 };
    prop_assert_eq!(message.protocol, protocol);
    prop_assert_eq!((message.l3, message.end), (packet.l3, left.len()));
    prop_assert_eq!(&left[..6], &came[6..12], "to its sender");
    prop_assert_eq!(&left[6..12], &came[..6], "from us");
    prop_assert_eq!(&left[12..packet.l3], &came[12..packet.l3], "tags");
    let [from, to] = halves(&left[message.addresses()]);
    prop_assert_eq!([to, from], halves(&came[packet.addresses()]));
    prop_assert_eq!(header_error(left, &message), 0, "IPv4 checksum");
    let body = &left[message.l4..];
    prop_assert!(came[packet.l3..].starts_with(&body[8..]), "the quote");
    let mut covered = body.to_vec();
    if packet.is_v6 {
        covered.extend(&left[message.addresses()]);
        covered.extend([0, protocol]);
        covered.extend(two_bytes(body.len()));
    }
    prop_assert_eq!(whole(&covered, 0), 0, "ICMP checksum");
    Ok(())
}

fn two_bytes(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn halves(addresses: &[u8]) -> [&[u8]; 2] {
    let (a, b) = addresses.split_at(addresses.len() / 2);
    [a, b]
}

/// By how much the header's checksum is wrong; both zeroes of ones' complement are 0. IPv6 has none.
fn header_error(frame: &[u8], packet: &Anatomy) -> u16 {
    if packet.is_v6 {
        return 0;
    }
    zero(whole(&frame[packet.l3..packet.l4], 0))
}

/// By how much the checksum of TCP or UDP is wrong; none where UDP has no checksum.
fn segment_error(frame: &[u8], packet: &Anatomy) -> Option<u16> {
    let segment = &frame[packet.l4..packet.end];
    if packet.protocol == 17 && segment[6..8] == [0, 0] {
        return None;
    }
    // The rest of the pseudo-header does not change on the way.
    let mut covered = frame[packet.addresses()].to_vec();
    covered.extend(segment);
    Some(zero(whole(&covered, 0)))
}

fn zero(sum: u16) -> u16 {
    if sum == 0xffff { 0 } else { sum }
}
