//! Frames that cannot grow or shrink, as where a driver leaves no room before them: dropped by name.
//!
//! On the host alone: a test run in the kernel always leaves room.

use anyhow::{Result, ensure};
use lb_ebpf::abi::Reason;
use lb_ebpf::{Action, Verdict, steer};
use lb_user::tables::build::build;
use lb_user::tables::lookups::HostMaps;
use lb_user::tables::{Memo, Tables};

use super::kinds::{GUE6, IPIP};
use super::site::{self, CLIENT, CLIENT_MAC, CLIENT6, LAN, LB, PORT, VIP, VIP6};

/// Lets in a frame that lies where it lies.
fn fixed(mut frame: Vec<u8>) -> Result<(Verdict, HostMaps)> {
    let built = build(&site::wish(), &Tables::default(), &mut Memo::default())?;
    let maps = HostMaps::new(built.tables);
    let verdict = steer(&mut frame[..], &maps, LAN, 0);
    Ok((verdict, maps))
}

fn dropped(frame: Vec<u8>, reason: Reason) -> Result<()> {
    let (verdict, maps) = fixed(frame)?;
    let wanted = Verdict {
        action: Action::Drop,
        reason,
    };
    ensure!(verdict == wanted, "{verdict:?}");
    ensure!(
        maps.service_traffic.borrow().is_empty() && maps.real_traffic.borrow().is_empty(),
        "it was counted as sent"
    );
    Ok(())
}

#[test]
fn a_packet_that_no_other_fits_around_is_dropped_by_name() -> Result<()> {
    let link = || tests::packet::eth(CLIENT_MAC, LB);
    let v4 = link().ipv4(CLIENT, VIP).tcp(PORT, IPIP.tcp().port);
    dropped(v4.build(), Reason::NoHeadroom)?;
    let v6 = link()
        .vlan(5)
        .ipv6(CLIENT6, VIP6)
        .udp(PORT, GUE6.udp6().port);
    dropped(v6.build(), Reason::NoHeadroom)
}

#[test]
fn a_packet_that_is_too_long_and_cannot_be_answered_is_dropped_by_name() -> Result<()> {
    let link = || tests::packet::eth(CLIENT_MAC, LB);
    let v4 = link()
        .ipv4(CLIENT, VIP)
        .dont_fragment()
        .udp(PORT, IPIP.udp().port);
    dropped(v4.payload(&[0; 1472]).build(), Reason::TooBig)?;
    let v6 = link().ipv6(CLIENT6, VIP6).tcp(PORT, GUE6.tcp6().port);
    dropped(v6.payload(&[0; 1440]).build(), Reason::TooBig)
}
