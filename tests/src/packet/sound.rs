//! What holds for every frame, whatever came: one that passes or is dropped is as it came; one that
//! goes on has one hop fewer and checksums that are right if they were; what is put around it, or
//! told of it, is right; so is what it quotes, and what answers it.
//!
//! Not here: whether it should have gone on, and where to.

use super::anatomy::{self, Anatomy};
use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::Reason;
use lb_ebpf::checksum::whole;

/// What became of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// Whether it goes on: it neither passes nor is dropped.
    pub goes_on: bool,
    /// Why.
    pub reason: Reason,
    /// The frame as it is now.
    pub frame: &'a [u8],
}

/// Says what was seen of a frame that cannot be.
///
/// # Errors
/// Names what is not sound.
pub fn sound(came: &[u8], left: Left<'_>) -> Result<()> {
    let Left {
        goes_on,
        reason,
        frame: left,
    } = left;
    if !goes_on {
        // What is for a virtual router's Ethernet address becomes the interface's.
        let from = if is_virtual(came) { 6 } else { 0 };
        return same(came.get(from..), left.get(from..), "it was changed");
    }
    let answers = [
        (
            Reason::AnsweredArp,
            answered_arp as fn(&[u8], &[u8]) -> Result<()>,
        ),
        (Reason::AnsweredNdp, answered_ndp),
        (Reason::AnsweredEcho, answered_echo),
    ];
    if let Some((_, answered)) = answers.iter().find(|(of, _)| *of == reason) {
        return answered(came, left);
    }
    let packet = anatomy::of(came).context("it is no packet, and goes on")?;
    if reason == Reason::TooBigTold {
        return told(came, &packet, left);
    }
    let outer = anatomy::of(left).context("it leaves as no packet")?;
    ensure!(outer.l3 <= 18, "more than one tag");
    let is_inside = reason == Reason::ForwardedTunnel || is_carried(&packet, &outer);
    let there = if is_inside {
        carried(&packet, left, &outer)?
    } else {
        packet.moved_to(outer.l3)
    };
    same(came[packet.hops()] - 1, left[there.hops()], "hops")?;
    same(
        header_error(came, &packet),
        header_error(left, &there),
        "IPv4 checksum",
    )?;
    same(
        segment_error(came, &packet),
        segment_error(left, &there),
        "checksum of what it carries",
    )?;
    if matches!(reason, Reason::ForwardedIcmp | Reason::RepliedIcmp) {
        same(
            quote_errors(came, &packet),
            quote_errors(left, &there),
            "checksums of what it quotes",
        )?;
    }
    same(&came[packet.end..], &left[there.end..], "padding")
}

/// Fails where two things differ that may not.
fn same<T: PartialEq + std::fmt::Debug>(a: T, b: T, what: &str) -> Result<()> {
    ensure!(a == b, "{what}: {a:?} and {b:?}");
    Ok(())
}

/// By how much the checksums of the packet that an ICMP error quotes are wrong: that of its header, and
/// that of what it carries where all of it is quoted.
fn quote_errors(frame: &[u8], packet: &Anatomy) -> Option<(u16, Option<u16>)> {
    let quoted = anatomy::packet(frame, packet.l4 + 8, packet.is_v6)?;
    let header = if quoted.protocol == 6 { 20 } else { 8 };
    let is_whole = quoted.end <= packet.end && quoted.l4 + header <= quoted.end;
    let segment = is_whole.then(|| segment_error(frame, &quoted)).flatten();
    (quoted.l4 <= packet.end).then(|| (header_error(frame, &quoted), segment))
}

/// Whether a packet left inside another one.
fn is_carried(packet: &Anatomy, outer: &Anatomy) -> bool {
    outer.len() > packet.len()
}

/// The outer headers of a packet say what is so; where the packet is.
fn carried(packet: &Anatomy, left: &[u8], outer: &Anatomy) -> Result<Anatomy> {
    same(header_error(left, outer), 0, "outer IPv4 checksum")?;
    same(left[outer.hops()], 64, "outer hops")?;
    let mut inner = outer.l4;
    if outer.protocol == 17 {
        inner += 8;
        let length = two_bytes(outer.end - outer.l4);
        let udp = [6080u16.to_be_bytes(), length, [0; 2]].concat();
        same(&left[outer.l4 + 2..outer.l4 + 8], &udp[..], "outer UDP")?;
    } else {
        let protocol = if packet.is_v6 { 41 } else { 4 };
        same(outer.protocol, protocol, "outer protocol")?;
    }
    let there = packet.moved_to(inner);
    same(there.end, outer.end, "the end")?;
    Ok(there)
}

