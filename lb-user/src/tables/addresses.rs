//! Where addresses stand in a table that is searched by linear probing.
//!
//! An address never moves while it is in the table. One that goes leaves a *tombstone*, an entry
//! without ports, where others further on must still be found; a new address may take its place
//! with the change after that.

use std::collections::{BTreeMap, HashMap};

use lb_ebpf::abi::{ADDRESS_SLOTS, Addr, AddressEntry, PROBES_MAX, Ports, address_slot};

use super::stretch::Full;

/// A table of addresses, by place.
pub(super) type Addresses = BTreeMap<u32, AddressEntry>;

/// Whether an entry is more than a tombstone.
pub(super) const fn is_live(entry: &AddressEntry) -> bool {
    entry.tcp.is_there() || entry.udp.is_there()
}

/// The places of one table while it is made.
#[derive(Debug)]
pub(super) struct Places<'a> {
    previous: &'a Addresses,
    known: HashMap<Addr, u32>,
    taken: BTreeMap<u32, Addr>,
    mine: HashMap<Addr, u32>,
}

impl<'a> Places<'a> {
    /// Those of the addresses of `previous` are known.
    pub(super) fn new(previous: &'a Addresses) -> Self {
        let live = previous.iter().filter(|(_, entry)| is_live(entry));
        Self {
            previous,
            known: live.map(|(at, entry)| (entry.address, *at)).collect(),
            taken: BTreeMap::new(),
            mine: HashMap::new(),
        }
    }

    /// The place of an address: the one it has, else the first free one that a search comes by.
    /// What `previous` holds is free with the next change only, as packets may still be reading it.
    pub(super) fn reserve(&mut self, address: Addr) -> Result<u32, Full> {
        if let Some(at) = self.mine.get(&address) {
            return Ok(*at);
        }
        let at = match self.known.get(&address) {
            Some(at) => *at,
            None => self.free(&address).ok_or(Full::Addresses(PROBES_MAX))?,
        };
        self.taken.insert(at, address);
        self.mine.insert(address, at);
        Ok(at)
    }

    fn free(&self, address: &Addr) -> Option<u32> {
        let first = address_slot(address);
        (0..PROBES_MAX)
            .map(|probe| (first + probe) & (ADDRESS_SLOTS - 1))
            .find(|at| {
                !self.taken.contains_key(at) && self.previous.get(at).is_none_or(|e| !is_live(e))
            })
    }

    /// The ports that an address had before.
    pub(super) fn before(&self, address: &Addr) -> (Ports, Ports) {
        let entry = self.known.get(address).and_then(|at| self.previous.get(at));
        entry.map_or((Ports::NONE, Ports::NONE), |entry| (entry.tcp, entry.udp))
    }

    /// The table, with what is at each address that has a place.
    pub(super) fn finish(self, mut ports: impl FnMut(&Addr) -> (Ports, Ports)) -> Addresses {
        let tombstone = |entry: &AddressEntry| AddressEntry {
            address: entry.address,
            tcp: Ports::NONE,
            udp: Ports::NONE,
        };
        let mut entries: Addresses = self
            .previous
            .iter()
            .map(|(at, e)| (*at, tombstone(e)))
            .collect();
        for (at, address) in &self.taken {
            let (tcp, udp) = ports(address);
            let entry = AddressEntry {
                address: *address,
                tcp,
                udp,
            };
            if is_live(&entry) {
                entries.insert(*at, entry);
            }
        }
        forget_needless(&mut entries);
        entries
    }
}

