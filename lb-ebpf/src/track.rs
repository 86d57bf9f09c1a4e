//! Which real server, where the ring alone could be wrong or is not what decides: unsettled slots,
//! schedulers by turns or by connections, persistence, fullnat, QUIC.
//!
//! What was decided for a flow is recorded, and its entry decides from then on. Without room for
//! one, a flow goes where it would go without entries: by the ring. Not here: the entries
//! ([`crate::flow`]), turns and loads ([`crate::schedule`]).

use crate::abi::{
    Addr, Be16, Be32, Flow, FlowEvent, FlowKey, Reason, Service, Slot, TRACKED, kind, method,
    scheduler, state,
};
use crate::flow::{self, Found, New};
use crate::frame::Frame;
use crate::fullnat::{self, Opened};
use crate::lookups::Lookups;
use crate::parse::Packet;
use crate::wire::tcp::Tcp;
use crate::{quic, schedule, select};

/// Where a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The real server's id.
    pub real: u32,
    /// What its entry says; zeros where it has none.
    pub flow: Flow,
}

impl Choice {
    /// To this real server, without an entry.
    #[inline(always)]
    fn untracked(real: u32) -> Self {
        Self {
            real,
            flow: Flow::default(),
        }
    }
}

/// The entry of a packet's flow.
#[inline(always)]
pub const fn flow_key(packet: &Packet) -> FlowKey {
    FlowKey {
        source: packet.source,
        destination: packet.destination,
        source_port: packet.source_port,
        destination_port: packet.destination_port,
        protocol: packet.protocol,
        kind: kind::FLOW,
        _pad: 0,
    }
}

/// The entry of a client of a service.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "both halves are meant")]
pub const fn client_key(client: &Addr, service: &Service) -> FlowKey {
    FlowKey {
        source: select::masked(client, service.client_bits),
        destination: Addr::from_words([Be32::new(0); 4]),
        source_port: Be16::new((service.id >> 16) as u16),
        destination_port: Be16::new(service.id as u16),
        protocol: 0,
        kind: kind::CLIENT,
        _pad: 0,
    }
}

/// Decides for a packet of `service`, whose ports are read, and records it where that is needed.
/// `FULLNAT` is whether that is the service's method: the kernel has a program for each.
///
/// # Errors
/// Why it goes nowhere.
#[inline(always)]
pub fn choose<F: Frame + ?Sized, L: Lookups + ?Sized, const FULLNAT: bool>(
    frame: &F,
    packet: &Packet,
    service: &Service,
    lookups: &L,
    now: u32,
) -> Result<Choice, Reason> {
    // Where every flow has an entry, the ring is asked about new ones alone.
    if service.flags & TRACKED == 0 {
        let slot = select::slot(packet, service, lookups).ok_or(Reason::NoRealServer)?;
        if !slot.is_unsettled() {
            return by_ring(slot.current(), service, lookups);
        }
    }
    // The id plus one, where there is one.
    let mut named = 0;
    if service.quic_len != 0 {
        if let Some(real) = quic::server(frame, packet, service, lookups) {
            // Fullnat needs an entry, and what is there goes on: its real server knows the flow.
            if !FULLNAT {
                return Ok(Choice::untracked(real));
            }
            named = real + 1;
        }
    }
    let mut place = None;
    let nothing = New {
        flow: Flow::default(),
        expires: 0,
    };
    let (key, new) = lookups.hold_entry(&mut place, flow_key(packet), nothing);
    if let Some(found) = lookups.find(key, now) {
        if is_followed::<L, FULLNAT>(packet, service, &found, lookups, now) {
            go_on::<L, FULLNAT>(packet, service, &found, lookups, now);
            return Ok(Choice {
                real: found.flow.real,
                flow: found.flow,
            });
        }
        if FULLNAT {
            fullnat::close(&found, lookups, now);
        }
        flow::forget(lookups, found.at);
    }
    let slot = select::slot(packet, service, lookups).ok_or(Reason::NoRealServer)?;
    let at = Begins { slot, named };
    begin::<L, FULLNAT>(packet, service, &at, (key, new), lookups, now)
}

/// The part of a flow's timeout that it may last beyond it: so seldom is its entry written while only
/// time goes on.
const SPARED: u32 = 64;

/// What a new flow's real server is chosen by, besides its packet.
struct Begins {
    slot: Slot,
    /// The real server that its connection id names, plus one; 0: none.
    named: u32,
}

