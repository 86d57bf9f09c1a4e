//! `viaduct-lb`: the root daemon. The whole life of the process, to be read at one go.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use daemon::signals::Signals;
use lb_user::cli::{Cli, Command, Run};
use lb_user::datapath::Mode;
use lb_user::engine::{self, EVENTS_MAX, StartError};
use lb_user::{control, datapath};
use tokio::sync::mpsc;

/// The site file is what is wrong (sysexits.h).
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(options) => run(&options),
        Command::Decap {
            interface,
            vip,
            pin_dir,
        } => decap(&pin_dir, &interface, vip),
        Command::Detach { pin_dir } => detach(&pin_dir),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("viaduct-lb: {error:#}");
            let site = error
                .downcast_ref::<StartError>()
                .is_some_and(StartError::is_site);
            if site {
                ExitCode::from(EX_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(options: &Run) -> anyhow::Result<()> {
    daemon::log::init(options.log_format)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let signals = Signals::new().context("signals")?;
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        // First of all, so that a second daemon ends before it touches anything.
        control::listen_unix(&options.socket, events.clone())?;
        let engine = engine::start(options, events).await?;
        engine.run(inbox, signals).await?;
        Ok(())
    })
}

#[expect(clippy::print_stdout, reason = "what was done is the answer")]
fn decap(pins: &Path, interface: &str, vips: Vec<IpAddr>) -> anyhow::Result<()> {
    let vips = vips.into_iter().collect();
    let how = match datapath::decap(pins, interface, &vips)? {
        Mode::Native => "attached natively".to_owned(),
        Mode::Generic { because } => format!("attached generically ({because})"),
        Mode::TakenOver => "updated".to_owned(),
    };
    let vips: Vec<String> = vips.iter().map(ToString::to_string).collect();
    println!(
        "{interface}: {how}; packets to {} are taken out of tunnels",
        vips.join(", ")
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what was removed is the answer")]
fn detach(pins: &Path) -> anyhow::Result<()> {
    let removed = datapath::detach(pins)?;
    match removed.is_empty() {
        true => println!("nothing is pinned at {}", pins.display()),
        false => println!("removed from {}: {}", pins.display(), removed.join(", ")),
    }
    Ok(())
}
