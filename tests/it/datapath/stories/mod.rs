//! Frames between changes of the site: what flows go through while slots are unsettled, and what
//! services, real servers and interfaces leave behind.
//!
//! A story is run on the host and in the kernel. Its service has the real servers A, B and C, of
//! which those with weight take new flows: so every slot changes hands when the weight does. Not
//! here: which slots change hands when weights are shared (lb-user's `tables::ring`).

mod changes;
mod crowded;
mod flows;
mod fullnat;
mod lease;
mod persistent;
mod pieces;
mod quic;
mod roads;
mod schedulers;
mod tracked;

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::NextHop;
use lb_ebpf::abi::{Addr, Be16, FlowKey, Reason, kind, method};
use lb_ebpf::wire::{tcp, udp};
use lb_user::tables::{RealWish, ServiceKey, ServiceWish, Standing, Vip, Way, Wish};
use tests::packet::eth;

use super::site::{CLIENT, CLIENT_MAC, LAN, LB, TIMEOUTS, VIP, mac, of_services};
use super::stage::{Seen, Stage, xdp};

/// Something that is played on a stage.
pub(super) type Story = fn(&mut Stage) -> Result<()>;

/// All stories, each with its name.
pub(super) fn all() -> Vec<(&'static str, Story)> {
    [
        flows::ALL,
        changes::ALL,
        tracked::ALL,
        schedulers::ALL,
        persistent::ALL,
        fullnat::ALL,
        pieces::ALL,
        quic::ALL,
        crowded::ALL,
        roads::ALL,
        lease::ALL,
    ]
    .concat()
}

const A: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const C: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 13);

const SYN: u8 = tcp::Tcp::SYN;
const ACK: u8 = tcp::Tcp::ACK;
const FIN: u8 = tcp::Tcp::FIN;
const RST: u8 = tcp::Tcp::RST;

/// What a real server of a story is at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    /// Up, and takes new flows.
    Willing,
    /// Up, with weight 0.
    Quiet,
    Down,
}
use Is::{Down, Quiet, Willing};

const fn key(protocol: u8) -> ServiceKey {
    let vip = Vip {
        address: Addr::v4(lb_ebpf::abi::Be32::new(VIP.to_bits())),
        bits: 128,
    };
    ServiceKey {
        vip,
        protocol,
        first: 80,
        last: 80,
    }
}

const TCP: ServiceKey = key(tcp::Tcp::PROTOCOL);
const UDP: ServiceKey = key(udp::Udp::PROTOCOL);

fn real((address, is): (Ipv4Addr, Is)) -> RealWish {
    RealWish {
        address: address.into(),
        port: 80,
        weight: if is == Quiet { 0 } else { 100 },
        drained: false,
        standing: if is == Down {
            Standing::Down
        } else {
            Standing::Up
        },
        way: Some(Way::Via(NextHop {
            ifindex: LAN,
            destination: mac(address.octets()[3]),
            source: LB,
            vlan: 0,
        })),
        server_id: None,
    }
}

/// The story's service with these real servers, over TCP and over UDP.
fn site(reals: &[(Ipv4Addr, Is)]) -> Wish {
    let service = |key| ServiceWish {
        timeouts: TIMEOUTS,
        reals: reals.iter().copied().map(real).collect(),
        ..ServiceWish::new(key, method::DR)
    };
    of_services(vec![service(TCP), service(UDP)])
}

/// Of A, B and C, only this one takes new flows; the others are up.
fn only(willing: Ipv4Addr) -> Wish {
    site(&[A, B, C].map(|server| (server, if server == willing { Willing } else { Quiet })))
}

/// The same with every service changed.
fn changed(mut wish: Wish, change: impl Fn(&mut ServiceWish)) -> Wish {
    wish.services.iter_mut().for_each(change);
    wish
}

/// The client's datagram from `port`.
fn datagram(stage: &mut Stage, port: u16) -> Result<Seen> {
    let frame = eth(CLIENT_MAC, LB).ipv4(CLIENT, VIP).udp(port, 80);
    stage.send(LAN, &frame.build())
}

fn segment(stage: &mut Stage, port: u16, flags: u8) -> Result<Seen> {
    let frame = eth(CLIENT_MAC, LB)
        .ipv4(CLIENT, VIP)
        .tcp(port, 80)
        .flags(flags);
    stage.send(LAN, &frame.build())
}

/// The frame must end here, or not be ours, for this reason.
fn ends(seen: &Seen, reason: Reason, code: u32) -> Result<()> {
    let as_wanted = (seen.code, seen.reason) == (code, reason);
    ensure!(
        as_wanted,
        "{:?} with code {}, not {reason:?}",
        seen.reason,
        seen.code
    );
    Ok(())
}

/// The client's segment from `port` must reach `server`.
fn reaches(stage: &mut Stage, port: u16, flags: u8, server: Ipv4Addr) -> Result<()> {
    let seen = segment(stage, port, flags)?;
    arrives(&seen, server).with_context(|| format!("flags {flags:#x} from port {port}"))
}

fn arrives(seen: &Seen, server: Ipv4Addr) -> Result<()> {
    let to = server_of(seen)?;
    ensure!(to == server, "it went to {to}, not to {server}");
    Ok(())
}

/// Which real server a frame left for, by its Ethernet address.
fn server_of(seen: &Seen) -> Result<Ipv4Addr> {
    ensure!(
        seen.code == xdp::TX,
        "it was not forwarded: {:?}",
        seen.reason
    );
    Ok(Ipv4Addr::new(10, 77, 0, seen.frame[5]))
}

/// What the entry of a client's flow to a service at one port of [`VIP`] is found by.
fn flow_key(service: &ServiceKey, client: Ipv4Addr, port: u16) -> FlowKey {
    FlowKey {
        source: client.into(),
        destination: service.vip.address,
        source_port: Be16::new(port),
        destination_port: Be16::new(service.first),
        protocol: service.protocol,
        kind: kind::FLOW,
        _pad: 0,
    }
}

/// The real server that a flow of the client is recorded for.
fn recorded(stage: &mut Stage, service: &ServiceKey, port: u16) -> Result<Option<Ipv4Addr>> {
    let Some((_, _, _, flow)) = stage.entry(&flow_key(service, CLIENT, port)) else {
        return Ok(None);
    };
    let real = stage.tables().reals.get(&flow.real);
    let real = real.context("no such real server")?;
    let std::net::IpAddr::V4(address) = real.address.into() else {
        anyhow::bail!("an IPv6 real server");
    };
    Ok(Some(address))
}

fn is_recorded(stage: &mut Stage, port: u16, server: Option<Ipv4Addr>) -> Result<()> {
    let recorded = recorded(stage, &TCP, port)?;
    ensure!(
        recorded == server,
        "recorded for {recorded:?}, not for {server:?}"
    );
    Ok(())
}
