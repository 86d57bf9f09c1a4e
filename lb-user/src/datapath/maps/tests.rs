//! Changes carried out on maps of the kernel, and read back: without the program, which does not
//! matter here. Needs root and a BPF file system; says so where it can't run.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use aya::Pod;
use lb_ebpf::NextHop;
use lb_ebpf::abi::{
    self, Be16, FlowEvent, Mac, Reason, SLOTS_PER_LINE, Segment, Slot, kind, method, state,
};

use super::super::scratch;
use super::*;
use crate::tables::build::build;
use crate::tables::{
    Memo, NO_REAL, Quic, RealWish, RouterWish, Scheduler, ServiceKey, ServiceWish, Standing,
    Tables, Way as Road, Wish, diff,
};

/// A directory of pins that ends with the test.
struct Pins(PathBuf);

impl Pins {
    fn new() -> Option<Self> {
        let pins = Self(scratch::pins()?);
        pins.fill().unwrap();
        Some(pins)
    }

    /// Every map of the layout but the events; of the flow table, eight buckets.
    fn fill(&self) -> Result<(), String> {
        const MAPPED: u32 = 1 << 10;
        self.array::<u32>(name::ABI, 1, 0)?;
        self.array::<Interface>(name::INTERFACES, INTERFACE_SLOTS, 0)?;
        self.array::<AddressEntry>(name::VIPS, abi::ADDRESS_SLOTS, MAPPED)?;
        self.array::<AddressEntry>(name::NAT_SOURCES, abi::ADDRESS_SLOTS, MAPPED)?;
        self.array::<Segment>(name::SEGMENTS, abi::SEGMENTS_MAX, MAPPED)?;
        self.array::<Service>(name::SERVICES, abi::SERVICE_SLOTS, MAPPED)?;
        let lines = abi::RING_SLOTS_MAX / SLOTS_PER_LINE;
        self.array::<[Slot; SLOTS_PER_LINE as usize]>(name::RING_SLOTS, lines, MAPPED)?;
        self.array::<u32>(name::MEMBERS, abi::MEMBERS_MAX, MAPPED)?;
        self.array::<Real>(name::REALS, abi::REALS_MAX, MAPPED)?;
        self.array::<abi::NatReply>(name::NAT_REPLIES, abi::REALS_MAX, MAPPED)?;
        self.array::<PoolEntry>(name::POOL, abi::POOL_MAX, 0)?;
        self.array::<[u64; 4]>(name::ROUTERS, abi::ROUTERS_MAX, MAPPED)?;
        self.array::<[u64; 8]>(name::FLOW_WAYS, 8, MAPPED)?;
        self.array::<[u64; 8]>(name::FLOW_ENTRIES, 64, MAPPED)?;
        self.array::<Connections>(name::CONNECTIONS, abi::REALS_MAX, MAPPED)?;
        self.array::<u64>(name::TURNS, abi::SERVICES_MAX, 0)?;
        self.per_cpu::<u64>(name::FLOW_EVENTS, FlowEvent::COUNT)?;
        self.per_cpu::<u64>(name::VERDICTS, Reason::COUNT)?;
        self.per_cpu::<Traffic>(name::SERVICE_TRAFFIC, abi::SERVICES_MAX)?;
        self.per_cpu::<Traffic>(name::REAL_TRAFFIC, abi::REALS_MAX)?;
        let servers = HashMap::<MapData, QuicKey, u32>::create(abi::REALS_MAX, 0);
        let servers = servers.map_err(|error| error.to_string())?;
        let told = |error: aya::pin::PinError| error.to_string();
        servers.pin(self.0.join(name::QUIC_SERVERS)).map_err(told)?;
        let macs = HashMap::<MapData, VirtualMac, u32>::create(abi::ROUTERS_MAX, 0);
        let macs = macs.map_err(|error| error.to_string())?;
        macs.pin(self.0.join(name::VIRTUAL_MACS)).map_err(told)?;
        let prefixes = LpmTrie::<MapData, Addr, PrefixEntry>::create(abi::PREFIXES_MAX, 1);
        let prefixes = prefixes.map_err(|error| error.to_string())?;
        prefixes.pin(self.0.join(name::VIP_PREFIXES)).map_err(told)
    }

