//! The lab: a small network of hosts on one machine, each host a network namespace, and what runs
//! on them. The integration tests (`it`) and the demonstration (`viaduct-demo`) are its two users.
//!
//! Not here: anything the product needs. No other package depends on this one.
#![forbid(unsafe_code)]

pub mod lab;

pub mod packet;

pub mod fuzz;

pub mod bench;

pub mod guest;

pub mod demo;

/// Skips a test out loud, or fails it when `VIADUCT_REQUIRE=1`, unless this machine has what the
/// test needs: `root`, `tools` (the programs the lab calls), `xdp` (the built eBPF object), `daemon`
/// (the built `viaduct-lb` and `viaduct`), `keepalived` (the other make of VRRP router), `proxy` (the built
/// `viaduct-proxy`, nginx and curl).
///
/// Works in functions that return `anyhow::Result<()>`.
#[macro_export]
macro_rules! require {
    ($($need:ident),+ $(,)?) => {
        if $crate::lab::require::missing(&[$($crate::lab::require::Need::$need),+])? {
            return Ok(());
        }
    };
}
