//! The laws of the tables, over random histories of wishes.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use lb_ebpf::NextHop;
use lb_ebpf::abi::{
    self, Addr, Be16, Interface, Mac, PoolEntry, REAL_UP, RING_SLOTS_MAX, SLOTS_PER_LINE, Segment,
    Slot, method,
};
use proptest::prelude::*;

use super::build::build;
use super::lookups::HostMaps;
use super::*;

mod cases;

const INTERFACE: u32 = 2;

fn hop(last: u8) -> NextHop {
    NextHop {
        ifindex: INTERFACE,
        destination: Mac([2, 0, 0, 0, 0, last]),
        source: Mac([2; 6]),
        vlan: 0,
    }
}

fn interface() -> Interface {
    Interface {
        ifindex: INTERFACE,
        flags: abi::SERVED,
        mac: Mac([2; 6]),
        vlan: 0,
        egress: INTERFACE,
    }
}

fn real_of(last: u8, port: u16, weight: u16) -> RealWish {
    RealWish {
        address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, last)),
        port,
        weight,
        drained: false,
        standing: Standing::Up,
        way: Some(Way::Via(hop(last))),
        server_id: Some([last; 16]),
    }
}

fn real() -> impl Strategy<Value = RealWish> {
    (1u8..12, 0u16..4, any::<bool>(), any::<bool>()).prop_map(|(last, weight, up, resolved)| {
        RealWish {
            standing: if up { Standing::Up } else { Standing::Down },
            way: resolved.then(|| Way::Via(hop(last))),
            ..real_of(last, 80, weight)
        }
    })
}

/// VIPs that lie within each other, and ports that do.
fn key() -> impl Strategy<Value = ServiceKey> {
    let vip = prop_oneof![
        3 => (99u8..102).prop_map(|last| Vip::single(Ipv4Addr::new(10, 0, 0, last))),
        1 => Just(Vip::prefix(Ipv4Addr::new(10, 0, 0, 0).into(), 24)),
        1 => Just(Vip::prefix(Ipv4Addr::new(10, 0, 0, 0).into(), 16)),
    ];
    let ports = prop_oneof![
        4 => (1u16..5).prop_map(|port| (port, port)),
        1 => Just((1, 4)),
        1 => Just((0, 65_535)),
    ];
    (vip, ports, any::<bool>()).prop_map(|(vip, (first, last), tcp)| ServiceKey {
        vip,
        protocol: if tcp { 6 } else { 17 },
        first,
        last,
    })
}

fn scheduler() -> impl Strategy<Value = Scheduler> {
    prop_oneof![
        3 => Just(Scheduler::Maglev),
        1 => Just(Scheduler::Rr),
        1 => Just(Scheduler::Wrr),
        1 => Just(Scheduler::Wlc),
        1 => Just(Scheduler::Sh),
    ]
}

prop_compose! {
    fn service()(
        key in key(),
        method in prop_oneof![Just(method::NAT), Just(method::DR), Just(method::FULLNAT)],
        scheduler in scheduler(),
        quic in any::<bool>(),
        keeps_port in any::<bool>(),
        mut reals in proptest::collection::vec(real(), 0..6),
    ) -> ServiceWish {
        reals.sort_by_key(|real| real.address);
        reals.dedup_by_key(|real| real.address);
        for real in &mut reals {
            if keeps_port || key.first != key.last {
                real.port = 0;
            }
        }
        let method = if key.vip.is_single() { method } else { method::DR };
        ServiceWish {
            scheduler,
            quic: quic.then_some(Quic { config: 1, length: 8 }),
            reals,
            ..ServiceWish::new(key, method)
        }
    }
}

prop_compose! {
    fn wish()(
        mut services in proptest::collection::vec(service(), 0..6),
        pool in 0u8..3,
        routers in proptest::collection::btree_map(0u16..3, router(), 0..3),
    ) -> Wish {
        services.sort_by_key(|service| service.key);
        services.dedup_by_key(|service| service.key);
        let entry = |last| PoolEntry {
            address: Ipv4Addr::new(10, 0, 9, last).into(),
            first: 20_000,
            count: 10_000,
        };
        Wish {
            interfaces: vec![interface()],
            services,
            pool: (0..pool).map(entry).collect(),
            fragments: true,
            routers: distinct(routers),
        }
    }
}

