//! Where a statement may go, and what it does to its session: decided in one pass over its bytes,
//! without allocating.
//!
//! In reading order: [`statement`] is what is said of a statement; [`scan`] cuts text into tokens as
//! the server does; [`words`] and [`functions`] are the words that decide; [`hint`] are users' wishes
//! in comments; [`classify()`] puts it together. What is not known to be harmless goes to the primary:
//! a word that no statement begins with, a function that is not built in (a stored one may write), a
//! comment that only some versions execute, a quote that does not end.
//!
//! A scanner and no parser: a parser costs 4 to 60 µs a statement and refuses a quarter of the legal
//! ones; nothing here ever refuses a statement.
//!
//! Not here: servers and sessions; `sqlMaxLimit` and `checkSQLschema`, which change a text.

mod classify;
pub mod functions;
pub mod hint;
pub mod scan;
pub mod statement;
pub mod words;

pub use classify::set::{Assignment, Target, assignments};
pub use classify::{Parts, classify};
pub use scan::{Dialect, Multibyte};
pub use statement::{Class, Hint, Reason, Route, SessionChange, Statement, Traits, Transaction};

#[cfg(test)]
mod tests;
