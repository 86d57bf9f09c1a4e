use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use super::facts::{ALL, Knob, Place};
use super::memory::Back;
use super::plan::Open;
use super::*;
use crate::network::addresses::{DefaultRoute, Held, Interface};

const LO: u32 = 1;
const ETH0: u32 = 2;
const ETH1: u32 = 3;
const PINS: &str = "/sys/fs/bpf/viaduct-decap";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn interface(index: u32, name: &str) -> Interface {
    Interface {
        index,
        name: name.to_owned(),
        is_up: true,
        is_loopback: index == LO,
        is_asked: index != LO,
        mtu: 1500,
    }
}

/// A host with two links, as it comes from the distribution.
fn host() -> Facts {
    let held = |address, prefix, ifindex| Held {
        address: ip(address),
        prefix,
        ifindex,
    };
    let mut facts = Facts {
        interfaces: vec![
            interface(LO, "lo"),
            interface(ETH0, "eth0"),
            interface(ETH1, "eth1"),
        ],
        addresses: vec![
            held("127.0.0.1", 8, LO),
            held("10.77.0.11", 24, ETH0),
            held("10.77.1.11", 24, ETH1),
        ],
        default_routes: [false, true]
            .map(|is_v6| DefaultRoute {
                is_v6,
                ifindex: ETH0,
            })
            .into(),
        ..Facts::default()
    };
    for name in [ALL, "lo", "eth0", "eth1"] {
        for knob in Knob::ALL {
            facts.sysctls.insert(knob.of(name), 0);
        }
    }
    facts
}

fn wanted(method: Method, vips: &[&str]) -> Wanted {
    Wanted {
        vips: vips.iter().map(|vip| ip(vip)).collect(),
        method,
        interface: "eth0".to_owned(),
        pin_dir: PINS.into(),
    }
}

fn dr() -> Wanted {
    wanted(Method::Dr, &["10.77.0.100"])
}

fn tunnel() -> Wanted {
    wanted(Method::Tunnel, &["10.77.0.100"])
}

/// What the kernel would make of steps.
fn after(mut facts: Facts, steps: &[Step]) -> Facts {
    for step in steps {
        match step {
            Step::Set { sysctl, to, .. } => {
                facts.sysctls.insert(sysctl.clone(), *to);
            }
            Step::Add { vip } => facts.addresses.push(Held {
                address: *vip,
                prefix: if vip.is_ipv4() { 32 } else { 128 },
                ifindex: LO,
            }),
            Step::Open(open) => {
                facts.far_end.interfaces.insert(open.interface.clone());
                facts.far_end.vips.clone_from(&open.vips);
            }
        }
    }
    facts
}

/// What it would make of the way back.
fn back(mut facts: Facts, way: &[Back]) -> Facts {
    for back in way {
        match back {
            Back::Close {
                interface,
                detach,
                vips,
                ..
            } => {
                if *detach {
                    facts.far_end.interfaces.remove(interface);
                }
                facts.far_end.vips.retain(|vip| !vips.contains(vip));
            }
            Back::Remove { vip } => facts.addresses.retain(|held| held.address != *vip),
            Back::Reset { sysctl, to } => {
                facts.sysctls.insert(sysctl.clone(), *to);
            }
            Back::Leave(_) => {}
        }
    }
    facts
}

fn memory(steps: &[Step]) -> Memory {
    let mut memory = Memory::default();
    memory.remember(steps);
    memory
}

