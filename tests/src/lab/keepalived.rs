//! keepalived as another make of VRRP router: its configuration, its two processes, its log.
//!
//! Not here: what tests expect of it.

use std::{
    fmt::{self, Display},
    fs,
    net::IpAddr,
    path::PathBuf,
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::{
    Lab, link,
    process::Process,
    topology::{LB1_ADDRESS, LB2_ADDRESS, VIP},
    wait::{SOON, eventually},
};

/// A virtual router of keepalived's, as in its configuration; all else is its default.
#[derive(Clone, Debug)]
pub struct Router {
    /// The number that routers of one group share.
    pub vrid: u8,
    /// Who of them is preferred.
    pub priority: u8,
    /// How often the Active one says so.
    pub interval: Duration,
    /// The addresses, all of one family.
    pub vips: Vec<IpAddr>,
    /// Its own address and its peer's, when they talk by unicast.
    pub unicast: Option<(IpAddr, IpAddr)>,
    /// Lines within its block.
    pub keys: Vec<String>,
    /// Lines in the block of all routers.
    pub globals: Vec<String>,
}

impl Router {
    /// A router for the lab's VIP.
    #[must_use]
    pub fn new(priority: u8, interval: Duration) -> Self {
        Self {
            vrid: 51,
            priority,
            interval,
            vips: vec![VIP.into()],
            unicast: None,
            keys: Vec::new(),
            globals: Vec::new(),
        }
    }

    /// For these addresses instead.
    #[must_use]
    pub fn vips(self, vips: &[IpAddr]) -> Self {
        Self {
            vips: vips.to_vec(),
            ..self
        }
    }

    /// Talks by unicast: from the first director to the second, or the other way round.
    #[must_use]
    pub fn unicast(self, own: impl Into<IpAddr>, peer: impl Into<IpAddr>) -> Self {
        Self {
            unicast: Some((own.into(), peer.into())),
            ..self
        }
    }

    /// With a line of its own.
    #[must_use]
    pub fn key(mut self, line: impl Into<String>) -> Self {
        self.keys.push(line.into());
        self
    }

    /// As hand-tuned as it gets: real-time priority, with a limit that does not kill it.
    #[must_use]
    pub fn tuned(mut self) -> Self {
        let lines = ["vrrp_rt_priority 50", "vrrp_rlimit_rttime 5000000"];
        self.globals.extend(lines.map(str::to_owned));
        self
    }
}

impl Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "global_defs {{\n    script_user root\n    vrrp_version 3"
        )?;
        self.globals
            .iter()
            .try_for_each(|line| writeln!(f, "    {line}"))?;
        // Both begin as BACKUP: with MASTER there would be two at first.
        writeln!(
            f,
            "}}\n\nvrrp_instance site {{\n    state BACKUP\n    interface eth0"
        )?;
        writeln!(
            f,
            "    virtual_router_id {}\n    priority {}",
            self.vrid, self.priority
        )?;
        writeln!(f, "    advert_int {:.2}", self.interval.as_secs_f64())?;
        self.keys
            .iter()
            .try_for_each(|line| writeln!(f, "    {line}"))?;
        if let Some((own, peer)) = self.unicast {
            writeln!(
                f,
                "    unicast_src_ip {own}\n    unicast_peer {{\n        {peer}\n    }}"
            )?;
        }
        writeln!(f, "    virtual_ipaddress {{")?;
        for vip in &self.vips {
            writeln!(f, "        {} dev eth0", prefix(vip))?;
        }
        writeln!(f, "    }}\n}}")
    }
}

/// An address as that of one host alone.
fn prefix(vip: &IpAddr) -> String {
    format!("{vip}/{}", if vip.is_ipv4() { 32 } else { 128 })
}

/// A host with a running keepalived.
#[derive(Debug)]
pub struct Keepalived<'l> {
    lab: &'l Lab,
    host: String,
    files: Files,
    vips: Vec<IpAddr>,
    daemon: Process,
    /// Those that ended before.
    former: Vec<Process>,
}

/// Where it keeps its things: apart from any other keepalived's.
#[derive(Clone, Debug)]
struct Files {
    config: PathBuf,
    pids: [PathBuf; 2],
}

impl<'l> Keepalived<'l> {
    /// Writes the configuration and starts it on a host, and waits until it is a VRRP router.
    ///
    /// # Errors
    /// When it is not installed, ends, or does not come up soon; the log is in the message.
    pub fn start(lab: &'l Lab, host: &str, router: &Router) -> Result<Self> {
        let dir = lab.host_dir(host)?;
        let files = Files {
            config: dir.join("keepalived.conf"),
            pids: ["keepalived.pid", "vrrp.pid"].map(|name| dir.join(name)),
        };
        fs::write(&files.config, router.to_string())?;
        let daemon = launch(lab, host, &files)?;
        Ok(Self {
            lab,
            host: host.to_owned(),
            files,
            vips: router.vips.clone(),
            daemon,
            former: Vec::new(),
        })
    }

    /// Starts it again after it ended.
    ///
    /// # Errors
    /// As [`Keepalived::start`].
    pub fn start_again(&mut self) -> Result<()> {
        let daemon = launch(self.lab, &self.host, &self.files)?;
        self.former
            .push(std::mem::replace(&mut self.daemon, daemon));
        Ok(())
    }

    /// Its parent process; the one that speaks VRRP is in the same process group.
    #[must_use]
    pub fn daemon(&self) -> &Process {
        &self.daemon
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Ends both processes at once. What it did to the host stays: its VIPs are still there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<ExitStatus> {
        self.daemon.kill_group()
    }

    /// Stops both processes, as a debugger or a frozen machine does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pause(&self) -> Result<()> {
        self.daemon.signal_group(Signal::SIGSTOP)
    }

