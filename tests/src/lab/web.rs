//! The lab's web servers: `viaduct-demo web` on a host, which `viaduct realserver setup` has made a real
//! server before.
//!
//! Not here: what they serve (`guest::web`).

use std::{
    fmt::Display,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Result, bail};

use super::{
    Lab, find, netns,
    process::Process,
    topology::{Method, web},
};

impl Lab {
    /// Starts the web server of host `web<number>` and waits until it listens: HTTP on port 80 of
    /// every address, UDP echo on port 7 of the addresses that clients send to. VIPs are on the host
    /// then, but nothing takes packets out of tunnels.
    ///
    /// # Errors
    /// When it does not listen soon, or the host cannot be prepared.
    pub fn web(&self, method: Method, number: u8) -> Result<Process> {
        let host = web(number);
        if !matches!(method, Method::Nat | Method::Fullnat) {
            self.realserver(&host, "setup", Some("dr"))?;
        }
        // A UDP answer must come from the address that was asked; TCP sees to that by itself.
        let udp = match method {
            Method::Nat | Method::Fullnat => vec!["[::]:7".to_owned()],
            Method::Dr | Method::Tunnel(_) => {
                let vips = self.vips(&host)?.iter();
                vips.map(|vip| SocketAddr::new(*vip, 7).to_string())
                    .collect()
            }
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
    /// As [`Lab::web`].
    pub fn webs(&self, method: Method, webs: u8) -> Result<Vec<Process>> {
        let start = |number| {
            if matches!(method, Method::Tunnel(_)) {
                self.realserver(&web(number), "setup", Some("tunnel"))?;
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

    /// Runs `viaduct realserver` with a verb on a host, for its VIPs and by `eth0`; `undo` needs no
    /// method. Gives what was said.
    ///
    /// # Errors
    /// When it fails.
    pub fn realserver(&self, host: &str, verb: &str, method: Option<&str>) -> Result<String> {
        let (succeeded, said) = self.try_realserver(host, verb, method, &[])?;
        match succeeded {
            true => Ok(said),
            false => bail!("viaduct realserver {verb} on {host}: {said}"),
        }
    }

    /// The same with more arguments; gives whether it succeeded, too.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn try_realserver(
        &self,
        host: &str,
        verb: &str,
        method: Option<&str>,
        more: &[&str],
    ) -> Result<(bool, String)> {
        let mut args: Vec<String> = ["realserver", verb].map(str::to_owned).into();
        let mut option = |name: &str, value: &dyn Display| {
            args.extend([format!("--{name}"), value.to_string()]);
        };
        if let Some(method) = method {
            option("method", &method);
            option("interface", &"eth0");
            option("pin-dir", &self.bpffs(host)?.join("decap").display());
            self.vips(host)?.iter().for_each(|vip| option("vip", vip));
        }
        if verb != "check" {
            let state = self.host_dir(host)?.join("realserver.json");
            option("state", &state.display());
        }
        args.extend(more.iter().map(|one| (*one).to_owned()));
        let out = netns::command(&self.netns(host), find::program("viaduct")?)
            .args(&args)
            .output()?;
        let said = [out.stdout, out.stderr].concat();
        Ok((
            out.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        ))
    }

    /// The VIPs that a host serves.
    fn vips(&self, host: &str) -> Result<&[IpAddr]> {
        Ok(&self.host(host)?.vips)
    }
}