/// A virtual router without its index; its VIPs may have services of their own, of a prefix, or none.
fn router() -> impl Strategy<Value = RouterWish> {
    let vips = proptest::collection::btree_set(99u8..104, 0..4);
    (vips, any::<bool>(), 0u32..2).prop_map(|(vips, is_virtual, away)| RouterWish {
        index: 0,
        ifindex: INTERFACE + away,
        mac: is_virtual.then_some(Mac([0, 0, 0x5e, 0, 1, 7])),
        vips: vips
            .into_iter()
            .map(|last| Ipv4Addr::new(10, 0, 0, last).into())
            .collect(),
        local: Vec::new(),
    })
}

/// With their indices, and no VIP in two.
fn distinct(routers: BTreeMap<u16, RouterWish>) -> Vec<RouterWish> {
    let mut taken = BTreeSet::new();
    let mut routers: Vec<_> = routers
        .into_iter()
        .map(|(index, router)| RouterWish { index, ..router })
        .collect();
    for router in &mut routers {
        router.vips.retain(|vip| taken.insert(*vip));
    }
    routers
}

/// Every VIP of a router says so in both words, no other does, and the router is there.
fn assert_owned(wish: &Wish, tables: &Tables) {
    use lb_ebpf::lookups::{Lookups as _, find_address};
    let maps = HostMaps::new(tables.clone());
    for last in 99..104 {
        let address = Ipv4Addr::new(10, 0, 0, last);
        let owns = |router: &&RouterWish| router.vips.contains(&address.into());
        let owner = wish.routers.iter().find(owns);
        let expected = owner.map_or(0, |router| u32::from(router.index) + 1);
        let found = find_address(&address.into(), |at| maps.vip(at));
        let said = found.map_or([0; 2], |found| [found.tcp, found.udp].map(Ports::router));
        assert_eq!(said, [expected; 2], "{address}");
        assert!(owner.is_none() || found.is_some_and(|found| found.is_vip()));
    }
    let is_asked = wish.routers.iter().any(|router| !router.vips.is_empty());
    for interface in tables.interfaces.values() {
        assert_eq!(interface.flags & abi::ROUTERS != 0, is_asked);
        let has_macs = !tables.virtual_macs.is_empty();
        assert_eq!(interface.flags & abi::VIRTUAL_MACS != 0, has_macs);
    }
}

/// Who is named by slots that were looked at before.
type Owners = HashMap<*const Slot, (Arc<[Slot]>, BTreeSet<u16>)>;

/// Nothing that a packet can reach is absent.
fn assert_whole(tables: &Tables, owners: &mut Owners) {
    let vips = tables.vips.values().map(|entry| (entry.tcp, entry.udp));
    let prefixes = tables.prefixes.values().map(|entry| (entry.tcp, entry.udp));
    for ports in vips.chain(prefixes).flat_map(|(tcp, udp)| [tcp, udp]) {
        let is_owned = ports.router() != 0;
        assert_eq!(ports.is_there(), !ports.is_empty() || is_owned);
        if is_owned {
            assert!(tables.routers.contains_key(&(ports.router() - 1)));
        }
        let segments = tables.segments_of(ports);
        assert_eq!(
            segments.len(),
            ports.len() as usize,
            "{ports:?} are not all there"
        );
        for segment in segments.iter() {
            if !matches!(segment.index, Segment::NOTHING | Segment::POOL) {
                assert_leads_on(tables, segment.index, owners);
            }
        }
    }
    for ports in tables
        .nat_sources
        .values()
        .flat_map(|entry| [entry.tcp, entry.udp])
    {
        let segments = tables.segments_of(ports);
        assert_eq!(segments.len(), ports.len() as usize);
        for segment in segments.iter().filter(|s| s.index != Segment::NOTHING) {
            assert!(tables.reals.contains_key(&segment.index));
            assert!(tables.nat_replies.contains_key(&segment.index));
        }
    }
    for router in tables.virtual_macs.values() {
        assert!(tables.routers.contains_key(router));
    }
    for real in tables.quic_servers.values() {
        assert!(tables.reals.contains_key(real));
    }
}

