//! `viaduct`: the operator's command line. It checks site files and asks the daemons.
#![forbid(unsafe_code)]

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use lb_user::cli::SOCKET;
use lb_user::config::{LoadError, Site};
use lb_user::drain::verbs::{Done, Drain, Undrain};
use lb_user::explain::live::{self, Options};
use lb_user::explain::text;
use lb_user::ha::verbs::{Outcome, Rejoin, Resign};
use lb_user::realserver::verbs::Verb;
use lb_user::status::{Status, table};

/// Viaduct: a high-availability load balancer for websites.
#[derive(Debug, Parser)]
#[command(name = "viaduct", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a site file: every mistake with its line. Exits with 64 when there is one.
    Check {
        /// The site file.
        #[arg(value_name = "FILE", default_value = lb_user::cli::SITE)]
        file: PathBuf,
    },
    /// Show services and real servers with health and counters.
    Status {
        /// As JSON, as the daemon tells it.
        #[arg(long)]
        json: bool,
        /// Again every second, until interrupted.
        #[arg(long)]
        watch: bool,
        /// The daemon's socket.
        #[arg(long, value_name = "FILE", default_value = SOCKET)]
        socket: PathBuf,
    },
    /// Keep new flows from a real server; those it has go on. Lasts over reloads and restarts, until
    /// `undrain`, or until the site file no longer has it.
    Drain(Drain),
    /// Let a drained real server have new flows again.
    Undrain(Undrain),
    /// Hand this director's VIPs over to another one, without a packet lost, and take no part until
    /// `rejoin`, or until the daemon starts anew. Where there is no other, it goes on serving; exits
    /// with 3 then.
    Resign(Resign),
    /// Take part again after `resign`.
    Rejoin(Rejoin),
    /// Say which real server a flow would go to, and why, from the live maps; changes nothing. Exits
    /// with 0 when it goes to one, 3 when it is dropped, 4 when it passes to this host's own stack.
    Explain(Options),
    /// Prepare this host to be a real server of method "dr" or "tunnel".
    Realserver {
        #[command(subcommand)]
        verb: Verb,
    },
}

/// The site file is what is wrong (sysexits.h).
const EX_USAGE: u8 = 64;

/// It did not come to what was wanted: connections are left when the time to wait for their end is
/// over, or nobody took over.
const EX_LEFT: u8 = 3;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check { file } => Ok(check(&file)),
        Command::Status {
            json,
            watch,
            socket,
        } => status(&socket, json, watch).map(|()| ExitCode::SUCCESS),
        Command::Drain(options) => drained(async || options.run().await),
        Command::Undrain(options) => drained(async || options.run().await),
        Command::Resign(options) => ordered(async || options.run().await),
        Command::Rejoin(options) => ordered(async || options.run().await),
        Command::Explain(options) => explain(&options).map(ExitCode::from),
        Command::Realserver { verb } => realserver(&verb).map(|is_well| match is_well {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }),
    };
    result.unwrap_or_else(|error| {
        eprintln!("viaduct: {error:#}");
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stdout, reason = "the answer of the command")]
fn check(file: &Path) -> ExitCode {
    match Site::load(file) {
        Ok(checked) => {
            if !checked.warnings.is_empty() {
                eprint!("{}", checked.warnings);
            }
            let (services, hosts) = (checked.site.services.len(), checked.site.hosts.len());
            println!(
                "{}: good: {services} services, {hosts} hosts",
                file.display()
            );
            ExitCode::SUCCESS
        }
        Err(LoadError::Invalid(report)) => {
            eprint!("{report}");
            ExitCode::from(EX_USAGE)
        }
        Err(LoadError::Read(error)) => {
            eprintln!("viaduct: {error}");
            ExitCode::from(EX_USAGE)
        }
    }
}

/// What was done, printed; 3 when connections are left.
#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "what was done is the answer")]
async fn drained(run: impl AsyncFnOnce() -> anyhow::Result<Done>) -> anyhow::Result<ExitCode> {
    let done = run().await?;
    println!("{}", done.line);
    let warnings = done.warnings.iter();
    warnings.for_each(|warning| eprintln!("viaduct: {warning}"));
    Ok(match done.is_over {
        true => ExitCode::from(EX_LEFT),
        false => ExitCode::SUCCESS,
    })
}

/// What came of an order, printed; 3 when it is not what was wanted.
#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "what was done is the answer")]
async fn ordered(run: impl AsyncFnOnce() -> anyhow::Result<Outcome>) -> anyhow::Result<ExitCode> {
    let outcome = run().await?;
    println!("{}", outcome.line);
    Ok(match outcome.is_done {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EX_LEFT),
    })
}

/// What the process ends with.
#[tokio::main(flavor = "current_thread")]
async fn explain(options: &Options) -> anyhow::Result<u8> {
    let question = options.question()?;
    let explanation = live::answer(&question, options).await?;
    let text = match options.json {
        true => serde_json::to_string_pretty(&explanation)?,
        false => text::render(&explanation),
    };
    print(&text)?;
    Ok(explanation.exit_code())
}

/// Prints an answer; whoever closed the pipe has read enough.
fn print(text: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Whether all is well.
#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "what was done or found is the answer")]
async fn realserver(verb: &Verb) -> anyhow::Result<bool> {
    let answer = verb.run().await?;
    answer.lines.iter().for_each(|line| println!("{line}"));
    answer.warnings.iter().for_each(|line| eprintln!("{line}"));
    Ok(answer.is_well)
}

#[tokio::main(flavor = "current_thread")]
async fn status(socket: &Path, json: bool, watch: bool) -> anyhow::Result<()> {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let text = ask(socket, json).await?;
        let mut out = std::io::stdout().lock();
        if watch && out.is_terminal() {
            // Home, and clear what is below: no flicker.
            write!(out, "\x1b[H\x1b[J")?;
        }
        match writeln!(out, "{}", text.trim_end()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
        if !watch {
            return Ok(());
        }
    }
}

/// The daemon's state as it is to be printed.
async fn ask(socket: &Path, json: bool) -> anyhow::Result<String> {
    let reply = daemon::http::get(socket, "/status").await?;
    if reply.status != 200 {
        bail!(
            "{}: the daemon answered {}: {}",
            socket.display(),
            reply.status,
            reply.body.trim()
        );
    }
    if json {
        return Ok(reply.body);
    }
    let status: Status = serde_json::from_str(&reply.body)
        .with_context(|| format!("{}: the daemon is of another version", socket.display()))?;
    Ok(table::render(&status))
}