/// Whether a packet goes where its entry says: the real server is there, and the packet does not
/// begin a connection anew after the last one has ended.
#[inline(always)]
fn is_followed<L: Lookups + ?Sized, const FULLNAT: bool>(
    packet: &Packet,
    service: &Service,
    found: &Found,
    lookups: &L,
    now: u32,
) -> bool {
    let is_over = matches!(found.way.state(), state::CLOSING | state::CLOSED);
    if packet.is_syn() && is_over {
        return false;
    }
    let is_up = lookups
        .real(found.flow.real)
        .is_some_and(|real| select::is_up(real, service));
    is_up && (!FULLNAT || fullnat::is_open(found, lookups, now))
}

/// A packet of a flow that has an entry: what that does to the entry.
#[inline(always)]
fn go_on<L: Lookups + ?Sized, const FULLNAT: bool>(
    packet: &Packet,
    service: &Service,
    found: &Found,
    lookups: &L,
    now: u32,
) {
    let (new, ticks) = advance::<FULLNAT>(found.way.state(), packet, service);
    let until = now.wrapping_add(ticks);
    if new == found.way.state() && found.way.lasts(until) {
        return;
    }
    // A little longer, so that not every packet has to write.
    let expires = until.wrapping_add(ticks / SPARED);
    flow::keep(lookups, found, new, expires);
    if FULLNAT {
        fullnat::keep_peer(&found.flow, new, expires, lookups, now);
    }
    if service.persistence != 0 {
        let mut place = None;
        let nothing = New {
            flow: Flow::default(),
            expires: 0,
        };
        let key = client_key(&packet.source, service);
        let (key, _) = lookups.hold_client(&mut place, key, nothing);
        if let Some(client) = lookups.find(key, now) {
            let until = now.wrapping_add(service.persistence);
            let state = client.way.state().max(new.min(state::ESTABLISHED));
            let _: bool = flow::keep_uncounted(lookups, &client, state, until);
        }
    }
}

/// The state of a flow after one more packet, and the ticks it has then (LVS's `tcp_states`, as far
/// as one direction shows them). Where both directions are seen (fullnat), a second FIN is the end: the
/// port is wanted again.
#[inline(always)]
pub const fn advance<const FULLNAT: bool>(
    from: u8,
    packet: &Packet,
    service: &Service,
) -> (u8, u32) {
    if packet.tcp_flags & Tcp::RST != 0 {
        return (state::CLOSED, service.rst_timeout);
    }
    if FULLNAT && packet.tcp_flags & Tcp::FIN != 0 && from == state::CLOSING {
        return (state::CLOSED, service.rst_timeout);
    }
    if packet.tcp_flags & Tcp::FIN != 0 && from != state::CLOSED {
        return (state::CLOSING, service.fin_timeout);
    }
    match from {
        state::CLOSED => (state::CLOSED, service.rst_timeout),
        state::CLOSING => (state::CLOSING, service.fin_timeout),
        // The same SYN once more, or one that was forged: nothing has come of it yet.
        state::NEW if packet.is_syn() => (state::NEW, service.syn_timeout),
        _ => (state::ESTABLISHED, service.timeout),
    }
}

/// The first packet of a flow, or of one whose entry is gone.
#[inline(always)]
fn begin<L: Lookups + ?Sized, const FULLNAT: bool>(
    packet: &Packet,
    service: &Service,
    at: &Begins,
    (key, new): (&FlowKey, &mut New),
    lookups: &L,
    now: u32,
) -> Result<Choice, Reason> {
    // Of TCP a SYN tells; a datagram may be a flow's first.
    let is_new = packet.is_syn() || packet.protocol != Tcp::PROTOCOL;
    if FULLNAT && !is_new {
        return Err(Reason::FlowUnknown);
    }
    let slot = at.slot;
    let real = if FULLNAT && at.named != 0 {
        at.named - 1
    } else if is_new {
        for_new(packet, service, slot, lookups, now)?
    } else {
        without_entry(slot, service, lookups)?
    };
    let ticks = if packet.is_syn() {
        service.syn_timeout
    } else {
        service.timeout
    };
    new.expires = now.wrapping_add(ticks);
    new.flow = Flow {
        service: service.id,
        real,
        ..Flow::default()
    };
    if FULLNAT {
        return match lookups.open(packet, service, key, new, now) {
            Opened::Done => Ok(Choice {
                real,
                flow: new.flow,
            }),
            Opened::Exhausted => Err(Reason::PortsExhausted),
            Opened::Full => Err(Reason::FlowTableFull),
        };
    }
    if lookups.record(key, new, now).is_some() {
        return Ok(Choice {
            real,
            flow: new.flow,
        });
    }
    lookups.event(FlowEvent::Untracked);
    without_entry(slot, service, lookups).map(Choice::untracked)
}

