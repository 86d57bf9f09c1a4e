//! The lab's web servers: `viaduct-demo web` on a host, and the far end of a tunnel before it.
//!
//! Not here: what they serve (`guest::web`).

use std::{fmt::Display, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{
    Lab, find,
    process::Process,
    topology::{Method, web},
};

impl Lab {
    /// Starts the web server of host `web<number>` and waits until it listens: HTTP on port 80 of
    /// every address, UDP echo on port 7 of the addresses that clients send to.
    ///
    /// # Errors
    /// When it does not listen soon.
    pub fn web(&self, method: Method, number: u8) -> Result<Process> {
        let host = web(number);
        // A UDP answer must come from the address that was asked; TCP sees to that by itself.
        let udp = match method {
            Method::Nat => vec!["[::]:7".to_owned()],
            Method::Dr | Method::Tunnel(_) => self.vips(&host)?.iter().map(at_port_7).collect(),
        };
        self.serve(&host, &udp)
    }

    /// Starts a web server on a host, called as it is, with UDP echo at these addresses and ports.
    ///
    /// # Errors
    /// When it does not listen soon.
    pub fn serve(&self, host: &str, udp: &[String]) -> Result<Process> {
        let mut args = vec!["web", "--listen", "[::]:80", "--name", host];
        args.extend(udp.iter().flat_map(|at| ["--udp", at]));
        let server = self.spawn(host, host, find::program("viaduct-demo")?, &args)?;
        server.wait_for_log("`listening`", |line| line.starts_with("listening"))?;
        Ok(server)
    }

    /// Starts the web servers 1 to `webs`; with method `tunnel`, the far ends of tunnels to all
    /// their VIPs before them.
    ///
    /// # Errors
    /// As [`Lab::web`] and [`Lab::decap`].
    pub fn webs(&self, method: Method, webs: u8) -> Result<Vec<Process>> {
        let start = |number| {
            if matches!(method, Method::Tunnel(_)) {
                self.decap(&web(number), &self.vips(&web(number))?)?;
            }
            self.web(method, number)
        };
        (1..=webs).map(start).collect()
    }

    /// Makes `eth0` of a host the far end of tunnels to these VIPs and no others; gives what was
    /// said.
    ///
    /// # Errors
    /// When `viaduct-lb decap` fails.
    pub fn decap(&self, host: &str, vips: &[impl Display]) -> Result<String> {
        let mut args = vec![
            "decap".to_owned(),
            "--interface".to_owned(),
            "eth0".to_owned(),
        ];
        for vip in vips {
            args.extend(["--vip".to_owned(), vip.to_string()]);
        }
        self.far_end(host, args)
    }

    /// Removes the far end of tunnels from a host; gives what was said.
    ///
    /// # Errors
    /// When `viaduct-lb detach` fails.
    pub fn undo_decap(&self, host: &str) -> Result<String> {
        self.far_end(host, vec!["detach".to_owned()])
    }

    fn far_end(&self, host: &str, mut args: Vec<String>) -> Result<String> {
        let pins: PathBuf = self.bpffs(host)?.join("decap");
        args.extend(["--pin-dir".to_owned(), pins.to_string_lossy().into_owned()]);
        let far_end = self.spawn(host, &args[0], find::program("viaduct-lb")?, &args)?;
        if !far_end.wait_exit()?.success() {
            bail!("{}", far_end.story());
        }
        far_end.output()
    }

    /// The addresses that a host holds on `lo` for clients.
    fn vips(&self, host: &str) -> Result<Vec<String>> {
        let mut hosts = self.plan.hosts.iter();
        let host = hosts.find(|one| one.name == host).context("no such host")?;
        let address = |address: &String| address.split('/').next().map(str::to_owned);
        Ok(host.loopback.iter().filter_map(address).collect())
    }
}

fn at_port_7(address: &String) -> String {
    match address.contains(':') {
        true => format!("[{address}]:7"),
        false => format!("{address}:7"),
    }
}
