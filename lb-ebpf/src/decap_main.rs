//! The XDP program of a real server behind a tunnel: a thin shell around
//! [`lb_ebpf::decap::open`]. An object of its own, so that real servers do without the load
//! balancer's maps.
#![no_std]
#![no_main]

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{HashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use lb_ebpf::abi::{Addr, DECAP_VIPS_MAX};
use lb_ebpf::decap::{Ends, open};

#[map]
static DECAP_VIPS: HashMap<Addr, u32> = HashMap::with_max_entries(DECAP_VIPS_MAX, 0);
#[map]
static DECAPPED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Takes packets to a VIP of this real server out of the ones that carry them.
#[xdp]
fn viaduct_decap(mut context: XdpContext) -> u32 {
    if open(&mut context, &KernelEnds) {
        if let Some(count) = DECAPPED.get_ptr_mut(0) {
            // SAFETY: a per-CPU value, and XDP programs do not interrupt each other on a CPU.
            unsafe { *count += 1 };
        }
    }
    XDP_PASS
}

/// The VIPs of this real server.
struct KernelEnds;

impl Ends for KernelEnds {
    #[inline(always)]
    fn is_vip(&self, address: &Addr) -> bool {
        // SAFETY: the value is not looked at.
        unsafe { DECAP_VIPS.get(address) }.is_some()
    }
}

lb_ebpf::object!();
