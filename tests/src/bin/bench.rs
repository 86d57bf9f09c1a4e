//! `viaduct-bench NAME`: runs one measurement and prints its table; `cargo xtask bench` builds and
//! calls it.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;
use tests::bench;

/// Measures Viaduct.
#[derive(Debug, Parser)]
struct Cli {
    /// Which measurement: `datapath`.
    name: String,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only cases with this in their name, and the floor.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// One short round: shows that it runs, not how fast.
    #[arg(long)]
    quick: bool,
}

#[expect(clippy::print_stdout, reason = "the table is the answer")]
fn main() -> Result<()> {
    let cli = Cli::parse();
    let report = match cli.name.as_str() {
        "datapath" => bench::datapath::run(cli.quick, cli.only.as_deref())?,
        other => bail!("no measurement is called `{other}`; there is `datapath`"),
    };
    print!("{}", report.render());
    match &cli.json {
        Some(path) => report.write_json(path),
        None => Ok(()),
    }
}
