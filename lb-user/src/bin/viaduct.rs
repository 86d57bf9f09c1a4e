//! `viaduct`: the operator's command line. It checks site files and asks the daemons.
#![forbid(unsafe_code)]

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use daemon::http::client::GetError;
use lb_user::cli::SOCKET;
use lb_user::config::{LoadError, Site};
use lb_user::drain::verbs::{Done, Drain, Undrain};
use lb_user::explain::live::{self, Options};
use lb_user::explain::text;
use lb_user::ha::verbs::{Outcome, Rejoin, Resign};
use lb_user::others::{self, Said};
use lb_user::realserver::verbs::Verb;
use lb_user::status::{Status, proxy, table};

/// Viaduct: a high-availability load balancer for websites.
#[derive(Debug, Parser)]
#[command(name = "viaduct", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a site file: every mistake with its line, those that the other daemons find in their tables
    /// included. Exits with 64 when there is one.
    Check {
        /// The site file.
        #[arg(value_name = "FILE", default_value = lb_user::cli::SITE)]
        file: PathBuf,
    },
    /// Show services and real servers with health and counters, and the proxy on this host.
    Status {
        /// As JSON, as the daemon tells it; with a proxy on this host, what that tells is in `proxy`.
        #[arg(long)]
        json: bool,
        /// Again every second, until interrupted.
        #[arg(long)]
        watch: bool,
        /// The daemon's socket.
        #[arg(long, value_name = "FILE", default_value = SOCKET)]
        socket: PathBuf,
        /// The proxy's socket.
        #[arg(long, value_name = "FILE", default_value = PROXY_SOCKET)]
        proxy_socket: PathBuf,
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

/// Where the proxy's unit has its socket.
const PROXY_SOCKET: &str = "/run/viaduct-proxy/proxy.sock";

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
            proxy_socket,
        } => status([&socket, &proxy_socket], json, watch).map(|()| ExitCode::SUCCESS),
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
    let (own, told) = match Site::load(file) {
        Ok(checked) => {
            let (services, hosts) = (checked.site.services.len(), checked.site.hosts.len());
            let good = format!(
                "{}: good: {services} services, {hosts} hosts",
                file.display()
            );
            let warnings = match checked.warnings.is_empty() {
                true => String::new(),
                false => checked.warnings.to_string(),
            };
            (Some(good), warnings)
        }
        Err(LoadError::Invalid(report)) => (None, report.to_string()),
        Err(LoadError::Read(error)) => {
            eprintln!("viaduct: {error}");
            return ExitCode::from(EX_USAGE);
        }
    };
    if !told.is_empty() {
        eprintln!("{}", told.trim_end());
    }
    own.iter().for_each(|good| println!("{good}"));
    let mut is_good = own.is_some();
    for said in others::check(file) {
        match said {
            Said::Good { answer, warnings } => {
                eprint!("{}", others::new_in(&warnings, &told));
                print!("{answer}");
            }
            Said::Bad(report) => {
                eprint!("{}", others::new_in(&report, &told));
                is_good = false;
            }
            Said::Unknown(why) => eprintln!("viaduct: {why}"),
        }
    }
    match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EX_USAGE),
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
async fn status(sockets: [&Path; 2], json: bool, watch: bool) -> anyhow::Result<()> {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let text = ask(sockets, json).await?;
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

/// The daemons' state as it is to be printed: the director's, and the proxy's where there is one.
async fn ask([socket, proxy_socket]: [&Path; 2], json: bool) -> anyhow::Result<String> {
    let director = one(socket).await;
    let proxy = match one(proxy_socket).await {
        Ok(body) => Some(serde_json::from_str::<serde_json::Value>(&body)?),
        Err(error) if matches!(error.downcast_ref(), Some(GetError::NotRunning(_))) => None,
        Err(error) => {
            eprintln!("viaduct: {error:#}");
            None
        }
    };
    let Some(proxy) = proxy else {
        let body = director?;
        return if json {
            Ok(body)
        } else {
            rendered(socket, &body)
        };
    };
    let director = match director {
        Ok(body) => Some(body),
        Err(error) if matches!(error.downcast_ref(), Some(GetError::NotRunning(_))) => None,
        Err(error) => return Err(error),
    };
    if json {
        let mut both: serde_json::Value =
            serde_json::from_str(director.as_deref().unwrap_or("{}"))?;
        both["proxy"] = proxy;
        return Ok(serde_json::to_string_pretty(&both)?);
    }
    let table = match director {
        Some(body) => rendered(socket, &body)? + "\n",
        None => String::new(),
    };
    Ok(table + &proxy::render(&proxy))
}

/// What one daemon says.
async fn one(socket: &Path) -> anyhow::Result<String> {
    let reply = daemon::http::get(socket, "/status").await?;
    if reply.status != 200 {
        bail!(
            "{}: the daemon answered {}: {}",
            socket.display(),
            reply.status,
            reply.body.trim()
        );
    }
    Ok(reply.body)
}

fn rendered(socket: &Path, body: &str) -> anyhow::Result<String> {
    let status: Status = serde_json::from_str(body)
        .with_context(|| format!("{}: the daemon is of another version", socket.display()))?;
    Ok(table::render(&status))
}
