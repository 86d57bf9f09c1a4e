//! The operator's guide, done: its commands run in the order in which they stand there, on the hosts
//! that they name, and at the end there is nothing left of them.
//!
//! The director has a [`Room`] of its own. There is no systemd in it: `systemctl` is played, by what
//! the unit file says.
//!
//! Not here: what Viaduct does under load and failures; the other modules have that.

use std::{collections::BTreeSet, fs, net::Ipv4Addr};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tests::{
    lab::{
        Lab, find,
        plan::{Host, Plan, Port},
        process::Process,
        status::{self, Status},
        topology::{CLIENT, CLIENT_ADDRESS, LB1, LB1_ADDRESS, LB1_INSIDE, Method, web_address},
        wait::{SOON, eventually},
    },
    require,
};

use super::{
    GUIDE, document,
    markdown::Snippet,
    room::{Room, plain_shell},
};

/// The unit file.
pub(super) const UNIT: &str = "packaging/viaduct-lb.service";
/// Where the unit expects the programs.
pub(super) const SBIN: &str = "/usr/local/sbin/";

/// The network of the guide's drawing, with nothing prepared.
fn network() -> Plan {
    let real = |name: &str, bridge, address: Ipv4Addr| {
        Host::new(name).port(Port::new("eth0", bridge, address))
    };
    let director = Host::new(LB1)
        .port(Port::new("eth0", "br0", LB1_ADDRESS).xdp())
        .port(Port::new("eth1", "br1", LB1_INSIDE).xdp());
    Plan::default()
        .host(real(CLIENT, "br0", CLIENT_ADDRESS))
        .host(director)
        .host(real("web1", "br0", web_address(Method::Dr, 1)))
        .host(real("web2", "br0", web_address(Method::Dr, 2)))
        .host(real("app1", "br1", web_address(Method::Nat, 1)))
        .host(real("app2", "br1", web_address(Method::Nat, 2)))
}

/// The site of the guide while its commands are run.
struct Site<'l> {
    lab: &'l Lab,
    room: Room<'l>,
    daemon: Option<Process>,
}

impl<'l> Site<'l> {
    fn new(lab: &'l Lab) -> Result<Self> {
        let demo = find::program("viaduct-demo")?;
        for host in ["web1", "web2", "app1", "app2"] {
            let args = ["web", "--listen", "0.0.0.0:80", "--name", host];
            let server = lab.spawn(host, host, &demo, &args)?;
            server.wait_for_log("`listening`", |line| line.starts_with("listening"))?;
        }
        let room = Room::new(lab, LB1)?;
        Ok(Self {
            lab,
            room,
            daemon: None,
        })
    }

    /// Runs a script on a host, to its end; gives what it wrote.
    fn shell(&self, host: &str, script: &str) -> Result<String> {
        match host {
            LB1 => self.room.shell(script),
            _ => plain_shell(self.lab, host, script),
        }
    }

    /// Does what a snippet says on each of its hosts.
    fn run(&mut self, snippet: &Snippet) -> Result<()> {
        for host in &snippet.info[1..] {
            let mut script = String::new();
            for line in snippet.text.lines() {
                let Some(verb) = line.strip_prefix("systemctl ") else {
                    script.push_str(line);
                    script.push('\n');
                    continue;
                };
                ensure!(host == LB1, "systemctl is played on {LB1} only");
                self.shell(host, &std::mem::take(&mut script))?;
                self.systemctl(verb)?;
            }
            self.shell(host, &script)?;
        }
        Ok(())
    }

    fn systemctl(&mut self, verb: &str) -> Result<()> {
        match verb {
            "daemon-reload" => Ok(()),
            "enable --now viaduct-lb" => self.start(),
            "reload viaduct-lb" => self.reload(),
            "stop viaduct-lb" => self.stop(),
            "restart viaduct-lb" => self.stop().and_then(|()| self.start()),
            other => bail!("`systemctl {other}` is not played"),
        }
    }

    /// What the installed unit says under a key, in order.
    fn unit(&self, key: &str) -> Result<Vec<String>> {
        let file = self.room.inside("/etc/systemd/system/viaduct-lb.service");
        let text = fs::read_to_string(file).context("the unit is not installed")?;
        let values = text.lines().filter_map(|line| line.split_once('='));
        let values: Vec<String> = values
            .filter(|(found, _)| *found == key)
            .map(|(_, value)| value.to_owned())
            .collect();
        ensure!(!values.is_empty(), "the unit has no {key}");
        Ok(values)
    }

    /// Starts the daemon with no more rights than its unit gives it.
    fn start(&mut self) -> Result<()> {
        let command = self.unit("ExecStart")?.concat();
        let rights = self.unit("CapabilityBoundingSet")?.concat().to_lowercase();
        let rights = rights.replace("cap_", "+").replace(' ', ",");
        let bound = format!("--bounding-set=-all,{rights}");
        let mut words = self.room.enter();
        words.extend(["setpriv", "--no-new-privs", &bound, "--"].map(str::to_owned));
        words.extend(command.split(' ').map(str::to_owned));
        let daemon = self.lab.spawn(LB1, "viaduct-lb", &words[0], &words[1..])?;
        daemon.wait_for_log("`ready`", |line| {
            line.split(' ').any(|word| word == "ready")
        })?;
        self.daemon = Some(daemon);
        self.wait("everything to serve", |status| {
            ["web", "api"]
                .iter()
                .all(|name| status.serving(name) && status.resolved(name))
        })
    }

