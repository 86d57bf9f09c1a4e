//! Jumbo frames: the program takes frames that lie in several pieces of memory (`xdp.frags`).

use anyhow::Result;
use tests::{
    guest::blob::Blob,
    lab::{
        Lab,
        director::Director,
        link::{ip, peer_name},
        plan::SWITCH,
        site::{Service, Site},
        topology::{LB1, Method, VIP, nat_between, one_director},
    },
    require,
};

const WEBS: u8 = 2;
const MTU: u16 = 9000;
/// 20 MB.
const BYTES: u64 = 20_000_000;

/// Raises the MTU of every host's `eth0` and of the bridge port at its other end.
fn raise_mtu(lab: &Lab, bridges: &[&str]) -> Result<()> {
    for host in &lab.plan().hosts {
        for port in &host.ports {
            let name = port.name;
            let peer = peer_name(host, port);
            let switch = lab.netns(SWITCH);
            ip(&switch, &[format!("link set {peer} mtu {MTU}")])?;
            ip(
                &lab.netns(&host.name),
                &[format!("link set {name} mtu {MTU}")],
            )?;
        }
    }
    let raise = |bridge: &&str| format!("link set {bridge} mtu {MTU}");
    let raised: Vec<String> = bridges.iter().map(raise).collect();
    ip(&lab.netns(SWITCH), &raised)
}

fn uploads_in_jumbo_frames(method: Method) -> Result<()> {
    let lab = Lab::build(one_director(method, WEBS))?;
    raise_mtu(&lab, &["br0"])?;
    lab.webs(method, WEBS)?;
    let director = Director::start(&lab, LB1, Site::new(vec![Service::web(method, WEBS)]))?;
    let status = director.wait_serving("web")?;
    assert!(format!("{status}").contains("native"), "{status}");
    let sent = lab.upload(&format!("http://{VIP}/sink"), 7, BYTES)?;
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(sent.sha256, Blob::new(7, BYTES).sha256());
    // Far fewer packets than of 1500 bytes each: they were long.
    let packets = director.status()?.service("web")["packets"].as_u64();
    assert!(packets < Some(BYTES / 1500), "{packets:?} packets");
    lab.finish()
}

#[test]
fn dr_carries_jumbo_frames() -> Result<()> {
    require!(root, tools, xdp, daemon);
    uploads_in_jumbo_frames(Method::Dr)
}

#[test]
fn nat_carries_jumbo_frames() -> Result<()> {
    require!(root, tools, xdp, daemon);
    uploads_in_jumbo_frames(Method::Nat)
}

/// Both ends think that long packets fit; only the director's own link towards the servers is narrow.
#[test]
fn senders_of_packets_too_long_for_the_way_to_a_nat_server_are_told() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(nat_between(WEBS))?;
    raise_mtu(&lab, &["br0", "br1"])?;
    ip(&lab.netns(LB1), &["link set eth1 mtu 1500".to_owned()])?;
    lab.webs(Method::Nat, WEBS)?;
    let site = Site::new(vec![Service::web(Method::Nat, WEBS)]).on(&["eth0", "eth1"]);
    let director = Director::start(&lab, LB1, site)?;
    let status = director.wait_serving("web")?;
    assert!(!format!("{status}").contains("generic"), "{status}");
    let sent = lab.upload(&format!("http://{VIP}/sink"), 7, BYTES)?;
    assert_eq!(sent.sha256, Blob::new(7, BYTES).sha256());
    let status = director.status()?;
    assert!(status.verdict("too_big_told") > 0, "{status}");
    lab.finish()
}
