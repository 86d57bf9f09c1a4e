//! What a voter needs of the world: its table of the site file, the secret, the file of its promises,
//! sealed packets over UDP, and, for a director, probes of the servers.
//!
//! In reading order: [`table`] is `[election]`; [`kept`] the file; [`packet`] bytes and their seal;
//! [`socket`] sends and receives them; [`pulse`] tells a server that is dead from one that is silent;
//! [`witness`] is a director's voter, whole.
//!
//! Not here: a sqlproxy's voter, which is in its elector, and what follows from an election.

pub mod kept;
pub mod packet;
pub mod pulse;
pub mod socket;
pub mod table;
pub mod witness;

pub use kept::{Keeper, KeptError};
pub use packet::Refusal;
pub use socket::{Link, LinkError};
pub use table::{Election, File, Member, Role};
