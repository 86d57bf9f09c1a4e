//! Functions with names of their own, which are *global* to the kernel: their arguments are what
//! their types say, and they are verified once, not from every place that calls them. They have
//! their stack only while they run.
//!
//! Since anybody might call them, their pointers may be null. Not here: what they do, which is the
//! lib's.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use lb_ebpf::abi::{Be16, Flow, FlowKey, Service, Way};
use lb_ebpf::flow::{self, Found, New};
use lb_ebpf::fullnat::{self, Opened};
use lb_ebpf::parse::Packet;
use lb_ebpf::stage::{self, Places};
use lb_ebpf::{Action, schedule};

use crate::maps::KernelMaps;

/// What [`frame_read`] says in its upper half.
pub(crate) const READ: u32 = 0;
pub(crate) const READ_DROP: u32 = 1;
pub(crate) const READ_PASS: u32 = 2;

/// [`Lookups::read`]: the packet is in [`SCRATCH`]; the lower half is a service's place, or a reason.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn frame_read(context: *mut xdp_md, ingress: u32) -> u64 {
    let frame = XdpContext::new(context);
    let Some(maps) = KernelMaps::new(&frame) else {
        return u64::from(READ_PASS) << 32;
    };
    let (kind, value) = match stage::read(&frame, &maps, ingress, &mut Places::default()) {
        Ok((_, place)) => (READ, place),
        Err(verdict) if verdict.action == Action::Drop => (READ_DROP, verdict.reason as u32),
        Err(verdict) => (READ_PASS, verdict.reason as u32),
    };
    u64::from(kind) << 32 | u64::from(value)
}

/// What [`flow_find`] finds room in.
pub(crate) const NOT_FOUND: Found = Found {
    at: 0,
    way: Way(0),
    flow: NO_FLOW,
};

const NO_FLOW: Flow = Flow {
    service: 0,
    real: 0,
    peer: 0,
    pool: 0,
    port: Be16::new(0),
    vip_port: Be16::new(0),
    _pad: [0; 3],
};

/// [`Lookups::find`]; whether there is one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn flow_find(key: *const FlowKey, found: *mut Found, now: u32) -> u32 {
    // SAFETY: null, or what the callers in this file pass.
    let (Some(key), Some(found)) = (unsafe { (key.as_ref(), found.as_mut()) }) else {
        return 0;
    };
    match flow::find(&KernelMaps::WITHOUT_FRAME, key, now) {
        Some(entry) => {
            *found = entry;
            1
        }
        None => 0,
    }
}

/// [`Lookups::is_taken`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn flow_is_taken(key: *const FlowKey, now: u32) -> u32 {
    // SAFETY: as in `flow_find`.
    let Some(key) = (unsafe { key.as_ref() }) else {
        return 0;
    };
    u32::from(flow::find(&KernelMaps::WITHOUT_FRAME, key, now).is_some())
}

/// [`Lookups::record`]; the place plus one, or 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn flow_record(key: *const FlowKey, new: *const New, now: u32) -> u32 {
    // SAFETY: as in `flow_find`.
    let (Some(key), Some(new)) = (unsafe { (key.as_ref(), new.as_ref()) }) else {
        return 0;
    };
    flow::record(&KernelMaps::WITHOUT_FRAME, key, new, now).map_or(0, |at| at + 1)
}

/// [`Lookups::least`]; the id plus one, or 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn schedule_least(service: *const Service) -> u32 {
    // SAFETY: as in `flow_find`.
    let Some(service) = (unsafe { service.as_ref() }) else {
        return 0;
    };
    schedule::least(service, &KernelMaps::WITHOUT_FRAME).map_or(0, |id| id + 1)
}

/// [`Lookups::open`]; a number of [`Opened`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn fullnat_open(
    packet: *const Packet,
    service: *const Service,
    key: *const FlowKey,
    new: *mut New,
    now: u32,
) -> u32 {
    // SAFETY: as in `flow_find`.
    let arguments = unsafe {
        (
            packet.as_ref(),
            service.as_ref(),
            key.as_ref(),
            new.as_mut(),
        )
    };
    let (Some(packet), Some(service), Some(key), Some(new)) = arguments else {
        return Opened::Exhausted as u32;
    };
    let Some(maps) = KernelMaps::without_frame() else {
        return Opened::Exhausted as u32;
    };
    fullnat::open(packet, service, key, new, &maps, now) as u32
}
