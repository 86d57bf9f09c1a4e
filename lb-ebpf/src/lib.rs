//! The data plane as a library: every packet decision Viaduct's XDP program makes, and the layout
//! of the maps it reads.
//!
//! The decision is [`steer()`], a function of a frame, look-ups and the time. It runs in two
//! places: in the kernel, where the bin of this package is a thin shell around it, and on the host,
//! where tests and `viaduct explain` drive the very same code. Rooms in reading order:
//! [`abi`] the maps, [`lookups`] what a decision may ask of them, [`frame`] checked access to bytes,
//! [`wire`] headers, [`checksum`], [`parse`]; [`mod@steer`] the common path and its verdicts, [`mod@plain`] the same for most frames,
//! [`stage`] what is not common; [`select`] which real server, [`track`] with memory, in [`flow`]s,
//! by turns or load ([`schedule`]), by connection id ([`quic`]), with ports of one's own
//! ([`fullnat`]); [`deliver`] and [`forward`] the rewrite of each forwarding method, [`icmp`]
//! answers and errors; [`decap`] is the far end of a tunnel.
//!
//! Not here: loading and attaching (lb-user), anything that allocates, logs or asks a clock.
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod abi;
pub mod atomic;
pub mod checksum;
pub mod decap;
pub mod deliver;
pub mod flow;
pub mod forward;
pub mod frame;
pub mod fullnat;
pub mod icmp;
pub mod lease;
pub mod lookups;
pub mod parse;
pub mod plain;
pub mod quic;
mod replies;
pub mod schedule;
pub mod select;
pub mod stage;
pub mod steer;
pub mod track;
pub mod wire;

pub use frame::Frame;
pub use lookups::{Journey, Lookups, NextHop, Route, Table};
pub use plain::plain;
pub use steer::{Action, Outcome, Stage, Verdict, common, steer};

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
