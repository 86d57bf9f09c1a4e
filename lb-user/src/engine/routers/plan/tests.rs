//! What is played, by what is known.

use daemon::source::SourceFile;
use lb_ebpf::abi::Mac;

use super::*;
use crate::network::Xdp;

const TWO: &str = r#"
[hosts.lb1.director]
interfaces = ["eth0", "eth1"]
[hosts.lb1.director.virtual_router.outside]
interface = "eth0"
priority = 150
[hosts.lb1.director.virtual_router.inside]
interface = "eth1"
priority = 150
[hosts.lb2.director]
interfaces = ["eth0", "eth1"]
[hosts.lb2.director.virtual_router.outside]
interface = "eth0"
[hosts.lb2.director.virtual_router.inside]
interface = "eth1"

[[virtual_router]]
name = "outside"
vrid = 51
vips = ["10.77.0.100", "fd77::100"]
group = "site"
[[virtual_router.track]]
service = "web"
quorum = 60
weight = 70

[[virtual_router]]
name = "inside"
vrid = 52
vips = ["10.77.1.1"]
group = "site"
mac = "virtual"

[[service]]
name = "web"
vip = "10.77.0.100"
port = 80
protocol = "tcp"
method = "nat"
[service.health]
type = "tcp"
[[service.real]]
address = "10.77.1.11"
weight = 100
"#;

/// The world of a director, as far as virtual routers depend on it.
struct World {
    site: Site,
    network: Network,
    addresses: Vec<(String, IpAddr)>,
    is_ready: bool,
    is_leaving: bool,
    is_offered: bool,
    served: BTreeSet<u32>,
    places: Places,
}

impl World {
    fn new(text: &str) -> Self {
        let site = Site::parse(SourceFile::new("site.toml", text))
            .unwrap()
            .site;
        let link = |name: &str, last| Link {
            name: name.to_owned(),
            mac: Some(Mac([2, 0, 0, 0, 0, last])),
            mtu: 1500,
            is_up: true,
            xdp: Xdp::Native,
            vlan: None,
        };
        let mut network = Network::default();
        network.links = [(2, link("eth0", 2)), (3, link("eth1", 3))].into();
        let addresses = [
            ("eth0", "10.77.0.100"),
            ("eth0", "10.77.0.2"),
            ("eth0", "10.77.0.3"),
            ("eth0", "fd77::2"),
            ("eth0", "fe80::2"),
            ("eth1", "10.77.1.2"),
        ];
        Self {
            site,
            network,
            addresses: addresses
                .map(|(name, address)| (name.to_owned(), address.parse().unwrap()))
                .to_vec(),
            is_ready: true,
            is_leaving: false,
            is_offered: false,
            served: [2, 3].into(),
            places: Places::default(),
        }
    }

    fn plan(&mut self) -> (Vec<Instance>, Vec<Shown>) {
        let planned = self.planned();
        (planned.instances, planned.shown)
    }

    fn planned(&mut self) -> Planned {
        let facts = Facts {
            site: &self.site,
            host: "lb1",
            network: &self.network,
            served: &self.served,
            addresses: &self.addresses,
            targets: &Targets::default(),
            scripts: &Scripts::default(),
            is_ready: self.is_ready,
            is_leaving: self.is_leaving,
            is_offered: self.is_offered,
        };
        plan(&facts, &mut self.places)
    }

    fn parts(&mut self) -> Vec<Part> {
        let (instances, _) = self.plan();
        instances.iter().map(|instance| instance.part).collect()
    }

    fn faults(&mut self) -> Vec<String> {
        let (_, shown) = self.plan();
        let fault = |at: Shown| at.fault.unwrap_or_else(|| "none".to_owned());
        shown.into_iter().map(fault).collect()
    }

    fn link(&mut self, ifindex: u32) -> &mut Link {
        self.network.links.get_mut(&ifindex).unwrap()
    }
}

#[test]
fn each_family_is_an_instance_that_speaks_from_the_interface_s_own_address() {
    let (instances, _) = World::new(TWO).plan();
    let found: Vec<_> = instances
        .iter()
        .map(|at| {
            (
                at.key.to_string(),
                at.index,
                at.params.primary().to_string(),
                at.mac,
            )
        })
        .collect();
    let own = |last| Mac([2, 0, 0, 0, 0, last]);
    let expected = [
        ("outside (IPv4)", 0, "10.77.0.2", own(2)),
        ("outside (IPv6)", 1, "fe80::2", own(2)),
        ("inside (IPv4)", 2, "10.77.1.2", Mac([0, 0, 0x5e, 0, 1, 52])),
    ];
    let expected = expected.map(|(key, at, from, mac)| (key.to_owned(), at, from.to_owned(), mac));
    assert_eq!(found, expected);
    assert!(
        instances
            .iter()
            .all(|at| at.part == Part::Full && &*at.group == "site")
    );
}

