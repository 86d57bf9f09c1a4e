//! Direct routing (LVS-DR): the packet keeps its addresses, the frame goes to the real server,
//! which holds the VIP on its loopback and answers the client by itself.

use crate::checksum::Change;
use crate::frame::Frame;
use crate::lookups::NextHop;
use crate::parse::Packet;

/// Sends the frame to `to`. `None` where there is no room for its link header.
#[inline(always)]
pub fn forward<F: Frame + ?Sized>(frame: &mut F, packet: &Packet, to: &NextHop) -> Option<()> {
    super::hop(frame, packet, Change::new())?;
    super::to_next_hop(frame, packet, to)
}
