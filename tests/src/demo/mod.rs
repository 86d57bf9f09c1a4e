//! The demonstration: a small live site on this machine, shown while it runs, and gone without a
//! trace afterwards.
//!
//! Not here: the lab it is made of (`lab`), the picture of it (`drawing`), its status (`live`).

pub mod drawing;
pub mod live;

use std::{
    fs,
    future::pending,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::{Interval, MissedTickBehavior, interval},
};

use crate::lab::{
    Lab,
    director::Director,
    process::Process,
    proxy::{self, Proxy},
    require::Need,
    router::VirtualRouter,
    site::{PROXY_HEALTH, Service, Site},
    status::Status,
    topology::{self, LB1, LB2, Method, no_director, two_directors, with_proxies},
};

/// How many web servers it has.
const WEBS: u8 = 3;

/// How many proxies stand before them.
const PROXIES: u8 = 2;

/// Time between two adverts: a director that dies is replaced within 0.36 s.
const ADVERTS: Duration = Duration::from_millis(100);

/// How many requests the self-check of `--once` makes: that one of three servers is missed by
/// chance happens once in 10^10 runs.
const CHECKED: u64 = 60;

/// The command line of the demonstration.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How the director forwards.
    #[arg(long, value_enum, default_value_t = Forwarding::Dr)]
    method: Forwarding,
    /// Ends by itself after so many seconds.
    #[arg(long = "for", value_name = "SECS")]
    seconds: Option<u64>,
    /// Makes a few requests, prints the result and the status as JSON, and ends.
    #[arg(long)]
    once: bool,
}

/// [`Method`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Forwarding {
    Dr,
    Nat,
}

impl From<Forwarding> for Method {
    fn from(forwarding: Forwarding) -> Self {
        match forwarding {
            Forwarding::Dr => Self::Dr,
            Forwarding::Nat => Self::Nat,
        }
    }
}

/// Runs the demonstration until a signal, the time given, or its self-check ends it.
///
/// # Errors
/// When this machine lacks something, or the site does not come up; nothing is left then either.
pub fn run(args: &DemoArgs) -> Result<ExitCode> {
    check_machine()?;
    // Before anything exists: a signal must not end this process while something does.
    let mut events = Events::new(args.seconds)?;
    let mut out = io::stdout();
    for lab in Lab::sweep()? {
        // Not to standard output: `--once` writes JSON there.
        eprintln!("Removed what an earlier run left behind ({lab}).");
    }
    let method = args.method.into();
    let plan = with_proxies(two_directors(method, WEBS), method, PROXIES);
    let lab = Lab::build(plan)?;
    let webs = lab.webs(method, WEBS)?;
    let site = site(method);
    let start = |number| Proxy::start_on(&lab, &topology::proxy(number), &site);
    let proxies = (1..=PROXIES).map(start).collect::<Result<Vec<_>>>()?;
    let start = |host| Director::start(&lab, host, &site);
    let directors = [start(LB1)?, start(LB2)?];
    for director in &directors {
        director.wait_serving("web")?;
    }
    directors[0].wait_status("the first director to be active", Status::is_active)?;
    let code = if args.once {
        check_itself(&lab, &directors, &proxies)?
    } else {
        let daemons = directors.iter().map(Director::daemon);
        let daemons = daemons.chain(proxies.iter().map(Proxy::daemon));
        let processes: Vec<&Process> = webs.iter().chain(daemons).collect();
        writeln!(out, "{}", drawing::picture(&lab, method, &processes))?;
        let commands = drawing::what_to_try(&lab, &directors, &proxies, &webs)?;
        writeln!(out, "{commands}")?;
        show(&directors, &proxies, &mut events)?;
        writeln!(out, "Removing the site.")?;
        ExitCode::SUCCESS
    };
    lab.finish()?;
    Ok(code)
}

fn check_machine() -> Result<()> {
    let needs = [
        Need::root,
        Need::tools,
        Need::xdp,
        Need::daemon,
        Need::proxy,
    ];
    let lacks: Vec<_> = needs.into_iter().filter_map(Need::lack).collect();
    if !lacks.is_empty() {
        bail!("the demonstration cannot run here: {}", lacks.join("; "));
    }
    Ok(())
}

