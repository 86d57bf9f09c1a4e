//! Method fullnat, on wires: real servers that nobody prepared, in the clients' own network, answer
//! through the director, since to them it is the client.
//!
//! Not here: single packets; the packet table has those.

use std::net::IpAddr;

use anyhow::Result;
use tests::{
    guest::blob::Blob,
    lab::{
        Lab,
        director::Director,
        site::{Service, Site},
        topology::{LB1, LB1_POOL, Method, VIP, dual, one_director, twin},
    },
    require,
};

const WEBS: u8 = 3;

/// 100 MB.
const LARGE: u64 = 100_000_000;

/// A site whose fullnat sends from an address of its own, in both families.
fn site(service: Service) -> Site {
    let pool = format!("pool = [\"{LB1_POOL}\", \"{}\"]", twin(LB1_POOL));
    Site::new(vec![service]).host_key(pool)
}

fn on(service: Service, test: impl FnOnce(&Lab, &Director<'_>) -> Result<()>) -> Result<()> {
    let lab = Lab::build(dual(one_director(Method::Fullnat, WEBS)))?;
    lab.webs(Method::Fullnat, WEBS)?;
    let name = service.name.clone();
    let director = Director::start(&lab, LB1, site(service))?;
    director.wait_serving(&name)?;
    test(&lab, &director)?;
    lab.finish()
}

fn downloads(lab: &Lab, vip: IpAddr) -> Result<()> {
    let host = match vip {
        IpAddr::V4(vip) => vip.to_string(),
        IpAddr::V6(vip) => format!("[{vip}]"),
    };
    let got = lab.fetch(&format!("http://{host}:8080/blob/{LARGE}?42"))?;
    assert_eq!((got.status, got.bytes), (200, LARGE));
    assert_eq!(got.sha256, Blob::new(42, LARGE).sha256());
    Ok(())
}

#[test]
fn a_hundred_megabytes_through_fullnat_to_another_port_arrive_whole() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Fullnat, WEBS).translated(8080);
    on(service, |lab, _| downloads(lab, VIP.into()))
}

#[test]
fn a_hundred_megabytes_through_fullnat_over_ipv6_arrive_whole() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Fullnat, WEBS).translated(8080);
    on(service.vip6().reals6(), |lab, _| {
        downloads(lab, twin(VIP).into())
    })
}

/// Client, director and real servers share one network: without a new source, answers would go
/// past the director.
#[test]
fn fullnat_serves_a_client_in_the_real_servers_network_and_counts_both_ways() -> Result<()> {
    require!(root, tools, xdp, daemon);
    on(Service::web(Method::Fullnat, WEBS), |lab, director| {
        let outcome = lab.requests(300)?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        assert_eq!(outcome.servers.len(), usize::from(WEBS), "{outcome:?}");
        let status = director.status()?;
        let web = status.service("web");
        assert_eq!(web["connections"], 300, "{status}");
        assert!(web["reply_packets"].as_u64() > Some(900), "{status}");
        Ok(())
    })
}

#[test]
fn datagrams_of_a_flow_all_go_through_fullnat_to_one_server() -> Result<()> {
    require!(root, tools, xdp, daemon);
    on(Service::echo(Method::Fullnat, WEBS), |lab, _| {
        let echoed = lab.echo(60, 240)?;
        assert_eq!(echoed.lost, 0, "{echoed:?}");
        let one_each = echoed.sockets.iter().all(|servers| servers.len() == 1);
        assert!(one_each, "a flow moved: {echoed:?}");
        Ok(())
    })
}

/// With 16 ports towards one server, 20 flows are 4 too many: these are refused by name, the others
/// go on.
#[test]
fn flows_beyond_the_last_port_are_refused_by_name_and_the_others_go_on() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Fullnat, 1))?;
    lab.webs(Method::Fullnat, 1)?;
    let site = Site::new(vec![Service::echo(Method::Fullnat, 1)])
        .host_key(format!("pool = [\"{LB1_POOL}:20000-20015\"]"));
    let director = Director::start(&lab, LB1, site)?;
    director.wait_serving("echo")?;
    let echoed = lab.echo(20, 20)?;
    assert_eq!(echoed.lost, 4, "{echoed:?}");
    assert_eq!(director.status()?.verdict("ports_exhausted"), 4);
    lab.finish()
}

/// The director dies and comes back under load: entries are the kernel's.
#[test]
fn kill_9_leaves_fullnat_forwarding_and_a_restart_takes_it_over() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(dual(one_director(Method::Fullnat, WEBS)))?;
    lab.webs(Method::Fullnat, WEBS)?;
    let site = site(Service::web(Method::Fullnat, WEBS));
    let mut director = Director::start(&lab, LB1, site)?;
    director.wait_serving("web")?;
    let (kept, fresh) = (lab.load(12, true)?, lab.load(4, false)?);
    let more = || kept.more(50).and_then(|()| fresh.more(50));
    more()?;
    director.daemon().kill()?;
    more()?;
    director.start_again()?;
    director.wait_serving("web")?;
    more()?;
    for outcome in [kept.stop()?, fresh.stop()?] {
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        assert_eq!(outcome.lost_connections, 0, "{outcome:?}");
    }
    lab.finish()
}
