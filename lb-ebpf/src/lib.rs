//! The data plane as a library: every packet decision Viaduct's XDP program makes, and the layout
//! of the maps it reads.
//!
//! The decision is [`steer()`], a function of a frame, look-ups and the time. It runs in two
//! places: in the kernel, where the bin of this package is a thin shell around it, and on the host,
//! where tests (and `viaduct explain`, when it comes) drive the very same code. Rooms in reading order:
//! [`abi`] the maps, [`frame`] checked access to bytes, [`wire`] headers, [`checksum`], [`parse`],
//! [`select`] which real server, [`forward`] the rewrite of each forwarding method, [`icmp`] answers,
//! [`mod@steer`] all of it together; [`decap`] is the far end of a tunnel.
//!
//! Not here: loading and attaching (lb-user), anything that allocates, logs or asks a clock.
#![no_std]
#![deny(unsafe_code)]

pub mod abi;
pub mod checksum;
pub mod decap;
pub mod forward;
pub mod frame;
pub mod icmp;
pub mod parse;
pub mod select;
pub mod steer;
pub mod wire;

pub use frame::Frame;
pub use steer::{Action, Lookups, NextHop, Route, Verdict, steer};

/// What every object needs beside its programs: a licence and a panic handler.
///
/// The handler is a loop, which the verifier refuses: a program that could panic does not load. The
/// helpers for routes and for packet output are open to GPL-compatible programs only.
#[cfg(feature = "ebpf")]
#[macro_export]
macro_rules! object {
    () => {
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            loop {}
        }

        #[unsafe(link_section = "license")]
        #[unsafe(no_mangle)]
        static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
    };
}