#[test]
fn nobody_takes_part_before_the_data_plane_is_in_place() {
    let mut world = World::new(TWO);
    world.is_ready = false;
    assert_eq!(world.parts(), [Part::Out; 3]);
}

#[test]
fn whoever_leaves_hands_over() {
    let mut world = World::new(TWO);
    world.is_offered = true;
    assert_eq!(world.parts(), [Part::Offered; 3]);
    assert_eq!(world.faults(), ["resigned by order"; 3]);
    world.is_leaving = true;
    assert_eq!(world.parts(), [Part::Leaving; 3]);
}

#[test]
fn a_link_that_is_down_takes_its_whole_group_out() {
    let mut world = World::new(TWO);
    world.link(3).is_up = false;
    assert_eq!(world.parts(), [Part::Out; 3]);
    assert_eq!(
        world.faults(),
        [
            "inside of its group takes no part",
            "inside of its group takes no part",
            "interface eth1 is down"
        ]
    );
    world.network.links.remove(&3);
    assert_eq!(
        world.parts(),
        [Part::Out; 2],
        "there is nothing to play on eth1"
    );
}

#[test]
fn an_interface_without_an_address_is_a_fault() {
    let mut world = World::new(TWO);
    let is_not_link_local = |address: &IpAddr| *address != "fe80::2".parse::<IpAddr>().unwrap();
    world
        .addresses
        .retain(|(_, address)| is_not_link_local(address));
    assert_eq!(
        world.faults()[1],
        "interface eth0 has no link-local IPv6 address"
    );
    assert_eq!(world.parts(), [Part::Out; 2]);
}

#[test]
fn what_is_tracked_lowers_the_priority_and_is_named() {
    let mut world = World::new(TWO);
    // No verdict of health is known here, and without a target a server counts as up.
    let (instances, _) = world.plan();
    assert_eq!(instances[0].params.priority().get(), 150);
    for service in &mut world.site.services {
        service.reals[0].weight = crate::config::Weight(59);
    }
    let (instances, shown) = world.plan();
    let priorities: Vec<u8> = instances
        .iter()
        .map(|at| at.params.priority().get())
        .collect();
    assert_eq!(priorities, [80; 3], "its group goes along");
    assert_eq!(shown[0].failing, ["quorum 60 of service web"]);
}

#[test]
fn places_are_kept_while_they_are_used_and_given_away_again() {
    let mut world = World::new(TWO);
    let (before, _) = world.plan();
    world.site.virtual_routers.remove(0);
    let (after, _) = world.plan();
    assert_eq!(after.len(), 1);
    assert_eq!((&after[0].key, after[0].index), (&before[2].key, 2));
    assert!(Arc::ptr_eq(&after[0].board, &before[2].board));
    let mut world_with_both = World::new(TWO);
    world_with_both.places = world.places;
    let (again, _) = world_with_both.plan();
    let indexes: Vec<u16> = again.iter().map(|at| at.index).collect();
    assert_eq!(
        indexes,
        [3, 4, 2],
        "what was given up is not another's at once"
    );
}

#[test]
fn a_router_that_cannot_be_played_keeps_its_vips_from_the_stack() {
    let mut world = World::new(TWO);
    world.addresses.retain(|(name, _)| name != "eth1");
    world.network.links.remove(&2);
    let planned = world.planned();
    assert!(planned.instances.is_empty());
    let wishes: Vec<_> = planned
        .wishes
        .iter()
        .map(|wish| (wish.ifindex, wish.vips.len()))
        .collect();
    // The IPv6 one has a link-local VIP besides.
    assert_eq!(wishes, [(0, 1), (0, 2), (0, 1)]);
    let indexes: BTreeSet<u16> = planned.wishes.iter().map(|wish| wish.index).collect();
    assert_eq!(indexes.len(), 3);
}

#[test]
fn an_interface_that_the_program_is_not_attached_to_is_a_fault() {
    let mut world = World::new(TWO);
    world.served = [2].into();
    assert_eq!(world.parts(), [Part::Out; 3]);
    assert_eq!(world.faults()[2], "interface eth1 is not served");
}
