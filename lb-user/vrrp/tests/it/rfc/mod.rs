//! What RFC 9568 demands, as a table: each row is named by section (and erratum), and has a case in
//! which the rule fires and one in which it must not.
//!
//! Not here, because this package has no say in it: answering ARP and neighbour solicitations,
//! accepting and forwarding packets (6.4.2, 6.4.3, 8.1.2, 8.2.2: the data plane); IP headers of what
//! is sent and group membership (5.1, 7.2: the driver); router advertisements and redirects (8.1.1,
//! 8.2.1, 8.2.3: a director is no default gateway); version 2 (8.4).

mod active;
mod machine;
mod receive;
mod send;

/// A demand, and the two cases.
struct Row {
    /// Section, erratum, and what it says.
    must: &'static str,
    fires: fn(),
    not: fn(),
}

/// One row of a table.
const fn row(must: &'static str, fires: fn(), not: fn()) -> Row {
    Row { must, fires, not }
}

/// Runs a table; all rows that fail are named.
fn run(table: &[Row]) {
    assert!(!table.is_empty());
    let mut failed = Vec::new();
    for Row { must, fires, not } in table {
        for (case, polarity) in [(fires, "where it fires"), (not, "where it must not")] {
            if std::panic::catch_unwind(case).is_err() {
                failed.push(format!("{must} ({polarity})"));
            }
        }
    }
    assert!(failed.is_empty(), "failed:\n{}", failed.join("\n"));
}

#[test]
fn no_row_is_there_twice() {
    let tables = [receive::TABLE, machine::TABLE, active::TABLE, send::TABLE];
    let names = tables.iter().copied().flatten().map(|row| row.must);
    let distinct = names.clone().collect::<std::collections::HashSet<_>>();
    assert_eq!(distinct.len(), names.clone().count());
    assert!(
        names
            .clone()
            .all(|name| name.starts_with(|c: char| c.is_ascii_digit()))
    );
    eprintln!("{} rows", names.count());
}
