//! Datagrams longer than the MTU, on wires: they come in pieces, and all pieces go one way.
//!
//! Not here: single fragments; the packet table has those.

use std::net::IpAddr;

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        director::Director,
        site::{Service, Site},
        topology::{LB1, LB1_POOL, Method, VIP, dual, one_director, twin},
    },
    require,
};

const WEBS: u8 = 3;
/// Three pieces on Ethernet.
const LONG: u16 = 4000;

fn site(method: Method) -> Site {
    let site = Site::new(vec![Service::echo(method, WEBS)]);
    match method {
        Method::Fullnat => site.host_key(format!("pool = [\"{LB1_POOL}\"]")),
        Method::Dr | Method::Nat | Method::Tunnel(_) => site,
    }
}

fn echoes(lab: &Lab, vip: IpAddr) -> Result<()> {
    let echoed = lab.echo_of(vip, 12, 48, LONG)?;
    assert_eq!(echoed.lost, 0, "{echoed:?}");
    let one_each = echoed.sockets.iter().all(|servers| servers.len() == 1);
    assert!(one_each, "a flow moved: {echoed:?}");
    Ok(())
}

fn long_datagrams_through(method: Method) -> Result<()> {
    let lab = Lab::build(one_director(method, WEBS))?;
    lab.webs(method, WEBS)?;
    let director = Director::start(&lab, LB1, site(method))?;
    director.wait_serving("echo")?;
    echoes(&lab, VIP.into())?;
    lab.finish()
}

#[test]
fn datagrams_in_pieces_go_through_dr() -> Result<()> {
    require!(root, tools, xdp, daemon);
    long_datagrams_through(Method::Dr)
}

/// The answers are in pieces too, and come back through the director.
#[test]
fn datagrams_in_pieces_go_through_nat_both_ways() -> Result<()> {
    require!(root, tools, xdp, daemon);
    long_datagrams_through(Method::Nat)
}

#[test]
fn datagrams_in_pieces_go_through_fullnat_both_ways() -> Result<()> {
    require!(root, tools, xdp, daemon);
    long_datagrams_through(Method::Fullnat)
}

#[test]
fn datagrams_in_pieces_go_through_dr_over_ipv6() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(dual(one_director(Method::Dr, WEBS)))?;
    lab.webs(Method::Dr, WEBS)?;
    let site = Site::new(vec![Service::echo(Method::Dr, WEBS).vip6().reals6()]);
    let director = Director::start(&lab, LB1, site)?;
    director.wait_serving("echo")?;
    echoes(&lab, twin(VIP).into())?;
    lab.finish()
}

/// `fragments = "pass"`: the stack gets them, and nobody else.
#[test]
fn fragments_are_left_to_the_stack_by_choice() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    lab.webs(Method::Dr, 1)?;
    let site = Site::new(vec![Service::echo(Method::Dr, 1)]);
    let director = Director::start(&lab, LB1, site.director_key("fragments = \"pass\""))?;
    director.wait_serving("echo")?;
    let echoed = lab.echo_of(VIP.into(), 1, 1, LONG)?;
    assert_eq!(echoed.lost, 1, "{echoed:?}");
    assert_eq!(director.status()?.verdict("fragment"), 3);
    lab.finish()
}
