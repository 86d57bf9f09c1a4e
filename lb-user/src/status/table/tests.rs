//! The table as people see it.

use std::collections::BTreeMap;

use expect_test::expect;

use super::super::view::{
    FlowsStatus, PoolStatus, PortStatus, RouterCounters, SiteStatus, TrafficStatus,
};
use super::*;

fn service(reals: Vec<RealStatus>) -> ServiceStatus {
    ServiceStatus {
        name: "web".to_owned(),
        vip: "10.77.0.100".to_owned(),
        port: PortStatus::One(80),
        protocol: "tcp".to_owned(),
        method: "dr".to_owned(),
        scheduler: "maglev".to_owned(),
        unsettled_slots: 0,
        traffic: TrafficStatus {
            packets: 24,
            bytes: 6912,
            connections: 14,
            ..Default::default()
        },
        connections_now: ConnectionsStatus {
            active: 6,
            inactive: 0,
            connections_estimated: true,
        },
        reals,
    }
}

fn status() -> Status {
    let real = |last: u8, health: &str, reason: Option<&str>, share| RealStatus {
        address: [10, 77, 0, last].into(),
        port: Some(80),
        weight: 100,
        drained: false,
        draining: false,
        health: health.to_owned(),
        health_since: None,
        health_reason: reason.map(str::to_owned),
        next_hop: "02:00:00:00:00:0b".to_owned(),
        share,
        traffic: TrafficStatus {
            packets: 12,
            bytes: 3456,
            connections: 7,
            ..Default::default()
        },
        connections_now: ConnectionsStatus {
            active: 3,
            inactive: 1,
            connections_estimated: last == 12,
        },
    };
    let web = service(vec![
        real(11, "up", Some("passed"), 1.0),
        real(12, "down", Some("connection refused"), 0.0),
    ]);
    Status {
        host: "lb1".to_owned(),
        version: "0.1.0".to_owned(),
        site: SiteStatus {
            path: "/etc/viaduct/site.toml".to_owned(),
            digest: String::new(),
            generation: 2,
            loaded_at: "2026-01-02T03:04:05Z".to_owned(),
            last_error: None,
            refused: 0,
        },
        problem: None,
        interfaces: vec![InterfaceStatus {
            name: "eth0".to_owned(),
            mode: "native".to_owned(),
            because: None,
        }],
        routers: Vec::new(),
        vrrp_refused: BTreeMap::new(),
        services: vec![web],
        flows: FlowsStatus::default(),
        pool: None,
        verdicts: [
            ("forwarded_dr".to_owned(), 24),
            ("no_service".to_owned(), 0),
        ]
        .into(),
    }
}

#[test]
fn services_and_real_servers_stand_in_columns() {
    expect![[r#"
        lb1 (viaduct-lb 0.1.0), /etc/viaduct/site.toml of 2026-01-02T03:04:05Z, generation 2
        eth0: native XDP

        SERVICE                 METHOD     HEALTH                    WEIGHT    SHARE  ACTIVE  CONNECTIONS  PACKETS  BYTES
        web 10.77.0.100:80/tcp  dr maglev  1 of 2 serve                                   ~6           14       24   6912
          10.77.0.11:80                    up                           100  100.0 %   3 + 1            7       12   3456
          10.77.0.12:80                    down: connection refused     100    0.0 %      ~3            7       12   3456

        packets: forwarded_dr 24
    "#]]
    .assert_eq(&render(&status()));
}

#[test]
fn a_refused_reload_stands_at_the_top() {
    let mut status = status();
    status.site.last_error = Some("site.toml:3: unknown key".to_owned());
    assert!(render(&status).contains("\nLAST RELOAD REFUSED: site.toml:3: unknown key\n"));
}

#[test]
fn a_pool_tells_its_use() {
    let mut status = status();
    status.pool = Some(PoolStatus {
        flows: 120,
        ports: 10_000,
    });
    let text = render(&status);
    assert!(text.contains("\npool: 120 flows, 10000 ports\n"), "{text}");
}

#[test]
fn virtual_routers_come_first_with_what_keeps_them_down() {
    let router = |family: &str, state: &str| RouterStatus {
        name: "site".to_owned(),
        family: family.to_owned(),
        interface: "eth0".to_owned(),
        vrid: 51,
        group: "site".to_owned(),
        vips: vec!["10.77.0.100".parse().unwrap()],
        state: state.to_owned(),
        since: None,
        priority: 150,
        base_priority: 150,
        failing: Vec::new(),
        fault: None,
        peer: Some("10.77.0.4".parse().unwrap()),
        peer_priority: 100,
        counters: RouterCounters {
            takeovers: 1,
            sent: 120,
            heard: 2,
            ..Default::default()
        },
        notices: BTreeMap::new(),
    };
    let routers = vec![
        router("ipv4", "active"),
        RouterStatus {
            priority: 80,
            failing: vec!["interface eth1".to_owned()],
            fault: Some("interface eth0 has no link-local IPv6 address".to_owned()),
            peer: None,
            ..router("ipv6", "initialize")
        },
    ];
    let text = render(&Status {
        routers,
        ..status()
    });
    let (text, _) = text.split_once("SERVICE").unwrap();
    expect![[r#"
        lb1 (viaduct-lb 0.1.0), /etc/viaduct/site.toml of 2026-01-02T03:04:05Z, generation 2
        eth0: native XDP

        ROUTER     INTERFACE  STATE       PEER            VRID   PRIORITY  TAKEOVERS  ADVERTS
        site ipv4  eth0       active      10.77.0.4, 100    51        150          1  120 + 2
        site ipv6  eth0       initialize  nobody heard      51  80 of 150          1  120 + 2

        site ipv6 TAKES NO PART: interface eth0 has no link-local IPv6 address
        site ipv6 failing: interface eth1

    "#]]
    .assert_eq(text);
}
