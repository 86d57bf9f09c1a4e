//! Site files good and bad: what is taken, and every mistake with the words and the place it is told
//! in. A bad file is [`GOOD`] with one thing changed, so that only that is told.

mod fullnats;
mod good;
mod healths;
mod hosts;
mod locals;
mod meeting;
mod memories;
mod networks;
mod new_keys;
mod pools;
mod quics;
mod ranges;
mod reals;
mod routers;
mod services;
mod words;

use daemon::source::SourceFile;
use expect_test::Expect;

use super::{Checked, Site};

/// A file without a mistake or a warning.
const GOOD: &str = r#"[hosts.lb1]
addresses = ["10.77.0.2"]
[hosts.lb1.director]
interfaces = ["eth0"]

[director]
status = "127.0.0.1:9144"

[[service]]
name = "web"
vip = "10.77.0.100"
port = 80
protocol = "tcp"
method = "dr"

[service.health]
type = "http"
path = "/health"
interval = "2s"

[[service.real]]
address = "10.77.0.11"
weight = 50

[[service.real]]
address = "10.77.0.12"

[[service]]
name = "dns"
vip = "10.77.0.100"
port = 53
protocol = "udp"
method = "nat"

[[service.real]]
address = "10.77.0.21"
port = 5353
"#;

fn good(text: &str) -> Checked {
    let source = SourceFile::new("site.toml", text);
    Site::parse(source).unwrap_or_else(|report| panic!("{report}"))
}

/// [`GOOD`] with one text in place of another.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "not in the good file: {from}");
    GOOD.replacen(from, to, 1)
}

/// A file that is refused, and what is told.
fn refused(text: &str, expected: &Expect) {
    match Site::parse(SourceFile::new("site.toml", text)) {
        Ok(_) => panic!("taken:\n{text}"),
        Err(report) => {
            assert!(report.has_errors());
            expected.assert_eq(&report.to_string());
        }
    }
}

/// [`GOOD`] with one change that makes it bad.
fn bad(from: &str, to: &str, expected: &Expect) {
    refused(&with(from, to), expected);
}

/// [`GOOD`] with one change that is taken with a warning.
fn warned(from: &str, to: &str, expected: &Expect) {
    let checked = good(&with(from, to));
    assert!(!checked.warnings.has_errors());
    expected.assert_eq(&checked.warnings.to_string());
}
