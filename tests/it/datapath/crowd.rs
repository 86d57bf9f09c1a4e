//! Very many flows at once: none moves while the ring changes, and those that are established
//! outlive a flood of new ones. In the kernel, over its real maps.
//!
//! Not here: one flow and one slot at a time ([`super::stories`]).

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use lb_ebpf::NextHop;
use lb_ebpf::abi::method;
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};
use lb_user::tables::{RealWish, Scheduler, ServiceKey, ServiceWish, Standing, Way, Wish};
use tests::packet::eth;
use tests::require;

use super::site::{CLIENT_MAC, LAN, LB, TIMEOUTS, VIP, mac, of_services};
use super::stage::{Stage, xdp};
use super::{kernel, network};

const SERVERS: u8 = 10;
const FLOWS: u32 = 100_000;
const CHANGES: u16 = 10;
/// Flows that are established before the flood.
const ESTABLISHED: u32 = 20_000;
/// More than the table has room for.
const FLOOD: u32 = 1_200_000;

/// The site with ten servers, whose weights differ after each change: every server loses slots at
/// some change. After each, one is quiescent to TCP; to UDP, which has no SYN, that would be a move
/// (docs/adr/0001), so there it gets little.
fn wish(change: u16, service: impl Fn(ServiceKey) -> ServiceWish) -> Wish {
    let real = |number: u8, least: u16| RealWish {
        address: Ipv4Addr::new(10, 77, 0, 10 + number).into(),
        port: 80,
        weight: match u16::from(number) {
            quiet if change > 0 && quiet == change % 10 => least,
            number => 10 + (number * 7 + change * 13) % 50,
        },
        drained: false,
        standing: Standing::Up,
        way: Some(Way::Via(NextHop {
            ifindex: LAN,
            destination: mac(10 + number),
            source: LB,
            vlan: 0,
        })),
        server_id: None,
    };
    let of = |protocol| ServiceWish {
        timeouts: TIMEOUTS,
        reals: (0..SERVERS)
            .map(|number| real(number, u16::from(protocol == Udp::PROTOCOL)))
            .collect(),
        ..service(ServiceKey::new(VIP, 80, protocol))
    };
    of_services(vec![of(Tcp::PROTOCOL), of(Udp::PROTOCOL)])
}

/// The frame of a flow: even ones are TCP, odd ones UDP, each of another client.
fn frame(flow: u32, flags: u8) -> Vec<u8> {
    let client = Ipv4Addr::from(0x0b00_0000 + flow / 16);
    let port = 30_000 + (flow % 16) as u16;
    let packet = eth(CLIENT_MAC, LB).ipv4(client, VIP);
    if flow.is_multiple_of(2) {
        packet.tcp(port, 80).flags(flags).build()
    } else {
        packet.udp(port, 80).payload(b"?").build()
    }
}

/// The real server that the flow's next packet goes to, by its Ethernet address.
fn server_of(stage: &mut Stage, frame: &[u8]) -> Result<u8> {
    let out = stage.plane().run(LAN, frame)?;
    ensure!(out.code == xdp::TX, "not forwarded, code {}", out.code);
    Ok(out.frame[5])
}

#[test]
fn of_100_000_flows_none_moves_while_the_ring_changes_ten_times() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| {
        let mut stage = kernel::stage()?;
        let maglev = |key| ServiceWish::new(key, method::DR);
        stage.load(&wish(0, maglev))?;
        let begin = |flow| server_of(&mut stage, &frame(flow, Tcp::SYN));
        let servers: Vec<u8> = (0..FLOWS).map(begin).collect::<Result<_>>()?;
        let mut unsettled = 0;
        for change in 1..=CHANGES {
            stage.load(&wish(change, maglev))?;
            unsettled = unsettled_slots(&stage);
            let mut moved = 0;
            for (flow, server) in (0..FLOWS).zip(&servers) {
                moved += u32::from(server_of(&mut stage, &frame(flow, Tcp::ACK))? != *server);
            }
            ensure!(moved == 0, "{moved} flows moved at change {change}");
        }
        // Had the ring not changed, all this would have shown nothing.
        ensure!(unsettled > 2000, "only {unsettled} slots ever changed");
        Ok(())
    })
}

/// Slots that changed hands, of the TCP service.
fn unsettled_slots(stage: &Stage) -> usize {
    let tables = stage.tables();
    let service = tables.service(&ServiceKey::new(VIP, 80, Tcp::PROTOCOL));
    let ring = service.map(|service| tables.ring_of(service));
    ring.map_or(0, |ring| {
        ring.iter().filter(|slot| slot.is_unsettled()).count()
    })
}

#[test]
fn established_connections_outlive_a_flood_of_more_flows_than_there_is_room_for() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| {
        let mut stage = kernel::stage()?;
        // By turns: without its entry, a flow would be one in ten likely to meet its server.
        let turns = |key| ServiceWish {
            scheduler: Scheduler::Rr,
            ..ServiceWish::new(key, method::DR)
        };
        stage.load(&wish(0, turns))?;
        let mut servers = Vec::new();
        for flow in 0..ESTABLISHED {
            servers.push(server_of(&mut stage, &frame(flow, Tcp::SYN))?);
            server_of(&mut stage, &frame(flow, Tcp::ACK))?;
        }
        for flow in ESTABLISHED..ESTABLISHED + FLOOD {
            server_of(&mut stage, &frame(flow, Tcp::SYN))?;
        }
        for (flow, server) in (0..ESTABLISHED).zip(servers) {
            let now = server_of(&mut stage, &frame(flow, Tcp::ACK))?;
            ensure!(
                now == server,
                "flow {flow} was moved from {server} to {now}"
            );
        }
        Ok(())
    })
}
