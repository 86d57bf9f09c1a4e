//! Everything a decision may ask: the one trait between packet decisions and maps.
//!
//! Two implementations: the kernel's maps (in the bin), and the daemon's `Tables` on the host. What
//! is found by an address is found here, alike for both.

use zerocopy::transmute_ref;

use crate::atomic::{AtomicU32, AtomicU64};

use crate::abi::{
    ADDRESS_SLOTS, Addr, AddressEntry, FlowEvent, FlowKey, Interface, Lease, Line, Mac, NatReply,
    PROBES_MAX, PoolEntry, Ports, PrefixEntry, QuicKey, Real, Router, Segment, Service, Slot,
    VirtualMac, address_slot,
};
use crate::flow::{self, Found as Entry, New};
use crate::frame::Frame;
use crate::fullnat::{self, Opened};
use crate::parse::{Ends, Packet};
use crate::schedule;
use crate::stage::{self, Places};
use crate::steer::Verdict;
use crate::track::Choice;
use crate::wire::tcp::Tcp;

/// The next Ethernet hop on a packet's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextHop {
    /// Interface the packet leaves by.
    pub ifindex: u32,
    /// Ethernet address of the next hop.
    pub destination: Mac,
    /// Ethernet address of the interface.
    pub source: Mac,
    /// VLAN it leaves by; 0: none.
    pub vlan: u16,
}

/// What the kernel's routing table says of a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// It is reached by this hop.
    Via(NextHop),
    /// There is a route, but its next hop has no Ethernet address yet.
    Unresolved,
    /// It is this host itself, or there is no route.
    NotRouted,
}

/// Whose way the kernel is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Journey {
    /// Interface that the packet came in by.
    pub ingress: u32,
    /// From.
    pub source: Addr,
    /// To.
    pub destination: Addr,
    /// IP protocol number.
    pub protocol: u8,
}

/// The flow table ([`flow`]), and what is counted along with it.
pub trait Table {
    /// Buckets, a power of two, less one.
    const BUCKET_MASK: u32;

    /// A bucket; `at` is masked.
    fn bucket(&self, at: u32) -> Option<&Line>;
    /// An entry.
    fn entry(&self, at: u32) -> Option<&Line>;
    /// Active and inactive connections of a real server.
    fn connections(&self, real: u32) -> Option<&[AtomicU32; 2]>;
    /// Counts an event.
    fn event(&self, event: FlowEvent);
}

/// Everything a decision may ask.
pub trait Lookups: Table {
    /// Keeps what was read of a frame: `place`, or wherever else it may lie.
    ///
    /// The kernel's verifier follows a program along every path, and what differs from path to path
    /// (which headers there were) it follows on and on. It does not follow what went through a map:
    /// from there on, all paths are one.
    #[inline(always)]
    fn hold_ends<'a>(&'a self, place: &'a mut Option<Ends>, ends: Ends) -> &'a Ends {
        place.insert(ends)
    }

    /// As [`Self::hold_ends`].
    #[inline(always)]
    fn hold<'a>(&'a self, place: &'a mut Option<Packet>, packet: Packet) -> &'a Packet {
        place.insert(packet)
    }

    /// As [`Self::hold_ends`]: the packet that an ICMP error quotes.
    #[inline(always)]
    fn hold_quote<'a>(&'a self, place: &'a mut Option<Packet>, quote: Packet) -> &'a Packet {
        place.insert(quote)
    }

