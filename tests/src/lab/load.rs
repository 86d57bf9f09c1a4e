//! The lab's clients: `viaduct-demo load`, `fetch` and `udp` on the client's host, and their
//! results.
//!
//! Not here: what they do (`guest::load` and its neighbours).

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;

use super::{
    Lab, find,
    process::Process,
    topology::{CLIENT, VIP},
    wait::{SOON, eventually},
};
use crate::guest::{
    downloads,
    fetch::Fetched,
    load::{Line, Progress, Summary},
    udp::Echoed,
};

/// Requests under way from the client's host.
#[derive(Debug)]
pub struct Load(Process);

impl Lab {
    /// Starts requests to port 80 of the VIP; with `keepalive`, many on each connection, else one.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn load(&self, workers: u8, keepalive: bool) -> Result<Load> {
        let workers = workers.to_string();
        let mut args = vec!["--workers", &workers];
        args.extend(keepalive.then_some("--keepalive"));
        self.load_with(&args)
    }

    /// Starts requests to port 80 of the VIP with these options of `viaduct-demo load`.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn load_with(&self, options: &[&str]) -> Result<Load> {
        self.load_at((VIP, 80).into(), options)
    }

    /// Starts requests to a target with these options of `viaduct-demo load`.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn load_at(&self, target: SocketAddr, options: &[&str]) -> Result<Load> {
        let target = target.to_string();
        let args = [&["load", "--target", &target], options].concat();
        Ok(Load(self.spawn(CLIENT, "load", demo()?, &args)?))
    }

    /// Makes this many requests to port 80 of the VIP, each on a connection of its own.
    ///
    /// # Errors
    /// When the client does not end soon.
    pub fn requests(&self, count: u64) -> Result<Summary> {
        self.requests_at((VIP, 80).into(), count)
    }

    /// Makes this many requests to a target, each on a connection of its own.
    ///
    /// # Errors
    /// When the client does not end soon.
    pub fn requests_at(&self, target: SocketAddr, count: u64) -> Result<Summary> {
        let count = count.to_string();
        let load = self.load_at(target, &["--count", &count, "--rate", "500"])?;
        load.0.wait_exit().with_context(|| load.so_far())?;
        load.summary()
    }

    /// Starts many downloads at a time from port 80 of an address, on the client's host, each of these
    /// bytes and lasting for some seconds.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn downloads(
        &self,
        address: IpAddr,
        count: u32,
        bytes: u64,
        seconds: u64,
    ) -> Result<Downloads> {
        let target = SocketAddr::new(address, 80).to_string();
        let (count, bytes, seconds) = (count.to_string(), bytes.to_string(), seconds.to_string());
        let args = [
            "downloads",
            "--target",
            &target,
            "--count",
            &count,
            "--bytes",
            &bytes,
            "--seconds",
            &seconds,
        ];
        let demo = find::program("viaduct-demo")?;
        Ok(Downloads(self.spawn(CLIENT, "downloads", demo, &args)?))
    }

    /// Fetches a URL from the client's host.
    ///
    /// # Errors
    /// When the transfer fails; the reason is in the message.
    pub fn fetch(&self, url: &str) -> Result<Fetched> {
        self.ask(CLIENT, "fetch", &["fetch", url])
    }

    /// Sends this many bytes made from a seed to the web server behind a URL, from the client's
    /// host; gives length and hash of what came there.
    ///
    /// # Errors
    /// When the transfer fails; the reason is in the message.
    pub fn upload(&self, url: &str, seed: u64, bytes: u64) -> Result<Fetched> {
        let blob = format!("{bytes}?{seed}");
        self.ask(CLIENT, "upload", &["fetch", "--upload", &blob, url])
    }

    /// Sends datagrams to port 7 of the VIP from several sockets in turn.
    ///
    /// # Errors
    /// When the client fails; datagrams not answered are in the result.
    pub fn echo(&self, sockets: u16, count: u32) -> Result<Echoed> {
        self.echo_at(VIP.into(), sockets, count)
    }

    /// Sends datagrams to port 7 of an address from several sockets in turn.
    ///
    /// # Errors
    /// As [`Lab::echo`].
    pub fn echo_at(&self, address: IpAddr, sockets: u16, count: u32) -> Result<Echoed> {
        self.echo_of(address, sockets, count, 0)
    }

    /// The same with datagrams of at least `size` bytes.
    ///
    /// # Errors
    /// As [`Lab::echo`].
    pub fn echo_of(&self, address: IpAddr, sockets: u16, count: u32, size: u16) -> Result<Echoed> {
        let target = SocketAddr::new(address, 7).to_string();
        let [sockets, count, size] =
            [sockets.into(), count, size.into()].map(|n: u32| n.to_string());
        let args = [
            "udp",
            "--target",
            &target,
            "--sockets",
            &sockets,
            "--count",
            &count,
            "--size",
            &size,
        ];
        self.ask(CLIENT, "udp", &args)
    }

    /// Turns a web server's answer to `/health` on or off, from its own host.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn set_health(&self, web: &str, on: bool) -> Result<()> {
        let url = format!("http://127.0.0.1/health/{}", if on { "on" } else { "off" });
        let answer: Fetched = self.ask(web, "health", &["fetch", "--post", &url])?;
        if answer.status != 200 {
            bail!("{url}: {}", answer.status);
        }
        Ok(())
    }

    fn ask<T: DeserializeOwned>(&self, host: &str, name: &str, args: &[&str]) -> Result<T> {
        let client = self.spawn(host, name, demo()?, args)?;
        let status = eventually(3 * SOON, &format!("{name} to end"), || client.exit())?;
        if !status.success() {
            bail!("{}", client.story());
        }
        serde_json::from_str(&client.output()?).with_context(|| format!("{name} gave no JSON"))
    }
}

