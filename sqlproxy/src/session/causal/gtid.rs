//! Positions in a stream of transactions, as MariaDB and MySQL write them.
//!
//! ```text
//! MariaDB  0-1-5,1-2-7             domain-server-sequence: the last of each domain
//! MySQL    3e11fa47-…:1-5:8,…:2    intervals of each server (and tag, since 8.3)
//! ```
//! Bounded: [`MOST`] domains or sources, as many intervals each; what has more is refused, which sends
//! reads to the primary.
//!
//! Not here: when they are compared.

use std::collections::BTreeMap;
use std::fmt;

/// Domains, sources, and intervals of a source at most.
pub const MOST: usize = 64;

/// Whose positions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// MariaDB.
    MariaDb,
    /// MySQL.
    MySql,
}

/// Why a text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GtidError {
    /// Not of this form.
    #[error("is not a GTID position")]
    Form,
    /// More than [`MOST`] of something.
    #[error("has more than {MOST} parts")]
    TooMany,
}

/// What a server has, or must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// The last transaction of each domain: server and sequence.
    MariaDb(BTreeMap<u32, (u32, u64)>),
    /// Sorted intervals, both ends included, that do not touch.
    MySql(Sources),
}

impl Position {
    /// Reads one.
    ///
    /// # Errors
    /// What it is not.
    pub fn parse(flavor: Flavor, text: &[u8]) -> Result<Self, GtidError> {
        let text = std::str::from_utf8(text).ok().ok_or(GtidError::Form)?;
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        match flavor {
            Flavor::MariaDb => mariadb(parts).map(Self::MariaDb),
            Flavor::MySql => mysql(parts).map(Self::MySql),
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn flavor(&self) -> Flavor {
        match self {
            Self::MariaDb(_) => Flavor::MariaDb,
            Self::MySql(_) => Flavor::MySql,
        }
    }

    /// Whether a server at this position has all that one at the other has. Of another flavour: no.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MariaDb(own), Self::MariaDb(other)) => other
                .iter()
                .all(|(domain, (_, last))| own.get(domain).is_some_and(|(_, own)| own >= last)),
            (Self::MySql(own), Self::MySql(other)) => other.iter().all(|(source, intervals)| {
                let own = own.get(source).map_or(&[][..], Vec::as_slice);
                let is_in = |&(first, last): &(u64, u64)| {
                    own.iter().any(|&(from, to)| from <= first && last <= to)
                };
                intervals.iter().all(is_in)
            }),
            (Self::MariaDb(_), Self::MySql(_)) | (Self::MySql(_), Self::MariaDb(_)) => false,
        }
    }

    /// Becomes the least position that contains both. Of another flavour: stays.
    pub fn join(&mut self, other: &Self) {
        match (self, other) {
            (Self::MariaDb(own), Self::MariaDb(other)) => {
                for (&domain, &gtid) in other {
                    let last = own.entry(domain).or_insert(gtid);
                    if last.1 < gtid.1 {
                        *last = gtid;
                    }
                }
            }
            (Self::MySql(own), Self::MySql(other)) => {
                for (source, intervals) in other {
                    let own = own.entry(source.clone()).or_default();
                    own.extend_from_slice(intervals);
                    merge(own);
                }
            }
            (Self::MariaDb(_), Self::MySql(_)) | (Self::MySql(_), Self::MariaDb(_)) => {}
        }
    }
}

fn mariadb<'a>(
    parts: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<u32, (u32, u64)>, GtidError> {
    let mut position = BTreeMap::new();
    for part in parts {
        let mut numbers = part.split('-');
        let mut number = || numbers.next().ok_or(GtidError::Form);
        let (domain, server, sequence) = (number()?, number()?, number()?);
        let gtid = (parse(server)?, parse(sequence)?);
        if numbers.next().is_some() {
            return Err(GtidError::Form);
        }
        position.insert(parse(domain)?, gtid);
        if position.len() > MOST {
            return Err(GtidError::TooMany);
        }
    }
    Ok(position)
}

/// By source, its intervals.
type Sources = BTreeMap<Box<str>, Vec<(u64, u64)>>;

fn mysql<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Sources, GtidError> {
    let mut position = Sources::new();
    for part in parts {
        let mut pieces = part.split(':').map(str::trim);
        let uuid = pieces.next().ok_or(GtidError::Form)?.to_ascii_lowercase();
        let is_uuid = |c: u8| c.is_ascii_hexdigit() || c == b'-';
        if uuid.len() != 36 || !uuid.bytes().all(is_uuid) {
            return Err(GtidError::Form);
        }
        // `uuid:tag:1-5:othertag:1-3`: a tag is of what follows it.
        let mut source = uuid.clone();
        for piece in pieces {
            if !piece.starts_with(|c: char| c.is_ascii_digit()) {
                source = format!("{uuid}:{}", piece.to_ascii_lowercase());
                is_tag(piece)?;
                continue;
            }
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            let (first, last): (u64, u64) = (parse(first)?, parse(last)?);
            if first == 0 || last < first {
                return Err(GtidError::Form);
            }
            let intervals = position.entry(source.as_str().into()).or_default();
            intervals.push((first, last));
            merge(intervals);
            if intervals.len() > MOST {
                return Err(GtidError::TooMany);
            }
        }
        if position.len() > MOST {
            return Err(GtidError::TooMany);
        }
    }
    Ok(position)
}