fn told(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

fn wrong(facts: &Facts, wanted: &Wanted) -> Vec<String> {
    let items = check(facts, wanted).into_iter();
    let mend = |item: Item| match item.verdict {
        Verdict::Wrong(mend) => Some(mend),
        Verdict::Good | Verdict::Note => None,
    };
    items.filter_map(mend).collect()
}

#[test]
fn a_dr_server_falls_silent_before_it_has_the_vip() {
    let steps = plan(&host(), &dr()).unwrap();
    assert_eq!(
        told(&steps),
        [
            "net.ipv4.conf.all.arp_ignore = 1 (was 0)",
            "net.ipv4.conf.all.arp_announce = 2 (was 0)",
            "net.ipv4.conf.eth0.arp_ignore = 1 (was 0)",
            "net.ipv4.conf.eth0.arp_announce = 2 (was 0)",
            "10.77.0.100/32 added to lo",
        ]
    );
}

#[test]
fn a_tunnels_end_has_the_vip_before_it_opens_packets() {
    let mut facts = host();
    facts.sysctls.insert(Knob::RpFilter.of(ALL), 1);
    let steps = told(&plan(&facts, &tunnel()).unwrap());
    assert_eq!(
        steps[4..],
        [
            "net.ipv4.conf.eth0.rp_filter = 2 (was 0)",
            "10.77.0.100/32 added to lo",
            "eth0: packets to 10.77.0.100 are taken out of tunnels",
        ]
    );
}

#[test]
fn ipv6_needs_no_switch() {
    let steps = plan(&host(), &wanted(Method::Dr, &["fd77::100"])).unwrap();
    assert_eq!(told(&steps), ["fd77::100/128 added to lo"]);
}

#[test]
fn after_setup_nothing_is_left_to_do_and_check_passes_and_before_it_does_not() {
    let both = ["10.77.0.100", "fd77::100"];
    for wanted in [wanted(Method::Dr, &both), wanted(Method::Tunnel, &both)] {
        let mut facts = host();
        facts.sysctls.insert(Knob::RpFilter.of("eth0"), 1);
        assert!(!wrong(&facts, &wanted).is_empty());
        let steps = plan(&facts, &wanted).unwrap();
        let facts = after(facts, &steps);
        assert_eq!(wrong(&facts, &wanted), [""; 0]);
        let again = plan(&facts, &wanted).unwrap();
        assert!(memory(&again).is_empty(), "{again:?}");
    }
}

#[test]
fn undo_leads_to_where_setup_began() {
    let mut facts = host();
    facts.sysctls.insert(Knob::RpFilter.of(ALL), 1);
    facts.sysctls.insert(Knob::ArpAnnounce.of(ALL), 1);
    for wanted in [
        dr(),
        tunnel(),
        wanted(Method::Tunnel, &["fd77::100", "10.77.0.1"]),
    ] {
        let steps = plan(&facts, &wanted).unwrap();
        let changed = after(facts.clone(), &steps);
        let way = memory(&steps).way_back(&changed);
        assert_eq!(back(changed, &way), facts);
    }
}

#[test]
fn a_failure_at_any_step_leads_back_to_where_setup_began() {
    let steps = plan(&host(), &tunnel()).unwrap();
    for done in 0..=steps.len() {
        let changed = after(host(), &steps[..done]);
        let way = memory(&steps).way_back(&changed);
        assert_eq!(back(changed, &way), host(), "after {done} steps");
    }
}

#[test]
fn what_was_there_before_setup_stays_after_undo() {
    let mut facts = host();
    facts.addresses.push(Held {
        address: ip("10.77.0.100"),
        prefix: 32,
        ifindex: LO,
    });
    facts.far_end.interfaces.insert("eth0".to_owned());
    facts.far_end.vips.insert(ip("10.77.0.200"));
    let both = wanted(Method::Tunnel, &["10.77.0.100", "10.77.0.101"]);
    let steps = plan(&facts, &both).unwrap();
    let Some(Step::Open(open)) = steps.last() else {
        panic!("{steps:?}");
    };
    let all = ["10.77.0.100", "10.77.0.101", "10.77.0.200"].map(ip);
    assert_eq!(open.vips, BTreeSet::from(all));
    assert!(!open.is_new);
    let changed = after(facts.clone(), &steps);
    let way = memory(&steps).way_back(&changed);
    assert_eq!(back(changed, &way), facts);
}

#[test]
fn two_setups_are_undone_at_once() {
    let first = plan(&host(), &dr()).unwrap();
    let between = after(host(), &first);
    let mut second = tunnel();
    second.vips = vec![ip("10.77.0.101")];
    second.interface = "eth1".to_owned();
    let steps = plan(&between, &second).unwrap();
    let changed = after(between, &steps);
    let mut memory = memory(&first);
    memory.remember(&steps);
    let way = memory.way_back(&changed);
    assert_eq!(back(changed, &way), host());
}

#[test]
fn what_somebody_else_changed_since_is_left_and_told() {
    let steps = plan(&host(), &dr()).unwrap();
    let mut changed = after(host(), &steps);
    changed.sysctls.insert(Knob::ArpIgnore.of(ALL), 2);
    changed.sysctls.remove(&Knob::ArpAnnounce.of("eth0"));
    changed
        .addresses
        .retain(|held| held.address != ip("10.77.0.100"));
    let way = memory(&steps).way_back(&changed);
    let told: Vec<String> = way.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "net.ipv4.conf.eth0.arp_announce: it is gone",
            "net.ipv4.conf.eth0.arp_ignore = 0",
            "net.ipv4.conf.all.arp_announce = 0",
            "net.ipv4.conf.all.arp_ignore: left at 2, which somebody else set (before setup it was 0)",
        ]
    );
}