impl Load {
    /// How far it is.
    ///
    /// # Errors
    /// When its output is not what it should be.
    pub fn progress(&self) -> Result<Progress> {
        match self.0.last_line()? {
            Some(Line::Progress(progress)) => Ok(progress),
            Some(Line::Summary(_)) => bail!("the load ended too early: {}", self.0.story()),
            None => Ok(Progress::default()),
        }
    }

    /// Waits until this many more requests have succeeded.
    ///
    /// # Errors
    /// When they do not soon.
    pub fn more(&self, requests: u64) -> Result<()> {
        let goal = self.progress()?.ok + requests;
        let done = eventually(
            SOON,
            &format!("{requests} more requests to succeed"),
            || Ok((self.progress()?.ok >= goal).then_some(())),
        );
        done.with_context(|| self.so_far())
    }

    fn so_far(&self) -> String {
        match self.progress() {
            Ok(Progress { ok, failed }) => {
                format!("so far {ok} requests succeeded, {failed} failed")
            }
            Err(error) => format!("{error:#}"),
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.0.signal(signal)
    }

    /// Ends it; requests under way are finished first.
    ///
    /// # Errors
    /// When it does not end soon.
    pub fn stop(self) -> Result<Summary> {
        self.0.terminate()?;
        self.summary()
    }

    fn summary(&self) -> Result<Summary> {
        let output = self.0.output()?;
        match output
            .lines()
            .last()
            .map(serde_json::from_str)
            .transpose()?
        {
            Some(Line::Summary(summary)) => Ok(summary),
            _ => bail!("the load gave no summary: {}", self.0.story()),
        }
    }
}

fn demo() -> Result<PathBuf> {
    find::program("viaduct-demo")
}

/// Downloads under way.
#[derive(Debug)]
pub struct Downloads(Process);

impl Downloads {
    /// Waits until so many bytes have come, of all of them together, with so many begun.
    ///
    /// # Errors
    /// When they have not soon, or all is over before.
    pub fn wait_under_way(&self, begun: u64, bytes: u64) -> Result<()> {
        let found = eventually(SOON, &format!("{begun} downloads under way"), || {
            Ok(match self.0.last_line()? {
                Some(downloads::Line::Progress(now)) if now.over > 0 => {
                    bail!("some are over already: {now:?}")
                }
                Some(downloads::Line::Progress(now)) => {
                    (now.begun >= begun && now.bytes >= bytes).then_some(())
                }
                Some(downloads::Line::Summary(summary)) => bail!("all is over: {summary:?}"),
                None => None,
            })
        });
        found.with_context(|| self.0.story())
    }

    /// Waits for their end, and gives what became of them.
    ///
    /// # Errors
    /// When they do not end soon.
    pub fn finish(&self) -> Result<downloads::Summary> {
        self.0.wait_exit()?;
        match self.0.last_line()? {
            Some(downloads::Line::Summary(summary)) => Ok(summary),
            _ => bail!("no summary: {}", self.0.story()),
        }
    }
}
