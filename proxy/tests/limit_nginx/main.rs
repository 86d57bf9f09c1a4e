//! The limiter beside a real nginx: the same requests, the same verdicts, exactly.
//!
//! nginx is sent random traces in real time over a unix socket. Its debug log, read from a pipe,
//! says of each request which limits were judged, what its client stood at in thousandths, the
//! verdict, and (by the timer it sets next, in the same turn of its loop) the millisecond its clock
//! had. Ours is then given the same requests at these milliseconds: no tolerance is needed.
//!
//! Needs Debian's `nginx` (`cargo xtask setup`), whose build has the debug log.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: where one fails is what it says"
)]

mod live;
mod log;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::{Judged, parse};
use proxy::limit::{
    Burst, Decision, Delay, Key, Limit, Limits, Millis, Outcome, Size, Status, Subject, Word, Zone,
};

/// A zone as both are told of it; clients are told apart by the header `x-NAME`.
struct ZoneSpec {
    name: &'static str,
    rate: &'static str,
    /// Room for so many clients in ours; nginx's has 32 KiB or 1 MiB.
    clients: u32,
    nginx_size: &'static str,
}

/// A route as both are told of it: `(zone, burst, delay)`, none for nodelay.
struct RouteSpec {
    path: &'static str,
    limits: &'static [(usize, u32, Option<u32>)],
    dry_run: bool,
}

/// A request as the trace has it.
#[derive(Clone, Debug)]
struct Request {
    route: usize,
    /// The client in each zone.
    clients: Vec<Option<String>>,
    pause: Duration,
}

const BUSY: i32 = -3;

#[test]
fn a_random_trace_gets_nginxs_verdicts_to_the_millisecond() {
    let zones = [zone("a", "50r/s"), zone("b", "300r/m"), zone("c", "7r/m")];
    let routes = [
        route("/a", &[(0, 3, Some(1))]),
        route("/all", &[(0, 8, Some(0)), (1, 6, None), (2, 40, None)]),
        route("/b", &[(1, 2, None)]),
        route("/back", &[(2, 30, None), (0, 4, Some(0))]),
        RouteSpec {
            dry_run: true,
            ..route("/dry", &[(0, 2, Some(0)), (1, 3, Some(0))])
        },
    ];
    let mut random = Random::new();
    let traces: Vec<Vec<Request>> = (0..4)
        .map(|_| {
            let requests = (0..400).map(|_| random.request(zones.len(), routes.len()));
            requests.collect()
        })
        .collect();
    let judged = Nginx::start("trace", &zones, &routes).run(&traces);
    let verdicts = compare(&zones, &routes, &traces, &judged);
    // The trace is one that tells: each verdict occurs often.
    for word in [
        "PASSED",
        "DELAYED",
        "REJECTED",
        "DELAYED_DRY_RUN",
        "REJECTED_DRY_RUN",
        "-",
    ] {
        let count = verdicts.get(word).copied().unwrap_or(0);
        assert!(count >= 10, "{word}: {count} of {verdicts:?}");
    }
}

#[test]
fn a_full_zone_forgets_the_clients_that_nginx_forgets() {
    let zones = [ZoneSpec {
        nginx_size: "32k",
        ..zone("a", "1r/m")
    }];
    // Nothing drains within this test: who is known is rejected, who was forgotten is let in.
    let routes = [route("/", &[(0, 0, None)])];
    let mut random = Random::new();
    let fill = (0..1000).map(|n| format!("{n:08}"));
    let then = (0..3000).map(|_| format!("{:08}", random.below(600)));
    let requests = fill.chain(then).map(|client| Request {
        route: 0,
        clients: vec![Some(client)],
        pause: Duration::ZERO,
    });
    let traces = [requests.collect::<Vec<_>>()];
    let log = Nginx::start("full", &zones, &routes).log(&traces);
    // How many clients nginx knew when it first gave up one to make room.
    let filled = log.lines().take_while(|line| !line.contains("slab free"));
    let clients = filled.filter(|line| line.contains("limit_req[0]")).count();
    let clients = u32::try_from(clients).unwrap();
    assert!((100..600).contains(&clients), "{clients} clients in 32k");
    let ours = [ZoneSpec {
        clients,
        ..zone("a", "1r/m")
    }];
    let verdicts = compare(&ours, &routes, &traces, &parse(&log));
    for word in ["PASSED", "REJECTED"] {
        assert!(verdicts[word] >= 300, "{verdicts:?}");
    }
}

fn zone(name: &'static str, rate: &'static str) -> ZoneSpec {
    ZoneSpec {
        name,
        rate,
        clients: 1000,
        nginx_size: "1m",
    }
}

fn route(path: &'static str, limits: &'static [(usize, u32, Option<u32>)]) -> RouteSpec {
    RouteSpec {
        path,
        limits,
        dry_run: false,
    }
}

