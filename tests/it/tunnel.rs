//! Tunnels from end to end: the director packs, `viaduct-lb decap` on the real servers unpacks, and
//! senders learn how much fits.
//!
//! Not here: single packets and their bytes; the packet tables of lb-ebpf have those.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result};
use tests::{
    guest::blob::Blob,
    lab::{
        Lab,
        director::Director,
        find,
        link::{ip, peer_name},
        netns,
        plan::SWITCH,
        site::{Service, Site},
        topology::{
            CLIENT, Encapsulation, LB1, Method, VIP, dual, one_director, routed, twin, web,
            web_address,
        },
    },
    require,
};

const WEBS: u8 = 3;
/// 100 MB.
const LARGE: u64 = 100_000_000;
/// 20 MB: some 14,000 full packets from the client, through the tunnel.
const UPLOAD: u64 = 20_000_000;

const IPIP: Method = Method::Tunnel(Encapsulation::Ipip);
const GUE: Method = Method::Tunnel(Encapsulation::Gue);

fn start<'l>(lab: &'l Lab, service: &Service) -> Result<Director<'l>> {
    let director = Director::start(lab, LB1, Site::new(vec![service.clone()]))?;
    director.wait_serving(&service.name)?;
    Ok(director)
}

/// Asserts that each of three servers gets its third, within six standard deviations.
fn spreads(lab: &Lab, vip: IpAddr) -> Result<()> {
    let outcome = lab.requests_at((vip, 80).into(), 300)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    for web in ["web1", "web2", "web3"] {
        let got = outcome.servers.get(web).copied().unwrap_or(0);
        assert!((48..=152).contains(&got), "{web}: {outcome:?}");
    }
    Ok(())
}

fn url(vip: IpAddr, path: &str) -> String {
    match vip {
        IpAddr::V4(vip) => format!("http://{vip}{path}"),
        IpAddr::V6(vip) => format!("http://[{vip}]{path}"),
    }
}

fn downloads(lab: &Lab, vip: IpAddr) -> Result<()> {
    let got = lab.fetch(&url(vip, &format!("/blob/{LARGE}?5")))?;
    assert_eq!((got.status, got.bytes), (200, LARGE));
    assert_eq!(got.sha256, Blob::new(5, LARGE).sha256());
    Ok(())
}

fn uploads(lab: &Lab, vip: IpAddr) -> Result<()> {
    let got = lab.upload(&url(vip, "/sink"), 9, UPLOAD)?;
    assert_eq!((got.status, got.bytes), (200, UPLOAD));
    assert_eq!(got.sha256, Blob::new(9, UPLOAD).sha256());
    Ok(())
}

/// The MTU that the client has learnt for packets to the VIP; none when it learnt nothing.
fn learnt(lab: &Lab, vip: IpAddr) -> Result<Option<u16>> {
    let mut command = netns::command(&lab.netns(CLIENT), "ip");
    let out = command.args(["route", "get", &vip.to_string()]).output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut words = text.split_whitespace().skip_while(|word| *word != "mtu");
    let mtu = words.nth(1);
    Ok(mtu.map(str::parse).transpose()?)
}

/// What holds of every tunnel on a network whose links all have an MTU of 1500.
fn carries(lab: &Lab, service: &Service, mtu: u16) -> Result<()> {
    let (vip, method) = (service.vip, service.method);
    lab.webs(method, WEBS)?;
    let director = start(lab, service)?;
    spreads(lab, vip)?;
    let status = director.status()?;
    assert_eq!(status.service("web")["connections"], 300, "{status}");
    // Small requests, and answers that do not come through the tunnel.
    downloads(lab, vip)?;
    assert_eq!(director.status()?.verdict("too_big_told"), 0);
    assert_eq!(learnt(lab, vip)?, None);

    uploads(lab, vip)?;
    let status = director.status()?;
    assert!(status.verdict("too_big_told") > 0, "{status}");
    assert_eq!(status.verdict("too_big"), 0, "{status}");
    assert_eq!(learnt(lab, vip)?, Some(mtu));
    Ok(())
}

fn carries_over_ipv4(method: Method, mtu: u16) -> Result<()> {
    let lab = Lab::build(one_director(method, WEBS))?;
    carries(&lab, &Service::web(method, WEBS), mtu)?;
    lab.finish()
}

fn carries_over_both(service: Service, mtu: u16) -> Result<()> {
    let lab = Lab::build(dual(one_director(service.method, WEBS)))?;
    carries(&lab, &service, mtu)?;
    lab.finish()
}

/// Raises the MTU of a host's `eth0` and of the bridge port at its other end.
fn raise_mtu(lab: &Lab, host: &str, mtu: u16) -> Result<()> {
    let of_host = lab.plan().hosts.iter().find(|one| one.name == host);
    let of_host = of_host.context("no such host")?;
    let peer = peer_name(of_host, &of_host.ports[0]);
    ip(&lab.netns(host), &[format!("link set eth0 mtu {mtu}")])?;
    ip(&lab.netns(SWITCH), &[format!("link set {peer} mtu {mtu}")])
}

#[test]
fn ipip_carries_requests_to_all_servers_and_uploads_learn_what_fits() -> Result<()> {
    require!(root, tools, xdp, daemon);
    carries_over_ipv4(IPIP, 1480)
}

#[test]
fn gue_carries_requests_to_all_servers_and_uploads_learn_what_fits() -> Result<()> {
    require!(root, tools, xdp, daemon);
    carries_over_ipv4(GUE, 1472)
}