    fn array<T: Pod>(&self, name: &str, entries: u32, flags: u32) -> Result<(), String> {
        let map = Array::<MapData, T>::create(entries, flags).map_err(|error| error.to_string())?;
        map.pin(self.0.join(name))
            .map_err(|error| error.to_string())
    }

    fn per_cpu<T: Pod>(&self, name: &str, entries: u32) -> Result<(), String> {
        let map =
            PerCpuArray::<MapData, T>::create(entries, 0).map_err(|error| error.to_string())?;
        map.pin(self.0.join(name))
            .map_err(|error| error.to_string())
    }

    fn maps(&self) -> Maps {
        let open = |name| {
            let map = MapData::from_pin(self.0.join(name)).map_err(Error::map)?;
            Map::from_map_data(map).map_err(Error::map)
        };
        Maps::open(open, Access::Write).unwrap()
    }
}

fn real(last: u8, port: u16) -> RealWish {
    RealWish {
        address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, last)),
        port,
        weight: last.into(),
        drained: false,
        standing: Standing::Up,
        way: Some(Road::Via(NextHop {
            ifindex: 2,
            destination: Mac([2, 0, 0, 0, 0, last]),
            source: Mac([2; 6]),
            vlan: 7,
        })),
        server_id: Some([last; 16]),
    }
}

/// A virtual router with an address and a VIP of its own.
fn router(last: u8) -> RouterWish {
    RouterWish {
        index: last.into(),
        ifindex: INTERFACE_SLOTS + 3,
        mac: Some(Mac([0, 0, 0x5e, 0, 1, last])),
        vips: vec![IpAddr::V4(Ipv4Addr::new(10, 0, 1, last))],
        local: Vec::new(),
    }
}

/// One service of each kind, each of the real servers named.
fn wish(lasts: &[u8]) -> Wish {
    let key = |port| ServiceKey::new(Ipv4Addr::new(10, 0, 0, 100), port, 6);
    let service = |key, method, scheduler, port| ServiceWish {
        scheduler,
        reals: lasts.iter().map(|last| real(*last, port)).collect(),
        ..ServiceWish::new(key, method)
    };
    let mut services = vec![
        service(key(80), method::NAT, Scheduler::Maglev, 8080),
        service(key(443), method::FULLNAT, Scheduler::Wrr, 443),
        service(key(444), method::DR, Scheduler::Rr, 444),
    ];
    let wide = ServiceKey {
        vip: Vip::prefix(Ipv4Addr::new(10, 0, 0, 0).into(), 24),
        protocol: 17,
        first: 0,
        last: 65_535,
    };
    services.push(ServiceWish {
        quic: Some(Quic {
            config: 2,
            length: 4,
        }),
        ..service(wide, method::DR, Scheduler::Maglev, 0)
    });
    Wish {
        interfaces: vec![Interface {
            ifindex: INTERFACE_SLOTS + 3,
            flags: abi::SERVED,
            mac: Mac([2; 6]),
            vlan: 0,
            egress: 3,
        }],
        services,
        pool: vec![PoolEntry {
            address: Ipv4Addr::new(10, 0, 0, 2).into(),
            first: 20_000,
            count: 10_000,
        }],
        fragments: true,
        routers: lasts.iter().map(|last| router(*last)).collect(),
    }
}

#[test]
fn what_was_carried_out_is_read_back() {
    let Some(pins) = Pins::new() else {
        return;
    };
    let (mut maps, mut loaded, mut memo) = (pins.maps(), Tables::default(), Memo::default());
    let nothing = Wish::default();
    let wishes = [
        wish(&[1, 2, 3]),
        wish(&[1, 3]),
        nothing,
        wish(&[2]),
        wish(&[5, 6]),
    ];
    for wish in &wishes {
        let wanted = build(wish, &loaded, &mut memo).unwrap().tables;
        for op in diff(&loaded, &wanted) {
            maps.apply(&op).unwrap();
            loaded.apply(&op);
        }
        let found = pins.maps().tables().unwrap();
        assert_eq!(found.index(), wanted.index());
        assert_eq!(found.reals, wanted.reals);
        assert!(found == wanted, "something else differs");
        let pinned = Maps::open_pinned(&pins.0).unwrap();
        assert!(pinned.tables().unwrap() == wanted);
    }
    let services = loaded.index();
    let members = loaded.members_of(&loaded.services[services.values().next().unwrap()]);
    assert!(
        !members.contains(&NO_REAL),
        "the wishes were what they seem"
    );
}

