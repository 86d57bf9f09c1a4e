//! The picture of a lab, and commands to paste that show what the site does.
//!
//! Not here: the status that changes (`live`).

use std::fmt::Write as _;

use anyhow::Result;

use crate::lab::{
    Lab,
    director::Director,
    find, netns,
    plan::{Host, SWITCH},
    process::Process,
    proxy::Proxy,
    require::is_installed,
    topology::{CLIENT, Method, VIP},
};

/// The hosts on their switch, with addresses, namespaces and processes.
#[must_use]
pub fn picture(lab: &Lab, method: Method, processes: &[&Process]) -> String {
    let mut text = format!(
        "\nA site on this machine, each host a network namespace; two directors share the VIP {VIP} \
         and forward by {method}\nto two proxies, and these to the web servers.\n\n"
    );
    let rows: Vec<[String; 3]> = lab
        .plan()
        .hosts
        .iter()
        .map(|host| row(lab, host, processes))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (name, addresses) = (width(0), width(1));
    let last = rows.len().saturating_sub(1);
    writeln!(
        text,
        "  switch (br0)  {}",
        netns::path(&lab.netns(SWITCH)).display()
    )
    .unwrap_or_default();
    for (index, [host, where_, what]) in rows.iter().enumerate() {
        let branch = if index == last {
            "└──"
        } else {
            "├──"
        };
        writeln!(
            text,
            "    {branch} {host:name$}  {where_:addresses$}  {what}"
        )
        .unwrap_or_default();
    }
    text
}

/// Name, addresses, and what runs there.
fn row(lab: &Lab, host: &Host, processes: &[&Process]) -> [String; 3] {
    let on_ports = host.ports.iter().flat_map(|port| &port.addresses);
    let mut addresses: Vec<_> = on_ports.map(|text| bare(text)).collect();
    let vips: Vec<_> = host.vips.iter().map(ToString::to_string).collect();
    addresses.extend(vips.iter().map(String::as_str));
    let here = processes
        .iter()
        .filter(|process| process.host() == host.name);
    let programs: Vec<_> = here
        .map(|process| format!("{} (pid {})", process.name(), process.life().pid))
        .collect();
    let mut what = netns::path(&lab.netns(&host.name)).display().to_string();
    if !programs.is_empty() {
        write!(what, "  {}", programs.join(", ")).unwrap_or_default();
    }
    [host.name.clone(), addresses.join(" "), what]
}

/// The address without its prefix length.
fn bare(address: &str) -> &str {
    address
        .split_once('/')
        .map_or(address, |(address, _)| address)
}

