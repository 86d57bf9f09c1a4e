//! Next hops out of links, paths and neighbours.

use super::*;

const ETH0: u32 = 2;
const ETH1: u32 = 3;

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn network() -> Network {
    let link = |name: &str, last| Link {
        name: name.to_owned(),
        mac: Some(mac(last)),
        mtu: 1500,
        is_up: true,
        xdp: Xdp::None,
        vlan: None,
    };
    let mut network = Network::default();
    network.links.insert(ETH0, link("eth0", 100));
    network.links.insert(ETH1, link("eth1", 101));
    network.set_paths(BTreeMap::from([
        (
            ip("10.0.0.11"),
            Path {
                ifindex: ETH0,
                via: ip("10.0.0.11"),
                source: None,
                mtu: None,
            },
        ),
        (
            ip("10.9.0.1"),
            Path {
                ifindex: ETH1,
                via: ip("10.1.0.254"),
                source: None,
                mtu: None,
            },
        ),
    ]));
    network
}

#[test]
fn a_next_hop_needs_a_path_and_a_neighbour() {
    let mut network = network();
    assert_eq!(network.next_hop(ip("10.0.0.11")), None);
    assert_eq!(network.missing().count(), 2);
    network.resolved(ETH0, ip("10.0.0.11"), mac(11));
    let hop = network.next_hop(ip("10.0.0.11")).unwrap();
    assert_eq!(
        hop,
        NextHop {
            ifindex: ETH0,
            destination: mac(11),
            source: mac(100),
            vlan: 0,
        }
    );
    assert_eq!(network.next_hop(ip("10.0.0.12")), None);
}

#[test]
fn behind_a_router_the_next_hop_is_the_router() {
    let mut network = network();
    network.resolved(ETH1, ip("10.1.0.254"), mac(254));
    let hop = network.next_hop(ip("10.9.0.1")).unwrap();
    assert_eq!((hop.ifindex, hop.destination), (ETH1, mac(254)));
}

#[test]
fn a_neighbour_that_times_out_is_used_on_and_a_new_address_takes_effect() {
    let mut network = network();
    network.resolved(ETH0, ip("10.0.0.11"), mac(11));
    let hop = network.next_hop(ip("10.0.0.11"));
    network.unresolved(ETH0, ip("10.0.0.11"));
    assert_eq!(network.next_hop(ip("10.0.0.11")), hop);
    network.resolved(ETH0, ip("10.0.0.11"), mac(12));
    assert_eq!(
        network.next_hop(ip("10.0.0.11")).unwrap().destination,
        mac(12)
    );
}

#[test]
fn a_destination_that_moves_to_another_link_is_not_reached_by_the_old_hop() {
    let mut network = network();
    network.resolved(ETH0, ip("10.0.0.11"), mac(11));
    network.next_hop(ip("10.0.0.11")).unwrap();
    network.set_paths(BTreeMap::from([(
        ip("10.0.0.11"),
        Path {
            ifindex: ETH1,
            via: ip("10.1.0.254"),
            source: None,
            mtu: None,
        },
    )]));
    assert_eq!(network.next_hop(ip("10.0.0.11")), None);
}

const VLAN: u32 = 9;

/// The network, with 10.20.0.11 behind VLAN 20 of eth0.
fn with_vlan(is_dot1q: bool) -> Network {
    let mut network = network();
    let vlan = Vlan {
        id: 20,
        parent: ETH0,
        is_dot1q,
    };
    let link = Link {
        name: "eth0.20".to_owned(),
        mac: Some(mac(120)),
        mtu: 1400,
        is_up: true,
        xdp: Xdp::None,
        vlan: Some(vlan),
    };
    network.links.insert(VLAN, link);
    let path = Path {
        ifindex: VLAN,
        via: ip("10.20.0.11"),
        source: None,
        mtu: None,
    };
    network.served = BTreeSet::from([ETH0]);
    network.set_paths(BTreeMap::from([(path.via, path)]));
    network.resolved(VLAN, path.via, mac(11));
    network
}

#[test]
fn packets_for_a_vlan_leave_tagged_by_the_interface_below() {
    let mut network = with_vlan(true);
    let hop = NextHop {
        ifindex: ETH0,
        destination: mac(11),
        source: mac(120),
        vlan: 20,
    };
    assert_eq!(network.next_hop(ip("10.20.0.11")), Some(hop));
    let vlans: Vec<_> = network.vlans().collect();
    let known = NextHop {
        destination: Mac::default(),
        ..hop
    };
    assert_eq!(vlans, [(VLAN, known)]);
    // A refresh keeps what is not resolved at the moment.
    network.unresolved(VLAN, ip("10.20.0.11"));
    let paths = network.hops().map(|path| (path.via, path)).collect();
    network.set_paths(paths);
    assert_eq!(network.next_hop(ip("10.20.0.11")), Some(hop));
}

#[test]
fn a_vlan_that_is_served_itself_or_is_of_nobody_s_is_a_link_as_others_are() {
    for served in [BTreeSet::from([ETH0, VLAN]), BTreeSet::from([ETH1])] {
        let mut network = with_vlan(true);
        network.served = served;
        let hop = network.next_hop(ip("10.20.0.11")).unwrap();
        assert_eq!((hop.ifindex, hop.vlan), (VLAN, 0));
        assert_eq!(network.vlans().count(), 0);
    }
}

#[test]
fn there_is_no_way_by_two_tags() {
    let mut network = with_vlan(false);
    assert_eq!(network.next_hop(ip("10.20.0.11")), None);
    assert!(network.is_out_of_reach(ip("10.20.0.11")));
    let mut network = with_vlan(true);
    assert!(!network.is_out_of_reach(ip("10.20.0.11")));
    let vlan = network.links[&VLAN].clone();
    network.links.insert(
        ETH0,
        Link {
            vlan: vlan.vlan.map(|vlan| Vlan {
                parent: ETH1,
                ..vlan
            }),
            ..vlan
        },
    );
    assert_eq!(network.next_hop(ip("10.20.0.11")), None);
    assert!(network.is_out_of_reach(ip("10.20.0.11")));
}

#[test]
fn a_way_is_narrow_where_longer_packets_come_in_one_by_one() {
    let mut network = with_vlan(true);
    let real = ip("10.20.0.11");
    assert_eq!(network.mtu(real), Some(1400));
    assert_eq!(network.narrow_mtu(real), None, "no program in the driver");
    network.links.get_mut(&ETH0).unwrap().xdp = Xdp::Native;
    assert_eq!(network.narrow_mtu(real), Some(1400));
    network.links.get_mut(&ETH0).unwrap().mtu = 1400;
    assert_eq!(network.narrow_mtu(real), None, "nothing longer comes in");
    network.served.insert(ETH1);
    assert_eq!(network.narrow_mtu(real), None, "one is not native");
}