#[test]
fn values_that_do_as_well_are_left() {
    let mut facts = host();
    for name in [ALL, "eth0"] {
        facts.sysctls.insert(Knob::ArpIgnore.of(name), 2);
        facts.sysctls.insert(Knob::ArpAnnounce.of(name), 2);
    }
    let steps = plan(&facts, &dr()).unwrap();
    assert_eq!(told(&steps), ["10.77.0.100/32 added to lo"]);
    // 3 answers for addresses of global scope, 4 to 7 mean nothing.
    for loud in [0, 3, 5] {
        facts.sysctls.insert(Knob::ArpIgnore.of("eth0"), loud);
        assert_eq!(plan(&facts, &dr()).unwrap().len(), 2, "{loud}");
    }
}

#[test]
fn only_the_interface_is_loosened_and_only_where_answers_leave_elsewhere() {
    let mut facts = host();
    facts.sysctls.insert(Knob::RpFilter.of(ALL), 1);
    let loosens = |facts: &Facts, wanted| {
        let steps = plan(facts, &wanted).unwrap();
        let mut steps = steps.into_iter();
        steps.any(|step| matches!(step, Step::Set { sysctl, .. } if sysctl.knob == Knob::RpFilter))
    };
    assert!(loosens(&facts, tunnel()) && !loosens(&facts, dr()));
    facts.default_routes[0].ifindex = ETH1;
    assert!(loosens(&facts, dr()));
    facts.sysctls.insert(Knob::RpFilter.of("eth0"), 2);
    assert!(!loosens(&facts, dr()) && !loosens(&facts, tunnel()));
}

#[test]
fn what_makes_no_sense_is_refused_with_a_remedy() {
    let told = |facts: &Facts, wanted: &Wanted| plan(facts, wanted).unwrap_err().to_string();
    for (vip, kind) in [
        ("127.0.0.1", "a loopback"),
        ("224.0.0.18", "a multicast"),
        ("0.0.0.0", "the unspecified"),
        ("fe80::1", "a link-local"),
        ("::ffff:10.0.0.1", "an IPv4-mapped"),
    ] {
        let said = told(&host(), &wanted(Method::Dr, &[vip]));
        assert!(
            said.contains(&format!("--vip {vip}")) && said.contains(kind),
            "{said}"
        );
    }
    let mut elsewhere = dr();
    elsewhere.interface = "eth7".to_owned();
    assert_eq!(
        told(&host(), &elsewhere),
        "--interface eth7: this host has none of that name; it has lo, eth0, eth1"
    );
    elsewhere.interface = "lo".to_owned();
    assert!(told(&host(), &elsewhere).starts_with("--interface lo: "));

    let said = told(&host(), &wanted(Method::Dr, &["10.77.1.11"]));
    assert!(
        said.contains("`ip address del 10.77.1.11/24 dev eth1`"),
        "{said}"
    );
    let mut wide = host();
    wide.addresses.push(Held {
        address: ip("10.77.0.100"),
        prefix: 24,
        ifindex: LO,
    });
    let said = told(&wide, &dr());
    assert!(
        said.contains("`ip address del 10.77.0.100/24 dev lo`"),
        "{said}"
    );
    let mut old = host();
    old.sysctls.insert(Knob::DisableIpv6.of("lo"), 1);
    let said = told(&old, &wanted(Method::Dr, &["fd77::100"]));
    assert!(
        said.contains("`sysctl -w net.ipv6.conf.lo.disable_ipv6=0`"),
        "{said}"
    );
}

#[test]
fn who_may_not_is_told_what_is_needed() {
    let mut facts = host();
    facts.lacking = vec!["CAP_PERFMON", "CAP_BPF"];
    assert!(plan(&facts, &dr()).is_ok());
    let said = plan(&facts, &tunnel()).unwrap_err().to_string();
    assert_eq!(
        said,
        "not permitted: this needs CAP_PERFMON, CAP_BPF; run it as root"
    );
    facts.lacking = vec!["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"];
    let said = plan(&facts, &dr()).unwrap_err().to_string();
    assert_eq!(
        said,
        "not permitted: this needs CAP_NET_ADMIN; run it as root"
    );
}

