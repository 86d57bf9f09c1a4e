//! Whether the host leaves fullnat what its pool says: addresses that it answers for, and ports that
//! it takes for nothing else.
//!
//! Doubts, not wants: an address may be routed here, and whoever binds a port may be trusted not to.

use std::net::IpAddr;

use super::Facts;
use crate::config::{DirectorHost, PoolEntry, Ports};

/// Where the kernel keeps the ports that it gives to nobody by itself.
pub(super) const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// What makes a pool doubtful.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Nobody answers for its address.
    #[error(
        "no interface of this host has {0} of the pool, so replies of fullnat find nobody: \
         add it with `ip address add {0}/{len} dev INTERFACE`",
        len = if .0.is_ipv4() { 32 } else { 128 }
    )]
    Absent(IpAddr),
    /// The host may use its ports.
    #[error(
        "this host's own connections may take ports of the pool ({entries}): keep them off with \
         `sysctl -w net.ipv4.ip_local_reserved_ports={wanted}` (and in /etc/sysctl.d)"
    )]
    NotReserved {
        /// The entries whose ports are not reserved.
        entries: String,
        /// What is reserved now, and they.
        wanted: String,
    },
}

/// The ports of a list as the kernel writes it: `8080,20000-29999`.
pub(super) fn ranges(list: &str) -> Vec<Ports> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(Ports {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    };
    list.trim().split(',').filter_map(range).collect()
}

impl Facts {
    /// What is doubtful about the pool of this director.
    pub fn doubts(&self, director: &DirectorHost) -> Vec<Doubt> {
        let mut absent: Vec<IpAddr> = director.pool.iter().map(|entry| entry.address).collect();
        absent.retain(|address| !self.addresses.contains(address));
        absent.dedup();
        let mut doubts: Vec<Doubt> = absent.into_iter().map(Doubt::Absent).collect();
        let open: Vec<&PoolEntry> = director
            .pool
            .iter()
            .filter(|entry| self.addresses.contains(&entry.address) && !entry.is_whole())
            .filter(|entry| !self.reserves(entry.ports))
            .collect();
        if !open.is_empty() {
            let entries: Vec<String> = open.iter().map(ToString::to_string).collect();
            let ports = open.iter().map(|entry| &entry.ports);
            // Two addresses may have the same ports in the pool.
            let mut wanted: Vec<&Ports> = self.reserved.iter().chain(ports).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let wanted: Vec<String> = wanted.into_iter().map(ToString::to_string).collect();
            doubts.push(Doubt::NotReserved {
                entries: entries.join(", "),
                wanted: wanted.join(","),
            });
        }
        doubts
    }

    /// Whether all these ports are reserved. The kernel tells its ranges in order, and joined.
    fn reserves(&self, ports: Ports) -> bool {
        self.reserved
            .iter()
            .any(|reserved| reserved.first <= ports.first && ports.last <= reserved.last)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    fn entry(address: &str, first: u16, last: u16) -> PoolEntry {
        PoolEntry {
            address: address.parse().unwrap(),
            ports: Ports { first, last },
        }
    }

    fn told(pool: Vec<PoolEntry>, reserved: &str) -> Vec<String> {
        let facts = Facts {
            addresses: vec!["10.77.0.2".parse().unwrap(), "fd77::2".parse().unwrap()],
            reserved: ranges(reserved),
            ..facts()
        };
        let director = DirectorHost {
            interfaces: vec!["eth0".to_owned()],
            pool,
            routers: std::collections::BTreeMap::new(),
        };
        let doubts = facts.doubts(&director);
        doubts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_that_nobody_has_are_named() {
        let pool = vec![entry("10.77.0.200", 1024, 65_535)];
        assert_eq!(
            told(pool, ""),
            [
                "no interface of this host has 10.77.0.200 of the pool, so replies of fullnat find \
              nobody: add it with `ip address add 10.77.0.200/32 dev INTERFACE`"
            ]
        );
    }

    #[test]
    fn an_address_that_is_the_pool_s_alone_needs_no_reserve() {
        assert_eq!(
            told(vec![entry("10.77.0.2", 1024, 65_535)], ""),
            Vec::<String>::new()
        );
    }

    #[test]
    fn ports_of_the_hosts_own_addresses_are_to_be_reserved_with_those_that_are() {
        let pool = || {
            vec![
                entry("10.77.0.2", 20_000, 29_999),
                entry("fd77::2", 20_000, 29_999),
            ]
        };
        assert_eq!(told(pool(), "8080,20000-29999\n"), Vec::<String>::new());
        let [told] = &told(pool(), "8080,20000-25000")[..] else {
            panic!("one doubt about both");
        };
        assert!(told.contains("(10.77.0.2:20000-29999, [fd77::2]:20000-29999)"));
        assert!(
            told.contains("reserved_ports=8080,20000-25000,20000-29999`"),
            "{told}"
        );
    }
}
