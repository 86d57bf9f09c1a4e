//! What two ends of a connection agree to do, and what of it this proxy can do.
//!
//! A client may use what the greeting offers; so what is not supported here is left out of the
//! greeting, and clients fall back by themselves. Source: MySQL's "Capabilities Flags"; MariaDB's
//! extended capabilities stand in bits 32 and up here (on the wire in bytes that MySQL leaves zero).
//!
//! Not here: where the flags stand in packets ([`super::handshake`]).

use std::{fmt, ops};

/// A set of capability flags.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Capabilities(u64);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal,)*) => {
        impl Capabilities {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }
        const NAMES: &[(Capabilities, &str)] = &[$((Capabilities::$name, stringify!($name)),)*];
    };
}

flags! {
    /// MySQL: long passwords, always set. MariaDB calls it CLIENT_MYSQL: where it is *not* set, the
    /// extended capabilities follow.
    MYSQL = 0,
    /// UPDATE answers how many rows it found, not how many it changed.
    FOUND_ROWS = 1,
    /// Longer flags in column definitions; always set.
    LONG_FLAG = 2,
    /// A database is named at login.
    CONNECT_WITH_DB = 3,
    /// `database.table.column` is refused.
    NO_SCHEMA = 4,
    /// zlib.
    COMPRESS = 5,
    /// A client is an ODBC driver; without effect.
    ODBC = 6,
    /// The client can send files for `LOAD DATA LOCAL`.
    LOCAL_FILES = 7,
    /// Spaces between a function and its parenthesis are allowed; the server sets it as sql_mode.
    IGNORE_SPACE = 8,
    /// The protocol of 4.1: all that is spoken here.
    PROTOCOL_41 = 9,
    /// interactive_timeout instead of wait_timeout.
    INTERACTIVE = 10,
    /// TLS after a short packet.
    SSL = 11,
    /// Status flags tell of transactions; always set.
    TRANSACTIONS = 13,
    /// Scrambles of 20 bytes; always set.
    SECURE_CONNECTION = 15,
    /// Several statements in one COM_QUERY.
    MULTI_STATEMENTS = 16,
    /// Several results in an answer to COM_QUERY.
    MULTI_RESULTS = 17,
    /// And to COM_STMT_EXECUTE.
    PS_MULTI_RESULTS = 18,
    /// Authentication plugins by name.
    PLUGIN_AUTH = 19,
    /// Connection attributes.
    CONNECT_ATTRS = 20,
    /// The login's answer has a length-encoded length.
    PLUGIN_AUTH_LENENC = 21,
    /// Does not mind an expired password before it is changed.
    EXPIRED_PASSWORDS = 22,
    /// OK packets tell what changed in the session.
    SESSION_TRACK = 23,
    /// OK packets instead of EOF packets.
    DEPRECATE_EOF = 24,
    /// MySQL 8: result sets without column definitions.
    OPTIONAL_METADATA = 25,
    /// MySQL 8: zstd.
    ZSTD = 26,
    /// MySQL 8: attributes before the text of a query.
    QUERY_ATTRIBUTES = 27,
    /// MySQL 8: several factors.
    MULTI_FACTOR = 28,
    /// The client checks the server's certificate; never on the wire of a server.
    SSL_VERIFY = 30,
    /// MariaDB: an ERR packet may be a progress report (also 29 in old clients' headers).
    PROGRESS = 32,
    /// MariaDB: COM_MULTI, gone since 10.4.
    COM_MULTI = 33,
    /// MariaDB: COM_STMT_BULK_EXECUTE.
    BULK = 34,
    /// MariaDB: more of types in column definitions.
    EXTENDED_METADATA = 35,
    /// MariaDB: column definitions are left out where a statement's have not changed.
    CACHE_METADATA = 36,
    /// MariaDB: results of each row of a bulk.
    BULK_UNIT_RESULTS = 37,
}

impl Capabilities {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// What a client of this proxy may use, if its server has it too. Left out, so that clients fall
    /// back: both compressions, query attributes, optional and cached metadata, MariaDB's bulk
    /// execute, extended metadata and progress, several factors.
    pub const SUPPORTED: Self = Self::MYSQL
        .with(Self::FOUND_ROWS)
        .with(Self::LONG_FLAG)
        .with(Self::CONNECT_WITH_DB)
        .with(Self::NO_SCHEMA)
        .with(Self::ODBC)
        .with(Self::LOCAL_FILES)
        .with(Self::IGNORE_SPACE)
        .with(Self::PROTOCOL_41)
        .with(Self::INTERACTIVE)
        .with(Self::SSL)
        .with(Self::TRANSACTIONS)
        .with(Self::SECURE_CONNECTION)
        .with(Self::MULTI_STATEMENTS)
        .with(Self::MULTI_RESULTS)
        .with(Self::PS_MULTI_RESULTS)
        .with(Self::PLUGIN_AUTH)
        .with(Self::CONNECT_ATTRS)
        .with(Self::PLUGIN_AUTH_LENENC)
        .with(Self::EXPIRED_PASSWORDS)
        .with(Self::SESSION_TRACK)
        .with(Self::DEPRECATE_EOF);

    /// Without these a client is too old to be served.
    pub const REQUIRED: Self = Self::PROTOCOL_41.with(Self::SECURE_CONNECTION);

