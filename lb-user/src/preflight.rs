//! What this host must have before anything is touched, each want with the command that mends it.
//!
//! Gathering the facts is apart from judging them. Not here: what only the attempt can tell (an
//! interface's driver, another program on it): see [`crate::datapath`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use crate::config::{Ports, Site};

mod pool;
mod routers;
pub mod scripts;

pub use pool::Doubt;
pub use routers::{Arp, RouterDoubt, RouterHint};

/// What was found out about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `uname -r`.
    pub kernel: String,
    /// Whether the kernel tells its types.
    pub btf: bool,
    /// The effective capabilities, a bit each.
    pub capabilities: u64,
    /// Whether the kernel forwards IPv4.
    pub forwards_v4: bool,
    /// Whether it forwards IPv6.
    pub forwards_v6: bool,
    /// Addresses of the host's interfaces.
    pub addresses: Vec<IpAddr>,
    /// Ports that the kernel gives to nobody by itself, in order.
    pub reserved: Vec<Ports>,
    /// How each interface answers ARP, by its name; `all` is what counts for all of them.
    pub arp: BTreeMap<String, Arp>,
    /// VLANs by their names, each with the interface below.
    pub vlans: BTreeMap<String, String>,
}

/// A want that keeps Viaduct from working, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Want {
    /// Before 6.1.
    #[error("kernel {0} is too old: Viaduct needs 6.1 or newer (Debian 12 has it)")]
    Kernel(String),
    /// No type information.
    #[error(
        "the kernel has no BTF (/sys/kernel/btf/vmlinux is missing): \
         use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels are"
    )]
    Btf,
    /// Not root, nor anything like it.
    #[error(
        "not permitted: viaduct-lb needs {0}; run it as root, or give its unit \
         AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_NET_RAW"
    )]
    Capability(&'static str),
    /// Services whose replies come back this way, and no forwarding.
    #[error(
        "service {service} uses {method}, and this host does not forward {}: \
         turn it on with `sysctl -w {}=1` (and in /etc/sysctl.d)",
        if *.is_v6 { "IPv6" } else { "IPv4" },
        if *.is_v6 { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" }
    )]
    Forwarding {
        /// The service.
        service: String,
        /// Its method: nat or fullnat.
        method: &'static str,
        /// Of which family it is.
        is_v6: bool,
    },
}

const CAPABILITIES: [(u32, &str); 3] =
    [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
/// What virtual routers need besides.
const NET_RAW: (u32, &str) = (13, "CAP_NET_RAW");
/// CAP_SYS_ADMIN implies CAP_BPF and CAP_PERFMON.
const SYS_ADMIN: u32 = 21;
const KERNEL_MIN: (u32, u32) = (6, 1);

impl Facts {
    /// Looks at this host.
    pub fn gather() -> Self {
        let kernel = nix::sys::utsname::uname()
            .map(|names| names.release().to_string_lossy().into_owned())
            .unwrap_or_default();
        Self {
            kernel,
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            capabilities: capabilities(),
            forwards_v4: is_on("/proc/sys/net/ipv4/ip_forward"),
            forwards_v6: is_on("/proc/sys/net/ipv6/conf/all/forwarding"),
            addresses: daemon::host::addresses(),
            reserved: pool::ranges(&fs::read_to_string(pool::RESERVED).unwrap_or_default()),
            arp: routers::arp(),
            vlans: routers::vlans(),
        }
    }

    /// What keeps `site` from working here; nothing when all is well.
    pub fn wants(&self, site: &Site) -> Vec<Want> {
        let mut wants = self.host_wants();
        let (bit, name) = NET_RAW;
        if !site.virtual_routers.is_empty() && self.capabilities >> bit & 1 == 0 {
            wants.push(Want::Capability(name));
        }
        for (is_v6, forwards) in [(false, self.forwards_v4), (true, self.forwards_v6)] {
            let mut replying = site
                .services
                .iter()
                .filter(|service| service.method.returns_here() && service.vip.is_ipv6() == is_v6);
            if let (Some(service), false) = (replying.next(), forwards) {
                wants.push(Want::Forwarding {
                    service: service.name.clone(),
                    method: service.method.word(),
                    is_v6,
                });
            }
        }
        wants
    }

    fn host_wants(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        if version(&self.kernel).is_some_and(|version| version < KERNEL_MIN) {
            wants.push(Want::Kernel(self.kernel.clone()));
        }
        wants.extend(lacking(self.capabilities).map(Want::Capability));
        if !self.btf {
            wants.push(Want::Btf);
        }
        wants
    }

    /// VIPs of `site` that belong to no virtual router and that no interface of this host has: nobody
    /// answers ARP for them. Not networks, which have to be routed here anyway.
    pub fn unanswered<'a>(&'a self, site: &'a Site) -> impl Iterator<Item = IpAddr> + 'a {
        let vips: BTreeSet<IpAddr> = site
            .services
            .iter()
            .filter(|service| service.vip.is_single())
            .map(|service| service.vip.address)
            .collect();
        let is_router_s = |vip: IpAddr| {
            let mut routers = site.virtual_routers.iter();
            routers.any(|router| router.vips(vrrp::Family::of(vip)).contains(&vip))
        };
        vips.into_iter()
            .filter(move |vip| !self.addresses.contains(vip) && !is_router_s(*vip))
    }
}

/// The capabilities that this process lacks to load programs and change the network.
pub fn lacking_here() -> Vec<&'static str> {
    lacking(capabilities()).collect()
}

