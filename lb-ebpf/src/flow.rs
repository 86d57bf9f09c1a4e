//! The flow table: finding, recording and keeping entries, by the program on all CPUs and by the
//! daemon that sweeps, without locks.
//!
//! A key's hash names a bucket and a tag. The bucket's ways tell in one cache line who might be it,
//! who has expired and who may give way; the full key in the entry decides. Whoever wants to change
//! a way swaps its word: of two that try, one succeeds. An entry is written only while its way is
//! [`state::BUSY`], by whoever made it so.
//!
//! Room is made from free and expired ways, then from reset connections, then from flows of one
//! packet; never from an established one, nor from one that is about to end: so a flood of new
//! flows, forged or not, takes nothing from those that go on. Not here: what is worth an entry
//! ([`crate::track`]).

use core::sync::atomic::Ordering::Relaxed;

use zerocopy::{transmute, transmute_ref};

use crate::abi::{Flow, FlowEvent, FlowKey, KEY_WORDS, Line, WAYS, Way, kind, state};
use crate::lookups::Table;

/// An entry that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Found {
    /// Its place among all entries.
    pub at: u32,
    /// Its way's word when it was found.
    pub way: Way,
    /// What it says.
    pub flow: Flow,
}

/// The hash of a key: the low bits choose the bucket, the highest are the tag.
#[inline(always)]
fn hash(words: &[u64; KEY_WORDS]) -> u64 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xbf58_476d_1ce4_e5b9;
    let mut hash = A;
    let mut at = 0;
    while at < KEY_WORDS {
        hash = (hash ^ words[at]).wrapping_mul(B);
        hash ^= hash >> 32;
        at += 1;
    }
    hash.wrapping_mul(A)
}

/// The bucket that a key's entry is in, of `mask` and one more: as [`find`] and [`record`] reckon it.
pub fn bucket(key: &FlowKey, mask: u32) -> u32 {
    let words: &[u64; KEY_WORDS] = transmute_ref!(key);
    bucket_of(hash(words)) & mask
}

/// The bucket of a hash, before it is masked.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the middle bits are meant")]
const fn bucket_of(hash: u64) -> u32 {
    (hash >> 8) as u32
}

#[inline(always)]
const fn tag_of(hash: u64) -> u32 {
    (hash >> (64 - Way::TAG_BITS)) as u32
}

/// The low half of a tick, which flows are dated by.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "ticks of flows wrap")]
pub(crate) const fn low(now: u64) -> u32 {
    now as u32
}

/// The entry of a key, if there is one that is alive at `now`.
#[inline(always)]
pub fn find<L: Table + ?Sized>(lookups: &L, key: &FlowKey, now: u32) -> Option<Found> {
    let words: &[u64; KEY_WORDS] = transmute_ref!(key);
    let hash = hash(words);
    let bucket = bucket_of(hash) & L::BUCKET_MASK;
    let ways = lookups.bucket(bucket)?;
    let tag = tag_of(hash);
    for index in 0..WAYS {
        let way = Way(ways[index as usize].load(Relaxed));
        if way.tag() != tag || way.state() < state::NEW || way.is_expired(now) {
            continue;
        }
        let at = bucket * WAYS + index;
        let entry = lookups.entry(at)?;
        if !is_of(entry, words) {
            continue;
        }
        let flow = read(entry);
        // Written over meanwhile, it would be another flow's.
        let again = Way(ways[index as usize].load(Relaxed));
        if again.tag() == tag && again.state() >= state::NEW {
            return Some(Found {
                at,
                way: again,
                flow,
            });
        }
    }
    None
}

/// Whether an entry is that of a key.
#[inline(always)]
fn is_of(entry: &Line, key: &[u64; KEY_WORDS]) -> bool {
    let mut differs = 0;
    let mut at = 0;
    while at < KEY_WORDS {
        differs |= entry[at].load(Relaxed) ^ key[at];
        at += 1;
    }
    differs == 0
}

/// What an entry says.
#[inline(always)]
pub fn read(entry: &Line) -> Flow {
    let words = [
        entry[KEY_WORDS].load(Relaxed),
        entry[KEY_WORDS + 1].load(Relaxed),
        entry[KEY_WORDS + 2].load(Relaxed),
    ];
    transmute!(words)
}

