//! The maps as the kernel sees them, and [`Lookups`] over them. Names, types and sizes are
//! [`lb_ebpf::abi`]'s.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup as FibLookup,
};
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::programs::XdpContext;
use lb_ebpf::abi::{
    Addr, Be32, Endpoint, FLOWS_MAX, Flow, FlowKey, INTERFACE_SLOTS, Interface, MEMBERS_MAX, Mac,
    NatReply, REALS_MAX, RING_SLOTS_MAX, Real, Reason, SERVICES_MAX, Service, Slot, Traffic,
    UNRESOLVED_BYTES, Unresolved,
};
use lb_ebpf::parse::Packet;
use lb_ebpf::{Lookups, NextHop, Route};

#[map]
static ABI: Array<u32> = Array::with_max_entries(1, 0);
#[map]
static INTERFACES: Array<Interface> = Array::with_max_entries(INTERFACE_SLOTS, 0);
#[map]
static SERVICES: HashMap<Endpoint, Service> = HashMap::with_max_entries(SERVICES_MAX, 0);
#[map]
static RING_SLOTS: Array<Slot> = Array::with_max_entries(RING_SLOTS_MAX, 0);
#[map]
static MEMBERS: Array<u32> = Array::with_max_entries(MEMBERS_MAX, 0);
#[map]
static REALS: Array<Real> = Array::with_max_entries(REALS_MAX, 0);
#[map]
static NAT_REPLIES: HashMap<Endpoint, NatReply> = HashMap::with_max_entries(REALS_MAX, 0);
#[map]
static FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(FLOWS_MAX, 0);
#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::COUNT, 0);
#[map]
static SERVICE_TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(SERVICES_MAX, 0);
#[map]
static REAL_TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(REALS_MAX, 0);
#[map]
static UNRESOLVED: RingBuf = RingBuf::with_byte_size(UNRESOLVED_BYTES, 0);

/// The kernel's maps, and its routing table for the frame at hand.
pub(crate) struct KernelMaps {
    context: *mut core::ffi::c_void,
}

impl KernelMaps {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        Self {
            context: context.as_ptr(),
        }
    }
}

/// One more packet left for this reason.
#[inline(always)]
pub(crate) fn count_verdict(reason: Reason) {
    if let Some(count) = VERDICTS.get_ptr_mut(reason as u32) {
        // SAFETY: a per-CPU value, and XDP programs do not interrupt each other on a CPU.
        unsafe { *count += 1 };
    }
}

/// The mutable counters of one CPU.
#[inline(always)]
fn traffic(map: &PerCpuArray<Traffic>, id: u32) -> Option<&mut Traffic> {
    // SAFETY: as in `count_verdict`; the value lives as long as the map.
    map.get_ptr_mut(id).map(|value| unsafe { &mut *value })
}

impl Lookups for KernelMaps {
    #[inline(always)]
    fn interface(&self, ifindex: u32) -> Option<&Interface> {
        INTERFACES
            .get(ifindex % INTERFACE_SLOTS)
            .filter(|entry| entry.ifindex == ifindex)
    }

    #[inline(always)]
    fn service(&self, key: &Endpoint) -> Option<&Service> {
        // SAFETY: entries are replaced whole; one removed meanwhile stays readable until the
        // program ends (the kernel's RCU).
        unsafe { SERVICES.get(key) }
    }

    #[inline(always)]
    fn slot(&self, at: u32) -> Option<Slot> {
        RING_SLOTS.get(at).copied()
    }

    #[inline(always)]
    fn member(&self, at: u32) -> Option<u32> {
        MEMBERS.get(at).copied()
    }

    #[inline(always)]
    fn real(&self, id: u32) -> Option<&Real> {
        REALS.get(id)
    }

    #[inline(always)]
    fn nat_reply(&self, from: &Endpoint) -> Option<&NatReply> {
        // SAFETY: as in `service`.
        unsafe { NAT_REPLIES.get(from) }
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey, now: u32, timeout: u32) -> Option<u16> {
        let flow = FLOWS.get_ptr_mut(key)?;
        // SAFETY: the entry stays readable until the program ends; `seen` is one aligned word, so
        // two CPUs that write it at once leave one of two right values.
        unsafe {
            if (*flow).is_expired(now, timeout) {
                return None;
            }
            if (*flow).seen != now {
                (*flow).seen = now;
            }
            Some((*flow).member)
        }
    }

    #[inline(always)]
    fn record(&self, key: &FlowKey, flow: &Flow) {
        // An LRU map makes room by itself; should it fail, the flow is decided again.
        let _: Result<(), _> = FLOWS.insert(key, flow, 0);
    }

    #[inline(always)]
    fn route(&self, ingress: u32, packet: &Packet) -> Route {
        // SAFETY: all zero is a value of this plain struct.
        let mut query: FibLookup = unsafe { core::mem::zeroed() };
        query.l4_protocol = packet.protocol;
        query.ifindex = ingress;
        if packet.is_v6 {
            query.family = AF_INET6;
            query.__bindgen_anon_3.ipv6_src = packet.source.words().map(Be32::bits);
            query.__bindgen_anon_4.ipv6_dst = packet.destination.words().map(Be32::bits);
        } else {
            query.family = AF_INET;
            query.__bindgen_anon_3.ipv4_src = packet.source.v4_word().bits();
            query.__bindgen_anon_4.ipv4_dst = packet.destination.v4_word().bits();
        }
        // SAFETY: `query` has the size that is passed; the context is the program's own.
        let answer = unsafe {
            bpf_fib_lookup(
                self.context,
                &raw mut query,
                size_of::<FibLookup>() as i32,
                0,
            )
        };
        match u32::try_from(answer) {
            Ok(BPF_FIB_LKUP_RET_SUCCESS) => Route::Via(next_hop(&query)),
            Ok(BPF_FIB_LKUP_RET_NO_NEIGH) => Route::Unresolved,
            _ => Route::NotRouted,
        }
    }

    #[inline(always)]
    fn unresolved(&self, ingress: u32, destination: Addr) {
        let event = Unresolved {
            destination,
            ifindex: ingress,
        };
        // A full buffer means that the daemon has enough to ask for.
        let _: Result<(), _> = UNRESOLVED.output::<Unresolved>(event, 0);
    }

    #[inline(always)]
    fn count(&self, service: u32, real: u32, bytes: u32, new: bool) {
        for counters in [
            traffic(&SERVICE_TRAFFIC, service),
            traffic(&REAL_TRAFFIC, real),
        ] {
            if let Some(counters) = counters {
                counters.packets += 1;
                counters.bytes += u64::from(bytes);
                counters.connections += u64::from(new);
            }
        }
    }

    #[inline(always)]
    fn count_reply(&self, service: u32, real: u32, bytes: u32) {
        for counters in [
            traffic(&SERVICE_TRAFFIC, service),
            traffic(&REAL_TRAFFIC, real),
        ] {
            if let Some(counters) = counters {
                counters.reply_packets += 1;
                counters.reply_bytes += u64::from(bytes);
            }
        }
    }
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// What the kernel answered as the next hop.
#[inline(always)]
fn next_hop(query: &FibLookup) -> NextHop {
    NextHop {
        ifindex: query.ifindex,
        destination: Mac(query.dmac),
        source: Mac(query.smac),
    }
}