fn assert_leads_on(tables: &Tables, at: u32, owners: &mut Owners) {
    let service = tables
        .services
        .get(&at)
        .unwrap_or_else(|| panic!("no service at {at}"));
    let (ring, turns) = (tables.ring_of(service), tables.turns_of(service));
    assert_eq!(ring.len(), service.ring_len as usize);
    assert_eq!(turns.len(), service.turns_len as usize);
    assert_eq!(
        (
            service.ring % SLOTS_PER_LINE,
            service.turns % SLOTS_PER_LINE
        ),
        (0, 0)
    );
    let members = tables.members_of(service);
    for slots in [ring, turns] {
        let (_, owners) = owners.entry(slots.as_ptr()).or_insert_with(|| {
            let both = slots
                .iter()
                .flat_map(|slot| [slot.current(), slot.settled_owner()]);
            let owners = both.filter(|owner| *owner != Slot::NOBODY).collect();
            (Arc::clone(&slots), owners)
        });
        for member in owners.iter().copied() {
            let id = members.get(usize::from(member)).copied();
            let id = id.unwrap_or_else(|| panic!("{at}: no member {member}"));
            let real = tables
                .reals
                .get(&id)
                .unwrap_or_else(|| panic!("{at}: no real {id}"));
            assert_eq!(real.service, service.id);
        }
    }
    if service.pool_len > 0 {
        let pool = &tables.pool[&u32::from(service.pool)];
        assert_eq!(pool.len(), usize::from(service.pool_len));
    }
}

/// New flows go to servers that are up, resolved and weighted, and to nobody only if there is none.
fn assert_serves(wish: &Wish, tables: &Tables) {
    let index = tables.index();
    for service in &wish.services {
        let Some(at) = index.get(&service.key) else {
            continue;
        };
        let programmed = &tables.services[at];
        let members = tables.members_of(programmed);
        let willing = service
            .reals
            .iter()
            .filter(|r| r.weight > 0 && r.standing == Standing::Up && r.way.is_some())
            .count();
        let owners =
            |slots: &[Slot]| -> BTreeSet<u16> { slots.iter().map(|slot| slot.current()).collect() };
        let of_ring = owners(&tables.ring_of(programmed));
        let of_turns = owners(&tables.turns_of(programmed));
        if willing == 0 {
            assert_eq!(of_ring.into_iter().collect::<Vec<_>>(), [Slot::NOBODY]);
            assert!(of_turns.is_empty());
            continue;
        }
        assert_eq!(of_ring.len(), willing);
        if matches!(service.scheduler, Scheduler::Rr | Scheduler::Wrr) {
            assert_eq!(of_ring, of_turns);
        }
        for owner in of_ring {
            assert!(tables.reals[&members[usize::from(owner)]].flags & REAL_UP != 0);
        }
    }
}

/// Packets find, at every address and port of interest, the most special service wished for.
fn assert_found(wish: &Wish, tables: &Tables) {
    let index = tables.index();
    let maps = HostMaps::new(tables.clone());
    for (address, port, protocol) in places() {
        let single = Vip::single(address);
        let has = |key: &&ServiceKey| {
            key.protocol == protocol
                && key.vip.contains(&single)
                && (key.first..=key.last).contains(&port)
        };
        let keys = wish.services.iter().map(|service| &service.key);
        let best = keys
            .filter(has)
            .max_by_key(|key| (key.vip.bits, u16::MAX - (key.last - key.first)));
        let expected = best.map_or(Segment::NOTHING, |key| index[key]);
        assert_eq!(
            found(&maps, &address, port, protocol),
            expected,
            "{address:?} {port} {protocol}"
        );
    }
}

fn places() -> impl Iterator<Item = (Addr, u16, u8)> {
    let addresses = [
        [10, 0, 0, 99],
        [10, 0, 0, 100],
        [10, 0, 0, 7],
        [10, 0, 7, 7],
        [10, 9, 0, 1],
    ];
    let addresses = addresses.map(|octets| Addr::from(Ipv4Addr::from(octets)));
    addresses.into_iter().flat_map(|address| {
        [0, 1, 2, 4, 5, 65_535]
            .into_iter()
            .flat_map(move |port| [(address, port, 6), (address, port, 17)])
    })
}

/// As the program searches: a VIP of its own comes before a prefix.
fn found(maps: &HostMaps, address: &Addr, port: u16, protocol: u8) -> u32 {
    use lb_ebpf::lookups::{Lookups as _, find_address, find_port};
    let ports = match find_address(address, |at| maps.vip(at)) {
        Some(found) => found.of(protocol),
        None => match maps.vip_prefix(address) {
            Some(entry) if protocol == 6 => entry.tcp,
            Some(entry) => entry.udp,
            None => return Segment::NOTHING,
        },
    };
    find_port(maps, ports, port)
}