/// Removes the tombstones that no search has to get over.
fn forget_needless(entries: &mut Addresses) {
    let tombs: Vec<u32> = entries
        .iter()
        .filter(|(_, entry)| !is_live(entry))
        .map(|(at, _)| *at)
        .collect();
    for tomb in tombs {
        let mut at = tomb;
        let next = |at: u32| (at + 1) & (ADDRESS_SLOTS - 1);
        while entries.get(&at).is_some_and(|entry| !is_live(entry))
            && !entries.contains_key(&next(at))
        {
            entries.remove(&at);
            at = at.wrapping_sub(1) & (ADDRESS_SLOTS - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_ebpf::lookups::find_address;
    use proptest::prelude::*;

    use super::*;

    const EMPTY: AddressEntry = AddressEntry {
        address: Addr::v6([[0; 4]; 4]),
        tcp: Ports::NONE,
        udp: Ports::NONE,
    };

    fn address(n: u32) -> Addr {
        Ipv4Addr::from(0x0a00_0000 + n).into()
    }

    /// The table of these addresses, each with its own number for its ports.
    fn table(addresses: &[u32], previous: &Addresses) -> Addresses {
        let mut places = Places::new(previous);
        for n in addresses {
            places.reserve(address(*n)).unwrap();
        }
        let number = |wanted: &Addr| addresses.iter().copied().find(|n| address(*n) == *wanted);
        places.finish(|wanted| (Ports::new(number(wanted).unwrap(), 1, true), Ports::NONE))
    }

    fn found(entries: &Addresses, n: u32) -> Option<u32> {
        let entry = |at: u32| Some(entries.get(&at).unwrap_or(&EMPTY));
        find_address(&address(n), entry).map(|found| found.tcp.at())
    }

    /// Addresses whose searches begin at the same place.
    fn crowd() -> Vec<u32> {
        let slot = address_slot(&address(0));
        (0..)
            .filter(|n| address_slot(&address(*n)) == slot)
            .take(4)
            .collect()
    }

    #[test]
    fn a_tombstone_stays_only_while_others_are_behind_it() {
        let crowd = crowd();
        let all = table(&crowd, &Addresses::new());
        assert_eq!(all.len(), 4);
        let rest = table(&crowd[3..], &all);
        assert_eq!(rest.len(), 4, "three tombstones in front of the last one");
        assert_eq!(found(&rest, crowd[3]), Some(crowd[3]));
        assert_eq!(found(&rest, crowd[0]), None);
        assert_eq!(
            table(&crowd[3..], &rest),
            rest,
            "the same wish changes nothing"
        );
        assert!(table(&[], &rest).is_empty());
    }

    #[test]
    fn a_place_is_given_to_another_with_the_change_after_it_came_free() {
        let crowd = crowd();
        let first = table(&crowd[..2], &Addresses::new());
        let at = |entries: &Addresses, n: u32| {
            let mut live = entries.iter().filter(|(_, entry)| is_live(entry));
            live.find(|(_, entry)| entry.address == address(n))
                .map(|(at, _)| *at)
        };
        let second = table(&[crowd[1], crowd[2]], &first);
        assert_ne!(
            at(&second, crowd[2]),
            at(&first, crowd[0]),
            "packets may be reading it"
        );
        let third = table(&crowd[1..], &second);
        assert_eq!(at(&third, crowd[3]), at(&first, crowd[0]));
    }

    #[test]
    fn a_crowd_that_is_too_large_is_refused() {
        let slot = address_slot(&address(0));
        let crowd = (0..).filter(|n| address_slot(&address(*n)) == slot);
        let entries = Addresses::new();
        let mut places = Places::new(&entries);
        let full = crowd
            .take(17)
            .map(|n| places.reserve(address(n)))
            .find_map(Result::err);
        assert_eq!(full, Some(Full::Addresses(PROBES_MAX)));
    }

    proptest! {
        #[test]
        fn every_history_is_found_whole(wishes in proptest::collection::vec(
            proptest::collection::btree_set(0usize..12, 0..10), 1..8,
        )) {
            // Few starting places, so that they are in each other's way.
            let slots: Vec<u32> = (0..3).map(|n| address_slot(&address(n))).collect();
            let near: Vec<u32> = (0..).filter(|n| slots.contains(&address_slot(&address(*n)))).take(12).collect();
            let mut entries = Addresses::new();
            for wish in wishes {
                let wanted: Vec<u32> = wish.iter().map(|n| near[*n]).collect();
                entries = table(&wanted, &entries);
                for n in &near {
                    prop_assert_eq!(found(&entries, *n), wanted.contains(n).then_some(*n));
                }
            }
        }
    }
}
