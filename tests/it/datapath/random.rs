//! Frames that nobody wrote: any bytes, and frames of the table with a few bytes changed. The host
//! never panics, host and kernel agree to the byte, and what is forwarded is sound.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use lb_ebpf::abi::Reason;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use tests::packet::sound::{Left, sound};
use tests::require;

use super::site::{self, LAN, UNSERVED, WAN};
use super::stage::{Seen, Stage, xdp};
use super::{host, kernel, messages, network, requests, routers, table};

#[test]
fn what_leaves_the_host_function_is_sound_whatever_came() -> Result<()> {
    let stage = RefCell::new(host::stage()?);
    stage.borrow_mut().load(&site::wide_wish())?;
    routers::lend(&mut stage.borrow_mut());
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(4096)
    });
    let ran = runner.run(&frames(), |(ingress, frame)| {
        let seen = send(&stage, ingress, &frame)?;
        let left = Left {
            goes_on: seen.code == xdp::TX || seen.code == xdp::REDIRECT,
            reason: seen.reason,
            frame: &seen.frame,
        };
        sound(&frame, left).map_err(|error| TestCaseError::fail(format!("{error:#}")))
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
            stage.borrow_mut().load(&site::wide_wish())?;
            routers::lend(&mut stage.borrow_mut());
        }
        let config = Config {
            failure_persistence: None,
            ..Config::with_cases(4000)
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
        ran.map_err(told)?;
        every_reason(&host.borrow())
    })
}

/// Frames that nobody wrote are of use where they come to everything: fails where they did not.
fn every_reason(stage: &Stage) -> Result<()> {
    // By choice of the site, by a full table, by a driver, by a mistake of ours.
    let others = [
        Reason::Fragment,
        Reason::FlowTableFull,
        Reason::NoHeadroom,
        Reason::Inconsistent,
    ];
    let seen = stage.reasons();
    let wanted = Reason::ALL.iter().filter(|reason| !others.contains(reason));
    let missed: Vec<_> = wanted.filter(|reason| !seen.contains(reason)).collect();
    anyhow::ensure!(missed.is_empty(), "no frame came to {missed:?}");
    Ok(())
}

/// Of 400 flows each real server of four gets its share, by the same frames on host and kernel.
#[test]
fn flows_spread_over_the_real_servers_alike_on_host_and_kernel() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| {
        let (mut host, mut kernel) = (host::stage()?, kernel::stage()?);
        let mut shares = BTreeMap::<u32, u32>::new();
        for stage in [&mut host, &mut kernel] {
            stage.load(&site::wide_wish())?;
            routers::lend(stage);
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
    let frame = prop_oneof![
        1 => any_bytes(),
        1 => any_packet(),
        6 => requests::any(),
        2 => messages::frames(),
        6 => mutated(),
    ];
    (ingress, frame)
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 14..200)
}

/// Any bytes after the Ethernet header and tags of an IP frame to the director.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let tags = prop_oneof![
        Just(&[][..]),
        Just(&[0x8100u16][..]),
        Just(&[0x88a8, 0x8100][..])
    ];
    let version = prop_oneof![Just((0x0800, 0x40)), Just((0x86dd, 0x60))];
    (tags, version, any_bytes()).prop_map(|(tags, (ethertype, version), mut bytes)| {
        bytes[0] = version | bytes[0] & 0xf;
        let mut frame = [site::LB.0, site::CLIENT_MAC.0].concat();
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 9]);
        }
        frame.extend(u16::to_be_bytes(ethertype));
        frame.extend(bytes);
        frame
    })
}

/// A frame of the table with up to four bytes changed, cut or made longer. Reasons that few frames
/// have come as often as others.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let mut by_reason: BTreeMap<Reason, Vec<Vec<u8>>> = BTreeMap::new();
    for case in table::cases() {
        by_reason.entry(case.reason).or_default().push(case.input);
    }
    let reason = prop::sample::select(by_reason.into_values().collect::<Vec<_>>());
    let whole = reason.prop_flat_map(prop::sample::select);
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let end = prop_oneof![4 => Just(None), 1 => (14usize..120).prop_map(Some)];
    (whole, changes, end).prop_map(|(mut frame, changes, end)| {
        for (at, byte) in changes {
            // Most bytes that decide anything are among the first 100.
            let at = at.index(frame.len().min(100));
            frame[at] = byte;
        }
        if let Some(end) = end {
            frame.resize(end, 0xee);
        }
        frame
    })
}