/// What an entry is about.
#[inline(always)]
pub fn read_key(entry: &Line) -> FlowKey {
    let mut words = [0; KEY_WORDS];
    let mut at = 0;
    while at < KEY_WORDS {
        words[at] = entry[at].load(Relaxed);
        at += 1;
    }
    transmute!(words)
}

/// The entry at a place, if it is alive at `now`: for those that another one names.
#[inline(always)]
pub fn at<L: Table + ?Sized>(lookups: &L, at: u32, now: u32) -> Option<(FlowKey, Found)> {
    let ways = lookups.bucket((at / WAYS) & L::BUCKET_MASK)?;
    let word = &ways[(at % WAYS) as usize];
    let way = Way(word.load(Relaxed));
    if way.state() < state::NEW || way.is_expired(now) {
        return None;
    }
    let entry = lookups.entry(at & (L::BUCKET_MASK * WAYS + WAYS - 1))?;
    let (key, flow) = (read_key(entry), read(entry));
    let again = Way(word.load(Relaxed));
    let same = again.tag() == way.tag() && again.state() >= state::NEW;
    same.then_some((
        key,
        Found {
            at,
            way: again,
            flow,
        },
    ))
}

/// Gives the entry of a flow another state and time; the connections of its real server are counted
/// with it.
#[inline(always)]
pub fn keep<L: Table + ?Sized>(lookups: &L, found: &Found, new: u8, expires: u32) {
    let changed = keep_uncounted(lookups, found, new, expires);
    if changed && is_active(found.way.state()) != is_active(new) {
        recount(lookups, found.flow.real, is_active(new));
    }
}

/// As [`keep`], of an entry that is no connection: of a client, or of a flow's way back. Whether it
/// changed.
#[inline(always)]
pub fn keep_uncounted<L: Table + ?Sized>(
    lookups: &L,
    found: &Found,
    new: u8,
    expires: u32,
) -> bool {
    let to = Way::new(found.way.tag(), new, expires);
    if to == found.way {
        return false;
    }
    let Some(ways) = lookups.bucket((found.at / WAYS) & L::BUCKET_MASK) else {
        return false;
    };
    // Of two that change it at once one fails: the next packet tells again.
    let word = &ways[(found.at % WAYS) as usize];
    word.compare_exchange(found.way.0, to.0, Relaxed, Relaxed)
        .is_ok()
}

/// Writes which entry is that of the other direction, into one of ours.
#[inline(always)]
pub fn set_peer<L: Table + ?Sized>(lookups: &L, at: u32, peer: u32) {
    if let Some(entry) = lookups.entry(at & (L::BUCKET_MASK * WAYS + WAYS - 1)) {
        // The second word of what it says: see `Flow`.
        let word = &entry[KEY_WORDS + 1];
        word.store(word.load(Relaxed) >> 32 << 32 | u64::from(peer), Relaxed);
    }
}

/// An entry to be made, of state [`state::NEW`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct New {
    /// What it says.
    pub flow: Flow,
    /// Kernel tick at which it is forgotten.
    pub expires: u32,
}

/// Records a flow; its place, or `None` where the bucket is full of flows that stay.
#[inline(always)]
pub fn record<L: Table + ?Sized>(lookups: &L, key: &FlowKey, new: &New, now: u32) -> Option<u32> {
    let words: &[u64; KEY_WORDS] = transmute_ref!(key);
    let hash = hash(words);
    let bucket = bucket_of(hash) & L::BUCKET_MASK;
    let ways = lookups.bucket(bucket)?;
    let (index, victim) = room(ways, now)?;
    let word = &ways[(index & (WAYS - 1)) as usize];
    let busy = Way::new(0, state::BUSY, 0);
    // Another CPU was here first: as if there were no room; the next packet of the flow tries again.
    word.compare_exchange(victim.0, busy.0, Relaxed, Relaxed)
        .ok()?;
    let at = bucket * WAYS + (index & (WAYS - 1));
    let Some(entry) = lookups.entry(at) else {
        word.store(0, Relaxed);
        return None;
    };
    if victim.state() != state::FREE {
        let event = if victim.is_expired(now) {
            FlowEvent::Reused
        } else {
            FlowEvent::Displaced
        };
        lookups.event(event);
        if read_key(entry).kind == kind::FLOW {
            gone(lookups, read(entry).real, victim.state());
        }
    }
    let mut word_at = 0;
    while word_at < KEY_WORDS {
        entry[word_at].store(words[word_at], Relaxed);
        word_at += 1;
    }
    write(entry, &new.flow);
    if key.kind == kind::FLOW {
        come(lookups, new.flow.real, state::NEW);
    }
    lookups.event(FlowEvent::Recorded);
    // A swap, as it is a barrier too: who sees the way sees the entry.
    word.swap(Way::new(tag_of(hash), state::NEW, new.expires).0, Relaxed);
    Some(at)
}

