//! The table of statements with where each goes and why, and the laws that hold for any text.

mod laws;
mod sets;
mod table;
mod writes;
