//! The line by hand, and under threads that never have more under way than they may.

use std::{sync::atomic::AtomicBool, thread};

use super::*;

fn server(port: u16, most: u32) -> Arc<ServerLife> {
    let life = ServerLife::new(([127, 0, 0, 1], port).into(), 1);
    life.set_max_active(most);
    Arc::new(life)
}

fn got(place: &Place<'_>) -> Option<u16> {
    place.poll(Waker::noop()).map(|life| life.address.port())
}

#[test]
fn who_came_first_is_served_first_and_the_number_under_way_stays() {
    let (queue, life) = (Queue::default(), server(1, 1));
    assert!(life.try_begin() && !life.try_begin());
    let first = queue.join(2, None).unwrap();
    let second = queue.join(2, None).unwrap();
    assert!(queue.join(2, None).is_none(), "no third place");
    queue.release(&life, true);
    assert_eq!((got(&second), got(&first)), (None, Some(1)));
    assert_eq!((life.active(), queue.waiting()), (1, 1));
    queue.release(&life, true);
    assert_eq!((got(&second), life.active()), (Some(1), 1));
    queue.release(&life, true);
    assert_eq!(life.active(), 0);
}

#[test]
fn who_leaves_makes_room_and_passes_on_what_it_was_given() {
    let (queue, life) = (Queue::default(), server(1, 1));
    assert!(life.try_begin());
    let first = queue.join(2, None).unwrap();
    let second = queue.join(2, None).unwrap();
    drop(first);
    assert_eq!(queue.waiting(), 1);
    let third = queue.join(2, None).unwrap();
    queue.release(&life, true);
    // Given to the second, which has gone before it looked.
    drop(second);
    assert_eq!(got(&third), Some(1));
    queue.release(&life, true);
    assert_eq!((life.active(), queue.waiting()), (0, 0));
}

#[test]
fn who_waits_for_one_server_holds_nobody_up() {
    let (queue, a, b) = (Queue::default(), server(1, 1), server(2, 1));
    assert!(a.try_begin() && b.try_begin());
    let faithful = queue.join(9, Some(b.seed)).unwrap();
    let any = queue.join(9, None).unwrap();
    queue.release(&a, true);
    assert_eq!((got(&faithful), got(&any)), (None, Some(1)));
    queue.release(&b, true);
    assert_eq!(got(&faithful), Some(2));
}

#[test]
fn a_server_that_may_not_serve_or_has_too_many_is_handed_to_nobody() {
    let (queue, life) = (Queue::default(), server(1, 2));
    assert!(life.try_begin() && life.try_begin());
    let place = queue.join(9, None).unwrap();
    queue.release(&life, false);
    assert_eq!((got(&place), life.active()), (None, 1));
    assert!(life.try_begin());
    // A reload has lowered the limit.
    life.set_max_active(1);
    queue.release(&life, true);
    assert_eq!((got(&place), life.active()), (None, 1));
    queue.release(&life, true);
    assert_eq!((got(&place), life.active()), (Some(1), 1));
}

/// Waits as a task does: woken, and looking itself only before it begins.
fn take(queue: &Queue, life: &Arc<ServerLife>) -> Arc<ServerLife> {
    struct Unpark(thread::Thread, AtomicBool);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, SeqCst);
            self.0.unpark();
        }
    }
    if life.try_begin() {
        return Arc::clone(life);
    }
    let place = queue.join(1000, None).unwrap();
    if life.try_begin() {
        return Arc::clone(life);
    }
    let woken = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
    let waker = Arc::clone(&woken).into();
    loop {
        if let Some(life) = place.poll(&waker) {
            return life;
        }
        while !woken.1.swap(false, SeqCst) {
            thread::park();
        }
    }
}

#[test]
fn threads_never_have_more_under_way_than_they_may_and_none_waits_for_ever() {
    let (queue, life) = (Queue::default(), server(1, 3));
    let (inside, worst) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let life = take(&queue, &life);
                    worst.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    thread::yield_now();
                    inside.fetch_sub(1, SeqCst);
                    queue.release(&life, true);
                }
            });
        }
    });
    assert!(worst.load(SeqCst) <= 3, "{worst:?} at once");
    assert_eq!((life.active(), queue.waiting()), (0, 0));
}
