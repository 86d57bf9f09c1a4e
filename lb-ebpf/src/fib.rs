//! The kernel's routing table, as a program asks it. Not here: when it is asked ([`lb_ebpf::deliver`]).

use core::ffi::c_void;

use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup as FibLookup,
};
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use lb_ebpf::abi::{Be32, Mac};
use lb_ebpf::{Journey, NextHop, Route};

/// The kernel's route for a packet; `context` is the program's own.
#[inline(always)]
pub(crate) fn route(context: *mut c_void, journey: &Journey) -> Route {
    // SAFETY: all zero is a value of this plain struct.
    let mut query: FibLookup = unsafe { core::mem::zeroed() };
    query.l4_protocol = journey.protocol;
    query.ifindex = journey.ingress;
    if journey.destination.is_v4() {
        query.family = AF_INET;
        query.__bindgen_anon_3.ipv4_src = journey.source.v4_word().bits();
        query.__bindgen_anon_4.ipv4_dst = journey.destination.v4_word().bits();
    } else {
        query.family = AF_INET6;
        query.__bindgen_anon_3.ipv6_src = journey.source.words().map(Be32::bits);
        query.__bindgen_anon_4.ipv6_dst = journey.destination.words().map(Be32::bits);
    }
    // SAFETY: `query` has the size that is passed; `context` is the program's own.
    let answer =
        unsafe { bpf_fib_lookup(context, &raw mut query, size_of::<FibLookup>() as i32, 0) };
    match u32::try_from(answer) {
        Ok(BPF_FIB_LKUP_RET_SUCCESS) => Route::Via(next_hop(&query)),
        Ok(BPF_FIB_LKUP_RET_NO_NEIGH) => Route::Unresolved,
        _ => Route::NotRouted,
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
        vlan: 0,
    }
}
