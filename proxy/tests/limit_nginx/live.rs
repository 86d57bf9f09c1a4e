//! The running proxy beside a running nginx: the same requests at the same times, the same verdicts in the
//! same order.
//!
//! Neither tells the other's millisecond, so the traces are such that none counts: a trace is played through
//! the rules many times with each request up to [`LATE`] late, and a request that would get another verdict
//! in any of these is left out. What then is sent later than that voids the attempt: it shows nothing.
//!
//! Not here: traces to the millisecond ([`super`]), for which the proxy's clock is replaced.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proxy::limit::{Millis, Outcome, Word};

use super::*;

/// How late a request may be.
const LATE: Duration = Duration::from_millis(100);
/// How often a trace is played through the rules.
const TIMES: usize = 24;
/// Requests of a trace.
const REQUESTS: usize = 120;
/// Attempts, of which one has to be in time.
const ATTEMPTS: usize = 6;

/// A request, when it is sent, and what is to become of it.
#[derive(Clone, Debug)]
struct Timed {
    request: Request,
    at: Duration,
    word: &'static str,
}

#[test]
fn a_running_proxy_gives_the_verdicts_of_a_running_nginx() {
    let zones = [zone("a", "2r/s"), zone("b", "60r/m"), zone("c", "7r/m")];
    let routes = [
        route("/a", &[(0, 2, Some(1))]),
        route("/all", &[(0, 8, None), (1, 6, None), (2, 40, None)]),
        route("/b", &[(1, 2, None)]),
        route("/back", &[(2, 30, None), (0, 3, Some(2))]),
        RouteSpec {
            dry_run: true,
            ..route("/dry", &[(0, 2, Some(0)), (1, 3, Some(0))])
        },
    ];
    let mut random = Random::new();
    for _ in 0..ATTEMPTS {
        let trace = compose(&zones, &routes, &mut random);
        let nginx = Nginx::start("live", &zones, &routes);
        let ours = Proxy::start(&zones, &routes);
        let start = now() + Duration::from_millis(50);
        let (theirs, mine) = thread::scope(|scope| {
            let stream = UnixStream::connect(nginx.folder.join("socket")).unwrap();
            let theirs = scope.spawn(|| play(stream, &trace, &nginx, start));
            let stream = TcpStream::connect(ours.address).unwrap();
            let mine = scope.spawn(|| play(stream, &trace, &nginx, start));
            (theirs.join().unwrap(), mine.join().unwrap())
        });
        let _log = nginx.stop();
        let (Some(theirs), Some(mine)) = (theirs, mine) else {
            continue;
        };
        let words = ours.words(trace.len());
        for (n, timed) in trace.iter().enumerate() {
            let told = (theirs[n].1.as_str(), words[n].as_str());
            assert_eq!(told, (timed.word, timed.word), "{n}: {timed:?}");
            assert_eq!(theirs[n].0, mine[n].0, "{n}: {timed:?}");
        }
        let count = |word| trace.iter().filter(|timed| timed.word == word).count();
        for word in ["PASSED", "DELAYED", "REJECTED", "REJECTED_DRY_RUN", "-"] {
            assert!(count(word) >= 2, "{word}: {}", count(word));
        }
        return;
    }
    panic!("this machine was too slow {ATTEMPTS} times: requests were {LATE:?} late");
}

#[expect(clippy::disallowed_methods, reason = "a trace is of real time")]
fn now() -> Instant {
    Instant::now()
}

/// Draws requests one by one, and takes those whose verdict does not hang on how late any of them is.
fn compose(zones: &[ZoneSpec], routes: &[RouteSpec], random: &mut Random) -> Vec<Timed> {
    let mut trace: Vec<Timed> = Vec::new();
    let mut lateness: Vec<Vec<u64>> = vec![Vec::new(); TIMES];
    let mut free = Duration::ZERO;
    while trace.len() < REQUESTS {
        let request = random.request(zones.len(), routes.len());
        let pause = match random.below(3) {
            0 => random.below(500),
            _ => 0,
        };
        trace.push(Timed {
            request,
            at: free + Duration::from_millis(pause),
            word: "",
        });
        let late = u64::try_from(LATE.as_millis()).unwrap();
        for (n, late_by) in lateness.iter_mut().enumerate() {
            // All in time, all late, each at one end, and anything between.
            late_by.push(match n {
                0 => 0,
                1 => late,
                2..12 => random.below(2) * late,
                _ => random.below(late + 1),
            });
        }
        let last: Vec<(&str, Duration)> = lateness
            .iter()
            .map(|late_by| verdict(zones, routes, &trace, late_by))
            .collect();
        let timed = trace.last_mut().unwrap();
        if last.iter().all(|(word, _)| *word == last[0].0) {
            timed.word = last[0].0;
            let longest = last.iter().map(|(_, delay)| *delay).max().unwrap();
            // Who waited may be late as well.
            let slack = if longest.is_zero() {
                Duration::ZERO
            } else {
                LATE
            };
            free = timed.at + longest + slack;
        } else {
            trace.pop();
            lateness
                .iter_mut()
                .for_each(|late_by| late_by.truncate(trace.len()));
        }
    }
    trace
}