    fn reload(&mut self) -> Result<()> {
        let commands = self.unit("ExecReload")?;
        let [check, kill] = &commands[..] else {
            bail!("the unit's reload is {commands:?}");
        };
        self.shell(LB1, check)?;
        ensure!(kill == "/bin/kill -HUP $MAINPID", "{kill}");
        let before = self.status()?.generation();
        let daemon = self.daemon.as_ref().context("nothing is running")?;
        daemon.signal(Signal::SIGHUP)?;
        self.wait("the reload", |status| status.generation() > before)
    }

    fn stop(&mut self) -> Result<()> {
        let daemon = self.daemon.take().context("nothing is running")?;
        let status = daemon.terminate()?;
        ensure!(status.success(), "{status}\n{}", daemon.story());
        Ok(())
    }

    fn status(&self) -> Result<Status> {
        status::ask(&self.room.inside("/run/viaduct/lb.sock"))
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Result<()> {
        let found = eventually(SOON, what, || {
            Ok(self.status().ok().filter(|status| wanted(status)).map(drop))
        });
        let story = || self.daemon.as_ref().map(Process::story).unwrap_or_default();
        found.with_context(story)
    }

    /// Who answers at a port of the VIP, of so many requests.
    fn answers(&self, port: u16, requests: usize) -> Result<BTreeSet<String>> {
        let get = format!("curl -sS --max-time 10 http://10.77.0.100:{port}/\n");
        let text = self.shell(CLIENT, &get.repeat(requests))?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

/// The metrics that a running daemon gives; names of series, without labels.
fn metrics(site: &Site<'_>) -> Result<BTreeSet<String>> {
    let text = site.shell(LB1, "curl -s http://127.0.0.1:9144/metrics")?;
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().map(str::to_owned);
    Ok(series.filter_map(name).collect())
}

/// What must be true beside the commands' success, where they have brought the site so far.
fn look(site: &Site<'_>, snippet: &Snippet) -> Result<()> {
    let text = &snippet.text;
    let both = |name: &str| BTreeSet::from([format!("{name}1"), format!("{name}2")]);
    if text.contains("systemctl enable") {
        assert_eq!(site.answers(80, 40)?, both("web"));
        assert_eq!(site.answers(8080, 40)?, both("app"));
        let mut table = document(GUIDE)?.names_under("Metrics")?;
        table.retain(|name| !super::metrics::is_of_routers(name));
        assert_eq!(metrics(site)?, table, "{GUIDE}: the table of metrics");
    }
    if text.contains("systemctl reload") {
        assert_eq!(site.answers(80, 40)?, BTreeSet::from(["web1".to_owned()]));
    }
    if text.contains("systemctl restart") {
        assert_eq!(site.answers(8080, 40)?, both("app"), "after the restart");
    }
    Ok(())
}

/// The sample of `viaduct status` has the columns that there are.
fn assert_columns(site: &Site<'_>) -> Result<()> {
    let live = site.shell(LB1, "viaduct status")?;
    let snippets = document(GUIDE)?.snippets();
    let sample = snippets
        .iter()
        .find(|snippet| snippet.text.contains("SERVICE  "))
        .context("the guide shows no status")?;
    let columns = |text: &str| -> Vec<String> {
        let head = text.lines().find(|line| line.starts_with("SERVICE"));
        let words = head.unwrap_or_default().split_whitespace();
        words.map(str::to_owned).collect()
    };
    assert_eq!(columns(&sample.text), columns(&live), "{live}");
    Ok(())
}

#[test]
fn the_operators_guide_does_what_it_says() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(network())?;
    let mut site = Site::new(&lab)?;
    let mut ran = BTreeSet::new();
    for snippet in document(GUIDE)?.snippets() {
        let place = || snippet.to_string();
        if snippet.info == ["toml", "site"] {
            fs::write(site.room.inside("/etc/viaduct/site.toml"), &snippet.text)
                .with_context(place)?;
        }
        if snippet.kind() != "sh" || snippet.info.len() < 2 {
            continue;
        }
        if let Some((before, _)) = snippet.text.split_once("viaduct-lb detach") {
            // The last one: between its two commands, the data plane is alone.
            let mut first = snippet.clone();
            first.text = before.to_owned();
            assert_columns(&site)?;
            site.run(&first).with_context(place)?;
            assert_eq!(site.answers(8080, 40)?.len(), 2, "the daemon took it along");
            site.shell(LB1, "viaduct-lb detach").with_context(place)?;
            assert!(site.answers(8080, 1).is_err(), "it still forwards");
            site.start()?;
            ran.insert("detach".to_owned());
            continue;
        }
        site.run(&snippet).with_context(place)?;
        look(&site, &snippet).with_context(place)?;
        ran.extend(snippet.info[1..].iter().cloned());
    }
    let hosts = ["client", "detach", "lb1", "web1", "web2", "app1", "app2"];
    let hosts: BTreeSet<String> = hosts.map(str::to_owned).into();
    assert_eq!(ran, hosts, "some of the guide was not found");
    lab.finish()
}