    /// Keeps what an entry is found by and is to say, in no stack: the kernel has little.
    #[inline(always)]
    fn hold_entry<'a>(
        &'a self,
        place: &'a mut Option<(FlowKey, New)>,
        key: FlowKey,
        new: New,
    ) -> (&'a FlowKey, &'a mut New) {
        let (key, new) = place.insert((key, new));
        (key, new)
    }

    /// As [`Self::hold_entry`]: the entry of a client.
    #[inline(always)]
    fn hold_client<'a>(
        &'a self,
        place: &'a mut Option<(FlowKey, New)>,
        key: FlowKey,
        new: New,
    ) -> (&'a FlowKey, &'a mut New) {
        let (key, new) = place.insert((key, new));
        (key, new)
    }

    /// As [`Self::hold_entry`]: the way back of a fullnat flow.
    #[inline(always)]
    fn hold_back<'a>(&'a self, place: &'a mut Option<FlowKey>, key: FlowKey) -> &'a FlowKey {
        place.insert(key)
    }

    /// As [`Self::hold_ends`].
    #[inline(always)]
    fn hold_choice<'a>(&'a self, place: &'a mut Option<Choice>, choice: Choice) -> &'a Choice {
        place.insert(choice)
    }

    /// Reads a packet to a virtual service: [`stage::read`].
    ///
    /// This and those that follow are functions that the kernel's verifier looks at once, instead
    /// of wherever they are used, and that have their stack only while they run.
    ///
    /// # Errors
    /// What becomes of the frame otherwise.
    #[inline(always)]
    fn read<'a, F: Frame + ?Sized>(
        &'a self,
        frame: &F,
        ingress: u32,
        places: &'a mut Places,
    ) -> Result<(&'a Packet, u32), Verdict> {
        stage::read(frame, self, ingress, places)
    }

    /// The entry of a key: [`flow::find`].
    #[inline(always)]
    fn find(&self, key: &FlowKey, now: u32) -> Option<Entry> {
        flow::find(self, key, now)
    }

    /// Whether there is an entry of a key: as [`Self::find`].
    #[inline(always)]
    fn is_taken(&self, key: &FlowKey, now: u32) -> bool {
        flow::find(self, key, now).is_some()
    }

    /// Records a flow: [`flow::record`].
    #[inline(always)]
    fn record(&self, key: &FlowKey, new: &New, now: u32) -> Option<u32> {
        flow::record(self, key, new, now)
    }

    /// The real server with the fewest connections: [`schedule::least`].
    #[inline(always)]
    fn least(&self, service: &Service) -> Option<u32> {
        schedule::least(service, self)
    }

    /// Opens a fullnat flow: [`fullnat::open`].
    #[inline(always)]
    fn open(
        &self,
        packet: &Packet,
        service: &Service,
        key: &FlowKey,
        new: &mut New,
        now: u32,
    ) -> Opened {
        fullnat::open(packet, service, key, new, self, now)
    }

    /// An interface that frames come in by, or leave by.
    fn interface(&self, ifindex: u32) -> Option<&Interface>;
    /// A place of the table of VIPs.
    fn vip(&self, at: u32) -> Option<&AddressEntry>;
    /// The longest VIP prefix that an address is in.
    fn vip_prefix(&self, address: &Addr) -> Option<&PrefixEntry>;
    /// A place of the table of nat real servers.
    fn nat_source(&self, at: u32) -> Option<&AddressEntry>;
    /// A segment, by its place among all.
    fn segment(&self, at: u32) -> Option<&Segment>;
    /// A virtual service, by its place.
    fn service(&self, at: u32) -> Option<&Service>;
    /// A slot, by its place among all slots.
    fn slot(&self, at: u32) -> Option<Slot>;
    /// A real server's id, by its place among all members.
    fn member(&self, at: u32) -> Option<u32>;
    /// A real server.
    fn real(&self, id: u32) -> Option<&Real>;
    /// How replies of a nat real server are rewritten, by its id.
    fn nat_reply(&self, real: u32) -> Option<&NatReply>;
    /// An address of fullnat.
    fn pool(&self, at: u32) -> Option<&PoolEntry>;
    /// Until when a virtual router's VIPs are served, by its index.
    fn lease(&self, router: u32) -> Option<&Lease>;
    /// A virtual router, by its index.
    fn router(&self, router: u32) -> Option<&Router>;
    /// The index of the virtual router whose own Ethernet address this is.
    fn virtual_mac(&self, mac: &VirtualMac) -> Option<u32>;
    /// The real server that a server id of QUIC names.
    fn quic_server(&self, key: &QuicKey) -> Option<u32>;

    /// The turns taken so far of a service.
    fn turn(&self, service: u32) -> Option<&AtomicU64>;

    /// The kernel's route for a packet.
    fn route(&self, journey: &Journey) -> Route;
    /// Tells the daemon that a next hop has no Ethernet address.
    fn unresolved(&self, ingress: u32, destination: Addr);
    /// Counts a packet of `bytes` bytes towards a real server; `opens` where it opens a connection,
    /// `ends` where it is the end of one.
    fn count(&self, service: u32, real: u32, bytes: u32, opens: bool, ends: bool);
    /// Counts a packet of `bytes` bytes back from a real server.
    fn count_reply(&self, service: u32, real: u32, bytes: u32);
}

/// What a table knows of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// TCP ports.
    pub tcp: Ports,
    /// UDP ports.
    pub udp: Ports,
}

impl Found {
    /// The ports of a protocol, TCP or else UDP.
    #[inline(always)]
    pub const fn of(&self, protocol: u8) -> Ports {
        if protocol == Tcp::PROTOCOL {
            self.tcp
        } else {
            self.udp
        }
    }

    /// Whether it is a VIP.
    #[inline(always)]
    pub const fn is_vip(&self) -> bool {
        self.tcp.is_vip() || self.udp.is_vip()
    }

    /// As [`Ports::router`]. One word says it: while a change is written, the other may say something
    /// else.
    #[inline(always)]
    pub const fn router(&self) -> u32 {
        self.tcp.router()
    }

    /// As [`Ports::is_local`].
    #[inline(always)]
    pub const fn is_local(&self) -> bool {
        self.tcp.is_local()
    }
}

/// What the table behind `entry` knows of an address.
#[inline(always)]
pub fn find_address<'a>(
    address: &Addr,
    entry: impl Fn(u32) -> Option<&'a AddressEntry>,
) -> Option<Found> {
    let first = address_slot(address);
    let (high, low) = address.halves();
    for probe in 0..PROBES_MAX {
        let entry = entry((first + probe) & (ADDRESS_SLOTS - 1))?;
        // In two pieces, not by bytes.
        let words: &[u64; 4] = transmute_ref!(entry);
        if words[0] == high && words[1] == low {
            let found = Found {
                tcp: entry.tcp,
                udp: entry.udp,
            };
            return (found.tcp.is_there() || found.udp.is_there()).then_some(found);
        }
        if words[0] | words[1] == 0 {
            return None;
        }
    }
    None
}

/// What is at a port: an index, or [`Segment::NOTHING`], or [`Segment::POOL`].
#[inline(always)]
pub fn find_port<L: Lookups + ?Sized>(lookups: &L, ports: Ports, port: u16) -> u32 {
    // The segment sought is one of `low..high`: ports ascend, and the first begins with port 0.
    let (mut low, mut high) = (0, ports.len());
    for _ in 0..SEARCH_STEPS {
        if high - low <= 1 {
            break;
        }
        let middle = (low + high) >> 1;
        let Some(segment) = lookups.segment(ports.at() + middle) else {
            return Segment::NOTHING;
        };
        if segment.from <= port {
            low = middle;
        } else {
            high = middle;
        }
    }
    if high == 0 {
        return Segment::NOTHING;
    }
    lookups
        .segment(ports.at() + low)
        .map_or(Segment::NOTHING, |segment| segment.index)
}

/// Halvings that leave one of 65,535 segments.
const SEARCH_STEPS: u32 = 16;
