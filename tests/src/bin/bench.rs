//! `viaduct-bench NAME`: runs one measurement and prints its table; `cargo xtask bench` builds and
//! calls it.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use tests::bench::{datapath, failover, limiter, proxy};

/// Measures Viaduct.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// CPU time a packet, by forwarding method and number of flows.
    Datapath {
        #[command(flatten)]
        common: Common,
    },
    /// What a client sees of a director's failure, stop and return; ours and keepalived.
    Failover {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        options: failover::Options,
    },
    /// CPU time a rate limit's decision, by number of clients.
    Limiter {
        #[command(flatten)]
        common: Common,
    },
    /// CPU time, memory and system calls of HTTP requests; ours, nginx and HAProxy.
    Proxy {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        options: proxy::Options,
    },
}

#[derive(Args, Debug)]
struct Common {
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only cases with this in their name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// One short round: shows that it runs, not how fast.
    #[arg(long)]
    quick: bool,
}

#[expect(clippy::print_stdout, reason = "the table is the answer")]
fn main() -> Result<()> {
    match Cli::parse().bench {
        Bench::Datapath { common } => {
            let report = datapath::run(common.quick, common.only.as_deref())?;
            print!("{}", report.render());
            common.json.map_or(Ok(()), |path| report.write_json(&path))
        }
        Bench::Failover { common, options } => {
            let report = failover::run(&options, common.only.as_deref(), common.quick)?;
            print!("{}", report.render());
            common.json.map_or(Ok(()), |path| report.write_json(&path))
        }
        Bench::Proxy { common, options } => {
            let report = proxy::run(&options, common.only.as_deref(), common.quick)?;
            print!("{}", report.render());
            common.json.map_or(Ok(()), |path| report.write_json(&path))
        }
        Bench::Limiter { common } => {
            let report = limiter::run(common.quick, common.only.as_deref())?;
            print!("{}", report.render());
            common.json.map_or(Ok(()), |path| report.write_json(&path))
        }
    }
}
