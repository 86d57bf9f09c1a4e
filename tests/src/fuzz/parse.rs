//! `parse`: the bytes are a frame. What is read of it lies inside it, and is what another reader,
//! which shares nothing with the code under test, finds there.

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::Frame as _;
use lb_ebpf::parse::{Ends, Packet};
use lb_ebpf::wire::eth::Eth;

use crate::packet::anatomy::{self, Anatomy};

/// Reads a frame, and packets that stand somewhere in it.
///
/// # Errors
/// Says what cannot be.
pub fn parse(frame: &[u8]) -> Result<()> {
    for at in 0..frame.len().min(80) {
        for is_v6 in [false, true] {
            if let Some(packet) = Packet::quoted(frame, at, is_v6) {
                quoted(frame, &packet, at)?;
            }
        }
    }
    let Some(eth) = frame.read::<Eth>(0) else {
        return Ok(());
    };
    let Ok(ends) = Ends::read(frame, &eth) else {
        return Ok(());
    };
    let _: (bool, bool) = (ends.is_martian(), ends.has_plain_destination());
    let whole = Packet::parse(frame, &eth);
    let Ok(packet) = Packet::headers(frame, &ends) else {
        ensure!(whole.is_err(), "no headers, and ports");
        return Ok(());
    };
    let there = anatomy::of(frame).context("a packet where there is none")?;
    headers(frame, &packet, &there)?;
    ensure!(packet.with_ports(frame) == whole, "read twice, and differs");
    if let Ok(packet) = whole {
        ports(frame, &packet, &there)?;
    }
    cut(frame, &eth, &packet, &there)
}

/// What the IP headers say.
fn headers(frame: &[u8], packet: &Packet, there: &Anatomy) -> Result<()> {
    let found = Anatomy {
        l3: packet.l3,
        end: packet.l3 + packet.len as usize,
        is_v6: packet.is_v6,
        l4: packet.l4,
        protocol: packet.protocol,
        is_later: packet.is_later_fragment(),
    };
    ensure!(found == *there, "{found:?}, but it is {there:?}");
    ensure!(there.end <= frame.len(), "it ends behind the frame");
    ensure!(there.l4 <= there.end, "headers behind its end: {there:?}");
    ensure!(packet.ttl == frame[there.hops()], "hops");
    let addresses = &frame[there.addresses()];
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    for (address, bytes) in [(packet.source, source), (packet.destination, destination)] {
        let octets = address.v6_octets().concat();
        ensure!(octets.ends_with(bytes), "{octets:?} is not {bytes:?}");
        ensure!(
            packet.is_v6 || address.is_v4(),
            "an address of IPv4 is not one"
        );
    }
    let is_later = packet.is_later_fragment();
    ensure!(
        !is_later || packet.is_fragment(),
        "a later fragment of none"
    );
    ensure!(!packet.is_v6 || packet.dont_fragment, "IPv6 in fragments");
    Ok(())
}

/// What TCP or UDP says.
fn ports(frame: &[u8], packet: &Packet, there: &Anatomy) -> Result<()> {
    let segment = &frame[there.l4..there.end];
    let is_tcp = packet.protocol == 6;
    ensure!(segment.len() >= if is_tcp { 20 } else { 8 }, "too short");
    let port = |at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
    let read = [packet.source_port.get(), packet.destination_port.get()];
    ensure!(read == [port(0), port(2)], "ports {read:?}");
    if is_tcp {
        ensure!(packet.tcp_flags == segment[13], "flags");
        ensure!(usize::from(segment[12] >> 4) * 4 <= segment.len(), "offset");
    } else {
        ensure!(packet.tcp_flags == 0, "flags of UDP");
        let length = usize::from(port(4));
        ensure!(
            packet.is_fragment() || length <= segment.len(),
            "UDP is longer"
        );
    }
    Ok(())
}

/// What is behind the packet's end changes nothing; without its last byte it is none.
fn cut(frame: &[u8], eth: &Eth, packet: &Packet, there: &Anatomy) -> Result<()> {
    let read = |frame: &[u8]| {
        let ends = Ends::read(frame, eth)?;
        Packet::headers(frame, &ends)
    };
    ensure!(
        read(&frame[..there.end]) == Ok(*packet),
        "padding changes it"
    );
    ensure!(read(&frame[..there.end - 1]).is_err(), "it is not whole");
    Ok(())
}

/// A packet in another packet: its end may be cut off, its IP header is there.
fn quoted(frame: &[u8], packet: &Packet, at: usize) -> Result<()> {
    let header = if packet.is_v6 { 40 } else { 20 };
    ensure!(packet.l3 == at, "it starts elsewhere");
    ensure!(
        at + header <= frame.len(),
        "its header ends behind the frame"
    );
    ensure!(packet.l4 >= at + header, "what it carries is in its header");
    ensure!(packet.l4 - at <= 1200, "headers without end");
    Ok(())
}
