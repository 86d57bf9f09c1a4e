//! Malformed messages, and such as two readers could understand differently, to ours, nginx and HAProxy
//! with an origin each that writes down what it gets: what the client hears, and what reaches the origin.
//! Where they differ, the table says why.
//!
//! Not here: the same for ours alone and cut at every byte, which the package `proxy` does.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use tests::{
    lab::{
        Lab, netns,
        proxy::{PROXY, PROXY_ADDRESS, Proxy, proxied, site},
        topology::CLIENT,
    },
    require,
};

use super::malformed::{CASES, Case};

/// Stands behind each case: a proxy that goes on reading where it should not shows it here.
const END: &str = "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// How long a client waits for more. The proxies wait for a body half as long.
const PATIENCE: Duration = Duration::from_secs(4);

/// An origin that writes down what it gets.
struct Origin {
    port: u16,
    got: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    fn start(lab: &Lab, port: u16) -> Result<Self> {
        let listener = netns::within(&lab.netns("web1"), || {
            Ok(TcpListener::bind(("0.0.0.0", port))?)
        })?;
        let got = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&got);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let written = Arc::clone(&written);
                thread::spawn(move || take(stream, &written));
            }
        });
        Ok(Self { port, got })
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new([10, 77, 0, 11].into(), self.port)
    }

    fn written(&self) -> Vec<String> {
        std::mem::take(&mut self.got.lock().expect("no thread panics with it"))
    }
}

/// Reads one request as a simple server does, writes it down, answers and closes.
fn take(mut stream: TcpStream, written: &Mutex<Vec<String>>) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = read_to(&mut stream, b"\r\n\r\n")?;
    let lower = head.to_ascii_lowercase();
    let value = |name: &str| {
        let line = lower.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    let body = match (value("transfer-encoding:"), value("content-length:")) {
        (Some(_), _) => chunks(&mut stream).unwrap_or_else(|| "(broken off)".to_owned()),
        (None, Some(length)) => {
            let mut body = vec![0; length.parse().unwrap_or(0)];
            match stream.read_exact(&mut body) {
                Ok(()) => String::from_utf8_lossy(&body).into_owned(),
                Err(_) => "(broken off)".to_owned(),
            }
        }
        (None, None) => String::new(),
    };
    let line = head.lines().next().unwrap_or_default();
    let asked = line.rsplit_once(' ').map_or(line, |(asked, _)| asked);
    let mut written = written.lock().ok()?;
    // A connection that is only opened and closed is none.
    if !asked.is_empty() {
        let space = if body.is_empty() { "" } else { " " };
        written.push(format!("{asked}{space}{body}"));
    }
    drop(written);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    stream.write_all(answer).ok()
}

fn read_to(stream: &mut TcpStream, end: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        (stream.read(&mut byte).ok()? == 1).then_some(())?;
        text.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn chunks(stream: &mut TcpStream) -> Option<String> {
    let mut body = String::new();
    loop {
        let line = read_to(stream, b"\r\n")?;
        let size = line.trim().split(';').next()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            while read_to(stream, b"\r\n")? != "\r\n" {}
            return Some(body);
        }
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).ok()?;
        body += &String::from_utf8_lossy(&chunk[..size]);
    }
}

/// What became of a case: the statuses that the client heard, and what the origin got.
fn verdict(lab: &Lab, port: u16, origin: &Origin, bytes: &[u8]) -> Result<String> {
    let mut stream = netns::within(&lab.netns(CLIENT), || {
        Ok(TcpStream::connect((PROXY_ADDRESS, port))?)
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // It may have been refused before all of it was sent.
    drop(stream.write_all(&[bytes, END.as_bytes()].concat()));
    let mut text = Vec::new();
    drop(stream.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let heard = text
        .split("HTTP/1.")
        .skip(1)
        .filter_map(|part| part.get(2..5));
    let heard: Vec<&str> = heard.filter(|status| *status != "100").collect();
    Ok(format!(
        "{} [{}]",
        heard.join(" "),
        origin.written().join(", ")
    ))
}

#[test]
fn malformed_messages_are_judged_as_the_table_says_by_all_three() -> Result<()> {
    require!(root, tools, proxy, peers);
    let lab = Lab::build(proxied(1))?;
    let origins: Vec<Origin> = [80, 81, 82]
        .map(|port| Origin::start(&lab, port))
        .into_iter()
        .collect::<Result<_>>()?;
    let timeouts = "[proxy.timeouts]\nhead = \"2s\"\nbody = \"2s\"\nidle = \"2s\"\n";
    let _ours = Proxy::start(&lab, &site(1, timeouts, "retries = 0\nmax_failures = 0"))?;
    let _nginx = lab.nginx_proxy(PROXY, 8081, origins[1].address())?;
    let sections = format!(
        "listen all\n bind :8082\n retries 0\n server one {}\n",
        origins[2].address()
    );
    let _haproxy = lab.haproxy(PROXY, &sections, 8082)?;
    let judge = |place: usize, port: u16| -> Result<Vec<String>> {
        origins[place].written();
        let each = CASES
            .iter()
            .map(|case| verdict(&lab, port, &origins[place], &case.bytes()));
        each.collect()
    };
    let [ours, nginx, haproxy] = thread::scope(|scope| {
        let all = [(0, 80), (1, 8081), (2, 8082)];
        all.map(|(place, port)| scope.spawn(move || judge(place, port)))
            .map(|judged| judged.join().expect("no judge panics"))
    });
    let (ours, nginx, haproxy) = (ours?, nginx?, haproxy?);
    let mut wrong = String::new();
    for (at, case) in CASES.iter().enumerate() {
        let found = [&*ours[at], &nginx[at], &haproxy[at]];
        if found != case.verdicts() {
            wrong += &format!(
                "{:?}\n  ours    {}\n  nginx   {}\n  haproxy {}\n",
                case.text, found[0], found[1], found[2]
            );
        }
    }
    ensure!(wrong.is_empty(), "otherwise than the table says:\n{wrong}");
    lab.finish()
}

#[test]
fn the_table_explains_each_difference_and_nothing_else() {
    for Case {
        text,
        ours,
        nginx,
        haproxy,
        why,
    } in CASES
    {
        let differs = nginx != ours || haproxy != ours;
        assert_eq!(differs, !why.is_empty(), "{text:?}");
        // Whatever others do, ours sends on nothing that was hidden in another message.
        assert!(!ours.contains("/smuggled"), "{text:?}");
    }
}
