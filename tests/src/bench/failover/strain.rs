//! A load on the processors: threads that do nothing but count.
//!
//! Not here: load on the network.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Threads that keep the processors busy until this is dropped.
pub(super) struct Strain {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Strain {
    /// Two threads for each processor, of ordinary priority.
    pub(super) fn twice_the_processors() -> Self {
        let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let over = Arc::new(AtomicBool::new(false));
        let spin = |_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            })
        };
        Self {
            threads: (0..2 * processors).map(spin).collect(),
            over,
        }
    }
}

impl Drop for Strain {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It cannot panic.
            drop(thread.join());
        }
    }
}
