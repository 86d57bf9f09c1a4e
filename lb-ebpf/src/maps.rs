//! The maps as the kernel sees them, and [`Lookups`] over them. Names, types and sizes are
//! [`lb_ebpf::abi`]'s.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray, ProgramArray, RingBuf, lpm_trie::Key};
use aya_ebpf::programs::XdpContext;
use lb_ebpf::abi::{
    ADDRESS_SLOTS, Addr, AddressEntry, BUCKETS, FLOWS_MAX, FlowEvent, FlowKey, INTERFACE_SLOTS,
    Interface, Lease, Line, MEMBERS_MAX, NatReply, POOL_MAX, PREFIXES_MAX, PoolEntry, PrefixEntry,
    QuicKey, REALS_MAX, RING_SLOTS_MAX, ROUTERS_MAX, Real, Reason, Router, SEGMENTS_MAX,
    SERVICE_SLOTS, SERVICES_MAX, SLOTS_PER_LINE, Segment, Service, Slot, Traffic, UNRESOLVED_BYTES,
    Unresolved, VirtualMac, name,
};
use lb_ebpf::atomic::{AtomicU32, AtomicU64};
use lb_ebpf::flow::{Found, New};
use lb_ebpf::fullnat::Opened;
use lb_ebpf::parse::{Ends, Packet};
use lb_ebpf::stage::Places;
use lb_ebpf::track::Choice;
use lb_ebpf::{Action, Frame, Journey, Lookups, Route, Stage, Table, Verdict};

use crate::fib;
use crate::once::{
    NOT_FOUND, READ, READ_DROP, flow_find, flow_is_taken, flow_record, frame_read, fullnat_open,
    schedule_least,
};

/// For arrays that the daemon maps into its memory.
const MAPPED: u32 = BPF_F_MMAPABLE;

#[map]
static ABI: Array<u32> = Array::with_max_entries(1, 0);
#[map]
static INTERFACES: Array<Interface> = Array::with_max_entries(INTERFACE_SLOTS, 0);
#[map]
static VIPS: Array<AddressEntry> = Array::with_max_entries(ADDRESS_SLOTS, MAPPED);
#[map]
static VIP_PREFIXES: LpmTrie<Addr, PrefixEntry> =
    LpmTrie::with_max_entries(PREFIXES_MAX, BPF_F_NO_PREALLOC);
#[map]
static NAT_SOURCES: Array<AddressEntry> = Array::with_max_entries(ADDRESS_SLOTS, MAPPED);
#[map]
static SEGMENTS: Array<Segment> = Array::with_max_entries(SEGMENTS_MAX, MAPPED);
#[map]
static SERVICES: Array<Service> = Array::with_max_entries(SERVICE_SLOTS, MAPPED);
#[map]
static RING_SLOTS: Array<[Slot; SLOTS_PER_LINE as usize]> =
    Array::with_max_entries(RING_SLOTS_MAX / SLOTS_PER_LINE, MAPPED);
#[map]
static MEMBERS: Array<u32> = Array::with_max_entries(MEMBERS_MAX, MAPPED);
#[map]
static REALS: Array<Real> = Array::with_max_entries(REALS_MAX, MAPPED);
#[map]
static NAT_REPLIES: Array<NatReply> = Array::with_max_entries(REALS_MAX, MAPPED);
#[map]
static POOL: Array<PoolEntry> = Array::with_max_entries(POOL_MAX, 0);
#[map]
static ROUTERS: Array<RouterEntry> = Array::with_max_entries(ROUTERS_MAX, MAPPED);
#[map]
static VIRTUAL_MACS: HashMap<VirtualMac, u32> = HashMap::with_max_entries(ROUTERS_MAX, 0);
#[map]
static QUIC_SERVERS: HashMap<QuicKey, u32> = HashMap::with_max_entries(REALS_MAX, 0);
#[map]
static FLOW_WAYS: Array<Line> = Array::with_max_entries(BUCKETS, MAPPED);
#[map]
static FLOW_ENTRIES: Array<Line> = Array::with_max_entries(FLOWS_MAX, MAPPED);
#[map]
static CONNECTIONS: Array<[AtomicU32; 2]> = Array::with_max_entries(REALS_MAX, MAPPED);
#[map]
static TURNS: Array<AtomicU64> = Array::with_max_entries(SERVICES_MAX, 0);
#[map]
static FLOW_EVENTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(FlowEvent::COUNT, 0);
#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::COUNT, 0);
#[map]
static SERVICE_TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(SERVICES_MAX, 0);
#[map]
static REAL_TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(REALS_MAX, 0);
#[map]
static UNRESOLVED: RingBuf = RingBuf::with_byte_size(UNRESOLVED_BYTES, 0);
#[map]
static STAGES: ProgramArray = ProgramArray::with_max_entries(name::STAGE_PROGRAMS.len() as u32, 0);

