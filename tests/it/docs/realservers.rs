//! The page on real servers, done: its commands run in the order in which they stand there, on the hosts
//! that they name, some prepared by the command, some by hand; all serve, and then none any more.
//!
//! Not here: the command's own tests (`crate::realserver`).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use tests::{
    lab::{
        Lab,
        director::Director,
        link::sysctls,
        plan::{Host, Plan, Port},
        site::{Service, Site},
        topology::{
            CLIENT, CLIENT_ADDRESS, Encapsulation, LB1, LB1_ADDRESS, Method, dual, twin,
            web_address,
        },
        wait::{SOON, eventually},
    },
    require,
};

use super::{REALSERVERS, document, room::Room};

/// The real servers of the page, in the order of their addresses.
const HOSTS: [&str; 4] = ["web1", "web2", "far1", "far2"];

/// The network of the page's drawing, with nothing prepared.
fn network() -> Plan {
    let mut eth0 = Port::new("eth0", "br0", LB1_ADDRESS).xdp();
    for last in [100, 101] {
        eth0 = eth0.address(format!("10.77.0.{last}/32"));
    }
    let plan = Plan::default()
        .host(Host::new(CLIENT).port(Port::new("eth0", "br0", CLIENT_ADDRESS)))
        .host(Host::new(LB1).port(eth0));
    let host = |(name, number)| {
        let address = web_address(Method::Dr, number);
        Host::new(name).port(Port::new("eth0", "br0", address))
    };
    dual(HOSTS.into_iter().zip(1..).map(host).fold(plan, Plan::host))
}

/// Its services: by dr and by tunnel, in both families.
fn services() -> [Service; 4] {
    let service = |name: &str, method, vip: [u8; 4], reals: std::ops::RangeInclusive<u8>| {
        let none = Service {
            name: name.to_owned(),
            vip: vip.into(),
            ..Service::web(method, 0)
        };
        reals.fold(none, |service, number| {
            service.real(web_address(Method::Dr, number))
        })
    };
    let twin_of = |service: &Service| {
        let mut service = service.clone().reals6();
        service.name.push('6');
        if let std::net::IpAddr::V4(vip) = service.vip {
            service.vip = twin(vip).into();
        }
        service
    };
    let tunnel = Method::Tunnel(Encapsulation::Gue);
    let web = service("web", Method::Dr, [10, 77, 0, 100], 1..=2);
    let far = service("far", tunnel, [10, 77, 0, 101], 3..=4);
    [twin_of(&web), twin_of(&far), web, far]
}

/// Asserts that every service is answered by both of its real servers.
fn assert_all_serve(lab: &Lab) -> Result<()> {
    for service in services() {
        let outcome = lab.requests_at((service.vip, 80).into(), 40)?;
        assert!(outcome.failures.is_empty(), "{service}: {outcome:?}");
        let answered: Vec<&str> = outcome.servers.keys().map(String::as_str).collect();
        let wanted = match service.method {
            Method::Dr => ["web1", "web2"],
            Method::Tunnel(_) | Method::Nat | Method::Fullnat => ["far1", "far2"],
        };
        assert_eq!(answered, wanted, "{service}");
    }
    Ok(())
}

#[test]
fn the_page_on_real_servers_does_what_it_says() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(network())?;
    let mut rooms = BTreeMap::new();
    for host in HOSTS {
        lab.serve(host, &[])?;
        rooms.insert(host, Room::new(&lab, host)?);
        // As distributions have it.
        sysctls(&lab.netns(host), &[("ipv4/conf/eth0/rp_filter", "1")])?;
    }
    let director = Director::start(&lab, LB1, Site::new(services().into()))?;
    for service in services() {
        director.wait_serving(&service.name)?;
    }
    let snippets = document(REALSERVERS)?.snippets();
    let sample = snippets.iter().find(|one| one.text.contains("mend: "));
    let sample = sample.context("the page shows no check")?;
    let (mut ran, mut served) = (BTreeSet::new(), false);
    for snippet in snippets.iter().filter(|one| one.kind() == "sh") {
        if snippet.text.contains("undo") {
            assert_all_serve(&lab)?;
            served = true;
        }
        for host in &snippet.info[1..] {
            let room = rooms.get(&**host).with_context(|| host.clone())?;
            let said = room.shell(&snippet.text);
            said.with_context(|| snippet.to_string())?;
            ran.insert(host.clone());
        }
        if snippet.text.starts_with("install ") {
            let check = "viaduct realserver check --method tunnel --interface eth0 \
                         --vip 10.77.0.101 --vip fd77::101";
            let said = rooms["far1"].shell(&format!("{check} || true"))?;
            assert_eq!(said, sample.text, "{sample}: check says something else");
        }
    }
    assert!(served, "nothing is undone on the page");
    assert_eq!(ran, HOSTS.map(str::to_owned).into());
    for host in ["web1", "far1", "far2"] {
        // The kernel takes a program off some moments after its link is gone.
        eventually(SOON, &format!("{host} to be as it was"), || {
            let left = rooms[host].shell("ip address show; ls /sys/fs/bpf")?;
            let undone = ["10.77.0.10", "fd77::10", "xdp", "viaduct"];
            let is_left = undone.iter().any(|what| left.contains(*what));
            Ok((!is_left).then_some(()))
        })?;
    }
    lab.finish()
}