/// The real server of a new flow: its client's, where clients stay, else what the scheduler says.
#[inline(always)]
fn for_new<L: Lookups + ?Sized>(
    packet: &Packet,
    service: &Service,
    slot: Slot,
    lookups: &L,
    now: u32,
) -> Result<u32, Reason> {
    let mut place = None;
    let until = now.wrapping_add(service.persistence);
    let new = New {
        flow: Flow {
            service: service.id,
            ..Flow::default()
        },
        expires: until,
    };
    let key = client_key(&packet.source, service);
    let (key, new) = lookups.hold_client(&mut place, key, new);
    if service.persistence != 0 {
        if let Some(client) = lookups.find(key, now) {
            let is_willing = lookups
                .real(client.flow.real)
                .is_some_and(|real| select::is_willing(real, service));
            if is_willing {
                let _: bool = flow::keep_uncounted(lookups, &client, client.way.state(), until);
                return Ok(client.flow.real);
            }
            flow::forget(lookups, client.at);
        }
    }
    let real = scheduled(packet, service, slot, lookups).ok_or(Reason::NoRealServer)?;
    if service.persistence != 0 {
        new.flow.real = real;
        // Without room the client's next flow is scheduled anew.
        if lookups.record(key, new, now).is_none() {
            lookups.event(FlowEvent::Untracked);
        }
    }
    Ok(real)
}

/// What the scheduler says of a new flow.
#[inline(always)]
fn scheduled<L: Lookups + ?Sized>(
    packet: &Packet,
    service: &Service,
    slot: Slot,
    lookups: &L,
) -> Option<u32> {
    match service.scheduler {
        scheduler::TURNS => schedule::by_turns(service, lookups),
        scheduler::LEAST | scheduler::WEIGHTED_LEAST => lookups.least(service),
        _ => {
            // A SYN is a new flow for sure; a datagram, or a client that has not been seen since
            // the ring changed, may have been there before.
            let settled = settled_owner(slot, service, lookups, true);
            let is_old = service.persistence != 0 || !packet.is_syn();
            settled
                .filter(|_| is_old)
                .or_else(|| select::member(lookups, service, slot.current()))
        }
    }
}

/// Where packets of flows without an entry go: to the settled owner of their slot while it is up,
/// since it has those that are older than the slot's last change; else to the current one.
#[inline(always)]
fn without_entry<L: Lookups + ?Sized>(
    slot: Slot,
    service: &Service,
    lookups: &L,
) -> Result<u32, Reason> {
    settled_owner(slot, service, lookups, false)
        .or_else(|| select::member(lookups, service, slot.current()))
        .ok_or(Reason::NoRealServer)
}

/// The settled owner of an unsettled slot, while it is up (and willing, if it must be).
#[inline(always)]
fn settled_owner<L: Lookups + ?Sized>(
    slot: Slot,
    service: &Service,
    lookups: &L,
    willing: bool,
) -> Option<u32> {
    if !slot.is_unsettled() {
        return None;
    }
    let id = select::member(lookups, service, slot.settled_owner())?;
    let real = lookups.real(id)?;
    let fits = if willing {
        select::is_willing(real, service)
    } else {
        select::is_up(real, service)
    };
    fits.then_some(id)
}

/// A settled slot: the ring alone decides.
#[inline(always)]
fn by_ring<L: Lookups + ?Sized>(
    member: u16,
    service: &Service,
    lookups: &L,
) -> Result<Choice, Reason> {
    select::member(lookups, service, member)
        .map(Choice::untracked)
        .ok_or(Reason::NoRealServer)
}

/// Where a flow goes, without recording anything: for errors about it.
#[inline(always)]
pub fn peek<L: Lookups + ?Sized>(
    packet: &Packet,
    service: &Service,
    lookups: &L,
    now: u32,
) -> Result<Choice, Reason> {
    let slot = select::slot(packet, service, lookups).ok_or(Reason::NoRealServer)?;
    if service.flags & TRACKED == 0 && !slot.is_unsettled() {
        return by_ring(slot.current(), service, lookups);
    }
    if let Some(found) = lookups.find(&flow_key(packet), now) {
        return Ok(Choice {
            real: found.flow.real,
            flow: found.flow,
        });
    }
    if service.method == method::FULLNAT {
        return Err(Reason::IcmpUnmatched);
    }
    without_entry(slot, service, lookups).map(Choice::untracked)
}
