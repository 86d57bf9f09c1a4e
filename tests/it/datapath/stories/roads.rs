//! What flows go through on other roads than direct routing over IPv4: IPv6, this host itself, and
//! GUE, whose source port is the flow's.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{Be16, FlowKey, Reason, kind, method};
use lb_ebpf::checksum::whole;
use lb_user::tables::{RealWish, Way, Wish};
use tests::packet::eth;

use super::{A, ACK, B, Quiet, SYN, Story, TCP, Willing, ends, only, real, segment, site};
use crate::datapath::kinds::{DR, GUE, GUE6, IPIP, NAT};
use crate::datapath::served::Served;
use crate::datapath::site::{
    self as table, CLIENT, CLIENT_MAC, CLIENT6, LAN, LB, PORT, VIP, VIP6, lan6, mac, of_services,
};
use crate::datapath::stage::{Stage, xdp};

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    ("a flow over IPv6 keeps its server", over_ipv6),
    (
        "a reply over IPv6 passes where the host does not forward",
        a_host_that_does_not_forward_ipv6,
    ),
    ("a flow of this host keeps it", a_flow_of_this_host),
    ("this host takes its share", a_share_of_this_host),
    ("the source port of GUE is the flow's", ports_of_gue),
    (
        "the source port of GUE over IPv6 is the flow's",
        ports_of_gue_over_ipv6,
    ),
    (
        "the outer source is the flow's, where the site has room",
        spread_sources,
    ),
];

const A6: Ipv6Addr = lan6(0x11);
const B6: Ipv6Addr = lan6(0x12);

/// The service of the table by direct routing over IPv6; of A and B, one takes new flows.
fn only6(willing: Ipv6Addr) -> Wish {
    let served = DR.tcp6();
    let reals = [(A6, mac(0x11)), (B6, mac(0x12))].map(|(address, mac)| {
        let mut hop = served.next_hop;
        hop.destination = mac;
        RealWish {
            address: address.into(),
            weight: u16::from(address == willing),
            way: Some(Way::Via(hop)),
            ..served.real_wish()
        }
    });
    of_services(vec![served.wish_of(reals.to_vec())])
}

fn reaches6(stage: &mut Stage, port: u16, flags: u8, server: u8) -> Result<()> {
    let frame = eth(CLIENT_MAC, LB)
        .vlan(5)
        .ipv6(CLIENT6, VIP6)
        .destination_options(&[])
        .tcp(port, DR.tcp6().port)
        .flags(flags);
    let seen = stage.send(LAN, &frame.build())?;
    ends(&seen, Reason::ForwardedDr, xdp::TX)?;
    let to = seen.frame[5];
    ensure!(to == server, "it went to {to:#x}, not to {server:#x}");
    Ok(())
}

pub(super) fn over_ipv6(stage: &mut Stage) -> Result<()> {
    stage.load(&only6(A6))?;
    reaches6(stage, PORT, SYN, 0x11)?;
    stage.load(&only6(B6))?;
    reaches6(stage, PORT, ACK, 0x11)?;
    reaches6(stage, PORT + 1, SYN, 0x12)?;
    reaches6(stage, PORT + 1, ACK, 0x12)?;
    stage.load(&only6(A6))?;
    reaches6(stage, PORT + 1, ACK, 0x12)?;
    reaches6(stage, PORT + 2, SYN, 0x11)?;
    let key = FlowKey {
        source: IpAddr::from(CLIENT6).into(),
        destination: IpAddr::from(VIP6).into(),
        source_port: Be16::new(PORT + 1),
        destination_port: Be16::new(DR.tcp6().port),
        protocol: DR.tcp6().protocol,
        kind: kind::FLOW,
        _pad: 0,
    };
    ensure!(stage.entry(&key).is_some(), "it is not recorded");
    Ok(())
}

pub(super) fn a_host_that_does_not_forward_ipv6(stage: &mut Stage) -> Result<()> {
    let served = NAT.tcp6();
    stage.load(&table::wish())?;
    let reply = eth(served.next_hop.destination, LB)
        .ipv6(served.real_v6(), CLIENT6)
        .tcp(served.real_port, PORT)
        .build();
    for (on, code, reason) in [
        (false, xdp::PASS, Reason::ReplyNotRouted),
        (true, xdp::TX, Reason::RepliedNat),
    ] {
        stage.plane().set_forwarding(on)?;
        let seen = stage.send(LAN, &reply)?;
        ends(&seen, reason, code).with_context(|| format!("forwarding {on}"))?;
    }
    Ok(())
}

/// A is this host, whatever is to become of it.
fn a_is_here(mut wish: Wish) -> Wish {
    for service in &mut wish.services {
        for real in &mut service.reals {
            if real.address == A {
                real.way = Some(Way::Local);
            }
        }
    }
    wish
}

