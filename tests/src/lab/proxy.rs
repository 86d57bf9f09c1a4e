//! A proxy: a host's site file, its `viaduct-proxy`, and what a person does to it; and nginx, the web
//! server that most proxies stand before.
//!
//! Not here: the daemon. It is run as a user runs it, and seen through its status and its log.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    Lab, find, netns,
    plan::{Host, Plan, Port},
    process::Process,
    topology::{CLIENT, CLIENT_ADDRESS, Method, web, web_address},
    wait::{SOON, eventually},
};

/// The host with the proxy.
pub const PROXY: &str = "proxy1";
/// Its address.
pub const PROXY_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 21);

/// A client, a proxy and web servers on one switch.
///
/// ```text
///   client 10.77.0.1 ──┐
///   proxy1 10.77.0.21 ─┤ br0
///   web1 10.77.0.11 ───┤
///   web2 10.77.0.12 ───┘
/// ```
#[must_use]
pub fn proxied(webs: u8) -> Plan {
    let host = |name: &str, address| Host::new(name).port(Port::new("eth0", "br0", address));
    let plan = Plan::default()
        .host(host(CLIENT, CLIENT_ADDRESS))
        .host(host(PROXY, PROXY_ADDRESS).sysctl("ipv4/ip_unprivileged_port_start", "0"));
    (1..=webs).fold(plan, |plan, number| {
        plan.host(host(&web(number), web_address(Method::Fullnat, number)))
    })
}

/// A site file with one listener on port 80, and all requests to the first so many web servers; `more`
/// stands in `[proxy]`, `upstream` in `[[proxy.upstream]]`.
#[must_use]
pub fn site(webs: u8, more: &str, upstream: &str) -> String {
    let server = |number| {
        let address = web_address(Method::Fullnat, number);
        format!("[[proxy.upstream.server]]\naddress = \"{address}\"\n")
    };
    let servers: String = (1..=webs).map(server).collect();
    format!(
        "[proxy]\nthreads = 2\n{more}\n\
         [[proxy.listener]]\nname = \"web\"\naddress = \"0.0.0.0\"\nport = 80\n\
         [[proxy.upstream]]\nname = \"webs\"\n{upstream}\n{servers}\
         [[proxy.route]]\nname = \"site\"\nupstream = \"webs\"\n"
    )
}

/// A host with a running `viaduct-proxy`.
#[derive(Debug)]
pub struct Proxy<'l> {
    lab: &'l Lab,
    config: PathBuf,
    socket: PathBuf,
    daemon: Process,
}

impl<'l> Proxy<'l> {
    /// Writes the site file, starts the daemon without a single capability, and waits until it is ready.
    ///
    /// # Errors
    /// When the daemon is not built, ends, or is not ready soon; the log is in the message.
    pub fn start(lab: &'l Lab, site: &str) -> Result<Self> {
        let dir = lab.host_dir(PROXY)?;
        let (config, socket) = (dir.join("site.toml"), dir.join("proxy.sock"));
        fs::write(&config, site)?;
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let program = text(&find::program("viaduct-proxy")?);
        let (config_text, socket_text) = (text(&config), text(&socket));
        let args = [
            "--no-new-privs",
            "--bounding-set=-all",
            "--",
            &program,
            "run",
            "--config",
            &config_text,
            "--socket",
            &socket_text,
        ];
        let daemon = lab.spawn(PROXY, "viaduct-proxy", "setpriv", &args)?;
        daemon.wait_for_log("`ready`", |line| {
            line.split(' ').any(|word| word == "ready")
        })?;
        Ok(Self {
            lab,
            config,
            socket,
            daemon,
        })
    }

    /// The daemon.
    #[must_use]
    pub fn daemon(&self) -> &Process {
        &self.daemon
    }