fn is_tag(text: &str) -> Result<(), GtidError> {
    let is_tag = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    let is_good = !text.is_empty() && text.len() <= 32 && text.bytes().all(is_tag);
    if is_good {
        Ok(())
    } else {
        Err(GtidError::Form)
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, GtidError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().ok_or(GtidError::Form)?;
    if is_number {
        Ok(number)
    } else {
        Err(GtidError::Form)
    }
}

/// Sorts intervals and joins those that meet or touch.
fn merge(intervals: &mut Vec<(u64, u64)>) {
    intervals.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(intervals.len());
    for &(first, last) in &*intervals {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            Some(_) | None => merged.push((first, last)),
        }
    }
    *intervals = merged;
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        match self {
            Self::MariaDb(domains) => {
                for (domain, (server, sequence)) in domains {
                    write!(f, "{comma}{domain}-{server}-{sequence}")?;
                    comma = ",";
                }
            }
            Self::MySql(sources) => {
                for (source, intervals) in sources {
                    write!(f, "{comma}{source}")?;
                    for &(first, last) in intervals {
                        match first == last {
                            true => write!(f, ":{first}")?,
                            false => write!(f, ":{first}-{last}")?,
                        }
                    }
                    comma = ",";
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const U: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn mariadb_at(text: &str) -> Position {
        Position::parse(Flavor::MariaDb, text.as_bytes()).unwrap()
    }

    fn mysql_at(text: &str) -> Position {
        Position::parse(Flavor::MySql, text.replace('U', U).as_bytes()).unwrap()
    }

    #[test]
    fn positions_are_read_as_servers_write_them() {
        assert_eq!(mariadb_at("1-2-7, 0-1-5").to_string(), "0-1-5,1-2-7");
        assert_eq!(mariadb_at("").to_string(), "");
        assert_eq!(
            mysql_at("U:1-5:6-9:11,\n U:10").to_string(),
            format!("{U}:1-11")
        );
        assert_eq!(
            mysql_at("U:1:blue:2-3").to_string(),
            format!("{U}:1,{U}:blue:2-3")
        );
        for text in [
            "x",
            "0-1",
            "0-1-2-3",
            "0-1-x",
            "0-1-+5",
            "-1-1-1",
            "0-1-99999999999999999999",
        ] {
            assert_eq!(
                Position::parse(Flavor::MariaDb, text.as_bytes()),
                Err(GtidError::Form),
                "{text}"
            );
        }
        for text in ["x:1", "U:0", "U:5-3", "U:1-", "U:a b:1"] {
            let text = text.replace('U', U);
            assert_eq!(
                Position::parse(Flavor::MySql, text.as_bytes()),
                Err(GtidError::Form),
                "{text}"
            );
        }
        let many: Vec<String> = (0..=MOST).map(|n| format!("{n}-1-1")).collect();
        let many = Position::parse(Flavor::MariaDb, many.join(",").as_bytes());
        assert_eq!(many, Err(GtidError::TooMany));
    }

    #[test]
    fn a_position_contains_what_is_before_it() {
        assert!(mariadb_at("0-1-5,1-1-1").contains(&mariadb_at("0-2-5")));
        assert!(!mariadb_at("0-1-5").contains(&mariadb_at("0-1-6")));
        assert!(!mariadb_at("0-1-5").contains(&mariadb_at("1-1-1")));
        assert!(mysql_at("U:1-5:8").contains(&mysql_at("U:2-3:8")));
        assert!(!mysql_at("U:1-5:8").contains(&mysql_at("U:4-6")));
        assert!(!mysql_at("U:1-5").contains(&mysql_at("U:blue:1")));
        assert!(!mysql_at("U:1").contains(&mariadb_at("0-1-1")));
    }

    fn any_mysql() -> impl Strategy<Value = Position> {
        prop::collection::vec((1_u64..20, 0_u64..5), 1..6).prop_map(|intervals| {
            let text = intervals
                .iter()
                .map(|(first, len)| format!(":{first}-{}", first + len));
            mysql_at(&format!("U{}", text.collect::<String>()))
        })
    }

    fn any_mariadb() -> impl Strategy<Value = Position> {
        prop::collection::vec((0_u32..3, 1_u64..9), 1..4).prop_map(|gtids| {
            let gtids: Vec<_> = gtids
                .iter()
                .map(|(domain, last)| format!("{domain}-1-{last}"))
                .collect();
            mariadb_at(&gtids.join(","))
        })
    }

    proptest! {
        #[test]
        fn the_join_of_two_contains_both_and_is_the_least(
            (a, b, c) in prop_oneof![
                (any_mysql(), any_mysql(), any_mysql()),
                (any_mariadb(), any_mariadb(), any_mariadb()),
            ],
        ) {
            let mut joined = a.clone();
            joined.join(&b);
            prop_assert!(joined.contains(&a) && joined.contains(&b));
            if c.contains(&a) && c.contains(&b) {
                prop_assert!(c.contains(&joined));
            }
            let flavor = joined.flavor();
            let again = Position::parse(flavor, joined.to_string().as_bytes());
            prop_assert_eq!(again, Ok(joined));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f:,-]{0,60}") {
            for flavor in [Flavor::MariaDb, Flavor::MySql] {
                if let Ok(position) = Position::parse(flavor, text.as_bytes()) {
                    prop_assert!(position.contains(&position));
                }
            }
        }
    }
}
