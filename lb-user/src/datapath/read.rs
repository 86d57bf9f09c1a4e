//! Everything the maps hold, read back as [`Tables`]: what the last daemon left.
//!
//! It is found as packets find it, from the addresses on: what nothing leads to is not seen, and
//! free.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lb_ebpf::abi::{
    Addr, AddressEntry, INTERFACE_SLOTS, Line, NatReply, Ports, Real, Router, Segment, Service,
    Slot, method,
};
use zerocopy::{FromBytes, IntoBytes, transmute};

use super::mapped::load;
use super::{Error, Maps};
use crate::tables::lookups::LiveMaps;
use crate::tables::{NO_REAL, Tables, Vip};

impl Maps {
    /// Everything the maps hold.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn tables(&self) -> Result<Tables, Error> {
        let mut tables = Tables {
            vips: addresses(&self.vips),
            nat_sources: addresses(&self.nat_sources),
            ..Tables::default()
        };
        for at in 0..INTERFACE_SLOTS {
            let interface = self.interfaces.get(&at, 0).map_err(Error::map)?;
            if interface.ifindex != 0 {
                tables.interfaces.insert(interface.ifindex, interface);
            }
        }
        for prefix in self.prefixes.iter() {
            let (key, entry) = prefix.map_err(Error::map)?;
            let vip = Vip {
                address: key.data(),
                bits: u8::try_from(key.prefix_len()).unwrap_or(128),
            };
            tables.prefixes.insert(vip, entry);
        }
        self.read_segments(&mut tables);
        for service in tables.services.values().copied().collect::<Vec<_>>() {
            self.read_service(&mut tables, &service)?;
        }
        for server in self.quic_servers.iter() {
            let (key, real) = server.map_err(Error::map)?;
            tables.quic_servers.insert(key, real);
        }
        for (at, words) in (0..).zip(self.routers.iter()) {
            let router: Router = plain(&words[Router::AT..]);
            if router != Router::default() {
                tables.routers.insert(at, router);
            }
        }
        for mac in self.virtual_macs.iter() {
            let (mac, router) = mac.map_err(Error::map)?;
            tables.virtual_macs.insert(mac, router);
        }
        Ok(tables)
    }

    /// Everything that a decision about a packet asks, copied: what is done to the copy does nothing to
    /// the maps.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn copied(&self) -> Result<LiveMaps, Error> {
        let mut copy = LiveMaps::new(self.tables()?);
        let table = self.table();
        copy_words(table.ways, &mut copy.ways);
        copy_words(table.entries, &mut copy.entries);
        for (to, from) in copy.connections.iter().zip(table.connections) {
            for (to, from) in to.iter().zip(from) {
                to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        for (to, from) in copy.leases.iter().zip(self.routers.iter()) {
            for (to, from) in to.iter().zip(from) {
                to.store(from.load(Ordering::Acquire), Ordering::Relaxed);
            }
        }
        for service in copy.tables.services.values() {
            let turn = self.turns.get(&service.id, 0).map_err(Error::map)?;
            if let Some(to) = copy.turns.get(service.id as usize) {
                to.store(turn, Ordering::Relaxed);
            }
        }
        Ok(copy)
    }

    /// The segments of all addresses, and the services that they lead to.
    fn read_segments(&self, tables: &mut Tables) {
        let both = |entry: &AddressEntry| [entry.tcp, entry.udp];
        let vips = tables.vips.values().flat_map(both);
        let prefixes = tables
            .prefixes
            .values()
            .flat_map(|entry| [entry.tcp, entry.udp]);
        let leading: Vec<Ports> = vips.chain(prefixes).collect();
        let sources: Vec<Ports> = tables.nat_sources.values().flat_map(both).collect();
        for (ports, leads) in leading
            .iter()
            .map(|p| (p, true))
            .chain(sources.iter().map(|p| (p, false)))
        {
            if ports.is_empty() {
                continue;
            }
            let words = stretch(&self.segments, ports.at(), ports.len());
            let segments: Arc<[Segment]> = words
                .iter()
                .map(|word| plain(std::slice::from_ref(word)))
                .collect();
            for segment in segments.iter().filter(|_| leads) {
                if let Some(words) = self.services.get(segment.index as usize) {
                    tables.services.insert(segment.index, plain(words));
                }
            }
            tables.segments.insert(ports.at(), segments);
        }
    }

    /// What a service leads to.
    fn read_service(&self, tables: &mut Tables, service: &Service) -> Result<(), Error> {
        for (at, len) in [
            (service.ring, service.ring_len),
            (service.turns, service.turns_len),
        ] {
            if len > 0 && !tables.rings.contains_key(&at) {
                let slot = |word: &AtomicU32| -> Slot { transmute!(word.load(Ordering::Acquire)) };
                tables
                    .rings
                    .insert(at, stretch(&self.slots, at, len).iter().map(slot).collect());
            }
        }
        if service.pool_len > 0 {
            let at = u32::from(service.pool);
            let entry = |at| self.pool.get(&at, 0).map_err(Error::map);
            let entries: Result<Arc<[_]>, Error> =
                (at..at + u32::from(service.pool_len)).map(entry).collect();
            tables.pool.insert(at, entries?);
        }
        if service.members_len == 0 {
            return Ok(());
        }
        let cells = stretch(
            &self.members,
            service.members,
            u32::from(service.members_len),
        );
        let ids: Arc<[u32]> = cells
            .iter()
            .map(|[id, _]| id.load(Ordering::Acquire))
            .collect();
        for id in ids.iter().filter(|id| **id != NO_REAL) {
            if let Some(words) = self.reals.get(*id as usize) {
                let real: Real = plain(words);
                tables.reals.insert(*id, real);
            }
            if let (method::NAT, Some(words)) = (service.method, self.nat_replies.get(*id as usize))
            {
                let reply: NatReply = plain(words);
                tables.nat_replies.insert(*id, reply);
            }
        }
        tables.members.insert(service.members, ids);
        Ok(())
    }
}

/// Copies lines, word by word: packets go on writing them.
fn copy_words(from: &[Line], to: &mut [Line]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = std::array::from_fn(|at| AtomicU64::new(from[at].load(Ordering::Relaxed)));
    }
}

/// A table of addresses, tombstones included.
fn addresses(entries: &[[AtomicU64; 4]]) -> BTreeMap<u32, AddressEntry> {
    let all = (0..)
        .zip(entries)
        .map(|(at, words)| (at, plain::<AddressEntry>(words)));
    all.filter(|(_, entry)| entry.address != Addr::default())
        .collect()
}

/// As much of a stretch as there is.
fn stretch<C>(cells: &[C], at: u32, len: u32) -> &[C] {
    let cells = cells.get(at as usize..).unwrap_or_default();
    &cells[..cells.len().min(len as usize)]
}

/// The value that words hold.
fn plain<T: FromBytes + IntoBytes>(words: &[AtomicU64]) -> T {
    let mut value = T::new_zeroed();
    load(words, value.as_mut_bytes());
    value
}
