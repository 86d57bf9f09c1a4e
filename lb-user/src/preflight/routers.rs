//! Whether the host keeps quiet about VIPs that another director serves, and takes frames that are for
//! its virtual routers.
//!
//! Doubts, not wants: what the program drops the host is not asked. Not here: rights (`wants`).

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;

use vrrp::Family;

use super::Facts;
use crate::config::{MacChoice, Site};
use crate::realserver::{is_discreet, is_silent};

/// How an interface, or `all` of them, answers ARP and asks by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arp {
    /// Its `arp_ignore`.
    pub ignore: i32,
    /// Its `arp_announce`.
    pub announce: i32,
}

/// What makes a virtual router's place doubtful.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouterDoubt {
    /// The host's own stack speaks in the VIP's name while another director has it.
    #[error(
        "virtual router {router}: {vip} is on an interface of this host too, and its ARP may claim it \
         while another director serves it: `sysctl -w net.ipv4.conf.all.arp_ignore=1 \
         net.ipv4.conf.all.arp_announce=2` (and in /etc/sysctl.d)"
    )]
    Claimed {
        /// The router.
        router: String,
        /// Its VIP.
        vip: IpAddr,
    },
}

/// What is to be known of a virtual router's place, though nobody can tell whether it is so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouterHint {
    /// Its own Ethernet address.
    #[error(
        "virtual router {router} has an Ethernet address of its own, and {interface} is told to take \
         frames to it; where the card does not: `ip link set {interface} promisc on`"
    )]
    Filter {
        /// The router.
        router: String,
        /// Its interface.
        interface: String,
    },
    /// Its VLAN.
    #[error(
        "virtual router {router} is in VLAN {interface}, and a program on {parent} has to see the tags: \
         `ethtool -K {parent} rxvlan off`"
    )]
    Tags {
        /// The router.
        router: String,
        /// Its interface.
        interface: String,
        /// The one below.
        parent: String,
    },
}

/// Where the kernel has its switches of ARP, a directory for each interface and one for all.
const CONF: &str = "/proc/sys/net/ipv4/conf";
/// Where it lists VLANs, once there are some.
const VLANS: &str = "/proc/net/vlan/config";

/// How each interface answers ARP, by its name.
pub(super) fn arp() -> BTreeMap<String, Arp> {
    let places = fs::read_dir(CONF).into_iter().flatten().flatten();
    let read = |place: fs::DirEntry| {
        let value = |name: &str| {
            let text = fs::read_to_string(place.path().join(name)).ok()?;
            text.trim().parse().ok()
        };
        let arp = Arp {
            ignore: value("arp_ignore")?,
            announce: value("arp_announce")?,
        };
        Some((place.file_name().into_string().ok()?, arp))
    };
    places.filter_map(read).collect()
}

/// VLANs by their names, each with the interface below.
pub(super) fn vlans() -> BTreeMap<String, String> {
    listed(&fs::read_to_string(VLANS).unwrap_or_default())
}

/// The list as the kernel writes it: `eth0.20        | 20  | eth0`, below two lines of heading.
fn listed(list: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let mut words = line.split('|').map(str::trim);
        let (name, _number, parent) = (words.next()?, words.next()?, words.next()?);
        Some((name.to_owned(), parent.to_owned()))
    };
    list.lines().skip(2).filter_map(line).collect()
}

impl Facts {
    /// What is doubtful about the virtual routers of a host.
    pub fn router_doubts(&self, site: &Site, host: &str) -> Vec<RouterDoubt> {
        let mut doubts = Vec::new();
        for (router, part) in site.routers_of(host) {
            // An owner's VIP is its own address, whoever serves it for a while.
            if part.priority.is_owner() || self.is_quiet(&part.interface) {
                continue;
            }
            let vips = router.vips(Family::V4).into_iter();
            doubts.extend(vips.filter(|vip| self.addresses.contains(vip)).map(|vip| {
                RouterDoubt::Claimed {
                    router: router.name.clone(),
                    vip,
                }
            }));
        }
        doubts
    }

    /// What is to be known where the virtual routers of a host are.
    pub fn router_hints(&self, site: &Site, host: &str) -> Vec<RouterHint> {
        let mut hints = Vec::new();
        let routers = site.routers_of(host);
        for (router, part) in routers.filter(|(router, _)| router.mac == MacChoice::Virtual) {
            let (router, interface) = (router.name.clone(), part.interface.clone());
            if let Some(parent) = self.vlans.get(&interface).cloned() {
                hints.push(RouterHint::Tags {
                    router: router.clone(),
                    interface: interface.clone(),
                    parent,
                });
            }
            hints.push(RouterHint::Filter { router, interface });
        }
        hints
    }

