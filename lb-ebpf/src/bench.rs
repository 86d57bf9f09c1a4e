//! Programs that only `cargo xtask bench datapath` loads: fronts that prepare each frame and hand
//! it to the program under test, the floor to compare with, and tables of flows side by side.
//!
//! `BPF_PROG_TEST_RUN` with a repeat count leaves the frame as the last run made it. So a front
//! gives the frame its start and its headers back, as a flow of its own choosing, before every run.
//! Not here: anything that ships.
#![no_std]
#![no_main]

mod bench_tables;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_TX};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray, ProgramArray};
use aya_ebpf::programs::XdpContext;
use lb_ebpf::Frame;
use lb_ebpf::abi::Mac;
use lb_ebpf::abi::bench::Plan;

/// What each frame is to be; one entry.
#[map]
static PLAN: Array<Plan> = Array::with_max_entries(1, 0);
/// The program under test; one entry.
#[map]
static TARGET: ProgramArray = ProgramArray::with_max_entries(1, 0);
/// Frames that arrived; one entry.
#[map]
static COUNT: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Makes the next flow's packet, then runs the program under test.
#[xdp(frags)]
fn bench_front_v4(mut context: XdpContext) -> u32 {
    let _: Option<()> = next::<false>(&mut context);
    // SAFETY: the target is set before the run; without one the call returns.
    unsafe { TARGET.tail_call(&context, 0) };
    XDP_ABORTED
}

/// The same with an IPv6 header.
#[xdp(frags)]
fn bench_front_v6(mut context: XdpContext) -> u32 {
    let _: Option<()> = next::<true>(&mut context);
    // SAFETY: as in `bench_front_v4`.
    unsafe { TARGET.tail_call(&context, 0) };
    XDP_ABORTED
}

/// Sends the next flow's packet out: where live frames come from.
#[xdp(frags)]
fn bench_source(mut context: XdpContext) -> u32 {
    match next::<false>(&mut context) {
        Some(()) => XDP_TX,
        None => XDP_ABORTED,
    }
}

/// Where live frames end.
#[xdp(frags)]
fn bench_sink(_: XdpContext) -> u32 {
    if let Some(count) = COUNT.get_ptr_mut(0) {
        // SAFETY: a per-CPU value, and XDP programs do not interrupt each other on a CPU.
        unsafe { *count += 1 };
    }
    XDP_DROP
}

/// The floor: what sending a frame back costs at least.
#[xdp(frags)]
fn bench_swap(mut context: XdpContext) -> u32 {
    match swap(&mut context) {
        Some(()) => XDP_TX,
        None => XDP_ABORTED,
    }
}

#[inline(always)]
fn swap(context: &mut XdpContext) -> Option<()> {
    let [destination, source]: [Mac; 2] = context.read(0)?;
    context.write(0, &[source, destination])
}

/// Gives a frame its start back, and makes it the next flow's.
#[inline(always)]
fn next<const V6: bool>(context: &mut XdpContext) -> Option<()> {
    // SAFETY: the bench runs on one CPU at a time, and the value lives as long as the map.
    let plan = unsafe { &mut *PLAN.get_ptr_mut(0)? };
    // Masked, as the verifier follows it only within bounds.
    let (len, wanted) = (Frame::len(context), (plan.len & 0x3ff) as usize);
    if len != wanted {
        context.shrink(len.wrapping_sub(wanted))?;
    }
    plan.turn = plan.turn.wrapping_add(1);
    // An odd factor visits all flows of a power of two, far apart from one to the next.
    let flow = u64::from(plan.turn.wrapping_mul(0x9e37_79b1) & plan.flows_mask);
    // The last two bytes of the source address end one word, the source port begins another.
    let (address, port) = (flow << 48, flow >> 16);
    let head = &plan.head;
    if V6 {
        ethernet(context, head)?;
        ip_start(context, head[2], head[3])?;
        context.write(30, &(head[4] ^ address))?;
        context.write(38, &head[5])?;
        context.write(46, &head[6])?;
        context.write(54, &(head[7] ^ port))?;
        context.write(62, &head[8])?;
        context.write(70, &(head[9] as u32))
    } else {
        ethernet(context, head)?;
        ip_start(context, head[2], head[3] ^ address)?;
        context.write(30, &(head[4] as u32))?;
        context.write(34, &(head[5] ^ port))?;
        context.write(42, &head[6])?;
        context.write(50, &(head[7] as u32))
    }
}

#[inline(always)]
fn ethernet(context: &mut XdpContext, head: &[u64]) -> Option<()> {
    context.write(0, &head[0])?;
    context.write(8, &(head[1] as u32))?;
    context.write(12, &((head[1] >> 32) as u16))
}

#[inline(always)]
fn ip_start(context: &mut XdpContext, first: u64, second: u64) -> Option<()> {
    context.write(14, &first)?;
    context.write(22, &second)
}

lb_ebpf::object!();
