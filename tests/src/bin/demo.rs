//! `viaduct-demo`: the demonstration site, and the programs that run on the lab's hosts.
//!
//! Not here: what they do; this only reads the command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tests::{
    demo,
    guest::{downloads, fetch, load, probe, udp, web, whohas},
    lab::Lab,
};

/// A small live site on this machine: a client, a director and three web servers, each a network
/// namespace. Ctrl-C ends it and removes every trace.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    demo: demo::DemoArgs,
    #[command(subcommand)]
    guest: Option<Guest>,
}

/// The programs that run on the lab's hosts.
#[derive(Debug, Subcommand)]
enum Guest {
    /// The web server of a host.
    Web(web::WebArgs),
    /// A stream of requests, and what became of them.
    Load(load::LoadArgs),
    /// Fetches a URL; tells its length and hash.
    Fetch(fetch::FetchArgs),
    /// Many slow downloads at a time, and what became of them.
    Downloads(downloads::DownloadsArgs),
    /// Sends datagrams; tells who answered.
    Udp(udp::UdpArgs),
    /// Echoes to an address each millisecond; tells for how long nobody answered.
    Probe(probe::ProbeArgs),
    /// Asks the network who has an address; tells who answered when.
    Whohas(whohas::WhoHasArgs),
    /// Removes what demonstrations and tests that were killed left behind.
    Sweep,
    /// Keeps a lab until killed: for a test of `sweep`.
    #[command(hide = true)]
    Hold,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("viaduct-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.guest {
        None => return demo::run(&cli.demo),
        Some(Guest::Web(args)) => web::run(args)?,
        Some(Guest::Load(args)) => load::run(args)?,
        Some(Guest::Fetch(args)) => fetch::run(&args)?,
        Some(Guest::Downloads(args)) => downloads::run(args)?,
        Some(Guest::Udp(args)) => udp::run(&args)?,
        Some(Guest::Probe(args)) => probe::run(&args)?,
        Some(Guest::Whohas(args)) => whohas::run(&args)?,
        Some(Guest::Hold) => demo::hold()?,
        Some(Guest::Sweep) => {
            for lab in Lab::sweep()? {
                eprintln!("removed the left-over lab {lab}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
