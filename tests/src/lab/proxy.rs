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
    tables(Method::Fullnat, webs, more, upstream)
}

/// The same for web servers where a director's method has them.
#[must_use]
pub fn tables(method: Method, webs: u8, more: &str, upstream: &str) -> String {
    let server = |number| {
        let address = web_address(method, number);
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
    files: Files,
    daemon: Process,
}

/// Where a proxy keeps its things, and how it is called.
#[derive(Clone, Debug)]
pub struct Files {
    host: String,
    /// Whether the site file has hosts, so that it is told which it is.
    named: bool,
    /// The site file.
    pub config: PathBuf,
    /// The status socket.
    pub socket: PathBuf,
    /// The program.
    pub program: PathBuf,
}

impl Files {
    /// The places for a host's proxy; makes the directory.
    ///
    /// # Errors
    /// When that cannot be made, or the program is not built.
    pub fn of(lab: &Lab, host: &str, named: bool) -> Result<Self> {
        let dir = lab.host_dir(host)?;
        Ok(Self {
            host: host.to_owned(),
            named,
            config: dir.join("site.toml"),
            socket: dir.join("proxy.sock"),
            program: find::program("viaduct-proxy")?,
        })
    }

    /// A program and its arguments that run the proxy without a single capability.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let (program, config, socket) = (&self.program, &self.config, &self.socket);
        let mut words = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--"]
            .map(str::to_owned)
            .to_vec();
        words.extend([text(program), "run".to_owned()]);
        words.extend(["--config".to_owned(), text(config)]);
        words.extend(["--socket".to_owned(), text(socket)]);
        if self.named {
            words.extend(["--host".to_owned(), self.host.clone()]);
        }
        words
    }
}

impl<'l> Proxy<'l> {
    /// Writes the site file, starts the daemon without a single capability, and waits until it is ready.
    ///
    /// # Errors
    /// When the daemon is not built, ends, or is not ready soon; the log is in the message.
    pub fn start(lab: &'l Lab, site: &str) -> Result<Self> {
        Self::launch(lab, Files::of(lab, PROXY, false)?, site)
    }

    /// The same on a host of a site file that has hosts. As a real server of `dr`, the host is made ready
    /// for that first.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_on(lab: &'l Lab, host: &str, site: impl ToString) -> Result<Self> {
        if !lab.host(host)?.vips.is_empty() {
            lab.realserver(host, "setup", Some("dr"))?;
        }
        Self::launch(lab, Files::of(lab, host, true)?, &site.to_string())
    }

    /// The same by a program of its own, a copy of the one that was built: what is done to that copy is an
    /// upgrade.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_copy(lab: &'l Lab, site: &str) -> Result<Self> {
        let mut files = Files::of(lab, PROXY, false)?;
        let copy = lab.host_dir(PROXY)?.join("viaduct-proxy");
        fs::copy(&files.program, &copy)?;
        files.program = copy;
        Self::launch(lab, files, site)
    }

    fn launch(lab: &'l Lab, files: Files, site: &str) -> Result<Self> {
        fs::write(&files.config, site)?;
        let daemon = spawn(lab, &files)?;
        Ok(Self { lab, files, daemon })
    }

    /// Starts the daemon again after it ended.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.daemon = spawn(self.lab, &self.files)?;
        Ok(())
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.files.host
    }

    /// Its files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
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
            .arg(&self.files.socket)
            .output()?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            return Err(anyhow::anyhow!(said)).with_context(|| self.daemon.story());
        }
        Ok(serde_json::from_slice(&out.stdout)?)
    }

    /// One of its metrics now, by its name with its labels.
    ///
    /// # Errors
    /// When it does not answer, or has none of that name.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let mut curl = netns::command(&self.lab.netns(PROXY), "curl");
        let url = "http://127.0.0.1:9145/metrics";
        let out = curl.args(["-sS", "--max-time", "60", url]).output()?;
        let text = String::from_utf8(out.stdout)?;
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let found = lines.find(|(known, _)| *known == name);
        let (_, number) = found.with_context(|| format!("no {name} in {text}"))?;
        Ok(number.parse()?)
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
        let new = self.files.config.with_extension("new");
        fs::write(&new, site)?;
        fs::rename(&new, &self.files.config)?;
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

fn spawn(lab: &Lab, files: &Files) -> Result<Process> {
    let words = files.command();
    let daemon = lab.spawn(&files.host, "viaduct-proxy", &words[0], &words[1..])?;
    daemon.wait_for_log("`ready`", |line| {
        line.split(' ').any(|word| word == "ready")
    })?;
    Ok(daemon)
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