fn lacking(capabilities: u64) -> impl Iterator<Item = &'static str> {
    let has = move |bit: u32| capabilities >> bit & 1 == 1;
    CAPABILITIES
        .into_iter()
        .filter(move |(bit, _)| !(has(*bit) || *bit >= 38 && has(SYS_ADMIN)))
        .map(|(_, name)| name)
}

/// The effective capabilities of this process, a bit each.
fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").ok();
    status.and_then(|status| effective(&status)).unwrap_or(0)
}

/// Whether a switch of the kernel is on.
fn is_on(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|value| value.trim() == "1")
}

/// Major and minor of a release like `6.1.0-28-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// `CapEff` of a `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn facts() -> Facts {
        Facts {
            kernel: "6.1.0-28-amd64".to_owned(),
            btf: true,
            capabilities: 1 << 12 | 1 << 38 | 1 << 39,
            forwards_v4: false,
            forwards_v6: false,
            addresses: Vec::new(),
            reserved: Vec::new(),
            arp: BTreeMap::new(),
            vlans: BTreeMap::new(),
        }
    }

    #[test]
    fn a_debian_12_with_the_three_capabilities_lacks_nothing() {
        assert_eq!(facts().host_wants(), []);
        let root = Facts {
            capabilities: 1 << 12 | 1 << 21,
            ..facts()
        };
        assert_eq!(root.host_wants(), []);
    }

    #[test]
    fn each_want_is_named() {
        let old = Facts {
            kernel: "5.15.0-91-generic".to_owned(),
            ..facts()
        };
        assert_eq!(
            old.host_wants(),
            [Want::Kernel("5.15.0-91-generic".to_owned())]
        );
        assert_eq!(
            Facts {
                btf: false,
                ..facts()
            }
            .host_wants(),
            [Want::Btf]
        );
        let nobody = Facts {
            capabilities: 0,
            ..facts()
        };
        assert_eq!(nobody.host_wants().len(), 3);
    }

    #[test]
    fn virtual_routers_need_raw_sockets_and_answer_for_their_vips() {
        let text = "[hosts.a.director]\ninterfaces = [\"eth0\"]\n\
                    [hosts.a.director.virtual_router.site]\ninterface = \"eth0\"\n\
                    [[virtual_router]]\nname = \"site\"\nvrid = 51\nvips = [\"10.0.0.100\"]\n";
        let service = |name: &str, vip: &str| {
            format!(
                "[[service]]\nname = \"{name}\"\nvip = \"{vip}\"\nport = 80\n\
                 protocol = \"tcp\"\nmethod = \"dr\"\n\
                 [[service.real]]\naddress = \"10.0.0.11\"\n"
            )
        };
        let text = format!(
            "{text}{}{}",
            service("in", "10.0.0.100"),
            service("out", "10.0.0.101")
        );
        let source = daemon::source::SourceFile::new("site.toml", text);
        let site = Site::parse(source).unwrap().site;
        assert_eq!(facts().wants(&site), [Want::Capability("CAP_NET_RAW")]);
        let raw = Facts {
            capabilities: facts().capabilities | 1 << 13,
            ..facts()
        };
        assert_eq!(raw.wants(&site), []);
        let unanswered: Vec<IpAddr> = raw.unanswered(&site).collect();
        assert_eq!(unanswered, ["10.0.0.101".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn methods_whose_replies_come_back_need_forwarding() {
        let site = |method: &str| {
            let text = format!(
                "[hosts.a.director]\ninterfaces = [\"eth0\"]\npool = [\"10.0.0.2:20000-29999\"]\n\
                 [[service]]\nname = \"web\"\nvip = \"10.0.0.100\"\nport = 80\n\
                 protocol = \"tcp\"\nmethod = \"{method}\"\n\
                 [[service.real]]\naddress = \"10.0.0.11\"\n"
            );
            let source = daemon::source::SourceFile::new("site.toml", text);
            Site::parse(source).unwrap().site
        };
        for (method, wanted) in [("dr", 0), ("nat", 1), ("fullnat", 1)] {
            let wants = facts().wants(&site(method));
            assert_eq!(wants.len(), wanted, "{method}: {wants:?}");
        }
    }

    #[test]
    fn releases_and_capabilities_are_read() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("10.0"), Some((10, 0)));
        assert_eq!(version("strange"), None);
        assert_eq!(
            effective("Name:\tx\nCapEff:\t000001ffffffffff\n"),
            Some(0x1ff_ffff_ffff)
        );
    }
}
