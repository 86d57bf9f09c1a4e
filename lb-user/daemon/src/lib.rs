//! Process life of Viaduct's daemons: what each of them needs whatever it does.
//!
//! In reading order: [`source`] and [`diagnostic`] tell what is wrong with a site file, [`site`] and
//! [`duration`] read it, [`host`] finds its own host in it; [`log`], [`signals`] and [`notify`] are the process and its surroundings;
//! [`http`] serves status and metrics read-only, and asks for them.
//!
//! Not here: packets, HTTP routing, SQL, and anything else that a single daemon does. An item that
//! names one of them belongs to that daemon.
#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod duration;
pub mod host;
pub mod http;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod signals;
pub mod site;
pub mod source;