pub(super) fn a_flow_of_this_host(stage: &mut Stage) -> Result<()> {
    let stays = |stage: &mut Stage, port, flags| {
        let seen = segment(stage, port, flags)?;
        ends(&seen, Reason::ForwardedLocal, xdp::PASS)
    };
    stage.load(&a_is_here(only(A)))?;
    stays(stage, PORT, SYN)?;
    stage.load(&a_is_here(only(B)))?;
    stays(stage, PORT, ACK)?;
    let seen = segment(stage, PORT + 1, SYN)?;
    ends(&seen, Reason::ForwardedDr, xdp::TX)?;
    stage.load(&a_is_here(only(A)))?;
    let seen = segment(stage, PORT + 1, ACK)?;
    ends(&seen, Reason::ForwardedDr, xdp::TX)?;
    // It is no longer this host, but somewhere on the lan.
    stage.load(&only(A))?;
    let seen = segment(stage, PORT, ACK)?;
    ends(&seen, Reason::ForwardedDr, xdp::TX)
}

/// Half of 400 flows, give or take 4 standard deviations.
pub(super) fn a_share_of_this_host(stage: &mut Stage) -> Result<()> {
    let mut wish = a_is_here(site(&[(A, Willing), (B, Willing)]));
    wish.services.retain(|service| service.key == TCP);
    wish.services
        .iter_mut()
        .for_each(|service| service.method = method::NAT);
    wish.services[0].reals.push(real((super::C, Quiet)));
    stage.load(&wish)?;
    let mut here = 0;
    for port in PORT..PORT + 400 {
        let seen = segment(stage, port, SYN)?;
        if seen.reason == Reason::ForwardedLocal {
            here += 1;
        } else {
            ends(&seen, Reason::ForwardedNat, xdp::TX)?;
        }
    }
    ensure!((160..=240).contains(&here), "{here} of 400 stay here");
    Ok(())
}

pub(super) fn ports_of_gue(stage: &mut Stage) -> Result<()> {
    ports_of(stage, &GUE.udp(), 14 + 20, |port, payload| {
        eth(CLIENT_MAC, LB)
            .ipv4(CLIENT, VIP)
            .udp(port, GUE.udp().port)
            .payload(payload)
            .build()
    })
}

pub(super) fn ports_of_gue_over_ipv6(stage: &mut Stage) -> Result<()> {
    ports_of(stage, &GUE6.udp6(), 14 + 40, |port, payload| {
        eth(CLIENT_MAC, LB)
            .ipv6(CLIENT6, VIP6)
            .udp(port, GUE6.udp6().port)
            .payload(payload)
            .build()
    })
}

/// Ports that nobody listens at, hardly two flows with the same, and the same for all of a flow.
fn ports_of(
    stage: &mut Stage,
    served: &Served,
    at: usize,
    frame: impl Fn(u16, &[u8]) -> Vec<u8>,
) -> Result<()> {
    stage.load(&of_services(vec![served.wish()]))?;
    let mut outer = |port, payload: &[u8]| {
        let seen = stage.send(LAN, &frame(port, payload))?;
        ends(&seen, Reason::ForwardedTunnel, xdp::TX)?;
        Ok::<u16, anyhow::Error>(u16::from_be_bytes([seen.frame[at], seen.frame[at + 1]]))
    };
    let mut ports = BTreeSet::new();
    for port in PORT..PORT + 300 {
        let first = outer(port, b"first")?;
        ensure!(first >= 49_152, "port {first}");
        ensure!(outer(port, b"")? == first, "a flow has two ports");
        ports.insert(first);
    }
    // By chance 2.7 of 300 flows meet another.
    ensure!(ports.len() >= 288, "only {} ports", ports.len());
    Ok(())
}

/// Within the prefix, hardly two flows with the same, the same for all of a flow, and right in the
/// checksum.
fn spread_sources(stage: &mut Stage) -> Result<()> {
    let served = IPIP.udp();
    for bits in [8, 16] {
        let mut real = served.real_wish();
        if let Some(Way::Inside {
            source,
            spread_bits,
            ..
        }) = &mut real.way
        {
            (*source, *spread_bits) = (Ipv4Addr::new(10, 200, 0, 0).into(), bits);
        }
        stage.load(&of_services(vec![served.wish_of(vec![real])]))?;
        let mut outer = |port, payload: &[u8]| {
            let frame = eth(CLIENT_MAC, LB).ipv4(CLIENT, VIP).udp(port, served.port);
            let seen = stage.send(LAN, &frame.payload(payload).build())?;
            ends(&seen, Reason::ForwardedTunnel, xdp::TX)?;
            let header = &seen.frame[14..34];
            ensure!(whole(header, 0) == 0, "the checksum is wrong");
            let source: [u8; 4] = header[12..16].try_into()?;
            Ok::<u32, anyhow::Error>(u32::from_be_bytes(source))
        };
        let mut sources = BTreeSet::new();
        for port in PORT..PORT + 300 {
            let source = outer(port, b"first")?;
            ensure!(source >> bits == 0x0ac8_0000 >> bits, "from {source:#x}");
            ensure!(outer(port, b"")? == source, "a flow has two sources");
            sources.insert(source);
        }
        // Of 256, 300 flows leave out 79 by chance; of 65,536, 0.7 of them meet another.
        let least = if bits == 8 { 150 } else { 293 };
        ensure!(sources.len() >= least, "only {} sources", sources.len());
    }
    Ok(())
}