/// A virtual router: the protocol thread's half and the engine's.
#[repr(C)]
struct RouterEntry {
    lease: Lease,
    router: Router,
}

/// What was read of the frame at hand: see [`Lookups::hold`].
struct Scratch {
    ends: Ends,
    packet: Packet,
    quote: Packet,
    choice: Choice,
    key: FlowKey,
    back: FlowKey,
    new: New,
    client: FlowKey,
    new_client: New,
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Goes on in the program of a stage; returns only where that is not loaded.
#[inline(always)]
pub(crate) fn call(context: &XdpContext, stage: Stage) {
    // SAFETY: the programs are loaded along with this one, and are of its type.
    unsafe { STAGES.tail_call(context, stage as u32) };
}

/// The kernel's maps, and its routing table for the frame at hand.
pub(crate) struct KernelMaps {
    context: *mut core::ffi::c_void,
    scratch: *mut Scratch,
}

impl KernelMaps {
    /// Lookups for functions that see no frame and hold nothing.
    pub(crate) const WITHOUT_FRAME: Self = Self {
        context: core::ptr::null_mut(),
        scratch: core::ptr::null_mut(),
    };

    /// Lookups for functions that see no frame.
    #[inline(always)]
    pub(crate) fn without_frame() -> Option<Self> {
        Some(Self {
            scratch: SCRATCH.get_ptr_mut(0)?,
            ..Self::WITHOUT_FRAME
        })
    }

    /// Lookups for functions that hold nothing.
    #[inline(always)]
    pub(crate) const fn without_scratch(context: &XdpContext) -> Self {
        Self {
            context: context.ctx.cast(),
            scratch: core::ptr::null_mut(),
        }
    }

    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Option<Self> {
        Some(Self {
            context: context.as_ptr(),
            scratch: SCRATCH.get_ptr_mut(0)?,
        })
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

impl Table for KernelMaps {
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
            // SAFETY: as in `count_verdict`.
            unsafe { *count += 1 };
        }
    }
}

impl Lookups for KernelMaps {
    #[inline(always)]
    fn hold_ends<'a>(&'a self, _: &'a mut Option<Ends>, ends: Ends) -> &'a Ends {
        // SAFETY: a per-CPU value that lives as long as the map; one program uses it at a time.
        unsafe { held(&raw mut (*self.scratch).ends, ends) }
    }

    #[inline(always)]
    fn hold<'a>(&'a self, _: &'a mut Option<Packet>, packet: Packet) -> &'a Packet {
        // SAFETY: as in `hold_ends`.
        unsafe { held(&raw mut (*self.scratch).packet, packet) }
    }

    #[inline(always)]
    fn hold_quote<'a>(&'a self, _: &'a mut Option<Packet>, quote: Packet) -> &'a Packet {
        // SAFETY: as in `hold_ends`.
        unsafe { held(&raw mut (*self.scratch).quote, quote) }
    }

    #[inline(always)]
    fn hold_entry<'a>(
        &'a self,
        _: &'a mut Option<(FlowKey, New)>,
        key: FlowKey,
        new: New,
    ) -> (&'a FlowKey, &'a mut New) {
        // SAFETY: as in `hold_ends`.
        unsafe {
            (
                held(&raw mut (*self.scratch).key, key),
                held(&raw mut (*self.scratch).new, new),
            )
        }
    }

