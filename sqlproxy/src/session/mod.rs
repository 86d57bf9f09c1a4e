//! What must follow a client from server to server, and what cannot.
//!
//! In reading order: [`pin`] is the closed list of what ties a session to one connection;
//! [`variables`] are the session variables that were set; [`journal`] holds a session's state, learns
//! from every statement and its answer, and says what another connection needs to take the session
//! over; [`prepared`] maps statements' numbers; [`causal`] says which server may answer a read so that
//! nobody reads older data than he wrote; [`place()`] puts a statement's class and the session together:
//! where it goes.
//!
//! ```text
//!  statement ─lexer─► Statement ─┐
//!                      Journal ──┴─ place ──► Place { Primary | Replica | Here(why) }
//!  answer (OK's status, changes) ───────────► Journal
//!  another connection ◄── Journal::replay ──► statements that make it the same session
//! ```
//! Not here: connections, pools, and which replica of several.

pub mod causal;
pub mod journal;
pub mod pin;
pub mod place;
pub mod prepared;
pub mod variables;

pub use causal::{Causal, Wait};
pub use journal::{Answer, Journal};
pub use pin::{Pin, Pins};
pub use place::{Place, place};
pub use prepared::Statements;
pub use variables::Variables;