/// Judges each request again, in nginx's order and at nginx's time; how often each verdict came.
fn compare(
    zones: &[ZoneSpec],
    routes: &[RouteSpec],
    traces: &[Vec<Request>],
    judged: &[Judged],
) -> HashMap<&'static str, u32> {
    let requests: Vec<&Request> = traces.iter().flatten().collect();
    assert_eq!(
        judged.len(),
        requests.len(),
        "nginx judged each request once"
    );
    let ours: Vec<_> = zones.iter().map(our_zone).collect();
    let limits: Vec<_> = routes
        .iter()
        .map(|route| our_limits(route, &ours))
        .collect();
    let mut verdicts = HashMap::new();
    for (n, theirs) in judged.iter().enumerate() {
        let request = requests[theirs.number];
        let limits = &limits[request.route];
        let now = Millis(theirs.now.expect("a timer was set"));
        let decision = limits.decide(now, &Asked(zones, request));
        let wrong = disagreement(theirs, limits, &decision);
        assert_eq!(
            wrong, None,
            "request {n} of the log: {theirs:?} {request:?} {decision:?}"
        );
        *verdicts
            .entry(decision.word().map_or("-", Word::text))
            .or_default() += 1;
    }
    verdicts
}

/// In what the two differ.
fn disagreement(theirs: &Judged, ours: &Limits, decision: &Decision) -> Option<&'static str> {
    let zone = |n: usize| ours.limits()[n].zone.name();
    let last = theirs.limits.last();
    match (decision.outcome, last, &theirs.delayed) {
        (Outcome::Unlimited, None, None) => None,
        (Outcome::Rejected { .. }, Some(&(limit, BUSY, excess)), None) => {
            let same = (limit, excess) == (decision.limit, decision.excess);
            (!same).then_some("the limit that rejects, or its excess")
        }
        (Outcome::Delayed(delay), Some(_), Some(delayed)) => {
            if (delayed.zone.as_str(), delayed.excess) != (zone(decision.limit), decision.excess) {
                return Some("the limit that delays, or its excess");
            }
            let millis = delayed.millis.map(Duration::from_millis);
            millis
                .is_some_and(|millis| millis != delay)
                .then_some("the delay")
        }
        (Outcome::Passed, Some(&(_, code, _)), None) if code != BUSY => {
            let left = theirs
                .limits
                .iter()
                .map(|&(n, _, excess)| (ours.limits()[n].burst.thousandths() - excess) / 1000);
            let ours = ours.quota(decision).map(|(_, quota)| quota.remaining);
            (ours != left.min()).then_some("what is left")
        }
        _ => Some("the verdict"),
    }
}

fn our_zone(spec: &ZoneSpec) -> Arc<Zone> {
    let key = Key::new(vec![format!("header:x-{}", spec.name).parse().unwrap()]).unwrap();
    let size = Size::for_clients(spec.clients);
    Arc::new(Zone::new(spec.name, key, spec.rate.parse().unwrap(), size).unwrap())
}

fn our_limits(route: &RouteSpec, zones: &[Arc<Zone>]) -> Limits {
    let limits = route.limits.iter().map(|&(zone, burst, delay)| Limit {
        zone: Arc::clone(&zones[zone]),
        burst: match burst {
            0 => Burst::NONE,
            _ => Burst::new(burst).unwrap(),
        },
        delay: match delay {
            None => Delay::NEVER,
            Some(0) => Delay::ALWAYS,
            Some(delay) => Delay::after(delay).unwrap(),
        },
    });
    Limits::new(limits.collect(), Status::default(), route.dry_run).unwrap()
}

/// A request as ours sees it.
struct Asked<'a>(&'a [ZoneSpec], &'a Request);

impl Subject for Asked<'_> {
    fn address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut zones = std::iter::zip(self.0, &self.1.clients);
        let named = |zone: &ZoneSpec| name.strip_prefix("x-") == Some(zone.name);
        let (_, client) = zones.find(|(zone, _)| named(zone))?;
        client.as_deref().map(str::as_bytes)
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn host(&self) -> &[u8] {
        b""
    }

    fn path(&self) -> &[u8] {
        b"/"
    }
}

/// An nginx that runs.
struct Nginx {
    child: Child,
    folder: PathBuf,
    paths: Vec<&'static str>,
    zones: Vec<&'static str>,
    log: JoinHandle<String>,
}