/// Frees an entry of ours.
#[inline(always)]
pub fn forget<L: Table + ?Sized>(lookups: &L, at: u32) {
    let Some(ways) = lookups.bucket((at / WAYS) & L::BUCKET_MASK) else {
        return;
    };
    let word = &ways[(at % WAYS) as usize];
    let way = Way(word.load(Relaxed));
    let busy = Way::new(0, state::BUSY, 0);
    if way.state() < state::NEW {
        return;
    }
    if word
        .compare_exchange(way.0, busy.0, Relaxed, Relaxed)
        .is_err()
    {
        return;
    }
    if let Some(entry) = lookups.entry(at & (L::BUCKET_MASK * WAYS + WAYS - 1)) {
        if read_key(entry).kind == kind::FLOW {
            gone(lookups, read(entry).real, way.state());
        }
    }
    word.store(0, Relaxed);
}

#[inline(always)]
fn write(entry: &Line, flow: &Flow) {
    let words: [u64; 3] = transmute!(*flow);
    entry[KEY_WORDS].store(words[0], Relaxed);
    entry[KEY_WORDS + 1].store(words[1], Relaxed);
    entry[KEY_WORDS + 2].store(words[2], Relaxed);
}

/// The way to take for a new entry: free or expired, else reset, else of one packet.
#[inline(always)]
fn room(ways: &Line, now: u32) -> Option<(u32, Way)> {
    let (mut best, mut best_rank, mut best_way) = (0, RANK_NONE, Way(0));
    for index in 0..WAYS {
        let way = Way(ways[index as usize].load(Relaxed));
        let rank = rank(way, now);
        if rank < best_rank {
            (best, best_rank, best_way) = (index, rank, way);
        }
    }
    (best_rank < RANK_NONE).then_some((best, best_way))
}

const RANK_NONE: u8 = 4;

/// How gladly a way is taken; [`RANK_NONE`]: never.
#[inline(always)]
const fn rank(way: Way, now: u32) -> u8 {
    match way.state() {
        state::FREE => 0,
        state::BUSY => RANK_NONE,
        _ if way.is_expired(now) => 1,
        state::CLOSED => 2,
        state::NEW => 3,
        _ => RANK_NONE,
    }
}

/// Whether LVS counts a connection in this state as active.
#[inline(always)]
pub const fn is_active(state: u8) -> bool {
    state == state::ESTABLISHED
}

/// A connection of a real server began.
#[inline(always)]
fn come<L: Table + ?Sized>(lookups: &L, real: u32, state: u8) {
    if let Some(counts) = lookups.connections(real) {
        counts[usize::from(!is_active(state))].fetch_add(1, Relaxed);
    }
}

/// A connection of a real server that was in this state is gone.
#[inline(always)]
fn gone<L: Table + ?Sized>(lookups: &L, real: u32, state: u8) {
    if let Some(counts) = lookups.connections(real) {
        counts[usize::from(!is_active(state))].fetch_add(u32::MAX, Relaxed);
    }
}

/// A connection of a real server became active, or is so no more.
#[inline(always)]
fn recount<L: Table + ?Sized>(lookups: &L, real: u32, active: bool) {
    if let Some(counts) = lookups.connections(real) {
        let (plus, minus) = if active { (0, 1) } else { (1, 0) };
        counts[plus].fetch_add(1, Relaxed);
        counts[minus].fetch_add(u32::MAX, Relaxed);
    }
}