    #[inline(always)]
    fn hold_client<'a>(
        &'a self,
        _: &'a mut Option<(FlowKey, New)>,
        key: FlowKey,
        new: New,
    ) -> (&'a FlowKey, &'a mut New) {
        // SAFETY: as in `hold_ends`.
        unsafe {
            (
                held(&raw mut (*self.scratch).client, key),
                held(&raw mut (*self.scratch).new_client, new),
            )
        }
    }

    #[inline(always)]
    fn hold_back<'a>(&'a self, _: &'a mut Option<FlowKey>, key: FlowKey) -> &'a FlowKey {
        // SAFETY: as in `hold_ends`.
        unsafe { held(&raw mut (*self.scratch).back, key) }
    }

    #[inline(always)]
    fn hold_choice<'a>(&'a self, _: &'a mut Option<Choice>, choice: Choice) -> &'a Choice {
        // SAFETY: as in `hold_ends`.
        unsafe { held(&raw mut (*self.scratch).choice, choice) }
    }

    #[inline(always)]
    fn read<'a, F: Frame + ?Sized>(
        &'a self,
        _: &F,
        ingress: u32,
        _: &'a mut Places,
    ) -> Result<(&'a Packet, u32), Verdict> {
        let read = frame_read(self.context.cast(), ingress);
        let (kind, value) = ((read >> 32) as u32, read as u32);
        if kind == READ {
            // SAFETY: as in `hold_ends`; it was written just now.
            return Ok((unsafe { &(*self.scratch).packet }, value));
        }
        let action = if kind == READ_DROP {
            Action::Drop
        } else {
            Action::Pass
        };
        let reason = Reason::of_number(value).unwrap_or(Reason::Inconsistent);
        Err(Verdict { action, reason })
    }

    #[inline(always)]
    fn find(&self, key: &FlowKey, now: u32) -> Option<Found> {
        let mut found = NOT_FOUND;
        (flow_find(key, &raw mut found, now) != 0).then_some(found)
    }

    #[inline(always)]
    fn is_taken(&self, key: &FlowKey, now: u32) -> bool {
        flow_is_taken(key, now) != 0
    }

    #[inline(always)]
    fn record(&self, key: &FlowKey, new: &New, now: u32) -> Option<u32> {
        flow_record(key, new, now).checked_sub(1)
    }

    #[inline(always)]
    fn least(&self, service: &Service) -> Option<u32> {
        schedule_least(service).checked_sub(1)
    }

    #[inline(always)]
    fn open(
        &self,
        packet: &Packet,
        service: &Service,
        key: &FlowKey,
        new: &mut New,
        now: u32,
    ) -> Opened {
        match fullnat_open(packet, service, key, new, now) {
            0 => Opened::Done,
            1 => Opened::Exhausted,
            _ => Opened::Full,
        }
    }

    #[inline(always)]
    fn interface(&self, ifindex: u32) -> Option<&Interface> {
        INTERFACES
            .get(ifindex % INTERFACE_SLOTS)
            .filter(|entry| entry.ifindex == ifindex)
    }

    #[inline(always)]
    fn vip(&self, at: u32) -> Option<&AddressEntry> {
        VIPS.get(at)
    }

    #[inline(always)]
    fn vip_prefix(&self, address: &Addr) -> Option<&PrefixEntry> {
        VIP_PREFIXES.get(&Key::new(u128::BITS, *address))
    }

    #[inline(always)]
    fn nat_source(&self, at: u32) -> Option<&AddressEntry> {
        NAT_SOURCES.get(at)
    }

    #[inline(always)]
    fn segment(&self, at: u32) -> Option<&Segment> {
        SEGMENTS.get(at)
    }

    #[inline(always)]
    fn service(&self, at: u32) -> Option<&Service> {
        SERVICES.get(at)
    }

    #[inline(always)]
    fn slot(&self, at: u32) -> Option<Slot> {
        let line = RING_SLOTS.get(at / SLOTS_PER_LINE)?;
        Some(line[(at % SLOTS_PER_LINE) as usize])
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
    fn nat_reply(&self, real: u32) -> Option<&NatReply> {
        NAT_REPLIES.get(real)
    }

    #[inline(always)]
    fn pool(&self, at: u32) -> Option<&PoolEntry> {
        POOL.get(at)
    }

    #[inline(always)]
    fn lease(&self, router: u32) -> Option<&Lease> {
        ROUTERS.get(router).map(|entry| &entry.lease)
    }

    #[inline(always)]
    fn router(&self, router: u32) -> Option<&Router> {
        ROUTERS.get(router).map(|entry| &entry.router)
    }

    #[inline(always)]
    fn virtual_mac(&self, mac: &VirtualMac) -> Option<u32> {
        // SAFETY: as in `quic_server`.
        unsafe { VIRTUAL_MACS.get(mac) }.copied()
    }

    #[inline(always)]
    fn quic_server(&self, key: &QuicKey) -> Option<u32> {
        // SAFETY: one aligned word, replaced whole.
        unsafe { QUIC_SERVERS.get(key) }.copied()
    }

    #[inline(always)]
    fn turn(&self, service: u32) -> Option<&AtomicU64> {
        TURNS.get(service)
    }

    #[inline(always)]
    fn route(&self, journey: &Journey) -> Route {
        fib::route(self.context, journey)
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
    fn count(&self, service: u32, real: u32, bytes: u32, opens: bool, ends: bool) {
        for counters in [
            traffic(&SERVICE_TRAFFIC, service),
            traffic(&REAL_TRAFFIC, real),
        ] {
            if let Some(counters) = counters {
                counters.packets += 1;
                counters.bytes += u64::from(bytes);
                // Of few packets: the others do without reading and writing.
                if opens | ends {
                    counters.connections += u64::from(opens);
                    counters.ended += u64::from(ends);
                }
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

/// Writes a value, and has it read again from there.
///
/// # Safety
/// `to` is good to write to, and nobody else's, for `'a`.
#[inline(always)]
unsafe fn held<'a, T>(to: *mut T, value: T) -> &'a mut T {
    // SAFETY: the caller's promise.
    unsafe { to.write(value) };
    // SAFETY: no instruction at all; the compiler must take it that memory was written.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
    // SAFETY: the caller's promise.
    unsafe { &mut *to }
}