impl Nginx {
    /// Returns once it waits for connections.
    fn start(name: &str, zones: &[ZoneSpec], routes: &[RouteSpec]) -> Self {
        let unique = format!("viaduct-limit-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(unique);
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration(&folder, zones, routes)).unwrap();
        let mut child = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .expect("nginx starts (Debian's package nginx: `cargo xtask setup` installs it)");
        let stderr = child.stderr.take().unwrap();
        let (ready, waits) = mpsc::channel();
        let log = thread::spawn(move || {
            let mut log = String::new();
            for line in BufReader::new(stderr).lines() {
                let line = line.unwrap();
                if line.contains("epoll timer: -1") {
                    let _heard = ready.send(());
                }
                log += &line;
                log.push('\n');
            }
            log
        });
        let waits = waits.recv_timeout(Duration::from_secs(30));
        let nginx = Self {
            child,
            folder,
            paths: routes.iter().map(|route| route.path).collect(),
            zones: zones.iter().map(|zone| zone.name).collect(),
            log,
        };
        if waits.is_err() {
            panic!("nginx did not come up:\n{}", nginx.stop());
        }
        nginx
    }

    fn run(self, traces: &[Vec<Request>]) -> Vec<Judged> {
        parse(&self.log(traces))
    }

    /// Sends each trace over a connection of its own, all at once; what nginx logged.
    fn log(self, traces: &[Vec<Request>]) -> String {
        let mut first = 0;
        thread::scope(|scope| {
            for trace in traces {
                let (number, nginx) = (first, &self);
                scope.spawn(move || nginx.send(number, trace));
                first += trace.len();
            }
        });
        self.stop()
    }

    #[expect(clippy::disallowed_methods, reason = "a trace is of real time")]
    fn send(&self, first: usize, trace: &[Request]) {
        let mut stream = UnixStream::connect(self.folder.join("socket")).unwrap();
        for (n, request) in trace.iter().enumerate() {
            thread::sleep(request.pause);
            let mut head = format!("GET {} HTTP/1.1\r\n", self.paths[request.route]);
            for (zone, client) in std::iter::zip(&self.zones, &request.clients) {
                if let Some(client) = client {
                    write!(head, "x-{zone}: {client}\r\n").unwrap();
                }
            }
            write!(head, "Host: x\r\nx-number: {}\r\n\r\n", first + n).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            read_response(&mut stream);
        }
        // Once this is answered, nginx has logged all there is to say of the last one.
        stream
            .write_all(b"GET /end HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        read_response(&mut stream);
    }

    fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
        self.log.join().unwrap()
    }
}

/// Reads a head, which it gives, and as many bytes as its Content-Length says.
fn read_response(stream: &mut impl Read) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the connection was closed");
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some(head) = text.find("\r\n\r\n") else {
            continue;
        };
        let (_, rest) = text.split_once("Content-Length: ").unwrap();
        let length: usize = rest.lines().next().unwrap().parse().unwrap();
        if bytes.len() >= head + 4 + length {
            return text[..head].to_owned();
        }
    }
}

fn configuration(folder: &Path, zones: &[ZoneSpec], routes: &[RouteSpec]) -> String {
    let folder = folder.display();
    let mut text = format!(
        "daemon off; master_process off; error_log stderr debug; pid {folder}/pid;\n\
         events {{}}\n\
         http {{ access_log off; keepalive_requests 1000000;\n"
    );
    for (n, name) in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .enumerate()
    {
        writeln!(text, "{name}_temp_path {folder}/{n};").unwrap();
    }
    for ZoneSpec {
        name,
        rate,
        nginx_size,
        ..
    } in zones
    {
        let zone = format!("zone={name}:{nginx_size} rate={rate}");
        writeln!(text, "limit_req_zone $http_x_{name} {zone};").unwrap();
    }
    writeln!(text, "server {{ listen unix:{folder}/socket;").unwrap();
    writeln!(text, "location = /end {{ empty_gif; }}").unwrap();
    for route in routes {
        writeln!(
            text,
            "location = {} {{ empty_gif;\n\
             add_header x-word $limit_req_status always;",
            route.path
        )
        .unwrap();
        for (zone, burst, delay) in route.limits {
            let burst = match burst {
                0 => String::new(),
                _ => format!("burst={burst}"),
            };
            let delay = match delay {
                None => "nodelay".to_owned(),
                Some(0) => String::new(),
                Some(delay) => format!("delay={delay}"),
            };
            let zone = zones[*zone].name;
            writeln!(text, "limit_req zone={zone} {burst} {delay};").unwrap();
        }
        let dry_run = if route.dry_run { "on" } else { "off" };
        writeln!(text, "limit_req_dry_run {dry_run}; }}").unwrap();
    }
    text + "}}\n"
}

/// Another trace each time; what failed is told by the log.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    fn request(&mut self, zones: usize, routes: usize) -> Request {
        let mut client = || match self.below(10) {
            0 => None,
            n => Some(format!("client-{}", n % 3)),
        };
        let clients = (0..zones).map(|_| client()).collect();
        let pause = match self.below(3) {
            0 => 0,
            1 => self.below(4),
            _ => self.below(30),
        };
        Request {
            route: usize::try_from(self.below(routes as u64)).unwrap(),
            clients,
            pause: Duration::from_millis(pause),
        }
    }
}