    /// What has to be the same on a client's connection and on the server's that serves it: it
    /// changes the bytes of an answer (DEPRECATE_EOF, the MULTI_ ones) or what the server does
    /// (FOUND_ROWS, NO_SCHEMA, LOCAL_FILES, IGNORE_SPACE, INTERACTIVE). Pooled connections are kept
    /// apart by these. SESSION_TRACK is not among them: OK packets are rewritten.
    pub const OF_A_POOL: Self = Self::FOUND_ROWS
        .with(Self::NO_SCHEMA)
        .with(Self::LOCAL_FILES)
        .with(Self::IGNORE_SPACE)
        .with(Self::INTERACTIVE)
        .with(Self::MULTI_STATEMENTS)
        .with(Self::MULTI_RESULTS)
        .with(Self::PS_MULTI_RESULTS)
        .with(Self::EXPIRED_PASSWORDS)
        .with(Self::DEPRECATE_EOF);

    /// From the 32 bits that both servers have.
    #[must_use]
    pub const fn from_bits(low: u32) -> Self {
        Self(low as u64)
    }

    /// With MariaDB's extended ones.
    #[must_use]
    pub const fn with_extended(self, high: u32) -> Self {
        Self(self.0 | (high as u64) << 32)
    }

    /// The 32 bits that both servers have.
    #[must_use]
    pub fn low(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// MariaDB's extended ones.
    #[must_use]
    pub fn extended(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set less the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What both sets have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of the other set are in this one.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What a greeting offers to clients of servers that have `servers` in common. TLS is the proxy's
    /// own affair.
    #[must_use]
    pub const fn offered(servers: Self, has_tls: bool) -> Self {
        let offered = Self::SUPPORTED.and(servers).without(Self::SSL);
        let offered = offered.with(Self::MYSQL).with(Self::REQUIRED);
        if has_tls {
            offered.with(Self::SSL)
        } else {
            offered
        }
    }

    /// What a client and this proxy use: what was offered and is wanted.
    ///
    /// # Errors
    /// What of [`Capabilities::REQUIRED`] the client lacks.
    pub fn agreed(offered: Self, wanted: Self) -> Result<Self, Self> {
        let missing = Self::REQUIRED.without(wanted);
        if missing == Self::NONE {
            Ok(offered.and(wanted))
        } else {
            Err(missing)
        }
    }

    /// What the proxy asks a server for on behalf of clients of one pool. Session tracking always,
    /// where there is any.
    #[must_use]
    pub const fn towards_server(pool: Self, server: Self) -> Self {
        let base = Self::MYSQL
            .with(Self::LONG_FLAG)
            .with(Self::TRANSACTIONS)
            .with(Self::REQUIRED)
            .with(Self::PLUGIN_AUTH)
            .with(Self::PLUGIN_AUTH_LENENC)
            .with(Self::CONNECT_ATTRS)
            .with(Self::CONNECT_WITH_DB)
            .with(Self::SESSION_TRACK);
        base.with(pool.and(Self::OF_A_POOL))
            .and(server)
            .with(Self::MYSQL)
            .with(Self::REQUIRED)
    }
}

impl ops::BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        let known = NAMES.iter().filter(|(flag, _)| self.has(*flag));
        set.entries(known.map(|(_, name)| *name));
        let unnamed = NAMES
            .iter()
            .fold(*self, |rest, (flag, _)| rest.without(*flag));
        if unnamed != Self::NONE {
            set.entry(&format_args!("{:#x}", unnamed.0));
        }
        set.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Capabilities = Capabilities::from_bits(u32::MAX).with_extended(u32::MAX);

    #[test]
    fn what_is_not_supported_is_not_offered_whatever_a_server_has() {
        let offered = Capabilities::offered(ALL, true);
        for refused in [
            Capabilities::COMPRESS,
            Capabilities::ZSTD,
            Capabilities::QUERY_ATTRIBUTES,
            Capabilities::OPTIONAL_METADATA,
            Capabilities::CACHE_METADATA,
            Capabilities::BULK,
            Capabilities::PROGRESS,
            Capabilities::EXTENDED_METADATA,
            Capabilities::MULTI_FACTOR,
        ] {
            assert!(!offered.has(refused), "{refused:?}");
        }
        assert_eq!(offered.extended(), 0);
        assert!(offered.has(Capabilities::SSL | Capabilities::DEPRECATE_EOF));
        assert!(!Capabilities::offered(ALL, false).has(Capabilities::SSL));
    }

    #[test]
    fn a_client_gets_what_it_wants_of_what_is_offered() {
        let offered = Capabilities::offered(ALL, false);
        let wanted = Capabilities::REQUIRED | Capabilities::COMPRESS | Capabilities::FOUND_ROWS;
        let agreed = Capabilities::REQUIRED | Capabilities::FOUND_ROWS;
        assert_eq!(Capabilities::agreed(offered, wanted), Ok(agreed));
        assert_eq!(
            Capabilities::agreed(offered, Capabilities::SECURE_CONNECTION),
            Err(Capabilities::PROTOCOL_41)
        );
    }

    #[test]
    fn a_server_is_asked_for_what_the_pool_needs_and_it_has() {
        let old = ALL.without(Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK);
        let pool = Capabilities::DEPRECATE_EOF | Capabilities::FOUND_ROWS | Capabilities::COMPRESS;
        let asked = Capabilities::towards_server(pool, old);
        assert!(asked.has(Capabilities::FOUND_ROWS | Capabilities::PLUGIN_AUTH));
        assert!(!asked.has(Capabilities::DEPRECATE_EOF));
        assert!(!asked.has(Capabilities::COMPRESS));
        assert!(Capabilities::towards_server(pool, ALL).has(Capabilities::SESSION_TRACK));
    }

    #[test]
    fn flags_are_told_by_name() {
        let flags = Capabilities::SSL | Capabilities(1 << 60);
        assert_eq!(format!("{flags:?}"), "{\"SSL\", 0x1000000000000000}");
    }
}