/// A message about a packet goes back to its sender, quotes it, and has right checksums.
fn told(came: &[u8], packet: &Anatomy, left: &[u8]) -> Result<()> {
    let message = anatomy::of(left).context("the message is in no packet")?;
    let protocol = if packet.is_v6 { 58 } else { 1 };
    same(message.protocol, protocol, "protocol")?;
    same(
        (message.l3, message.end),
        (packet.l3, left.len()),
        "where it is",
    )?;
    same(&left[..6], &came[6..12], "to its sender")?;
    same(&left[6..12], &came[..6], "from us")?;
    same(&left[12..packet.l3], &came[12..packet.l3], "tags")?;
    let [from, to] = halves(&left[message.addresses()]);
    same([to, from], halves(&came[packet.addresses()]), "addresses")?;
    same(header_error(left, &message), 0, "IPv4 checksum")?;
    let body = &left[message.l4..];
    ensure!(came[packet.l3..].starts_with(&body[8..]), "the quote");
    let mut covered = body.to_vec();
    if packet.is_v6 {
        covered.extend(&left[message.addresses()]);
        covered.extend([0, protocol]);
        covered.extend(two_bytes(body.len()));
    }
    same(whole(&covered, 0), 0, "ICMP checksum")
}

/// Whether a frame is for an Ethernet address of VRRP (RFC 9568 section 7.3).
fn is_virtual(frame: &[u8]) -> bool {
    matches!(frame, [0, 0, 0x5e, 0, 1 | 2, ..])
}

/// An ARP reply goes back to who asked, with the address it asked for.
fn answered_arp(came: &[u8], left: &[u8]) -> Result<()> {
    same(came.len(), left.len(), "length")?;
    same(&left[..6], &came[6..12], "to who asked")?;
    let mut l3 = 14;
    while l3 < 22 && matches!(came[l3 - 2..l3], [0x81, 0] | [0x88, 0xa8]) {
        l3 += 4;
    }
    same(&left[12..l3 + 7], &came[12..l3 + 7], "tags, and what it is")?;
    same((came[l3 + 7], left[l3 + 7]), (1, 2), "operation")?;
    same(&left[l3 + 8..l3 + 14], &left[6..12], "where it is")?;
    same(
        &left[l3 + 14..l3 + 18],
        &came[l3 + 24..l3 + 28],
        "who was asked for",
    )?;
    same(&left[l3 + 18..l3 + 28], &came[l3 + 8..l3 + 18], "who asked")?;
    same(&left[l3 + 28..], &came[l3 + 28..], "padding")
}

/// A neighbour advertisement is whole, and about the address that was asked for.
fn answered_ndp(came: &[u8], left: &[u8]) -> Result<()> {
    let asked = anatomy::of(came).context("who asks is in no packet")?;
    let told = anatomy::of(left).context("the answer is in no packet")?;
    same((told.l3, told.end), (asked.l3, left.len()), "where it is")?;
    same(&left[12..told.l3], &came[12..asked.l3], "tags")?;
    same(
        (told.protocol, left[told.hops()]),
        (58, 255),
        "protocol, hops",
    )?;
    let (body, target) = (&left[told.l4..], &came[asked.l4 + 8..asked.l4 + 24]);
    same((body[0], body.len()), (136, 32), "an advertisement")?;
    same(&body[8..24], target, "who was asked for")?;
    same(&body[26..], &left[6..12], "where it is")?;
    let [from, to] = halves(&left[told.addresses()]);
    let [source, _] = halves(&came[asked.addresses()]);
    same(from, target, "from whom")?;
    let is_nobody = source == [0; 16];
    ensure!(is_nobody || to == source, "to another");
    same(body[4], if is_nobody { 0xa0 } else { 0xe0 }, "flags")?;
    let mut covered = [&left[told.addresses()], body].concat();
    covered.extend([0, 58]);
    covered.extend(two_bytes(body.len()));
    same(whole(&covered, 0), 0, "ICMP checksum")
}

/// An echo reply is the request the other way round; its checksums are right if they were.
fn answered_echo(came: &[u8], left: &[u8]) -> Result<()> {
    let asked = anatomy::of(came).context("the ping is no packet")?;
    let told = anatomy::of(left).context("the answer is no packet")?;
    same(told, asked, "where it is")?;
    same(&left[..6], &came[6..12], "to its sender")?;
    same(&left[12..told.l3], &came[12..asked.l3], "tags")?;
    let [from, to] = halves(&left[told.addresses()]);
    same([to, from], halves(&came[asked.addresses()]), "addresses")?;
    same(left[told.hops()], 64, "hops")?;
    same(header_error(left, &told), 0, "IPv4 checksum")?;
    same(
        segment_error(left, &told),
        segment_error(came, &asked),
        "ICMP checksum",
    )?;
    let kinds = if asked.is_v6 { (128, 129) } else { (8, 0) };
    same((came[asked.l4], left[told.l4]), kinds, "type")?;
    same(
        &left[told.l4 + 4..],
        &came[asked.l4 + 4..],
        "what it carries",
    )
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

/// By how much the checksum of what the packet carries is wrong; none where it has none.
fn segment_error(frame: &[u8], packet: &Anatomy) -> Option<u16> {
    let segment = &frame[packet.l4.min(packet.end)..packet.end];
    if packet.is_later || packet.protocol == 17 && segment.get(6..8)? == [0, 0] {
        return None;
    }
    // The rest of the pseudo-header does not change on the way; ICMP has none.
    let mut covered = match packet.protocol {
        1 => Vec::new(),
        _ => frame[packet.addresses()].to_vec(),
    };
    covered.extend(segment);
    Some(zero(whole(&covered, 0)))
}

fn zero(sum: u16) -> u16 {
    if sum == 0xffff { 0 } else { sum }
}