    /// Whether this host tells nobody by an interface of addresses that are elsewhere, nor asks in their
    /// name. The larger of an interface's value and that of all counts.
    fn is_quiet(&self, interface: &str) -> bool {
        let of = |name: &str| self.arp.get(name).copied().unwrap_or_default();
        let (all, own) = (of("all"), of(interface));
        is_silent(all.ignore.max(own.ignore)) && is_discreet(all.announce.max(own.announce))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    fn site(router: &str, part: &str) -> Site {
        let text = format!(
            "[hosts.a]\naddresses = [\"10.0.0.2\"]\n\
             [hosts.a.director]\ninterfaces = [\"eth0.20\"]\n\
             [hosts.a.director.virtual_router.site]\ninterface = \"eth0.20\"\n{part}\n\
             [[virtual_router]]\nname = \"site\"\nvrid = 51\n{router}\n\
             [[service]]\nname = \"web\"\nvip = \"10.0.0.100\"\nport = 80\n\
             protocol = \"tcp\"\nmethod = \"dr\"\n\
             [[service.real]]\naddress = \"10.0.0.11\"\n"
        );
        let source = daemon::source::SourceFile::new("site.toml", text);
        Site::parse(source)
            .unwrap_or_else(|report| panic!("{report}"))
            .site
    }

    fn with(addresses: &[&str], arp: &[(&str, i32, i32)]) -> Facts {
        let arp = arp.iter().map(|(name, ignore, announce)| {
            let (ignore, announce) = (*ignore, *announce);
            ((*name).to_owned(), Arp { ignore, announce })
        });
        Facts {
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            arp: arp.collect(),
            ..facts()
        }
    }

    #[test]
    fn a_vip_that_the_host_has_too_is_kept_quiet_about() {
        let vips = "vips = [\"10.0.0.100\", \"10.0.0.101\", \"fd00::100\"]";
        let site = site(vips, "");
        let both = ["10.0.0.100", "fd00::100"];
        let count =
            |addresses: &[&str], arp: &[_]| with(addresses, arp).router_doubts(&site, "a").len();
        assert_eq!(count(&["10.0.0.2"], &[]), 0, "no VIP of it");
        assert_eq!(count(&["fd00::100"], &[]), 0, "not by IPv6");
        assert_eq!(count(&both, &[("all", 0, 0), ("eth0.20", 0, 0)]), 1);
        assert_eq!(count(&both, &[("all", 1, 2), ("eth0.20", 0, 0)]), 0);
        assert_eq!(count(&both, &[("all", 1, 0), ("eth0.20", 0, 2)]), 0);
        assert_eq!(count(&both, &[("all", 1, 1)]), 1);
        assert_eq!(count(&both, &[("all", 0, 2)]), 1);
        assert_eq!(count(&both, &[("all", 0, 0), ("eth1", 1, 2)]), 1);
        let doubts = with(&both, &[]).router_doubts(&site, "a");
        assert_eq!(
            doubts[0].to_string(),
            "virtual router site: 10.0.0.100 is on an interface of this host too, and its ARP may \
             claim it while another director serves it: `sysctl -w net.ipv4.conf.all.arp_ignore=1 \
             net.ipv4.conf.all.arp_announce=2` (and in /etc/sysctl.d)"
        );
        assert_eq!(with(&both, &[]).router_doubts(&site, "b"), []);
    }

    #[test]
    fn an_owners_vip_is_its_own() {
        let site = site("vips = [\"10.0.0.2\"]", "priority = 255");
        assert_eq!(with(&["10.0.0.2"], &[]).router_doubts(&site, "a"), []);
    }

    #[test]
    fn an_address_of_its_own_needs_a_card_that_takes_its_frames_and_leaves_tags() {
        let vips = "vips = [\"10.0.0.100\"]";
        let own = site(&format!("{vips}\nmac = \"virtual\""), "");
        let told = |facts: &Facts, site: &Site| -> Vec<String> {
            let hints = facts.router_hints(site, "a");
            hints.iter().map(ToString::to_string).collect()
        };
        let filter = "virtual router site has an Ethernet address of its own, and eth0.20 is told to \
                      take frames to it; where the card does not: `ip link set eth0.20 promisc on`";
        assert_eq!(told(&facts(), &own), [filter]);
        let tagged = Facts {
            vlans: listed(
                "VLAN Dev name    | VLAN ID\nName-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n\
                 eth0.20        | 20  | eth0\n",
            ),
            ..facts()
        };
        let tags = "virtual router site is in VLAN eth0.20, and a program on eth0 has to see the \
                    tags: `ethtool -K eth0 rxvlan off`";
        assert_eq!(told(&tagged, &own), [tags, filter]);
        assert_eq!(told(&tagged, &site(vips, "")), Vec::<String>::new());
    }
}
