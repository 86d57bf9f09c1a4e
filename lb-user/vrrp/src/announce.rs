//! The frames by which switches and clients learn where the VIPs are: gratuitous ARP and unsolicited
//! neighbour advertisements (section 6.4.2).
//!
//! Not here: how often they are sent.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::checksum;

/// A gratuitous ARP request as a frame: broadcast, the VIP as both sender and target (erratum 7949:
/// with the announced address as the target's too).
#[must_use]
pub fn gratuitous_arp(mac: [u8; 6], vip: Ipv4Addr) -> [u8; 42] {
    let mut frame = [0; 42];
    let mut at = Writer::new(&mut frame);
    at.put(&[0xff; 6]);
    at.put(&mac);
    at.put(&[8, 6]);
    // Ethernet, IPv4, the lengths of their addresses, request.
    at.put(&[0, 1, 8, 0, 6, 4, 0, 1]);
    for _ in ["sender", "target"] {
        at.put(&mac);
        at.put(&vip.octets());
    }
    frame
}

/// An unsolicited neighbour advertisement as a frame: to all nodes, Router and Override set,
/// Solicited clear, with the target's Ethernet address.
#[must_use]
pub fn neighbour_advertisement(mac: [u8; 6], vip: Ipv6Addr) -> [u8; 86] {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const ICMPV6: u8 = 58;
    let mut message = [0; 32];
    let mut at = Writer::new(&mut message);
    at.put(&[136, 0, 0, 0]);
    at.put(&[0b1010_0000, 0, 0, 0]);
    at.put(&vip.octets());
    // Target link-layer address, in units of 8 bytes.
    at.put(&[2, 1]);
    at.put(&mac);
    let sum = checksum::over_ipv6(&message, vip, ALL_NODES, ICMPV6);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = [0; 86];
    let mut at = Writer::new(&mut frame);
    at.put(&[0x33, 0x33, 0, 0, 0, 1]);
    at.put(&mac);
    at.put(&[0x86, 0xdd]);
    at.put(&[0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
    at.put(&vip.octets());
    at.put(&ALL_NODES.octets());
    at.put(&message);
    frame
}

/// Fills a buffer from its beginning.
struct Writer<'a> {
    rest: std::slice::IterMut<'a, u8>,
}

impl<'a> Writer<'a> {
    fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            rest: buffer.iter_mut(),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        // In this order: `zip` takes from its first before it finds that its second has no more.
        for (byte, place) in bytes.iter().zip(self.rest.by_ref()) {
            *place = *byte;
        }
    }
}
