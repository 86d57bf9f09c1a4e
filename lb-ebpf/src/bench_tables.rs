//! Tables of flows side by side: ours, and the kernel's `LRU_HASH` in its place. Each finds a
//! packet's flow or records it, by the same key, and sends the frame back.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_TX};
use aya_ebpf::helpers::generated::bpf_jiffies64;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, LruHashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use lb_ebpf::abi::{Addr, BUCKETS, Be16, FLOWS_MAX, Flow, FlowEvent, FlowKey, Line, kind, state};
use lb_ebpf::atomic::AtomicU32;
use lb_ebpf::flow::{self, New};
use lb_ebpf::wire::ipv4::Ipv4;
use lb_ebpf::{Frame, Table};

#[map]
static LRU_FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(FLOWS_MAX, 0);
#[map]
static FLOW_WAYS: Array<Line> = Array::with_max_entries(BUCKETS, 0);
#[map]
static FLOW_ENTRIES: Array<Line> = Array::with_max_entries(FLOWS_MAX, 0);
#[map]
static FLOW_EVENTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(FlowEvent::COUNT, 0);
#[map]
static CONNECTIONS: Array<[AtomicU32; 2]> = Array::with_max_entries(1, 0);

/// Our table.
struct Ours;

impl Table for Ours {
    const BUCKET_MASK: u32 = BUCKETS - 1;

    #[inline(always)]
    fn bucket(&self, at: u32) -> Option<&Line> {
        FLOW_WAYS.get(at)
    }

    #[inline(always)]
    fn entry(&self, at: u32) -> Option<&Line> {
        FLOW_ENTRIES.get(at)
    }

    #[inline(always)]
    fn connections(&self, real: u32) -> Option<&[AtomicU32; 2]> {
        CONNECTIONS.get(real)
    }

    #[inline(always)]
    fn event(&self, event: FlowEvent) {
        if let Some(count) = FLOW_EVENTS.get_ptr_mut(event as u32) {
            // SAFETY: a per-CPU value, and XDP programs do not interrupt each other on a CPU.
            unsafe { *count += 1 };
        }
    }
}

/// Kernel ticks that a flow is remembered.
const TICKS: u32 = 900 * 250;

/// Our table: a known flow is found and its time renewed, another is recorded.
#[xdp(frags)]
fn bench_flow_table(context: XdpContext) -> u32 {
    let Some(key) = key(&context) else {
        return XDP_ABORTED;
    };
    // SAFETY: a helper without arguments; the verifier replaces it by a load.
    let now = unsafe { bpf_jiffies64() } as u32;
    let expires = now.wrapping_add(TICKS);
    match flow::find(&Ours, &key, now) {
        Some(found) => flow::keep(&Ours, &found, state::ESTABLISHED, expires),
        None => {
            let flow = Flow::default();
            let _: Option<u32> = flow::record(&Ours, &key, &New { flow, expires }, now);
        }
    }
    XDP_TX
}

/// The kernel's: a known flow is found and its value written to, another is inserted.
#[xdp(frags)]
fn bench_lru_hash(context: XdpContext) -> u32 {
    let Some(key) = key(&context) else {
        return XDP_ABORTED;
    };
    // SAFETY: as in `bench_flow_table`.
    let now = unsafe { bpf_jiffies64() } as u32;
    let mut flow = Flow::default();
    flow.peer = now;
    match LRU_FLOWS.get_ptr_mut(&key) {
        // SAFETY: the kernel keeps the value while the program runs; one word is written.
        Some(found) => unsafe { (*found).peer = now },
        None => {
            let _: Result<(), _> = LRU_FLOWS.insert(&key, &flow, 0);
        }
    }
    XDP_TX
}

/// The key of an IPv4 packet's flow.
#[inline(always)]
fn key(context: &XdpContext) -> Option<FlowKey> {
    let ip: Ipv4 = context.read(14)?;
    let [source_port, destination_port]: [Be16; 2] = context.read(34)?;
    Some(FlowKey {
        source: Addr::from_v4_octets(ip.source),
        destination: Addr::from_v4_octets(ip.destination),
        source_port,
        destination_port,
        protocol: ip.protocol,
        kind: kind::FLOW,
        _pad: 0,
    })
}
