//! QUIC: the real server that a packet's connection id names (draft-ietf-quic-load-balancers,
//! section 3, server ids in plaintext), so that a connection survives its client's change of
//! address.
//!
//! A connection id whose configuration id is another, or whose server id is nobody's, is as good as
//! random: the flow is placed as any other, which is what a client's first packets need.

use crate::abi::{QuicKey, Service};
use crate::frame::Frame;
use crate::lookups::Lookups;
use crate::parse::Packet;
use crate::select;
use crate::wire::udp::Udp;

/// First byte of a long header (RFC 8999 section 5.1).
const LONG: u8 = 0x80;
/// Where a connection id starts in a short header: behind the first byte.
const SHORT_ID: usize = 1;
/// Where the length of a connection id is in a long header: behind the first byte and the version.
const LONG_ID_LEN: usize = 5;
/// Longest server id (draft section 5.1).
const SERVER_ID_MAX: usize = 15;

/// The real server that the connection id names, if it is up.
#[inline(always)]
pub fn server<F: Frame + ?Sized, L: Lookups + ?Sized>(
    frame: &F,
    packet: &Packet,
    service: &Service,
    lookups: &L,
) -> Option<u32> {
    let quic = packet.l4 + Udp::LEN;
    let wanted = usize::from(service.quic_len);
    // Two bytes at a time, here and below: the verifier does not follow the check for a single one.
    let [first, _]: [u8; 2] = frame.read(quic)?;
    let at = if first & LONG == 0 {
        quic + SHORT_ID
    } else {
        let [len, _]: [u8; 2] = frame.read(quic + LONG_ID_LEN)?;
        if usize::from(len) < wanted + 1 {
            return None;
        }
        quic + LONG_ID_LEN + 1
    };
    // Its first three bits are the configuration id.
    let [head, _]: [u8; 2] = frame.read(at)?;
    if head >> 5 != service.quic_config {
        return None;
    }
    let mut key = QuicKey {
        service: service.id,
        id: [0; 16],
    };
    for byte in 0..SERVER_ID_MAX {
        if byte >= wanted {
            break;
        }
        let [_, id]: [u8; 2] = frame.read(at + byte)?;
        key.id[byte] = id;
    }
    let id = lookups.quic_server(&key)?;
    let is_up = lookups
        .real(id)
        .is_some_and(|real| select::is_up(real, service));
    is_up.then_some(id)
}
