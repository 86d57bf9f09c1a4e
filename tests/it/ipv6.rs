//! IPv6 from end to end: virtual services, real servers, next hops and health checks, by dr and nat.
//!
//! Not here: IPv6 inside tunnels (`tunnel`), and single packets (the packet tables).

use std::net::IpAddr;

use anyhow::Result;
use tests::{
    guest::blob::Blob,
    lab::{
        Lab,
        director::Director,
        site::{Service, Site},
        topology::{LB1, Method, VIP, dual, one_director, twin, web_address},
    },
    require,
};

const WEBS: u8 = 3;
/// 100 MB.
const LARGE: u64 = 100_000_000;

/// Runs `test` on a site with one director, once it serves `service` at the VIP's twin.
fn on_site(service: Service, test: impl FnOnce(&Lab, &Director<'_>) -> Result<()>) -> Result<()> {
    let method = service.method;
    let service = service.vip6().reals6();
    let lab = Lab::build(dual(one_director(method, WEBS)))?;
    lab.webs(method, WEBS)?;
    let name = service.name.clone();
    let director = Director::start(&lab, LB1, Site::new(vec![service]))?;
    director.wait_serving(&name)?;
    test(&lab, &director)?;
    lab.finish()
}

/// Asserts that each server gets its third, within six standard deviations, and that a large
/// download is whole.
fn serves(lab: &Lab, director: &Director<'_>, port: u16) -> Result<()> {
    let outcome = lab.requests_at((twin(VIP), port).into(), 300)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    for web in ["web1", "web2", "web3"] {
        let got = outcome.servers.get(web).copied().unwrap_or(0);
        assert!((48..=152).contains(&got), "{web}: {outcome:?}");
    }
    let status = director.status()?;
    assert_eq!(status.service("web")["connections"], 300, "{status}");

    let got = lab.fetch(&format!("http://[{}]:{port}/blob/{LARGE}?6", twin(VIP)))?;
    assert_eq!((got.status, got.bytes), (200, LARGE));
    assert_eq!(got.sha256, Blob::new(6, LARGE).sha256());
    Ok(())
}

/// A server that dies is seen by probes over IPv6; from then on nothing fails.
fn survives_a_killed_server(method: Method) -> Result<()> {
    let lab = Lab::build(dual(one_director(method, WEBS)))?;
    let webs = lab.webs(method, WEBS)?;
    let service = Service::web(method, WEBS).vip6().reals6();
    let site = Site::new(vec![service.http_health("/health")]);
    let director = Director::start(&lab, LB1, site)?;
    director.wait_serving("web")?;
    webs[1].kill()?;
    let web2 = twin(web_address(method, 2));
    director.wait_status("web2 to be down", |status| {
        status.health("web", web2) == "down"
    })?;
    let outcome = lab.requests_at((twin(VIP), 80).into(), 100)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    let servers: Vec<&str> = outcome.servers.keys().map(String::as_str).collect();
    assert_eq!(servers, ["web1", "web3"]);
    lab.web(method, 2)?;
    director.wait_serving("web")?;
    lab.finish()
}

fn echoes(method: Method) -> Result<()> {
    on_site(Service::echo(method, WEBS), |lab, _| {
        let echoed = lab.echo_at(twin(VIP).into(), 60, 240)?;
        assert_eq!(echoed.lost, 0, "{echoed:?}");
        assert_eq!(echoed.servers.len(), usize::from(WEBS), "{echoed:?}");
        assert!(
            echoed.sockets.iter().all(|servers| servers.len() == 1),
            "a flow moved: {echoed:?}"
        );
        Ok(())
    })
}

#[test]
fn dr_spreads_over_ipv6_and_downloads_arrive_whole() -> Result<()> {
    require!(root, tools, xdp, daemon);
    on_site(Service::web(Method::Dr, WEBS), |lab, director| {
        serves(lab, director, 80)
    })
}

#[test]
fn nat_spreads_over_ipv6_and_translates_the_port() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Nat, WEBS).translated(8080);
    on_site(service, |lab, director| serves(lab, director, 8080))
}

#[test]
fn a_killed_server_is_found_by_probes_over_ipv6() -> Result<()> {
    require!(root, tools, xdp, daemon);
    survives_a_killed_server(Method::Dr)
}

#[test]
fn a_killed_server_behind_nat_is_found_by_probes_over_ipv6() -> Result<()> {
    require!(root, tools, xdp, daemon);
    survives_a_killed_server(Method::Nat)
}

#[test]
fn datagrams_of_an_ipv6_flow_all_go_through_dr_to_one_server() -> Result<()> {
    require!(root, tools, xdp, daemon);
    echoes(Method::Dr)
}

#[test]
fn datagrams_of_an_ipv6_flow_all_go_through_nat_to_one_server() -> Result<()> {
    require!(root, tools, xdp, daemon);
    echoes(Method::Nat)
}

#[test]
fn one_director_serves_both_families_at_once() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let method = Method::Dr;
    let lab = Lab::build(dual(one_director(method, WEBS)))?;
    lab.webs(method, WEBS)?;
    let new = Service {
        name: "web6".to_owned(),
        ..Service::web(method, WEBS).vip6().reals6()
    };
    let site = Site::new(vec![Service::web(method, WEBS), new]);
    let director = Director::start(&lab, LB1, site)?;
    for service in ["web", "web6"] {
        director.wait_serving(service)?;
    }
    for vip in [IpAddr::from(VIP), twin(VIP).into()] {
        let outcome = lab.requests_at((vip, 80).into(), 60)?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        assert_eq!(outcome.servers.len(), usize::from(WEBS), "{outcome:?}");
    }
    let status = director.status()?;
    for service in ["web", "web6"] {
        assert_eq!(status.service(service)["connections"], 60, "{status}");
    }
    lab.finish()
}
