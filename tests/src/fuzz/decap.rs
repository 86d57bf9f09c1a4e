//! `decap`: the bytes are a frame at the far end of a tunnel. It is opened whole or left alone, and
//! what comes out is what was inside.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{Addr, Mac};
use lb_ebpf::decap::{Ends, open};
use lb_user::tables::lookups::HostFrame;

use super::steer::site::{DIRECTOR, DIRECTOR6, LB, VIP, VIP6};
use crate::packet::{anatomy, eth};

/// VIPs of the packet table.
struct Vips;

impl Ends for Vips {
    fn is_vip(&self, address: &Addr) -> bool {
        *address == VIP.into() || *address == IpAddr::from(VIP6).into()
    }
}

/// Opens a frame; then one that carries these bytes, in every way there is.
///
/// # Errors
/// Says what cannot be.
pub fn decap(bytes: &[u8]) -> Result<()> {
    opened(bytes)?;
    if let [kind, inner @ ..] = bytes {
        wrapped(*kind, inner)?;
    }
    Ok(())
}

fn opened(came: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut frame = HostFrame(came.to_vec());
    if !open(&mut frame, &Vips) {
        ensure!(frame.0 == came, "it was not opened, but changed");
        return Ok(None);
    }
    let left = frame.0;
    ensure!(left.len() >= 34, "only {} bytes are left", left.len());
    let taken = came.len() - left.len();
    ensure!(
        [20, 28, 40, 48].contains(&taken),
        "{taken} bytes were taken off"
    );
    ensure!(left[..12] == came[..12], "Ethernet addresses");
    ensure!(left[14..] == came[14 + taken..], "what was inside");
    let packet = anatomy::of(&left);
    let is_v6 = left[12..14] == [0x86, 0xdd];
    ensure!(is_v6 || left[12..14] == [8, 0], "no IP");
    ensure!(left[14] >> 4 == if is_v6 { 6 } else { 4 }, "the version");
    if let Some(packet) = packet {
        let addresses = &left[packet.addresses()];
        let to = &addresses[addresses.len() / 2..];
        let is_vip = to == VIP.octets() || to == VIP6.octets();
        ensure!(is_vip, "it is for {to:?}");
    }
    Ok(Some(left))
}

/// A frame around these bytes opens if they are a packet for a VIP, and comes out as they were.
fn wrapped(kind: u8, inner: &[u8]) -> Result<()> {
    let version = inner.first().map_or(0, |first| first >> 4);
    let protocol = if version == 6 { 41 } else { 4 };
    let link = eth(Mac([2, 0, 0, 0, 0, 1]), LB);
    let frame = match kind & 3 {
        0 => link.ipv4(DIRECTOR, DIRECTOR).other(protocol, inner).build(),
        1 => link
            .ipv6(DIRECTOR6, DIRECTOR6)
            .other(protocol, inner)
            .build(),
        2 => {
            let udp = link.ipv4(DIRECTOR, DIRECTOR).udp(50_000, 6080);
            udp.payload(inner).no_checksum().build()
        }
        _ => {
            let udp = link.ipv6(DIRECTOR6, DIRECTOR6).udp(50_000, 6080);
            udp.payload(inner).no_checksum().build()
        }
    };
    let destination = match version {
        4 => inner.get(..20).map(|header| header[16..20] == VIP.octets()),
        6 => inner
            .get(..40)
            .map(|header| header[24..40] == VIP6.octets()),
        _ => None,
    };
    let left = opened(&frame)?;
    ensure!(
        left.is_some() == (destination == Some(true)),
        "for a VIP: {destination:?}, but opened: {}",
        left.is_some()
    );
    if destination == Some(true) {
        let left = left.context("it was opened")?;
        ensure!(left[14..] == *inner, "what came out is not what went in");
    }
    Ok(())
}
