//! Questions about hand-made maps.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use expect_test::expect;
use lb_ebpf::abi::{ANSWERS_UNTIL, FORWARDS_UNTIL, Interface, Mac, PoolEntry, SERVED, method};
use lb_ebpf::{NextHop, Route};

use super::answer::Fate;
use super::question::{Protocol, Wrong};
use super::*;
use crate::tables::build::build;
use crate::tables::lookups::HostMaps;
use crate::tables::{
    Memo, Persistence, RealWish, RouterWish, Scheduler, ServiceKey, ServiceWish, Standing, Tables,
    Way, Wish,
};

const ETH0: u32 = 2;
const NOW: u64 = u32::MAX as u64 - 100;

fn real(last: u8, port: u16) -> RealWish {
    RealWish {
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
        port,
        weight: 1,
        drained: false,
        standing: Standing::Up,
        way: Some(Way::Via(NextHop {
            ifindex: ETH0,
            destination: Mac([2, 0, 0, 0, 0, last]),
            source: Mac([2; 6]),
            vlan: 0,
        })),
        server_id: None,
    }
}

/// A service at 10.0.0.100:80 of so many real servers, on top of what there was.
fn maps(before: &Tables, method: u8, lasts: &[u8], change: fn(&mut ServiceWish)) -> HostMaps {
    maps_of(&wish(method, lasts, change), before)
}

fn maps_of(wish: &Wish, before: &Tables) -> HostMaps {
    HostMaps::new(build(wish, before, &mut Memo::default()).unwrap().tables)
}

fn wish(method: u8, lasts: &[u8], change: fn(&mut ServiceWish)) -> Wish {
    let key = ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), 80, 6);
    let mut service = ServiceWish::new(key, method);
    service.reals = lasts.iter().map(|last| real(*last, 80)).collect();
    change(&mut service);
    Wish {
        interfaces: vec![Interface {
            ifindex: ETH0,
            flags: SERVED,
            mac: Mac([2; 6]),
            vlan: 0,
            egress: ETH0,
        }],
        services: vec![service],
        pool: vec![PoolEntry {
            address: Ipv4Addr::new(10, 0, 0, 2).into(),
            first: 20_000,
            count: 10,
        }],
        fragments: true,
        routers: Vec::new(),
    }
}

fn fresh(method: u8, change: fn(&mut ServiceWish)) -> HostMaps {
    maps(&Tables::default(), method, &[11, 12], change)
}

fn moment() -> Moment {
    Moment {
        ingress: ETH0,
        now: NOW,
        hz: 250,
        interfaces: BTreeMap::from([(ETH0, "eth0".to_owned())]),
        status: None,
    }
}

fn ask(client: &str, vip: &str, syn: bool) -> Question {
    Question {
        client: client.parse().unwrap(),
        vip: vip.parse().unwrap(),
        protocol: Protocol::Tcp,
        syn,
    }
}

fn asked(maps: &HostMaps, port: u16, syn: bool) -> Explanation {
    let client = format!("10.0.0.9:{port}");
    explain(&ask(&client, "10.0.0.100:80", syn), maps, &moment())
}

