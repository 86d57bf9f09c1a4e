//! The root daemon: virtual services, health and neighbours become the maps of the XDP program.
//!
//! Rooms in reading order: [`cli`], [`config`] the site file as domain types, [`preflight`] what
//! the host must have, [`engine`] the one loop; [`tables`] what the maps should hold (pure),
//! [`network`] next hops, [`datapath`] the edge to the kernel's maps and links, [`ha`] the thread that
//! speaks VRRP, with `script` for what it has run; [`status`] and [`control`] what is told of it all, and
//! [`drain`] what an operator may order of it. Apart from these, [`others`] asks the other daemons, [`explain`] says where a flow would go, and
//! [`realserver`] prepares the hosts that packets go to. Not here: packet decisions (lb-ebpf), the protocol
//! (vrrp), and what all daemons do alike (daemon, health).
// All but two files: `datapath/mapped.rs` shares memory with the kernel, `ha/sys.rs` has socket options and
// priorities that nothing safe offers.
#![deny(unsafe_code)]

pub mod cli;
pub mod config;
pub mod control;
pub mod datapath;
pub mod drain;
pub mod engine;
pub mod explain;
pub mod ha;
pub mod network;
pub mod others;
pub mod preflight;
pub mod realserver;
mod script;
pub mod status;
pub mod tables;
pub mod time;
mod witness;
