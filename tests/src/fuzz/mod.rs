//! What the fuzz targets do: one function for each decoder and for what packets may do to memory,
//! from any bytes to "that cannot be".
//!
//! ```text
//!   parse, decap ─► bytes are a frame          flow ─► bytes are operations on a table
//!   http ─► bytes are what a client or a server of the proxy sends, and where it is cut
//!   preamble ─► bytes are what another proxy says of whom it speaks for
//!   steer ─► bytes are a story: frames, answers to what left, changes of the site, time
//!   login, reply ─► bytes are what a MySQL client or server sends     sql ─► bytes are a statement
//! ```
//!
//! libFuzzer calls them (`cargo xtask fuzz`, the package in `tests/fuzz`), and the tests replay what
//! it has found ([`corpus`]). Not here: libFuzzer itself, which this workspace does without; the
//! loaded program, which `it` plays the same stories to.

pub mod corpus;
pub mod decap;
pub mod flow;
pub mod http;
pub mod login;
pub mod parse;
pub mod preamble;
pub mod reader;
pub mod reply;
pub mod sql;
pub mod steer;

use anyhow::Result;

/// A target: what it makes of any bytes.
pub type Body = fn(&[u8]) -> Result<()>;

/// All targets by their names, which are those of the corpora and of `tests/fuzz/fuzz_targets`.
pub const TARGETS: [(&str, Body); 9] = [
    ("parse", parse::parse),
    ("steer", steer::steer),
    ("decap", decap::decap),
    ("flow", flow::flow),
    ("http", http::http),
    ("preamble", preamble::preamble),
    ("login", login::login),
    ("reply", reply::reply),
    ("sql", sql::sql),
];

/// What a fuzz target does with an input: fails as libFuzzer wants it.
///
/// # Panics
/// If what came of the bytes cannot be.
pub fn check(body: Body, bytes: &[u8]) {
    if let Err(error) = body(bytes) {
        panic!("{error:#}");
    }
}

#[cfg(test)]
mod tests;