#[test]
fn a_settled_slot_decides_alone() {
    let maps = fresh(method::DR, |_| {});
    let explanation = asked(&maps, 40_000, false);
    assert_eq!(explanation.exit_code(), 0);
    let slot = explanation.slot.clone().unwrap();
    assert!(slot.settled);
    assert_eq!(slot.owner, explanation.real.as_ref().map(|real| real.at));
    assert!(!explanation.makes_entry && explanation.entry.is_none());
    expect![[r#"
        packet      10.0.0.9:40000 -> 10.0.0.100:80 tcp, of a connection under way, in by eth0
        service     10.0.0.100:80 dr maglev
        slot        2169 of 4096: 10.0.0.12:80, settled
        entry       none
        because     its slot is settled: the ring alone decides, no entry is asked
        real server 10.0.0.12:80, up
        next hop    02:00:00:00:00:0c by eth0
        verdict     out by eth0 (forwarded_dr): forwarded to a real server by direct routing
    "#]]
    .assert_eq(&text::render(&explanation));
}

#[test]
fn a_virtual_router_without_a_lease_is_told_as_one() {
    use std::sync::atomic::Ordering::Relaxed;
    let mut wish = wish(method::DR, &[11, 12], |_| {});
    wish.routers = vec![RouterWish {
        index: 4,
        ifindex: ETH0,
        mac: None,
        vips: vec![Ipv4Addr::new(10, 0, 0, 100).into()],
        local: Vec::new(),
    }];
    let maps = maps_of(&wish, &Tables::default());
    let lend = |word: usize, ticks| maps.leases[4][word].store(ticks, Relaxed);
    let idle = asked(&maps, 40_000, true);
    assert_eq!((idle.exit_code(), &*idle.verdict.reason), (3, "not_active"));
    let router = idle.router.unwrap();
    assert_eq!((router.index, router.forwards), (4, false));
    expect![[r#"
        packet      10.0.0.9:40000 -> 10.0.0.100:80 tcp, opening a connection, in by eth0
        router      not Active here
        service     10.0.0.100:80 dr maglev
        slot        2169 of 4096: 10.0.0.12:80, settled
        entry       none
        because     the VIP is a virtual router's, and this director is not its Active router: it has no lease now, and leaves the VIP to another
        verdict     nowhere (not_active): dropped: to a virtual router's Ethernet address or VIP, or asking for that, and this director does not serve it now
    "#]]
    .assert_eq(&text::render(&idle));
    lend(FORWARDS_UNTIL, NOW + 25);
    let lingers = asked(&maps, 40_000, true);
    assert_eq!(lingers.verdict.reason, "forwarded_dr");
    let told = text::render(&lingers);
    assert!(
        told.contains("stepping down: forwards for 100 ms more"),
        "{told}"
    );
    lend(ANSWERS_UNTIL, NOW + 25);
    let told = text::render(&asked(&maps, 40_000, true));
    assert!(told.contains("Active here, for 100 ms more"), "{told}");
    lend(FORWARDS_UNTIL, NOW);
    assert_eq!(asked(&maps, 40_000, true).verdict.reason, "not_active");
}

#[test]
fn what_is_for_nobody_passes() {
    let maps = fresh(method::DR, |_| {});
    let other = explain(&ask("10.0.0.9:1", "10.0.0.7:80", true), &maps, &moment());
    assert_eq!((other.exit_code(), &*other.verdict.reason), (4, "not_vip"));
    let port = explain(&ask("10.0.0.9:1", "10.0.0.100:81", true), &maps, &moment());
    assert_eq!((port.exit_code(), &*port.verdict.reason), (4, "no_service"));
    let land = explain(
        &ask("10.0.0.100:1", "10.0.0.100:80", true),
        &maps,
        &moment(),
    );
    assert_eq!((land.exit_code(), &*land.verdict.reason), (3, "land"));
    assert!(other.service.is_none() && port.service.is_none());
}

#[test]
fn in_an_unsettled_slot_old_flows_stay_and_new_ones_are_recorded() {
    let before = fresh(method::DR, |_| {}).tables;
    let maps = maps(&before, method::DR, &[11, 12, 13], |_| {});
    let moved = |port: &u16| {
        let slot = asked(&maps, *port, false).slot.unwrap();
        !slot.settled && slot.owner != slot.settled_owner
    };
    let port = (1..1000).find(moved).expect("a slot that has moved");
    let maps = HostMaps::new(maps.tables.clone());
    let new = asked(&maps, port, true);
    let slot = new.slot.clone().unwrap();
    assert_eq!(new.real.as_ref().map(|real| real.at), slot.owner);
    assert!(new.makes_entry);
    let maps = HostMaps::new(maps.tables);
    let old = asked(&maps, port, false);
    assert_eq!(old.real.as_ref().map(|real| real.at), slot.settled_owner);
    assert!(old.because.iter().any(|why| why.contains("may be older")));
    // What it was told of in the copy is there: the entry decides now.
    let again = asked(&maps, port, true);
    assert_eq!(again.real.map(|real| real.at), slot.settled_owner);
    let entry = again.entry.unwrap();
    assert_eq!((&*entry.state, entry.seconds_left), ("new", 900));
    assert_eq!(
        again.because.last().map(String::as_str),
        Some("the flow has an entry, which decides")
    );
}

#[test]
fn fullnat_tells_what_the_real_server_sees_and_what_it_does_not_know() {
    let maps = fresh(method::FULLNAT, |_| {});
    let unknown = asked(&maps, 40_000, false);
    assert_eq!(unknown.verdict.fate, Fate::Dropped);
    assert_eq!(unknown.verdict.reason, "flow_unknown");
    assert!(
        unknown
            .because
            .iter()
            .any(|why| why.contains("begins none"))
    );
    let opened = asked(&maps, 40_000, true);
    let sees = opened.real.unwrap().sees.unwrap();
    assert_eq!(sees.ip(), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
    assert!((20_000..20_010).contains(&sees.port()));
    let known = asked(&maps, 40_000, false);
    assert_eq!(known.real.unwrap().sees, Some(sees));
}

#[test]
fn a_client_that_was_here_stays() {
    let stay = |service: &mut ServiceWish| {
        service.scheduler = Scheduler::Rr;
        service.persistence = Some(Persistence {
            timeout: 250 * 60,
            prefix: 32,
        });
    };
    let maps = fresh(method::DR, stay);
    let first = asked(&maps, 40_000, true);
    assert!(first.client.is_none());
    assert!(first.because.iter().any(|why| why.contains("turn")));
    let second = asked(&maps, 40_001, true);
    assert_eq!(
        second.client.as_ref().map(|client| client.seconds_left),
        Some(60)
    );
    assert!(second.because.iter().any(|why| why.contains("stays")));
    assert_eq!(
        second.real.map(|real| real.at),
        first.real.map(|real| real.at)
    );
}

#[test]
fn the_entry_of_a_server_that_is_down_is_not_followed() {
    let track = |service: &mut ServiceWish| service.track = true;
    let both = fresh(method::DR, track);
    let first = asked(&both, 40_000, true);
    let dead = first.real.unwrap().at;
    let mut one = both;
    for real in one.tables.reals.values_mut() {
        if IpAddr::from(real.address) == dead.ip() {
            real.flags = 0;
        }
    }
    let then = asked(&one, 40_000, false);
    assert!(then.because.iter().any(|why| why.contains("down or gone")));
}

#[test]
fn a_reply_of_nat_is_told_as_one() {
    let mut maps = fresh(method::NAT, |_| {});
    let hop = NextHop {
        ifindex: ETH0,
        destination: Mac([2, 0, 0, 0, 0, 9]),
        source: Mac([2; 6]),
        vlan: 0,
    };
    let client = Ipv4Addr::new(10, 0, 0, 9).into();
    maps.routes.insert(client, Route::Via(hop));
    let reply = explain(
        &ask("10.0.0.11:80", "10.0.0.9:40000", false),
        &maps,
        &moment(),
    );
    assert_eq!(reply.verdict.reason, "replied_nat");
    assert_eq!(reply.real.unwrap().at, "10.0.0.11:80".parse().unwrap());
}

#[test]
fn packets_that_cannot_be_are_refused() {
    let mixed = ask("10.0.0.9:1", "[fd00::1]:80", false).checked();
    assert!(matches!(mixed, Err(Wrong::Families(..))));
    let udp = Question {
        protocol: Protocol::Udp,
        ..ask("10.0.0.9:1", "10.0.0.1:80", true)
    };
    assert_eq!(udp.checked(), Err(Wrong::Syn));
}

#[test]
fn frames_of_both_families_and_protocols_can_be_read() {
    use lb_ebpf::Frame as _;
    for (client, vip) in [("10.0.0.9:1", "10.0.0.1:2"), ("[fd00::9]:1", "[fd00::1]:2")] {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let question = Question {
                protocol,
                ..ask(client, vip, protocol == Protocol::Tcp)
            };
            let frame = question.frame(Mac([7; 6]));
            let eth = frame.read(0).unwrap();
            let packet = lb_ebpf::parse::Packet::parse(&frame, &eth).unwrap();
            assert_eq!(IpAddr::from(packet.source), question.client.ip());
            assert_eq!(IpAddr::from(packet.destination), question.vip.ip());
            let ports = (packet.source_port.get(), packet.destination_port.get());
            assert_eq!((ports, packet.protocol), ((1, 2), protocol.number()));
            assert_eq!(packet.is_syn(), protocol == Protocol::Tcp);
        }
    }
}
