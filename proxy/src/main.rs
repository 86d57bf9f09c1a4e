//! `viaduct-proxy`: the HTTP reverse proxy.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser as _;
use proxy::cli::{Ask, Cli, Command};
use proxy::config::{HostError, LoadError, Site};
use proxy::control;
use proxy::explain::explain;

/// The site file is what is wrong (sysexits.h).
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(options) => control::run(&options),
        Command::Check {
            file,
            explain,
            headers,
            listener,
            client,
        } => {
            let ask = explain.map(|asked| {
                let [method, url] = <[String; 2]>::try_from(asked).unwrap_or_default();
                Ask {
                    method,
                    url,
                    headers,
                    listener,
                    client,
                }
            });
            return check(&file, ask.as_ref());
        }
        Command::Status { socket } => status(&socket),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("viaduct-proxy: {error:#}");
            match error.is::<LoadError>() || error.is::<HostError>() {
                true => ExitCode::from(EX_USAGE),
                false => ExitCode::FAILURE,
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer of the command")]
fn check(file: &Path, ask: Option<&Ask>) -> ExitCode {
    match Site::load(file) {
        Ok(checked) if ask.is_some() => {
            let told = ask.map(|ask| explain(&checked.site, ask));
            match told.unwrap_or_else(|| Ok(String::new())) {
                Ok(told) => {
                    print!("{told}");
                    ExitCode::SUCCESS
                }
                Err(told) => {
                    eprintln!("viaduct-proxy: {told}");
                    ExitCode::FAILURE
                }
            }
        }
        Ok(checked) => {
            if !checked.warnings.is_empty() {
                eprint!("{}", checked.warnings);
            }
            let (routes, upstreams) = (checked.site.routes.len(), checked.site.upstreams.len());
            println!(
                "{}: good: {routes} routes, {upstreams} upstreams",
                file.display()
            );
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
