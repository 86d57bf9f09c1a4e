//! The laws of the ring, in the figures the data plane promises.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn candidate(member: u16, weight: u16) -> Candidate {
    let [high, low] = member.to_be_bytes();
    let identity = SocketAddr::new(Ipv4Addr::new(10, 1, high, low).into(), 80);
    Candidate {
        member,
        identity,
        weight,
    }
}

fn counts(owners: &[u16], members: u16) -> Vec<u32> {
    let mut counts = vec![0; usize::from(members)];
    for owner in owners {
        counts[usize::from(*owner)] += 1;
    }
    counts
}

#[test]
fn sizes_give_a_hundred_slots_a_server_and_never_shrink() {
    assert_eq!(size_for(0, 0), 4096);
    assert_eq!(size_for(40, 0), 4096);
    assert_eq!(size_for(41, 0), 8192);
    assert_eq!(size_for(100, 0), 16_384);
    assert_eq!(size_for(512, 0), 65_536);
    assert_eq!(size_for(100_000, 0), 65_536);
    assert_eq!(size_for(1, 16_384), 16_384);
}

#[test]
fn nobody_owns_a_ring_without_candidates() {
    assert!(fill(&[], 4096).iter().all(|owner| *owner == Slot::NOBODY));
}

#[test]
fn the_order_of_candidates_does_not_matter() {
    let mut candidates: Vec<_> = (0..50).map(|i| candidate(i, 1 + i % 7)).collect();
    let ring = fill(&candidates, 8192);
    candidates.reverse();
    assert_eq!(ring, fill(&candidates, 8192));
}

#[test]
fn removing_one_of_a_hundred_moves_few_others_and_adding_it_back_restores_the_ring() {
    let all: Vec<_> = (0..100).map(|i| candidate(i, 10)).collect();
    let before = fill(&all, SIZE_MAX);
    let mut worst = 0.0f64;
    for gone in [0, 17, 50, 99] {
        let rest: Vec<_> = all.iter().copied().filter(|c| c.member != gone).collect();
        let after = fill(&rest, SIZE_MAX);
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(b, a)| b != a && **b != gone)
            .count();
        worst = worst.max(moved as f64 / f64::from(SIZE_MAX));
        assert!(after.iter().all(|owner| *owner != gone));
    }
    assert!(
        worst <= 0.006,
        "{:.3} % of the slots moved without need",
        worst * 100.0
    );
    assert_eq!(before, fill(&all, SIZE_MAX));
}

#[test]
fn a_small_weight_beside_a_large_one_still_gets_a_slot() {
    let ring = fill(&[candidate(0, 65_535), candidate(1, 1)], 4096);
    assert_eq!(counts(&ring, 2), [4095, 1]);
}

#[test]
fn a_slot_that_changes_hands_remembers_the_settled_owner_until_settled() {
    let known = |_| true;
    let a = carry(&[], &[0], known);
    assert_eq!(a[0], Slot::settled(0));
    let b = carry(&a, &[1], known);
    assert_eq!(b[0], Slot::unsettled(1, 0));
    let c = carry(&b, &[2], known);
    assert_eq!(
        c[0],
        Slot::unsettled(2, 0),
        "A's flows are kept over A, B, C"
    );
    let back = carry(&c, &[0], known);
    assert_eq!(
        back[0],
        Slot::unsettled(0, 0),
        "flows of B and C live in their entries"
    );
    assert_eq!(settle(&back, |_| false)[0], back[0]);
    assert_eq!(settle(&back, |_| true)[0], Slot::settled(0));
}

#[test]
fn a_settled_owner_that_is_gone_is_not_remembered() {
    let a = carry(&[], &[0, 0], |_| true);
    let b = carry(&a, &[1, 1], |member| member != 0);
    assert_eq!(&*b, &[Slot::settled(1); 2]);
    let unsettled = [Slot::unsettled(1, 0)];
    assert_eq!(
        &*carry(&unsettled, &[2], |member| member != 0),
        &[Slot::unsettled(2, 2)]
    );
}

#[test]
fn a_ring_that_doubles_keeps_every_flow_where_it_was() {
    let old = carry(&[], &[0, 1], |_| true);
    let new = carry(&old, &[0, 2, 1, 0], |_| true);
    assert_eq!(
        &*new,
        &[
            Slot::settled(0),
            Slot::unsettled(2, 0),
            Slot::settled(1),
            Slot::unsettled(0, 1)
        ]
    );
    // The two halves of an old slot are the new slots of its hashes.
    for hash in [0u32, 1 << 29, 1 << 30, 1 << 31, u32::MAX] {
        let (small, large) = (
            lb_ebpf::select::slot_of(hash, 2),
            lb_ebpf::select::slot_of(hash, 4),
        );
        assert_eq!(small, large / 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Every candidate gets its share to the nearest whole slot (one more or less where tiny
    /// weights are lifted to one slot each), and every slot has an owner.
    #[test]
    fn weights_are_exact_to_a_slot(weights in proptest::collection::vec(1u16.., 1..60)) {
        let candidates: Vec<_> = (0..).zip(&weights).map(|(i, w)| candidate(i, *w)).collect();
        let size = size_for(candidates.len(), 0);
        let ring = fill(&candidates, size);
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let lifted = weights.iter().filter(|w| f64::from(**w) / total * f64::from(size) < 1.0).count();
        for (count, weight) in counts(&ring, u16::try_from(candidates.len()).unwrap()).iter().zip(&weights) {
            let exact = f64::from(*weight) / total * f64::from(size);
            prop_assert!((f64::from(*count) - exact).abs() <= 1.0 + lifted as f64, "{count} for {exact}");
            prop_assert!(*count >= 1);
        }
    }
}
