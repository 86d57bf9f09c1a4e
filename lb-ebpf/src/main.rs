//! The XDP programs: map statics, the kernel's [`Lookups`](lb_ebpf::Lookups), and the entries. A
//! thin shell around [`lb_ebpf::common()`] and [`lb_ebpf::stage`].
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod fib;
mod maps;
mod once;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns, bpf_redirect};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_ebpf::abi::Reason;
use lb_ebpf::{Action, Frame, Outcome, Verdict, common, plain, stage};

use maps::KernelMaps;

/// The load balancer: the common path.
#[xdp(frags)]
#[inline(always)]
fn viaduct_lb(mut context: XdpContext) -> u32 {
    let ingress = ingress(&context);
    let maps = KernelMaps::without_scratch(&context);
    let outcome = match plain(&mut context, &maps, ingress, now) {
        Some(outcome) => outcome,
        None => {
            let Some(maps) = KernelMaps::new(&context) else {
                return XDP_PASS;
            };
            common(&mut context, &maps, ingress, now)
        }
    };
    match outcome {
        Outcome::Done(verdict) => finish(verdict),
        Outcome::Call(stage) => {
            maps::call(&context, stage);
            // Only a program that was loaded without its stages gets here.
            finish(Verdict {
                action: Action::Drop,
                reason: Reason::Inconsistent,
            })
        }
    }
}

/// A program for each stage: it runs the stage over the frame.
macro_rules! stages {
    ($($program:ident = $stage:ident,)*) => {$(
        #[xdp(frags)]
        #[inline(always)]
        fn $program(mut context: XdpContext) -> u32 {
            let ingress = ingress(&context);
            let Some(maps) = KernelMaps::new(&context) else {
                return XDP_PASS;
            };
            finish(stage::$stage(&mut context, &maps, ingress, now()))
        }
    )*};
}

stages! {
    viaduct_tracked = tracked,
    viaduct_return = returning,
    viaduct_icmp = icmp,
    viaduct_fragment = fragment,
    viaduct_nat_fragment = nat_fragment,
    viaduct_return_fragment = return_fragment,
    viaduct_fullnat = fullnat,
    viaduct_neighbour = neighbour,
}

/// The kernel's tick.
#[inline(always)]
fn now() -> u64 {
    // SAFETY: a helper without arguments; the verifier replaces it by a load.
    unsafe { bpf_jiffies64() }
}

/// Counts a verdict, and tells the kernel.
#[inline(always)]
fn finish(verdict: Verdict) -> u32 {
    maps::count_verdict(verdict.reason);
    match verdict.action {
        Action::Pass => XDP_PASS,
        Action::Drop => XDP_DROP,
        Action::Transmit => XDP_TX,
        Action::Redirect(ifindex) => redirect(ifindex),
    }
}

/// Passes everything: a veth delivers what its peer transmits only while it has a program itself.
#[xdp(frags)]
fn viaduct_pass(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Writes `jiffies64` and the monotonic clock (ns) into the first 16 bytes of the frame, for the
/// daemon to learn how long a tick is.
#[xdp]
fn viaduct_clock(mut context: XdpContext) -> u32 {
    // SAFETY: helpers without arguments.
    let clocks = unsafe { [bpf_jiffies64(), bpf_ktime_get_ns()] };
    match context.write(0, &clocks) {
        Some(()) => XDP_PASS,
        None => XDP_DROP,
    }
}

/// Interfaces have indices below 2^31.
#[expect(
    clippy::cast_possible_truncation,
    reason = "aya widens the kernel's u32"
)]
fn ingress(context: &XdpContext) -> u32 {
    context.ingress_ifindex() as u32
}

/// Sends the frame out by another interface.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an XDP action code"
)]
fn redirect(ifindex: u32) -> u32 {
    // SAFETY: a helper that takes plain numbers.
    unsafe { bpf_redirect(ifindex, 0) as u32 }
}

lb_ebpf::object!();
