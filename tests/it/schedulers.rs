//! Schedulers and persistence, on wires: who gets the next connection.
//!
//! Not here: the exact order of turns and loads; the packet stories have those.

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        director::Director,
        site::{Service, Site},
        topology::{LB1, Method, VIP, one_director},
    },
    require,
};

const WEBS: u8 = 3;

fn on(service: Service, test: impl FnOnce(&Lab, &Director<'_>) -> Result<()>) -> Result<()> {
    let method = service.method;
    let lab = Lab::build(one_director(method, WEBS))?;
    lab.webs(method, WEBS)?;
    let name = service.name.clone();
    let director = Director::start(&lab, LB1, Site::new(vec![service]))?;
    director.wait_serving(&name)?;
    test(&lab, &director)?;
    lab.finish()
}

/// 300 fresh connections, and how many each of the three servers got.
fn shares(lab: &Lab) -> Result<[u64; 3]> {
    let outcome = lab.requests(300)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    let of = |web: &str| outcome.servers.get(web).copied().unwrap_or(0);
    Ok([of("web1"), of("web2"), of("web3")])
}

#[test]
fn rr_gives_each_server_exactly_its_turns_whatever_its_weight() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Dr, WEBS).key("scheduler = \"rr\"");
    on(service.weight(2, 700), |lab, _| {
        assert_eq!(shares(lab)?, [100; 3]);
        Ok(())
    })
}

#[test]
fn wrr_gives_each_server_exactly_its_weight_through_nat() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Nat, WEBS).key("scheduler = \"wrr\"");
    on(service.weight(2, 300).weight(3, 200), |lab, _| {
        assert_eq!(shares(lab)?, [50, 150, 100]);
        Ok(())
    })
}

/// Connections that stay open count; those of wlc count for their weight.
#[test]
fn wlc_gives_open_connections_by_weight_and_tells_how_many_are_active() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Dr, WEBS).key("scheduler = \"wlc\"");
    on(service.weight(1, 200), |lab, director| {
        let kept = lab.load(32, true)?;
        kept.more(200)?;
        let active = |web: u8| {
            let address = tests::lab::topology::web_address(Method::Dr, web);
            director.status().map(|status| {
                status.real("web", address)["active"]
                    .as_u64()
                    .unwrap_or_default()
            })
        };
        assert_eq!([active(1)?, active(2)?, active(3)?], [16, 8, 8]);
        let outcome = kept.stop()?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        Ok(())
    })
}

#[test]
fn sh_sends_a_client_to_one_server_always() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Dr, WEBS).key("scheduler = \"sh\"");
    on(service, |lab, _| {
        let outcome = lab.requests(60)?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        assert_eq!(outcome.servers.len(), 1, "{outcome:?}");
        Ok(())
    })
}

/// The client stays, also when its server is only one of three that take turns.
#[test]
fn a_persistent_client_stays_with_its_server() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Dr, WEBS)
        .key("scheduler = \"rr\"")
        .key("persistence = \"10m\"");
    on(service, |lab, _| {
        let outcome = lab.requests(60)?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        assert_eq!(outcome.servers.len(), 1, "{outcome:?}");
        Ok(())
    })
}

/// All ports of the VIP, and one of them another service's.
#[test]
fn a_service_of_all_ports_leaves_a_port_to_the_service_that_names_it() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let method = Method::Dr;
    let lab = Lab::build(one_director(method, 2))?;
    lab.webs(method, 2)?;
    let mut all = Service::web(method, 1);
    all.name = "all".to_owned();
    let text = Site::new(vec![all]).to_string();
    let text = text.replace("port = 80\n", "port = \"all\"\n");
    let named = Service {
        reals: Service::web(method, 2).reals[1..].to_vec(),
        ..Service::web(method, 2)
    };
    let director = Director::start(&lab, LB1, format!("{text}\n{named}"))?;
    director.wait_serving("web")?;
    let outcome = lab.requests(20)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    let servers: Vec<_> = outcome.servers.keys().collect();
    assert_eq!(
        servers,
        ["web2"],
        "port 80 is that of the service that names it"
    );
    // Nobody listens at port 81 of web1, which says so: it got the packet.
    let error = lab.fetch(&format!("http://{VIP}:81/")).unwrap_err();
    assert!(format!("{error:#}").contains("refused"), "{error:#}");
    let status = director.status()?;
    assert_eq!(status.service("all")["packets"], 1, "{status}");
    lab.finish()
}