    /// Its status now.
    ///
    /// # Errors
    /// When nobody answers; the log is in the message.
    pub fn status(&self) -> Result<Value> {
        let mut ask = Command::new(find::program("viaduct-proxy")?);
        let out = ask
            .args(["status", "--socket"])
            .arg(&self.socket)
            .output()?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            return Err(anyhow::anyhow!(said)).with_context(|| self.daemon.story());
        }
        Ok(serde_json::from_slice(&out.stdout)?)
    }

    /// A number of a server in the status, by its place in the upstream `webs`.
    ///
    /// # Errors
    /// As [`Proxy::status`].
    pub fn server(&self, place: usize, number: &str) -> Result<u64> {
        let status = self.status()?;
        let server = &status["upstreams"][0]["servers"][place];
        server[number]
            .as_u64()
            .with_context(|| format!("no {number} in {status}"))
    }

    /// Waits until the status is as `wanted`.
    ///
    /// # Errors
    /// When it is not soon; the log is in the message.
    pub fn wait_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = eventually(SOON, what, || Ok(Some(self.status()?).filter(&wanted)));
        found.with_context(|| self.daemon.story())
    }

    /// Replaces the site file, asks for a reload and waits until it is taken; `Err` of the inner result
    /// says why it was refused.
    ///
    /// # Errors
    /// When the status shows no outcome soon.
    pub fn reload(&self, site: &str) -> Result<Result<u64, String>> {
        let before = self.status()?;
        let new = self.config.with_extension("new");
        fs::write(&new, site)?;
        fs::rename(&new, &self.config)?;
        self.daemon.signal(Signal::SIGHUP)?;
        let differs = |now: &Value, key: &str| now[key] != before[key];
        let after = self.wait_status("the outcome of the reload", |now| {
            differs(now, "generation") || differs(now, "last_error")
        })?;
        Ok(match after["last_error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(after["generation"].as_u64().context("no generation")?),
        })
    }

    /// Runs curl on the client's host.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn curl(&self, args: &[&str]) -> Result<Output> {
        let mut curl = netns::command(&self.lab.netns(CLIENT), "curl");
        curl.args(["-sS", "--max-time", "60"]).args(args);
        Ok(curl.output()?)
    }

    /// What curl gets with these arguments.
    ///
    /// # Errors
    /// When it fails; the reason is in the message.
    pub fn get(&self, args: &[&str]) -> Result<String> {
        let out = self.curl(args)?;
        if !out.status.success() {
            bail!(
                "curl {args:?}: {}\n{}",
                String::from_utf8_lossy(&out.stderr),
                self.daemon.story()
            );
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

impl Lab {
    /// Starts nginx on host `web<number>` and waits until it listens on port 80. It answers every path
    /// with `locations`, and with its name in the header that the lab's clients look at.
    ///
    /// # Errors
    /// When it does not listen soon.
    pub fn nginx(&self, number: u8, locations: &str) -> Result<Process> {
        let host = web(number);
        let dir = self.host_dir(&host)?;
        let at = dir.display();
        // One process: killing it kills nginx.
        let config = format!(
            "daemon off; master_process off; pid {at}/nginx.pid; error_log stderr notice;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 100000; keepalive_timeout 600s;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; default_type text/plain;\n\
             server {{ listen 80; add_header x-real {host} always;\n{locations}\n}} }}\n"
        );
        let file = dir.join("nginx.conf");
        fs::write(&file, config)?;
        let file = file.to_string_lossy().into_owned();
        let args = ["-c", &file, "-e", "stderr"];
        let nginx = self.spawn(&host, &format!("nginx-{host}"), "nginx", &args)?;
        let mut ask = || {
            let mut curl = netns::command(&self.netns(&host), "curl");
            let out = curl
                .args(["-s", "-o", "/dev/null", "http://127.0.0.1/"])
                .output()?;
            Ok(out.status.success().then_some(()))
        };
        eventually(SOON, "nginx to listen", &mut ask).with_context(|| nginx.story())?;
        Ok(nginx)
    }
}
