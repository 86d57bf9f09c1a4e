//! Layer 4: flows spread over the real servers by weight, TCP and UDP, through dr and nat.
//!
//! Not here: single packets and their verdicts; the packet tables of lb-ebpf have those.

use std::ops::RangeInclusive;

use anyhow::Result;
use tests::{
    guest::{blob::Blob, load::Summary},
    lab::{
        Lab,
        director::Director,
        site::{Service, Site},
        topology::{LB1, Method, VIP, nat_between, one_director},
    },
    require,
};

/// How many servers each test has.
const WEBS: u8 = 3;

/// 100 MB.
const LARGE: u64 = 100_000_000;

/// How many of `flows` a server with this share of the ring gets, but for one run in 10^8: six
/// standard deviations of the binomial distribution, and 1 % for a ring that is not quite even.
fn fair(flows: u64, share: f64) -> RangeInclusive<u64> {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred flows")]
    let flows = flows as f64;
    let (mean, deviation) = (flows * share, (flows * share * (1.0 - share)).sqrt());
    let slack = 6.0 * deviation + 0.01 * flows;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0"
    )]
    let bounds = ((mean - slack).max(0.0).floor() as u64)..=((mean + slack).ceil() as u64);
    bounds
}

/// Asserts that nothing failed and that the servers got their shares, in the order of their names.
fn assert_spread(outcome: &Summary, shares: [f64; 3]) {
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    for (web, share) in ["web1", "web2", "web3"].iter().zip(shares) {
        let got = outcome.servers.get(*web).copied().unwrap_or(0);
        let fair = fair(outcome.ok, share);
        assert!(
            fair.contains(&got),
            "{web} got {got}, not {fair:?}: {outcome:?}"
        );
    }
}

/// Runs `test` on a site with one director, once it serves `service`.
fn on_site(
    method: Method,
    service: Service,
    test: impl FnOnce(&Lab, &Director<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::build(one_director(method, WEBS))?;
    lab.webs(method, WEBS)?;
    let name = service.name.clone();
    let director = Director::start(&lab, LB1, Site::new(vec![service]))?;
    director.wait_serving(&name)?;
    test(&lab, &director)?;
    lab.finish()
}

fn spreads_evenly(method: Method) -> Result<()> {
    on_site(method, Service::web(method, WEBS), |lab, director| {
        assert_spread(&lab.requests(300)?, [1.0 / 3.0; 3]);
        let status = director.status()?;
        assert_eq!(status.service("web")["connections"], 300, "{status}");
        Ok(())
    })
}

fn spreads_by_weight(method: Method) -> Result<()> {
    let service = Service::web(method, WEBS)
        .weight(1, 100)
        .weight(2, 300)
        .weight(3, 100);
    on_site(method, service, |lab, _| {
        assert_spread(&lab.requests(300)?, [0.2, 0.6, 0.2]);
        Ok(())
    })
}

fn weight_0_gets_nothing(method: Method) -> Result<()> {
    on_site(method, Service::web(method, WEBS).weight(2, 0), |lab, _| {
        let outcome = lab.requests(100)?;
        assert_spread(&outcome, [0.5, 0.0, 0.5]);
        assert_eq!(outcome.servers.get("web2"), None);
        Ok(())
    })
}

fn downloads(lab: &Lab) -> Result<()> {
    let got = lab.fetch(&format!("http://{VIP}/blob/{LARGE}?42"))?;
    assert_eq!((got.status, got.bytes), (200, LARGE));
    assert_eq!(got.sha256, Blob::new(42, LARGE).sha256());
    Ok(())
}

fn echoes(method: Method) -> Result<()> {
    on_site(method, Service::echo(method, WEBS), |lab, _| {
        let echoed = lab.echo(60, 240)?;
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
fn dr_spreads_new_connections_evenly_and_counts_them() -> Result<()> {
    require!(root, tools, xdp, daemon);
    spreads_evenly(Method::Dr)
}

#[test]
fn nat_spreads_new_connections_evenly_and_counts_them() -> Result<()> {
    require!(root, tools, xdp, daemon);
    spreads_evenly(Method::Nat)
}

#[test]
fn new_connections_follow_the_weights() -> Result<()> {
    require!(root, tools, xdp, daemon);
    spreads_by_weight(Method::Dr)
}

#[test]
fn a_server_of_weight_0_gets_no_new_connection() -> Result<()> {
    require!(root, tools, xdp, daemon);
    weight_0_gets_nothing(Method::Dr)
}

#[test]
fn a_server_of_weight_0_gets_no_new_connection_through_nat_either() -> Result<()> {
    require!(root, tools, xdp, daemon);
    weight_0_gets_nothing(Method::Nat)
}

#[test]
fn a_hundred_megabytes_through_dr_arrive_whole() -> Result<()> {
    require!(root, tools, xdp, daemon);
    on_site(Method::Dr, Service::web(Method::Dr, WEBS), |lab, _| {
        downloads(lab)
    })
}

#[test]
fn a_hundred_megabytes_through_nat_arrive_whole() -> Result<()> {
    require!(root, tools, xdp, daemon);
    on_site(Method::Nat, Service::web(Method::Nat, WEBS), |lab, _| {
        downloads(lab)
    })
}

#[test]
fn a_hundred_megabytes_through_nat_between_two_interfaces_arrive_whole() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(nat_between(1))?;
    lab.webs(Method::Nat, 1)?;
    let site = Site::new(vec![Service::web(Method::Nat, 1)]).on(&["eth0", "eth1"]);
    let director = Director::start(&lab, LB1, site)?;
    director.wait_serving("web")?;
    downloads(&lab)?;
    lab.finish()
}

#[test]
fn datagrams_of_a_flow_all_go_through_dr_to_one_server() -> Result<()> {
    require!(root, tools, xdp, daemon);
    echoes(Method::Dr)
}

#[test]
fn datagrams_of_a_flow_all_go_through_nat_to_one_server() -> Result<()> {
    require!(root, tools, xdp, daemon);
    echoes(Method::Nat)
}

#[test]
fn what_is_not_for_the_vip_passes_the_director() -> Result<()> {
    require!(root, tools, xdp, daemon);
    on_site(Method::Dr, Service::web(Method::Dr, WEBS), |lab, _| {
        // Port 81 of the VIP is no service: the director's own stack says so at once.
        let error = lab.fetch(&format!("http://{VIP}:81/")).unwrap_err();
        assert!(format!("{error:#}").contains("refused"), "{error:#}");
        Ok(())
    })
}
