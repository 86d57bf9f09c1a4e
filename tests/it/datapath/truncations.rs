//! Every frame of the table, cut at every byte (a long payload at some): nothing that is not whole
//! is forwarded or dropped, and nothing is read past its end.

use anyhow::{Context as _, Result, ensure};
use tests::require;

use super::case::Case;
use super::stage::{Stage, xdp};
use super::{anatomy, host, kernel, network, site, table};

/// Below this a test run refuses a frame: an Ethernet header.
const SHORTEST_IN_KERNEL: usize = 14;

#[test]
fn no_frame_that_was_cut_goes_anywhere_on_the_host() -> Result<()> {
    every_cut(&mut host::stage()?, 0)
}

#[test]
fn no_frame_that_was_cut_goes_anywhere_in_the_kernel() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| every_cut(&mut kernel::stage()?, SHORTEST_IN_KERNEL))
}

fn every_cut(stage: &mut Stage, shortest: usize) -> Result<()> {
    stage.load(&site::wish())?;
    for case in table::cases() {
        for len in (shortest..case.input.len()).filter(|len| is_tried(*len, case.input.len())) {
            cut(stage, &case, len).with_context(|| format!("{}: cut to {len}", case.name))?;
        }
    }
    Ok(())
}

/// All headers, the end, and some of a long payload between.
fn is_tried(len: usize, whole: usize) -> bool {
    len < 200 || len + 40 > whole || len.is_multiple_of(61)
}

fn cut(stage: &mut Stage, case: &Case, len: usize) -> Result<()> {
    let frame = &case.input[..len];
    let seen = stage.send(case.ingress, frame)?;
    if len >= end_of_packet(&case.input) {
        ensure!(
            seen.code == case.code,
            "only padding is missing, but it is {:?}",
            seen.reason
        );
        return Ok(());
    }
    ensure!(seen.code == xdp::PASS, "it did not pass: {:?}", seen.reason);
    ensure!(seen.frame == frame, "it was changed");
    ensure!(
        seen.services.is_empty() && seen.reals.is_empty(),
        "it was counted"
    );
    Ok(())
}

/// Where a frame's packet ends by its own saying, if that is within the frame; what follows is
/// padding.
fn end_of_packet(frame: &[u8]) -> usize {
    let Some(packet) = anatomy::of(frame) else {
        return frame.len();
    };
    // A header that says less than itself ends nothing.
    if packet.end < packet.l3 + if packet.is_v6 { 40 } else { 20 } {
        frame.len()
    } else {
        packet.end
    }
}
