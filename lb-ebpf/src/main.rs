//! The XDP programs: map statics, the kernel's [`Lookups`], and the entries. A thin shell around
//! [`lb_ebpf::steer()`].
#![no_std]
#![no_main]

mod maps;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns, bpf_redirect};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_ebpf::{Action, Frame, steer};

use maps::KernelMaps;

/// The load balancer.
#[xdp]
fn viaduct_lb(mut context: XdpContext) -> u32 {
    let ingress = ingress(&context);
    let kernel = KernelMaps::new(&context);
    // SAFETY: a helper without arguments; the verifier replaces it by a load.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "ticks wrap; see Flow::is_expired"
    )]
    let now = unsafe { bpf_jiffies64() } as u32;
    let verdict = steer(&mut context, &kernel, ingress, now);
    maps::count_verdict(verdict.reason);
    match verdict.action {
        Action::Pass => XDP_PASS,
        Action::Drop => XDP_DROP,
        Action::Transmit => XDP_TX,
        Action::Redirect(ifindex) => redirect(ifindex),
    }
}

/// Passes everything: a veth delivers what its peer transmits only while it has a program itself.
#[xdp]
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
