//! Programs that only `cargo xtask bench datapath` loads: a front that prepares each frame and
//! hands it to the program under test, and the floor to compare with.
//!
//! `BPF_PROG_TEST_RUN` with a repeat count leaves the frame as the last run made it. So the front
//! writes the headers anew, as a flow of its own choosing, before every run. Not here: anything
//! that ships.
#![no_std]
#![no_main]

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_TX};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;
use lb_ebpf::Frame;
use lb_ebpf::abi::bench::{HEAD, Plan};

/// What each frame is to be; one entry.
#[map]
static PLAN: Array<Plan> = Array::with_max_entries(1, 0);
/// The program under test; one entry.
#[map]
static TARGET: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Writes the headers of the next flow's packet, then runs the program under test.
#[xdp]
fn bench_front(mut context: XdpContext) -> u32 {
    let Some(plan) = PLAN.get_ptr_mut(0) else {
        return XDP_ABORTED;
    };
    // SAFETY: the bench runs on one CPU at a time.
    let plan = unsafe { &mut *plan };
    plan.turn = plan.turn.wrapping_add(1);
    // An odd factor visits all flows of a power of two, far apart from one to the next.
    let flow = plan.turn.wrapping_mul(0x9e37_79b1) & plan.flows_mask;
    let mut head = plan.head;
    head[HEAD_SOURCE_LOW] ^= (flow & 0xffff) as u16;
    head[HEAD_SOURCE_PORT] ^= (flow >> 16) as u16;
    if context.write(0, &head).is_none() {
        return XDP_ABORTED;
    }
    // SAFETY: the target is set before the run; without one the call returns.
    unsafe { TARGET.tail_call(&context, 0) };
    XDP_ABORTED
}

/// The floor: what sending a frame back costs at least.
#[xdp]
fn bench_swap(mut context: XdpContext) -> u32 {
    let (Some(destination), Some(source)) =
        (context.read::<[u16; 3]>(0), context.read::<[u16; 3]>(6))
    else {
        return XDP_ABORTED;
    };
    match context.write(0, &[source, destination]) {
        Some(()) => XDP_TX,
        None => XDP_ABORTED,
    }
}

/// The low half of the IPv4 source address, in words of two bytes.
const HEAD_SOURCE_LOW: usize = 14;
/// The source port.
const HEAD_SOURCE_PORT: usize = 17;
const _: () = assert!(HEAD_SOURCE_PORT < HEAD);

lb_ebpf::object!();