#[test]
fn an_ipv4_service_reaches_ipv6_servers_inside_ipv6() -> Result<()> {
    require!(root, tools, xdp, daemon);
    carries_over_both(Service::web(IPIP, WEBS).reals6(), 1460)
}

#[test]
fn an_ipv6_service_reaches_ipv4_servers_inside_ipv4() -> Result<()> {
    require!(root, tools, xdp, daemon);
    carries_over_both(Service::web(IPIP, WEBS).vip6(), 1480)
}

#[test]
fn an_ipv6_service_reaches_ipv6_servers_by_gue() -> Result<()> {
    require!(root, tools, xdp, daemon);
    carries_over_both(Service::web(GUE, WEBS).vip6().reals6(), 1452)
}

#[test]
fn with_a_larger_mtu_on_the_way_nobody_is_told_anything() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(GUE, 1))?;
    for host in [LB1.to_owned(), web(1)] {
        raise_mtu(&lab, &host, 1600)?;
    }
    lab.webs(GUE, 1)?;
    let director = start(&lab, &Service::web(GUE, 1))?;
    uploads(&lab, VIP.into())?;
    let status = director.status()?;
    assert_eq!(status.verdict("too_big_told"), 0, "{status}");
    assert_eq!(learnt(&lab, VIP.into())?, None);
    lab.finish()
}

#[test]
fn datagrams_of_a_flow_all_go_through_a_tunnel_to_one_server() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(GUE, WEBS))?;
    lab.webs(GUE, WEBS)?;
    start(&lab, &Service::echo(GUE, WEBS))?;
    let echoed = lab.echo(60, 240)?;
    assert_eq!(echoed.lost, 0, "{echoed:?}");
    assert_eq!(echoed.servers.len(), usize::from(WEBS), "{echoed:?}");
    let is_one = |servers: &_| std::collections::BTreeSet::<String>::len(servers) == 1;
    assert!(
        echoed.sockets.iter().all(is_one),
        "a flow moved: {echoed:?}"
    );
    lab.finish()
}

/// A service whose servers are those of [`routed`].
fn behind_a_router(mut service: Service) -> Service {
    for (real, number) in service.reals.iter_mut().zip(1..) {
        real.address = web_address(Method::Nat, number).into();
    }
    service
}

#[test]
fn a_tunnel_reaches_servers_behind_a_router() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(routed(WEBS))?;
    lab.webs(IPIP, WEBS)?;
    start(
        &lab,
        &behind_a_router(Service::web(IPIP, WEBS)).http_health("/health"),
    )?;
    spreads(&lab, VIP.into())?;
    uploads(&lab, VIP.into())?;
    assert_eq!(learnt(&lab, VIP.into())?, Some(1480));
    lab.finish()
}

#[test]
fn dr_does_not_serve_what_is_behind_a_router_and_status_says_why() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(routed(WEBS))?;
    lab.webs(Method::Dr, WEBS)?;
    let site = Site::new(vec![behind_a_router(Service::echo(Method::Dr, WEBS))]);
    let director = Director::start(&lab, LB1, site)?;
    assert_eq!(lab.echo(1, 1)?.lost, 1);
    let status = director.status()?;
    assert_eq!(status.verdict("no_real_server"), 1, "{status}");
    let web1: Ipv4Addr = web_address(Method::Nat, 1);
    let next_hop = status.real("echo", web1)["next_hop"].to_string();
    assert!(next_hop.contains("behind a router"), "{status}");
    let socket = director.files().socket.to_string_lossy().into_owned();
    let args = ["status", "--socket", &socket];
    let table = lab.spawn(LB1, "status", find::program("viaduct")?, &args)?;
    table.wait_exit()?;
    let table = table.output()?;
    assert!(table.contains("0 of 3 serve"), "{table}");
    assert!(table.contains("behind a router"), "{table}");
    lab.finish()
}

#[test]
fn a_far_end_opens_packets_to_its_own_vips_only_and_can_be_changed_and_removed() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(dual(one_director(GUE, 1)))?;
    lab.web(GUE, 1)?;
    start(&lab, &Service::echo(GUE, 1))?;
    let is_served = || -> Result<bool> { Ok(lab.echo(1, 1)?.lost == 0) };
    let is_attached = || -> Result<bool> {
        let mut command = netns::command(&lab.netns("web1"), "ip");
        let out = command.args(["link", "show", "eth0"]).output()?;
        Ok(String::from_utf8_lossy(&out.stdout).contains("xdp"))
    };

    let other = Ipv4Addr::new(10, 77, 0, 101);
    let said = lab.decap("web1", &[other])?;
    assert!(said.contains("attached natively"), "{said}");
    assert!(
        !is_served()?,
        "it opened a packet to an address not its VIP"
    );

    let said = lab.decap("web1", &[IpAddr::from(VIP), twin(VIP).into()])?;
    assert!(said.contains("updated"), "{said}");
    assert!(is_served()?);

    lab.decap("web1", &[other])?;
    assert!(!is_served()?, "it kept a VIP that was taken away");

    lab.decap("web1", &[VIP])?;
    assert!(is_served()? && is_attached()?);
    let said = lab.undo_decap("web1")?;
    assert!(said.contains("removed"), "{said}");
    assert!(!is_attached()? && !is_served()?);
    lab.finish()
}
