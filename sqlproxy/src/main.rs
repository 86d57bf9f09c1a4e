//! `viaduct-sqlproxy`: the SQL proxy.
#![forbid(unsafe_code)]

mod switchover;

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser as _;
use sqlproxy::cli::{Cli, Command};
use sqlproxy::config::{LoadError, SqlSite};
use sqlproxy::control;

/// The site file is what is wrong (sysexits.h).
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(options) => control::run(&options),
        Command::Check { file } => return check(&file),
        Command::Status { socket } => status(&socket),
        Command::Switchover {
            server,
            force,
            socket,
        } => switchover::run(&server, force, &socket),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("viaduct-sqlproxy: {error:#}");
            match error.downcast_ref::<LoadError>() {
                Some(_) => ExitCode::from(EX_USAGE),
                None => ExitCode::FAILURE,
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer of the command")]
fn check(file: &Path) -> ExitCode {
    match SqlSite::load(file) {
        Ok(checked) => {
            if !checked.warnings.is_empty() {
                eprint!("{}", checked.warnings);
            }
            let (servers, users) = (checked.site.servers.len(), checked.site.users.len());
            println!("{}: good: {servers} servers, {users} users", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EX_USAGE)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the answer of the command")]
async fn status(socket: &Path) -> anyhow::Result<()> {
    let reply = daemon::http::get(socket, "/status").await?;
    if reply.status != 200 {
        bail!("{}: {}", socket.display(), reply.body.trim());
    }
    println!("{}", reply.body.trim_end());
    Ok(())
}
