//! Session variables that were set: by which name, to what, as a text that sets them again.
//!
//! A value is known from the statement where it is constant there, else from session tracking, which
//! tells it as the server has it. Bounded: a session may set [`MOST`] variables of [`LONGEST`] bytes;
//! more pins it.
//!
//! Not here: which variables cannot be set twice, or belong to one server ([`is_unmovable`] lists
//! them, [`super::journal`] pins for them).

use std::collections::BTreeMap;

/// Variables of a session at most.
pub const MOST: usize = 64;
/// Bytes of a name and its value at most.
pub const LONGEST: usize = 4096;

/// Values that were set, by lower-case names, as SQL expressions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Variables(BTreeMap<Box<[u8]>, Box<[u8]>>);

/// There is no room for another, or this one is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Variables {
    /// Whether none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The expression that a variable was set to.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0
            .get(&*name.to_ascii_lowercase())
            .map(|value| &**value)
    }

    /// Notes that a variable was set to a constant expression; `DEFAULT` too is one, and is kept: the
    /// connection that comes next may have had another value before.
    ///
    /// # Errors
    /// No room.
    pub fn set(&mut self, name: &[u8], expression: &[u8]) -> Result<(), NoRoom> {
        let name = name.to_ascii_lowercase();
        let is_new = !self.0.contains_key(&*name);
        if (is_new && self.0.len() >= MOST) || name.len() + expression.len() > LONGEST {
            return Err(NoRoom);
        }
        self.0.insert(name.into(), expression.into());
        Ok(())
    }

    /// Notes a value as session tracking tells it: a number as such, anything else as a string.
    ///
    /// # Errors
    /// No room.
    pub fn tracked(&mut self, name: &[u8], value: &[u8]) -> Result<(), NoRoom> {
        let digits = value.strip_prefix(b"-").unwrap_or(value);
        let is_number = !digits.is_empty()
            && digits.len() <= 20
            && digits
                .iter()
                .all(|byte| byte.is_ascii_digit() || *byte == b'.');
        if is_number {
            return self.set(name, value);
        }
        self.set(name, &quoted(value))
    }

    /// Forgets one.
    pub fn forget(&mut self, name: &[u8]) {
        self.0.remove(name);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Names and expressions, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// A string literal that means the same in every sql_mode: as hexadecimal, where a quote or backslash
/// is in it.
fn quoted(value: &[u8]) -> Vec<u8> {
    if value.is_empty() {
        return b"''".to_vec();
    }
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) && !matches!(byte, b'\'' | b'\\');
    if value.iter().all(is_plain) {
        return [b"'", value, b"'"].concat();
    }
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("_utf8mb4 x'{digits}'").into_bytes()
}

/// Variables whose value is one connection's or one moment's: setting them elsewhere would not make
/// the same session.
#[must_use]
pub fn is_unmovable(name: &[u8]) -> bool {
    const UNMOVABLE: [&[u8]; 12] = [
        b"pseudo_thread_id",
        b"pseudo_slave_mode",
        b"pseudo_replica_mode",
        b"rand_seed1",
        b"rand_seed2",
        b"gtid_next",
        b"gtid_seq_no",
        b"gtid_domain_id",
        b"server_id",
        b"sql_log_bin",
        b"skip_replication",
        b"debug_dbug",
    ];
    UNMOVABLE
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Variables that are of the next statement alone: what they are set to is used up by it.
#[must_use]
pub fn is_of_the_next_statement(name: &[u8]) -> bool {
    const NEXT: [&[u8]; 2] = [b"insert_id", b"last_insert_id"];
    NEXT.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_as_what_sets_them() {
        let mut variables = Variables::default();
        variables.set(b"SQL_Mode", b"'ANSI'").unwrap();
        variables.tracked(b"wait_timeout", b"60").unwrap();
        variables.tracked(b"time_zone", b"+01:00").unwrap();
        variables.tracked(b"x", b"it's\\").unwrap();
        variables.tracked(b"y", b"").unwrap();
        variables
            .tracked(b"sql_select_limit", b"18446744073709551615")
            .unwrap();
        assert_eq!(variables.get(b"sql_mode"), Some(&b"'ANSI'"[..]));
        assert_eq!(variables.get(b"wait_timeout"), Some(&b"60"[..]));
        assert_eq!(variables.get(b"time_zone"), Some(&b"'+01:00'"[..]));
        assert_eq!(variables.get(b"x"), Some(&b"_utf8mb4 x'697427735c'"[..]));
        assert_eq!(variables.get(b"y"), Some(&b"''"[..]));
        let most = &b"18446744073709551615"[..];
        assert_eq!(variables.get(b"sql_select_limit"), Some(most));
        variables.set(b"sql_mode", b"DEFAULT").unwrap();
        assert_eq!(variables.iter().count(), 6);
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut variables = Variables::default();
        for nth in 0..MOST {
            variables.set(format!("v{nth}").as_bytes(), b"1").unwrap();
        }
        assert_eq!(variables.set(b"another", b"1"), Err(NoRoom));
        assert_eq!(variables.set(b"v5", b"2"), Ok(()));
        assert_eq!(variables.set(b"v5", &[b'1'; LONGEST]), Err(NoRoom));
        assert_eq!(variables.get(b"v5"), Some(&b"2"[..]));
    }
}
