//! Frames that nobody wrote: any bytes, and frames of the table with a few bytes changed. The host
//! never panics, host and kernel agree to the byte, and what is forwarded is sound.

use std::cell::RefCell;

use anyhow::{Context as _, Result};
use lb_ebpf::checksum::whole;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use tests::require;

use super::site::{self, LAN, UNSERVED, WAN};
use super::stage::{Seen, Stage, xdp};
use super::{host, kernel, network, table};

#[test]
fn what_leaves_the_host_function_is_sound_whatever_came() -> Result<()> {
    let stage = RefCell::new(host::stage()?);
    stage.borrow_mut().load(&site::wish())?;
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(4096)
    });
    let ran = runner.run(&frames(), |(ingress, frame)| {
        let seen = send(&stage, ingress, &frame)?;
        sound(&frame, &seen)
    });
    ran.map_err(told)
}

/// The frames are the same in every run: a failure in the kernel can be had again.
#[test]
fn the_loaded_program_agrees_with_the_host_function_whatever_comes() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| {
        let (host, kernel) = (RefCell::new(host::stage()?), RefCell::new(kernel::stage()?));
        for stage in [&host, &kernel] {
            stage.borrow_mut().load(&site::wish())?;
        }
        let config = Config {
            failure_persistence: None,
            ..Config::with_cases(2000)
        };
        let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let ran = TestRunner::new_with_rng(config, seed).run(&frames(), |(ingress, frame)| {
            let (on_host, mut in_kernel) = (
                send(&host, ingress, &frame)?,
                send(&kernel, ingress, &frame)?,
            );
            // A test run does not tell where a frame is redirected to.
            in_kernel.egress = on_host.egress;
            prop_assert_eq!(on_host, in_kernel);
            Ok(())
        });
        ran.map_err(told)
    })
}

/// Of 400 flows each real server of four gets its share, by the same frames on host and kernel.
#[test]
fn flows_spread_over_the_real_servers_alike_on_host_and_kernel() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| {
        let (mut host, mut kernel) = (host::stage()?, kernel::stage()?);
        let mut shares = std::collections::BTreeMap::<u32, u32>::new();
        for stage in [&mut host, &mut kernel] {
            stage.load(&site::wish())?;
        }
        for port in site::PORT..site::PORT + 400 {
            let flow = tests::packet::eth(site::CLIENT_MAC, site::LB)
                .ipv4(site::CLIENT, site::VIP)
                .tcp(port, site::CROWD.port)
                .build();
            let (seen, same) = (host.send(LAN, &flow)?, kernel.send(LAN, &flow)?);
            anyhow::ensure!(
                seen == same,
                "port {port}: {seen:?} on the host, {same:?} in the kernel"
            );
            let server = seen
                .reals
                .keys()
                .next()
                .context("no real server was counted")?;
            *shares.entry(*server).or_default() += 1;
        }
        // 100 each, give or take 4 standard deviations.
        let even = shares.len() == 4 && shares.values().all(|share| (65..=135).contains(share));
        anyhow::ensure!(even, "{shares:?}");
        Ok(())
    })
}

fn send(stage: &RefCell<Stage>, ingress: u32, frame: &[u8]) -> Result<Seen, TestCaseError> {
    stage
        .borrow_mut()
        .send(ingress, frame)
        .map_err(|error| TestCaseError::fail(format!("{error:#}")))
}

fn told(failure: TestError<(u32, Vec<u8>)>) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}

/// Frames of 14 bytes and more, and where they come in.
fn frames() -> impl Strategy<Value = (u32, Vec<u8>)> {
    let ingress = prop_oneof![8 => Just(LAN), 2 => Just(WAN), 1 => Just(UNSERVED)];
    let frame = prop_oneof![1 => any_bytes(), 1 => any_packet(), 6 => mutated()];
    (ingress, frame)
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 14..200)
}

/// Any bytes after the Ethernet header of an IPv4 frame to the director.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let header = tests::packet::eth(site::CLIENT_MAC, site::LB);
    any_bytes().prop_map(move |bytes| header.carrying(0x0800, &bytes))
}

/// A frame of the table with up to four bytes changed, cut or made longer.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let whole: Vec<_> = table::cases().into_iter().map(|case| case.input).collect();
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let end = prop_oneof![4 => Just(None), 1 => (14usize..120).prop_map(Some)];
    (prop::sample::select(whole), changes, end).prop_map(|(mut frame, changes, end)| {
        for (at, byte) in changes {
            // Most bytes that decide anything are among the first 60.
            let at = at.index(frame.len().min(60));
            frame[at] = byte;
        }
        if let Some(end) = end {
            frame.resize(end, 0xee);
        }
        frame
    })
}

/// What holds for every frame: one that passes or is dropped is as it came; one that goes on has
/// its length, one hop fewer, and checksums that are right if they were.
fn sound(came: &[u8], seen: &Seen) -> Result<(), TestCaseError> {
    let left = &seen.frame;
    prop_assert_eq!(came.len(), left.len());
    if seen.code == xdp::PASS || seen.code == xdp::DROP {
        prop_assert_eq!(came, &left[..]);
        return Ok(());
    }
    prop_assert_eq!(came[22] - 1, left[22], "hops");
    prop_assert_eq!(header_error(came), header_error(left), "IPv4 checksum");
    prop_assert_eq!(
        segment_error(came),
        segment_error(left),
        "TCP or UDP checksum"
    );
    Ok(())
}

/// By how much the header's checksum is wrong; both zeroes of ones' complement are 0.
fn header_error(frame: &[u8]) -> u16 {
    let header = usize::from(frame[14] & 0xf) * 4;
    zero(whole(&frame[14..14 + header], 0))
}

/// By how much the checksum of TCP or UDP is wrong; none where UDP has no checksum.
fn segment_error(frame: &[u8]) -> Option<u16> {
    let header = usize::from(frame[14] & 0xf) * 4;
    let end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    let segment = &frame[14 + header..end];
    if frame[23] == 17 && segment[6..8] == [0, 0] {
        return None;
    }
    // The rest of the pseudo-header does not change on the way.
    let mut covered = frame[26..34].to_vec();
    covered.extend(segment);
    Some(zero(whole(&covered, 0)))
}

fn zero(sum: u16) -> u16 {
    if sum == 0xffff { 0 } else { sum }
}
