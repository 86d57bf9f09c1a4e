//! Nanoseconds that classifying a statement takes: `cargo run --release -p sqlproxy --example lexer_ns`.
//!
//! The statements are those of the design's table of parsers. The least of many batches is told: what
//! else the machine does only ever adds. Not here: a limit; figures are for people.

use std::hint::black_box;

use sqlproxy::lexer::{Dialect, classify};

const BATCH: u32 = 2_000;
const BATCHES: u32 = 200;

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::print_stdout, reason = "its table")]
fn main() {
    let join = "SELECT o.id, c.name, SUM(i.price * i.amount) AS total, COUNT(*) FROM orders o JOIN \
        customers c ON c.id = o.customer_id LEFT JOIN items i ON i.order_id = o.id WHERE o.state IN \
        ('open', 'paid') AND o.created BETWEEN '2024-01-01' AND '2024-12-31' AND c.country = 'FR' \
        GROUP BY o.id, c.name HAVING total > 100 ORDER BY total DESC, c.name LIMIT 50";
    let list: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let list = format!("SELECT a FROM t WHERE id IN ({})", list.join(","));
    let row = "(12345,'some text of the row',0.5,NULL,NOW(),'more of it')";
    let long = format!("INSERT INTO t (a, b) VALUES (1, '{}')", "x".repeat(4000));
    let rows = format!("INSERT INTO t VALUES {}", vec![row; 300].join(","));
    println!("{:<34} {:>7} {:>8}", "statement", "bytes", "ns");
    for (name, text) in [
        ("BEGIN", "BEGIN"),
        ("SET NAMES utf8mb4", "SET NAMES utf8mb4"),
        ("point select", "SELECT c FROM sbtest1 WHERE id=5000"),
        ("point select, prepared", "SELECT c FROM sbtest1 WHERE id=?"),
        (
            "with a Mycat hint",
            "/*#mycat:db_type=slave*/ SELECT c FROM sbtest1 WHERE id=5000",
        ),
        (
            "range, ordered",
            "SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 5000 AND 5099 ORDER BY c",
        ),
        (
            "FOR UPDATE",
            "SELECT c FROM sbtest1 WHERE id=5000 FOR UPDATE",
        ),
        ("UPDATE", "UPDATE sbtest1 SET k=k+1 WHERE id=5000"),
        ("three tables, grouped", join),
        ("IN of 200", &list),
        ("INSERT with 4 KB", &long),
        ("INSERT of 300 rows", &rows),
    ] {
        let mut least = u128::MAX;
        for _ in 0..BATCHES {
            let start = now();
            for _ in 0..BATCH / (1 + u32::try_from(text.len()).unwrap_or(0) / 100) + 1 {
                black_box(classify(
                    black_box(text.as_bytes()),
                    Dialect::default(),
                    true,
                ));
            }
            let count = u128::from(BATCH / (1 + u32::try_from(text.len()).unwrap_or(0) / 100) + 1);
            least = least.min(start.elapsed().as_nanos() * 10 / count);
        }
        println!(
            "{name:<34} {:>7} {:>6}.{}",
            text.len(),
            least / 10,
            least % 10
        );
    }
}