    /// Takes [`Keepalived::pause`] back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn resume(&self) -> Result<()> {
        self.daemon.signal_group(Signal::SIGCONT)
    }

    /// Ends it as systemd would: it says so to its peers.
    ///
    /// # Errors
    /// When it does not end soon.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.daemon.terminate()
    }

    /// Takes its VIPs off its host after it was killed, where it had them, as a reboot does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forget(&self) -> Result<()> {
        let del = |vip: &IpAddr| format!("address flush dev eth0 to {}", prefix(vip));
        let batch: Vec<_> = self.vips.iter().map(del).collect();
        link::ip(&self.lab.netns(&self.host), &batch)
    }

    /// Whether it is Active, by the last word of its log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn is_active(&self) -> Result<bool> {
        let log = self.daemon.log()?;
        let mut states = log.lines().rev().filter(|line| line.contains("Entering "));
        Ok(states.next().is_some_and(|line| line.contains("MASTER")))
    }

    /// Waits until it is Active, or until it is not.
    ///
    /// # Errors
    /// When it does not become so soon; the log is in the message.
    pub fn wait_active(&self, active: bool) -> Result<()> {
        let what = format!("keepalived on {} to be active: {active}", self.host);
        let found = eventually(SOON, &what, || {
            Ok((self.is_active()? == active).then_some(()))
        });
        found.with_context(|| self.daemon.story())
    }

    /// The lines of its log, and of the logs before it, that two keepalived who get on well with each
    /// other do not write.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for daemon in self.former.iter().chain([&self.daemon]) {
            all.extend(complaints(&daemon.log()?));
        }
        Ok(all)
    }
}

fn launch(lab: &Lab, host: &str, files: &Files) -> Result<Process> {
    for pid in &files.pids {
        // One that was killed left them, and the next would take its number for itself.
        drop(fs::remove_file(pid));
    }
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let mut args: Vec<String> = [
        "--dont-fork",
        "--log-console",
        "--log-detail",
        "--vrrp",
        "-f",
    ]
    .map(str::to_owned)
    .into();
    args.push(text(&files.config));
    for (option, path) in ["-p", "-r"].iter().zip(&files.pids) {
        args.extend([(*option).to_owned(), text(path)]);
    }
    let daemon = lab.spawn(host, "keepalived", "keepalived", &args)?;
    daemon.wait_for_log("its sockets", |line| line.contains("VRRP sockpool: ["))?;
    Ok(daemon)
}

/// What a line may say in a healthy pair, without its date.
const HARMLESS: [&str; 30] = [
    "Starting Keepalived v",
    "Running on Linux",
    "Command line: ",
    "             ",
    "Opening file '",
    "Configuration file ",
    "NOTICE: setting config option max_auto_priority",
    "Starting VRRP child process",
    "Registering Kernel netlink",
    "Assigned address ",
    "Registering gratuitous ARP",
    "Registering gratuitous NDISC",
    "Startup complete",
    "(site) removing VIPs.",
    "(site) setting VIPs.",
    "(site) Entering BACKUP STATE",
    "(site) Entering MASTER STATE",
    "(site) Receive advertisement timeout",
    "(site) Master received advert from",
    // It waits to take over from a worse one.
    "(site) received lower priority (100) advert from",
    "(site) Backup received priority 0 advertisement",
    "(site) Sending/queueing",
    "Sending gratuitous ARP",
    "Sending unsolicited Neighbour Advert",
    "(site) sent 0 priority",
    "VRRP sockpool: [",
    // Its own process was stopped or went on.
    "Received SIGCHLD code",
    "Stopping",
    "Stopped",
    "CPU usage",
];

fn complaints(log: &str) -> Vec<String> {
    let said = log.lines().filter(|line| !line.trim().is_empty());
    said.filter(|line| {
        // "Tue Dec  1 10:23:23 2026: ".
        let text = line.get(26..).unwrap_or(line);
        !HARMLESS.iter().any(|harmless| text.starts_with(harmless))
    })
    .map(str::to_owned)
    .collect()
}

/// Two routers that are each other's peer: the first director's is preferred.
#[must_use]
pub fn pair(interval: Duration) -> [Router; 2] {
    [150, 100].map(|priority| Router::new(priority, interval))
}

/// The same, by unicast.
#[must_use]
pub fn unicast_pair(interval: Duration) -> [Router; 2] {
    let [one, two] = pair(interval);
    [
        one.unicast(LB1_ADDRESS, LB2_ADDRESS),
        two.unicast(LB2_ADDRESS, LB1_ADDRESS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_out_of_the_ordinary_is_a_complaint() {
        let log = "Tue Dec  1 10:23:23 2026: (site) Entering BACKUP STATE (init)\n\
                   Tue Dec  1 10:23:24 2026: (site) invalid TTL. 64 and expect 255\n\
                   Tue Dec 11 10:23:24 2026:               '-p' 'x.pid'\n";
        let complaints = complaints(log);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("invalid TTL"));
    }

    #[test]
    fn the_configuration_has_the_interval_in_seconds() {
        let text = Router::new(150, Duration::from_millis(10))
            .tuned()
            .to_string();
        assert!(text.contains("advert_int 0.01\n"), "{text}");
        assert!(text.contains("10.77.0.100/32 dev eth0"), "{text}");
        assert!(text.contains("rt_priority 50"), "{text}");
    }
}
