//! The table beside a list, with keys that all want the same few slots.

use proptest::prelude::*;

use super::super::table::Table;
use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Use(u32),
    Remove(u32),
    RemoveOldest,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u32..40).prop_map(Step::Use),
        2 => (0_u32..40).prop_map(Step::Remove),
        1 => Just(Step::RemoveOldest),
    ]
}

/// Three homes: the first, the last, which goes round the end, and one between.
fn crowded(number: u32) -> ClientKey {
    let hi = [1, u64::MAX, 1 << 63][number as usize % 3];
    ClientKey { hi, lo: number }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_table_is_a_map_in_order_of_use(
        capacity in 1_u32..30,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut table = Table::<u32>::new(capacity).unwrap();
        // Oldest first.
        let mut list: Vec<u32> = Vec::new();
        for step in steps {
            match step {
                Step::Use(number) => {
                    let found = table.find(crowded(number));
                    prop_assert_eq!(found.is_some(), list.contains(&number));
                    if let Some(at) = found {
                        prop_assert_eq!(*table.get(at), number);
                        table.touch(at);
                        list.retain(|other| *other != number);
                        list.push(number);
                    } else if table.insert(crowded(number), number).is_some() {
                        list.push(number);
                    } else {
                        prop_assert_eq!(list.len(), capacity as usize);
                    }
                }
                Step::Remove(number) => {
                    if let Some(at) = table.find(crowded(number)) {
                        table.remove(at);
                    }
                    list.retain(|other| *other != number);
                }
                Step::RemoveOldest => {
                    let oldest = table.oldest();
                    prop_assert_eq!(oldest.map(|at| *table.get(at)), list.first().copied());
                    if let Some(at) = oldest {
                        table.remove(at);
                        list.remove(0);
                    }
                }
            }
            prop_assert_eq!(table.clients() as usize, list.len());
        }
        for number in list {
            let at = table.oldest().unwrap();
            prop_assert_eq!(*table.get(at), number);
            prop_assert_eq!(table.find(crowded(number)), Some(at));
            table.remove(at);
        }
        prop_assert_eq!(table.oldest(), None);
    }

    #[test]
    fn what_is_said_to_fit_fits(bytes in 200_u64..1 << 42) {
        let clients = Table::<[u32; 3]>::fitting(bytes);
        prop_assert!(Table::<[u32; 3]>::bytes(clients) <= bytes);
        prop_assert!(u64::from(clients) * 42 + 512 > bytes || clients == 1 << 31);
    }
}
