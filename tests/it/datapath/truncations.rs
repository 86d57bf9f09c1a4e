//! Every frame of the table, cut at every byte (a long payload at some): nothing that is not whole
//! is forwarded, a request is dropped by name, and nothing is read past its end.

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::Reason;
use tests::require;

use super::case::Case;
use super::stage::{Stage, xdp};
use super::{anatomy, host, kernel, network, routers, site, table};

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
    routers::lend(stage);
    for case in table::cases() {
        let len = case.input.len();
        let end = end_of_packet(&case.input).min(len);
        for at in (shortest..end).filter(|at| is_tried(*at, len)) {
            cut(stage, &case, at).with_context(|| format!("{}: cut to {at}", case.name))?;
        }
        ensure!(!stage.has_counted()?, "{}: cut, it was counted", case.name);
        for at in (end.max(shortest)..len).filter(|at| is_tried(*at, len)) {
            let (code, reason, _) = stage.glance(case.ingress, &case.input[..at])?;
            ensure!(
                code == case.code,
                "{}: cut to {at}, only padding is missing, but it is {reason:?}",
                case.name
            );
        }
        let _: bool = stage.has_counted()?;
    }
    Ok(())
}

/// All headers, the end, and some of a long payload between.
fn is_tried(len: usize, whole: usize) -> bool {
    len < 200 || len + 40 > whole || len.is_multiple_of(61)
}

fn cut(stage: &mut Stage, case: &Case, len: usize) -> Result<()> {
    let frame = &case.input[..len];
    let (code, reason, left) = stage.glance(case.ingress, frame)?;
    ensure!(
        code == xdp::PASS || code == xdp::DROP && is_malformed(reason),
        "{reason:?} with code {code}"
    );
    // Whom it is for can be read: a request is one that is malformed, anything else is not ours.
    let is_ours = case.is_request() && len >= fixed_header(&case.input);
    ensure!(
        !is_ours || reason == Reason::VipTruncated,
        "a request with code {code}: {reason:?}"
    );
    // But that what was for a virtual router is for the interface.
    ensure!(
        left == frame || routers::adopted(case.ingress, frame) == left,
        "it was changed"
    );
    Ok(())
}

/// Whether packets to a VIP are dropped for this when they are not what they say, or whatever they
/// say.
fn is_malformed(reason: Reason) -> bool {
    use Reason::{
        FragmentTiny, Land, MartianSource, NotActive, NotOnLink, SolicitationMalformed,
        VipBadLength, VipSourceRouted, VipTooManyHeaders, VipTruncated,
    };
    let all = [
        VipTruncated,
        VipBadLength,
        VipSourceRouted,
        VipTooManyHeaders,
        Land,
        MartianSource,
        FragmentTiny,
        NotActive,
        NotOnLink,
        SolicitationMalformed,
    ];
    all.contains(&reason)
}

/// Where the IP header without options ends.
fn fixed_header(frame: &[u8]) -> usize {
    anatomy::of(frame).map_or(usize::MAX, |packet| {
        packet.l3 + if packet.is_v6 { 40 } else { 20 }
    })
}

/// Where a frame's packet ends by its own saying, if that is within the frame; what follows is
/// padding.
fn end_of_packet(frame: &[u8]) -> usize {
    let Some(packet) = anatomy::of(frame) else {
        return routers::end_of_arp(frame).unwrap_or(frame.len());
    };
    // A header that says less than itself ends nothing.
    if packet.end < packet.l3 + if packet.is_v6 { 40 } else { 20 } {
        frame.len()
    } else {
        packet.end
    }
}