/// One file for all hosts: the directors send HTTP to the proxies, and these to the web servers; UDP goes
/// from the directors to the web servers.
fn site(method: Method) -> Site {
    let asking = |path: &str, service: Service| Service {
        health: Some(format!("type = \"http\"\npath = \"{path}\"\nport = 80\n")),
        ..service
    };
    let check = "[proxy.upstream.health]\ntype = \"http\"\npath = \"/health\"\n";
    let health = format!("health = \"{PROXY_HEALTH}\"");
    let mut web = asking(PROXY_HEALTH, Service::proxied(method, PROXIES));
    web.health
        .iter_mut()
        .for_each(|text| text.push_str("draining = \"503\"\n"));
    let site = Site::new(vec![web, asking("/health", Service::echo(method, WEBS))]).proxies(
        method,
        PROXIES,
        proxy::tables(method, WEBS, &health, check),
    );
    let group = "group = \"site\"";
    match method {
        // The real servers' gateway moves along.
        Method::Nat => site
            .on(&["eth0", "eth1"])
            .router(VirtualRouter::new(ADVERTS).key(group))
            .router(VirtualRouter::inside(ADVERTS).key(group)),
        Method::Dr | Method::Fullnat | Method::Tunnel(_) => {
            site.router(VirtualRouter::new(ADVERTS))
        }
    }
}

/// The smoke test: every server must have served, no request may have failed.
fn check_itself(
    lab: &Lab,
    directors: &[Director<'_>; 2],
    proxies: &[Proxy<'_>],
) -> Result<ExitCode> {
    let requests = lab.requests(CHECKED)?;
    let passed = requests.failures.is_empty()
        && requests.ok == CHECKED
        && requests.servers.len() == usize::from(WEBS);
    let report = json!({
        "passed": passed,
        "requests": requests,
        "status": directors[0].status()?.0,
        "backup": directors[1].status()?.0,
        "proxies": proxies.iter().map(Proxy::status).collect::<Result<Vec<_>>>()?,
    });
    writeln!(io::stdout(), "{report:#}")?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Shows the status once a second: in place on a terminal, as lines elsewhere.
fn show(directors: &[Director<'_>], proxies: &[Proxy<'_>], events: &mut Events) -> Result<()> {
    let mut out = io::stdout();
    let in_place = out.is_terminal();
    let mut above = 0;
    while events.next() == Event::Tick {
        let see = |at: &Director<'_>| (at.host().to_owned(), at.status().ok());
        let see_proxy = |at: &Proxy<'_>| (at.host().to_owned(), at.status().ok());
        let seen = live::Seen {
            directors: directors.iter().map(see).collect(),
            proxies: proxies.iter().map(see_proxy).collect(),
        };
        if !in_place {
            writeln!(out, "{}", live::line(&seen))?;
            continue;
        }
        let lines = live::table(&seen);
        if above > 0 {
            // Up to the first line of the last table, and clear from there on.
            write!(out, "\x1b[{above}A\x1b[J")?;
        }
        above = lines.len();
        // Cut long lines off: folded ones would be more lines than we count.
        writeln!(out, "\x1b[?7l{}\x1b[?7h", lines.join("\n"))?;
        out.flush()?;
    }
    Ok(())
}

/// What the demonstration waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Tick,
    End,
}

/// The signals, and the clock of the display.
struct Events {
    runtime: Runtime,
    ends: [Signal; 3],
    tick: Interval,
    left: Option<u64>,
}

impl Events {
    fn new(seconds: Option<u64>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (ends, tick) = {
            let _guard = runtime.enter();
            let on = |kind| signal(kind).context("cannot listen for signals");
            let ends = [
                on(SignalKind::interrupt())?,
                on(SignalKind::terminate())?,
                on(SignalKind::hangup())?,
            ];
            let mut tick = interval(Duration::from_secs(1));
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            (ends, tick)
        };
        Ok(Self {
            runtime,
            ends,
            tick,
            left: seconds,
        })
    }

    fn next(&mut self) -> Event {
        let [interrupt, terminate, hangup] = &mut self.ends;
        let tick = &mut self.tick;
        let event = self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = interrupt.recv() => Event::End,
                _ = terminate.recv() => Event::End,
                _ = hangup.recv() => Event::End,
                _ = tick.tick() => Event::Tick,
            }
        });
        match (&mut self.left, event) {
            (Some(0), Event::Tick) => Event::End,
            (Some(left), Event::Tick) => {
                *left -= 1;
                event
            }
            _ => event,
        }
    }
}

/// Keeps a lab, without XDP, until the process is killed: for the test of the sweep.
///
/// # Errors
/// When the lab cannot be built.
pub fn hold() -> Result<()> {
    let lab = Lab::build(no_director(1))?;
    lab.webs(Method::Dr, 1)?;
    lab.bpffs("web1")?;
    fs::write(lab.dir().join("holding"), "")?;
    tokio::runtime::Builder::new_current_thread()
        .build()?
        .block_on(pending())
}