/// Whether a change is written where packets may be reading something else.
fn writes_over(op: &MapOp, loaded: &Tables) -> bool {
    if let MapOp::PutSlots { at, .. } = op {
        return loaded.rings.contains_key(at);
    }
    if let MapOp::PutMembers { at, .. } = op {
        return loaded.members.contains_key(at);
    }
    if let MapOp::PutSegments { at, .. } = op {
        return loaded.segments.contains_key(at);
    }
    if let MapOp::PutService { at, .. } = op {
        return loaded.services.contains_key(at);
    }
    matches!(op, MapOp::PutPool { at, .. } if loaded.pool.contains_key(at))
}

/// Whether something is let go that a packet may still be reading: not before all are waited for.
fn lets_go(op: &MapOp) -> bool {
    matches!(
        op,
        MapOp::FreeSegments { .. }
            | MapOp::FreeService { .. }
            | MapOp::RemoveNatReply(_)
            | MapOp::FreePool { .. }
            | MapOp::FreeSlots { .. }
            | MapOp::FreeMembers { .. }
            | MapOp::RemoveReal(_)
            | MapOp::RemoveRouter(_)
    )
}

fn complete(built: Result<Built, Full>) -> Tables {
    let built = built.unwrap();
    assert_eq!(built.deferred, 0);
    built.tables
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_step_of_every_history_is_safe(wishes in proptest::collection::vec(wish(), 1..6)) {
        let mut loaded = Tables::default();
        let (mut memo, mut owners) = (Memo::default(), Owners::new());
        for wish in &wishes {
            let wanted = complete(build(wish, &loaded, &mut memo));
            prop_assert!(wanted == complete(build(wish, &loaded, &mut Memo::default())));
            assert_whole(&wanted, &mut owners);
            assert_serves(wish, &wanted);
            assert_found(wish, &wanted);
            assert_owned(wish, &wanted);
            for reply in wanted.nat_replies.values() {
                prop_assert!(wanted.services.values().any(|service| service.id == reply.service));
            }
            prop_assert!(diff(&wanted, &wanted).is_empty());
            let mut awaited = false;
            for op in diff(&loaded, &wanted) {
                awaited |= op == MapOp::AwaitPackets;
                prop_assert_eq!(lets_go(&op), awaited && op != MapOp::AwaitPackets);
                prop_assert!(!writes_over(&op, &loaded), "{op:?} writes over what is in use");
                loaded.apply(&op);
                // What was left a moment ago may be gone only when nothing points to it.
                assert_whole(&loaded, &mut owners);
            }
            prop_assert!(loaded == wanted);
            prop_assert!(complete(build(wish, &loaded, &mut memo)) == wanted, "the same wish changes nothing");
        }
    }

    /// A change that breaks off anywhere is made up for by the next one.
    #[test]
    fn what_broke_off_is_mended(first in wish(), second in wish(), at in 0usize..60) {
        let mut loaded = complete(build(&first, &Tables::default(), &mut Memo::default()));
        let wanted = complete(build(&second, &loaded, &mut Memo::default()));
        for op in diff(&loaded, &wanted).iter().take(at) {
            loaded.apply(op);
        }
        let wanted = complete(build(&second, &loaded, &mut Memo::default()));
        let ids: BTreeSet<u32> = wanted.services.values().map(|service| service.id).collect();
        prop_assert_eq!(ids.len(), wanted.services.len(), "an id is given twice");
        assert_found(&second, &wanted);
        assert_owned(&second, &wanted);
        let mut owners = Owners::new();
        for op in diff(&loaded, &wanted) {
            loaded.apply(&op);
            assert_whole(&loaded, &mut owners);
        }
        prop_assert!(loaded == wanted);
    }

    #[test]
    fn what_stays_keeps_its_ids_and_places(first in wish(), second in wish()) {
        let before = complete(build(&first, &Tables::default(), &mut Memo::default()));
        let after = complete(build(&second, &before, &mut Memo::default()));
        let new_index = after.index();
        for (key, old) in before.index() {
            let Some(new) = new_index.get(&key).map(|at| &after.services[at]) else { continue };
            let old = &before.services[&old];
            prop_assert_eq!(old.id, new.id);
            let (old_members, new_members) = (before.members_of(old), after.members_of(new));
            for (at, id) in old_members.iter().enumerate() {
                if after.reals.contains_key(id) {
                    prop_assert_eq!(new_members.get(at), Some(id));
                }
            }
        }
    }
}