#[test]
fn a_new_real_server_counts_from_zero_and_one_that_changes_goes_on() {
    let Some(pins) = Pins::new() else {
        return;
    };
    let mut maps = pins.maps();
    let real = Real {
        address: Ipv4Addr::new(10, 1, 0, 1).into(),
        port: Be16::new(80),
        ..Real::new_zeroed()
    };
    let put = |fresh| MapOp::PutReal { id: 3, real, fresh };
    maps.connections[3][1].store(5, Ordering::Relaxed);
    maps.apply(&put(false)).unwrap();
    assert_eq!(maps.connections(3).inactive, 5);
    maps.apply(&put(true)).unwrap();
    assert_eq!(maps.connections(3), Connections::default());
    let beyond = MapOp::PutReal {
        id: abi::REALS_MAX,
        real,
        fresh: false,
    };
    assert!(matches!(
        maps.apply(&beyond),
        Err(Error::Beyond(name::REALS))
    ));
}

#[test]
fn a_lease_is_its_routers_and_ends_with_it() {
    let Some(pins) = Pins::new() else {
        return;
    };
    let mut maps = pins.maps();
    let router = Router {
        ifindex: 2,
        ..Router::default()
    };
    let put = |fresh| MapOp::PutRouter {
        at: 9,
        router,
        fresh,
    };
    let lease = |maps: &Maps| -> [u64; 2] {
        let [answers, forwards, ..] = &maps.routers[9];
        [answers, forwards].map(|word| word.load(Ordering::Relaxed))
    };
    maps.apply(&put(true)).unwrap();
    maps.put_lease(9, [70, 80]);
    maps.apply(&put(false)).unwrap();
    assert_eq!(lease(&pins.maps()), [70, 80]);
    assert_eq!(pins.maps().tables().unwrap().routers[&9], router);
    // As a daemon that starts has it.
    maps.stop_answering();
    assert_eq!(lease(&maps), [0, 80]);
    maps.put_lease(9, [70, 80]);
    maps.apply(&put(true)).unwrap();
    assert_eq!(lease(&maps), [0, 0], "another router's");
    maps.put_lease(9, [70, 80]);
    maps.apply(&MapOp::RemoveRouter(9)).unwrap();
    assert_eq!(lease(&maps), [0, 0]);
    assert!(pins.maps().tables().unwrap().routers.is_empty());
}

#[test]
fn flows_are_swept_and_forgotten_in_the_maps_themselves() {
    let Some(pins) = Pins::new() else {
        return;
    };
    let mut maps = pins.maps();
    let key = FlowKey {
        source: Ipv4Addr::new(10, 9, 9, 9).into(),
        destination: Ipv4Addr::new(10, 0, 0, 100).into(),
        source_port: Be16::new(4000),
        destination_port: Be16::new(80),
        protocol: 6,
        kind: kind::FLOW,
        _pad: 0,
    };
    let flow = Flow {
        service: 1,
        real: 3,
        ..Flow::default()
    };
    for (at, expires) in [(0, 10), (63, 20)] {
        maps.put_flow(at, Way::new(1, state::ESTABLISHED, expires), &key, &flow);
    }
    maps.connections[3][0].store(2, Ordering::Relaxed);
    assert_eq!(pins.maps().flows().count(), 2);
    assert_eq!(maps.sweep(15), Swept { freed: 1, left: 1 });
    assert_eq!(maps.connections(3).active, 1);
    assert_eq!(maps.forget_flows(|_, flow| flow.service == 1), 1);
    assert_eq!((maps.flows().count(), maps.connections(3).active), (0, 0));
}