/// Commands that work when pasted into another terminal.
///
/// # Errors
/// When one of the programs they name is not built.
pub fn what_to_try(
    lab: &Lab,
    directors: &[Director<'_>],
    proxies: &[Proxy<'_>],
    webs: &[Process],
) -> Result<String> {
    let mut page = Page {
        demo: find::program("viaduct-demo")?.display().to_string(),
        viaduct: find::program("viaduct")?.display().to_string(),
        lab,
        text: String::from("Try, in another terminal:\n"),
    };
    page.ask();
    for director in directors {
        let (host, socket) = (director.host(), director.files().socket.display());
        let status = format!("{} status --socket {socket}", page.viaduct);
        page.advise(&format!("what the director {host} says"), &status);
    }
    for proxy in proxies {
        let (program, socket) = (&proxy.files().program, &proxy.files().socket);
        let status = format!("{} status --socket {}", program.display(), socket.display());
        page.advise(&format!("what the proxy {} says", proxy.host()), &status);
    }
    if let Some(web) = webs.get(1) {
        page.lose_web(web);
    }
    page.watch();
    if let [first, .., last] = proxies {
        page.stop_proxy(last);
        page.lose_proxy(first);
    }
    if let Some(first) = directors.first() {
        page.lose_director(first)?;
    }
    page.text
        .push_str("\nCtrl-C ends it and removes all of this.\n");
    Ok(page.text)
}

/// What is printed, and what its commands are made of.
struct Page<'l> {
    lab: &'l Lab,
    demo: String,
    viaduct: String,
    text: String,
}

impl Page<'_> {
    fn advise(&mut self, what: &str, command: &str) {
        write!(self.text, "\n  # {what}\n  {command}\n").unwrap_or_default();
    }

    /// The beginning of a command that is to run on a host.
    fn on(&self, host: &str) -> String {
        let namespace = netns::path(&self.lab.netns(host));
        format!("nsenter --net={}", namespace.display())
    }

    fn ask(&mut self) {
        let get = match is_installed("curl") {
            true => "curl -s".to_owned(),
            false => format!("{} fetch", self.demo),
        };
        let client = self.on(CLIENT);
        self.advise(
            "ask the site, as its client: a director, a proxy and a web server have a part in it",
            &format!("{client} {get} http://{VIP}/"),
        );
        self.advise(
            "ask it 1000 times and count who answered",
            &format!("{client} {} load --target {VIP}:80 --count 1000", self.demo),
        );
    }

    fn lose_web(&mut self, web: &Process) {
        let (pid, host) = (web.life().pid, web.host());
        self.advise(
            "kill a web server: it goes down below, and no request fails",
            &format!("kill {pid}"),
        );
        let again = format!(
            "{} {} web --name {host} --listen 0.0.0.0:80",
            self.on(host),
            self.demo
        );
        self.advise("start it again", &again);
    }

    fn watch(&mut self) {
        let client = self.on(CLIENT);
        self.advise(
            "watch the site: a request each 10 ms for a minute; then, beside it, one of the next ones",
            &format!(
                "{client} {} load --target {VIP}:80 --for 60 --rate 100",
                self.demo
            ),
        );
    }

    fn stop_proxy(&mut self, proxy: &Proxy<'_>) {
        let (pid, host) = (proxy.daemon().life().pid, proxy.host());
        self.advise(
            &format!(
                "stop the proxy {host} as planned: it is left before it goes, no request fails"
            ),
            &format!("kill {pid}"),
        );
        let again = format!("{} {}", self.on(host), proxy.files().command().join(" "));
        self.advise("start it again", &again);
    }

    fn lose_proxy(&mut self, proxy: &Proxy<'_>) {
        let (files, host) = (proxy.files(), proxy.host());
        let (program, socket) = (files.program.display(), files.socket.display());
        // Whose number it is changes with each new process.
        let pid = "sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p'";
        let pid = format!("$({program} status --socket {socket} | {pid})");
        self.advise(
            &format!(
                "put a new process in the place of {host}'s, as an upgrade does: nobody notices"
            ),
            &format!("kill -USR2 {pid}"),
        );
        self.advise(
            &format!(
                "kill {host}'s process: what it holds fails, and new requests for three probes"
            ),
            &format!("kill -9 {pid}"),
        );
        let again = format!("{} {}", self.on(host), files.command().join(" "));
        self.advise("start it again", &again);
    }

    fn lose_director(&mut self, first: &Director<'_>) -> Result<()> {
        let (host, socket) = (first.host(), first.files().socket.display());
        let viaduct = self.viaduct.clone();
        self.advise(
            &format!("hand over from {host} as planned: no request fails"),
            &format!("{viaduct} resign --socket {socket}"),
        );
        self.advise("and back", &format!("{viaduct} rejoin --socket {socket}"));
        self.advise(
            &format!("kill {host}'s daemon: its lease runs out, the other takes over"),
            &format!("kill -9 {}", first.daemon().life().pid),
        );
        let daemon = find::program("viaduct-lb")?;
        let args = first.files().run_args(host).join(" ");
        let again = format!("{} {} {args}", self.on(host), daemon.display());
        self.advise("start it again: it takes the VIP back", &again);
        Ok(())
    }
}
