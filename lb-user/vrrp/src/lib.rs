//! VRRP version 3 (RFC 9568) for IPv4 and IPv6: the machine of one virtual router, and its messages.
//!
//! A driver receives a [`Datagram`], has it [decoded](advert::decode), asks the [`Params`] whether to
//! [hear](Params::hear) it, and hands what was heard to [`Router::handle`] together with `now`. Out
//! come [`Actions`]: what to send, whether to serve the VIPs and until when. [`Router::deadline`] says
//! when the machine wants to be called next. In reading order:
//!
//! - [`interval`]: centiseconds, Skew_Time, Active_Down_Interval, the lease;
//! - [`params`]: what an operator configures, parsed so that it can only be right;
//! - [`checksum`] and [`advert`]: the wire; [`hear`] for the checks that need the configuration;
//! - [`refusal`]: the closed list of why a datagram was not taken, which is the metric's label;
//! - [`action`] and [`router`]: the machine;
//! - [`announce`]: the frames by which switches and clients learn of a takeover.
//!
//! Nothing here allocates but the constructors of [`params`].
//!
//! Not here: clock, sockets, timers, addresses of interfaces, maps of the data plane (all the
//! driver's, as are pace and repetition of announcements), tracking (it gives the machine another
//! priority), authentication, and version 2 of the protocol.
#![forbid(unsafe_code)]

pub mod action;
pub mod advert;
pub mod announce;
mod backup;
pub mod checksum;
pub mod hear;
pub mod interval;
pub mod params;
pub mod refusal;
pub mod router;

pub use action::{Action, Actions, Input, Reason, State};
pub use advert::{Advert, Datagram, Ends, Vips};
pub use checksum::ChecksumForm;
pub use hear::Heard;
pub use interval::Interval;
pub use params::{Family, Invalid, Params, Preempt, Priority, Vrid};
pub use refusal::{Counters, Notice, Notices, Refusal};
pub use router::Router;
