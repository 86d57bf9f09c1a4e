//! The protocol against what a real server sent: exchanges recorded from MariaDB 10.11 (Debian 12),
//! replayed with every cut; and, where a server is named, recorded anew.
//!
//! ```text
//! VIADUCT_SQL_RECORD=127.0.0.1:3306 cargo test -p sqlproxy --test it -- --ignored --exact record::record
//! ```
//! records as user `viaduct` with the password `secret`, who needs all rights on the database
//! `viaduct_record`, and a server that allows local_infile. Not here: a server.

mod exchanges;
mod golden;
mod oracle;
mod record;
mod replay;
