//! A new process takes the place of a running one, while requests go on.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    lab::{
        Lab,
        load::Load,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
    },
    require,
};

use super::LOCATIONS;

const TIMES: &str = "[proxy.timeouts]\nannounce = \"500ms\"\n";

/// A site file with this many threads.
fn with_threads(threads: u8) -> String {
    let threads = format!("threads = {threads}");
    site(1, TIMES, "").replace("threads = 2", &threads)
}

/// Runs `test` with a proxy of its own binary under two loads: kept connections and new ones. None of their
/// requests may fail.
fn under_load(test: impl FnOnce(&Lab, &Proxy<'_>, [&Load; 2]) -> Result<()>) -> Result<()> {
    let lab = Lab::build(proxied(1))?;
    lab.nginx(1, LOCATIONS)?;
    let proxy = Proxy::start_copy(&lab, &with_threads(2))?;
    let target = (PROXY_ADDRESS, 80).into();
    let kept = lab.load_at(target, &["--workers", "4", "--keepalive", "--rate", "400"])?;
    let new = lab.load_at(target, &["--workers", "8", "--rate", "800"])?;
    kept.more(100)?;
    new.more(200)?;
    test(&lab, &proxy, [&kept, &new])?;
    for load in [kept, new] {
        let outcome = load.stop()?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
    }
    lab.finish()
}

fn pid(status: &Value) -> Result<i32> {
    Ok(i32::try_from(status["pid"].as_i64().context("no pid")?)?)
}

/// Tells the process that serves to have another one take its place; gives that one's number.
fn succeed(proxy: &Proxy<'_>) -> Result<i32> {
    let old = pid(&proxy.status()?)?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(old), Signal::SIGUSR2)?;
    let status = proxy.wait_status("another process", |status| {
        pid(status).is_ok_and(|now| now != old)
    })?;
    pid(&status)
}

/// Puts another file in the place of a proxy's program, as a package does.
fn replace(program: &Path, with: &[u8]) -> Result<()> {
    let new = program.with_extension("new");
    fs::write(&new, with)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    Ok(fs::rename(&new, program)?)
}

#[test]
fn a_new_process_takes_over_under_load_and_no_request_fails() -> Result<()> {
    require!(root, tools, proxy);
    under_load(|_, proxy, [kept, new]| {
        let first = pid(&proxy.status()?)?;
        // With fewer threads there are sockets that nobody else would have, with more some without one.
        for threads in [2, 1, 3] {
            fs::write(&proxy.files().config, with_threads(threads))?;
            let before = pid(&proxy.status()?)?;
            ensure!(succeed(proxy)? != before);
            kept.more(100)?;
            new.more(200)?;
        }
        // The first one ends by itself once its clients have moved on.
        ensure!(proxy.daemon().life().pid == u32::try_from(first)?);
        ensure!(proxy.daemon().wait_exit()?.success());
        Ok(())
    })
}

#[test]
fn a_new_program_that_does_not_start_changes_nothing() -> Result<()> {
    require!(root, tools, proxy);
    under_load(|_, proxy, [kept, new]| {
        let program = &proxy.files().program;
        let good = fs::read(program)?;
        let first = pid(&proxy.status()?)?;
        let says = |what: &str| {
            proxy.wait_status("the failure to be told", |status| {
                let error = status["last_error"].as_str();
                error.is_some_and(|error| error.contains(what))
            })
        };
        replace(program, b"#!/bin/sh\nexit 7\n")?;
        proxy.daemon().signal(Signal::SIGUSR2)?;
        says("exit status: 7")?;
        fs::remove_file(program)?;
        proxy.daemon().signal(Signal::SIGUSR2)?;
        says("No such file")?;
        // A program that is good, and a site file that is not.
        replace(program, &good)?;
        fs::write(&proxy.files().config, site(1, "colour = 1", ""))?;
        proxy.daemon().signal(Signal::SIGUSR2)?;
        says("exit status: 64")?;
        kept.more(100)?;
        new.more(200)?;
        ensure!(pid(&proxy.status()?)? == first, "the first one serves");
        fs::write(&proxy.files().config, with_threads(2))?;
        ensure!(succeed(proxy)? != first, "and lets a good one take over");
        Ok(())
    })
}