#[test]
fn check_names_what_mends_each_item() {
    let mut facts = host();
    facts.sysctls.insert(Knob::RpFilter.of("eth0"), 1);
    facts.interfaces[1].is_up = false;
    let wanted = wanted(Method::Tunnel, &["10.77.0.100", "fd77::100"]);
    assert_eq!(
        wrong(&facts, &wanted),
        [
            "ip link set eth0 up",
            "ip address add 10.77.0.100/32 dev lo scope host",
            "ip address add fd77::100/128 dev lo nodad preferred_lft 0",
            "sysctl -w net.ipv4.conf.all.arp_ignore=1",
            "sysctl -w net.ipv4.conf.all.arp_announce=2",
            "sysctl -w net.ipv4.conf.eth0.rp_filter=2",
            "viaduct-lb decap --interface eth0 --vip 10.77.0.100 --vip fd77::100",
        ]
    );
}

#[test]
fn check_sees_what_setup_cannot_mend() {
    let mut facts = host();
    facts.addresses.push(Held {
        address: ip("10.77.0.100"),
        prefix: 32,
        ifindex: ETH1,
    });
    facts.sysctls.insert(Knob::ArpIgnore.of(ALL), 1);
    facts.sysctls.insert(Knob::ArpAnnounce.of(ALL), 2);
    assert_eq!(
        wrong(&facts, &dr()),
        ["ip address del 10.77.0.100/32 dev eth1"]
    );
    // Another link where somebody may ask.
    facts.sysctls.insert(Knob::ArpIgnore.of("eth1"), 3);
    let mends = wrong(&facts, &dr());
    assert_eq!(mends[1], "sysctl -w net.ipv4.conf.eth1.arp_ignore=1");
    facts.interfaces.truncate(1);
    assert_eq!(wrong(&facts, &dr())[0], "ip link show");
}

#[test]
fn a_vip_where_nobody_asks_is_as_good_as_on_lo() {
    let mut facts = host();
    facts.interfaces[2].is_asked = false;
    facts.addresses.push(Held {
        address: ip("10.77.0.100"),
        prefix: 32,
        ifindex: ETH1,
    });
    assert_eq!(facts.place(ip("10.77.0.100")), Place::Quiet);
    let steps = plan(&facts, &dr()).unwrap();
    assert!(!steps.iter().any(|step| matches!(step, Step::Add { .. })));
}

#[test]
fn sysctls_are_written_as_their_command_reads_them() {
    let written = |name| Knob::ArpIgnore.of(name).to_string();
    assert_eq!(written("eth0"), "net.ipv4.conf.eth0.arp_ignore");
    assert_eq!(written("eth0.5"), "net/ipv4/conf/eth0.5/arp_ignore");
}

fn scratch(name: &str) -> PathBuf {
    let name = format!("viaduct-memory-{}-{name}.json", std::process::id());
    std::env::temp_dir().join(name)
}

#[test]
fn a_memory_is_read_as_it_was_written_and_gone_when_empty() {
    let file = scratch("whole");
    assert!(Memory::load(&file).unwrap().is_empty());
    let steps = plan(&host(), &tunnel()).unwrap();
    let memory = memory(&steps);
    memory.save(&file).unwrap();
    assert_eq!(Memory::load(&file).unwrap(), memory);
    Memory::default().save(&file).unwrap();
    assert!(!file.exists());
    Memory::default().save(&file).unwrap();
}

#[test]
fn what_is_no_memory_is_refused() {
    let file = scratch("broken");
    for text in [
        "",
        "{}",
        r#"{"version":2,"sysctls":[],"addresses":[],"far_ends":[]}"#,
        r#"{"version":1,"sysctls":[],"addresses":[],"far_ends":[],"more":1}"#,
    ] {
        std::fs::write(&file, text).unwrap();
        assert!(Memory::load(&file).is_err(), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn far_ends_that_change_nothing_are_not_remembered() {
    let open = Open {
        interface: "eth0".to_owned(),
        pins: PINS.into(),
        is_new: false,
        vips: BTreeSet::from([ip("10.77.0.100")]),
        new: BTreeSet::new(),
    };
    assert!(memory(&[Step::Open(open)]).is_empty());
}