/// What becomes of the last request of a trace, where each was so many milliseconds late.
fn verdict(
    zones: &[ZoneSpec],
    routes: &[RouteSpec],
    trace: &[Timed],
    late_by: &[u64],
) -> (&'static str, Duration) {
    let known: Vec<_> = zones.iter().map(our_zone).collect();
    let limits: Vec<_> = routes
        .iter()
        .map(|route| our_limits(route, &known))
        .collect();
    let (mut clock, mut last) = (0, ("", Duration::ZERO));
    for (timed, late) in trace.iter().zip(late_by) {
        // One after the other, over one connection.
        clock = clock.max(1_000_000 + u64::try_from(timed.at.as_millis()).unwrap() + late);
        let limits = &limits[timed.request.route];
        let decision = limits.decide(Millis(clock), &Asked(zones, &timed.request));
        let delay = match decision.outcome {
            Outcome::Delayed(delay) if !decision.dry_run => delay,
            Outcome::Delayed(_)
            | Outcome::Passed
            | Outcome::Unlimited
            | Outcome::Rejected { .. } => Duration::ZERO,
        };
        last = (decision.word().map_or("-", Word::text), delay);
    }
    last
}

/// Sends each request at its time; its status and nginx's word for it. None where one was sent too late.
#[expect(clippy::disallowed_methods, reason = "a trace is of real time")]
fn play(
    mut stream: impl Read + Write,
    trace: &[Timed],
    nginx: &Nginx,
    start: Instant,
) -> Option<Vec<(String, String)>> {
    let mut told = Vec::new();
    for Timed { request, at, word } in trace {
        thread::sleep((start + *at).saturating_duration_since(now()));
        let mut head = format!("GET {} HTTP/1.1\r\n", nginx.paths[request.route]);
        for (zone, client) in std::iter::zip(&nginx.zones, &request.clients) {
            if let Some(client) = client {
                write!(head, "x-{zone}: {client}\r\n").unwrap();
            }
        }
        stream
            .write_all((head + "Host: x\r\n\r\n").as_bytes())
            .unwrap();
        let sent = now();
        let head = read_response(&mut stream);
        let done = if *word == "DELAYED" { sent } else { now() };
        if done > start + *at + LATE {
            return None;
        }
        let value = |line: &str| line.split_once(": ").map(|(_, value)| value.to_owned());
        let word = head.lines().find(|line| line.starts_with("x-word"));
        let word = word.and_then(value).filter(|word| !word.is_empty());
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
        told.push((status, word.unwrap_or_else(|| "-".to_owned())));
    }
    Some(told)
}

/// A `viaduct-proxy` that runs.
struct Proxy {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Proxy {
    /// Returns once it accepts connections.
    fn start(zones: &[ZoneSpec], routes: &[RouteSpec]) -> Self {
        let unique = format!("viaduct-limit-proxy-{}", std::process::id());
        let folder = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&folder).unwrap();
        // Both are taken before either is let go, so that they differ.
        let ports = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [address, status] = ports.map(|port| port.local_addr().unwrap());
        let site = folder.join("site.toml");
        let text = site_file(zones, routes, (address, status), &folder.join("access.log"));
        std::fs::write(&site, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_viaduct-proxy"))
            .arg("run")
            .arg("--config")
            .arg(&site)
            .arg("--socket")
            .arg(folder.join("socket"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut proxy = Self {
            child,
            folder,
            address,
        };
        proxy.until("it accepts", |proxy| TcpStream::connect(proxy.address).ok());
        proxy
    }

    /// What its access log says of so many requests.
    fn words(mut self, count: usize) -> Vec<String> {
        let lines = self.until("the log has all", |proxy| {
            let text = std::fs::read_to_string(proxy.folder.join("access.log")).ok()?;
            let lines: Vec<String> = text
                .lines()
                .filter(|line| line.contains("\"route\":\"r"))
                .map(str::to_owned)
                .collect();
            (lines.len() >= count).then_some(lines)
        });
        let word = |line: &String| {
            let (_, rest) = line.split_once("\"limit\":\"")?;
            Some(rest.split('"').next()?.to_owned())
        };
        lines
            .iter()
            .map(|line| word(line).unwrap_or_else(|| "-".to_owned()))
            .collect()
    }

    #[expect(clippy::disallowed_methods, reason = "there is no event to await")]
    fn until<T>(&mut self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = now() + Duration::from_secs(20);
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && now() < deadline,
                "{what}: not yet: {ended:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

fn site_file(
    zones: &[ZoneSpec],
    routes: &[RouteSpec],
    (address, status): (SocketAddr, SocketAddr),
    log: &Path,
) -> String {
    let mut text = format!(
        "[proxy]\nthreads = 1\nstatus = \"{status}\"\n[proxy.log]\nfile = \"{}\"\nformat = \"json\"\n\
         [[proxy.listener]]\nname = \"web\"\naddress = \"{}\"\nport = {}\n",
        log.display(),
        address.ip(),
        address.port()
    );
    for ZoneSpec { name, rate, .. } in zones {
        write!(
            text,
            "[[proxy.zone]]\nname = \"{name}\"\nkey = \"header:x-{name}\"\nrate = \"{rate}\"\n\
             size = \"1MB\"\n"
        )
        .unwrap();
    }
    for (n, route) in routes.iter().enumerate() {
        write!(
            text,
            "[[proxy.route]]\nname = \"r{n}\"\npath = \"{}\"\nstatus = 200\nlimit_status = 503\n\
             limit_dry_run = {}\n",
            route.path, route.dry_run
        )
        .unwrap();
        for (zone, burst, delay) in route.limits {
            let delay = match delay {
                None => "nodelay = true".to_owned(),
                Some(0) => String::new(),
                Some(delay) => format!("delay = {delay}"),
            };
            let zone = zones[*zone].name;
            write!(
                text,
                "[[proxy.route.limit]]\nzone = \"{zone}\"\nburst = {burst}\n{delay}\n"
            )
            .unwrap();
        }
    }
    text
}
