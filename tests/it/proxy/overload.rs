//! More requests than the servers may have at once: those that wait, those that are told to come again,
//! and those that leave.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
};

use anyhow::Result;
use tests::{
    lab::{
        Lab, netns,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
        topology::CLIENT,
        wait::{SOON, eventually},
    },
    require,
};

/// A web server that answers nobody before it is told to, and counts whom it has.
#[derive(Default)]
struct Origin {
    inside: AtomicUsize,
    most: AtomicUsize,
    answered: AtomicUsize,
    /// How many may be answered.
    leave: Mutex<usize>,
    told: Condvar,
}

impl Origin {
    /// Serves on port 80 of a host, each connection by a thread, until the test ends.
    fn start(lab: &Lab, host: &str) -> Result<Arc<Self>> {
        let listener = netns::within(&lab.netns(host), || Ok(TcpListener::bind("0.0.0.0:80")?))?;
        let origin = Arc::new(Self::default());
        let served = Arc::clone(&origin);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let served = Arc::clone(&served);
                thread::spawn(move || served.serve(stream));
            }
        });
        Ok(origin)
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                (stream.read(&mut byte).ok()? == 1).then_some(())?;
                head.push(byte[0]);
            }
            self.most
                .fetch_max(self.inside.fetch_add(1, SeqCst) + 1, SeqCst);
            let mut leave = self.leave.lock().ok()?;
            while *leave == 0 {
                leave = self.told.wait(leave).ok()?;
            }
            *leave -= 1;
            drop(leave);
            self.inside.fetch_sub(1, SeqCst);
            self.answered.fetch_add(1, SeqCst);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .ok()?;
        }
    }

    /// Lets so many more be answered.
    fn let_go(&self, count: usize) {
        *self.leave.lock().expect("no thread panics with it") += count;
        self.told.notify_all();
    }
}

/// A client of its own that asks once and gives all it hears.
fn ask(lab: &Lab) -> Result<JoinHandle<Result<String>>> {
    let mut stream = connect(lab)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    Ok(thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }))
}

fn connect(lab: &Lab) -> Result<TcpStream> {
    let stream = netns::within(&lab.netns(CLIENT), || {
        Ok(TcpStream::connect((PROXY_ADDRESS, 80))?)
    })?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

fn text(client: JoinHandle<Result<String>>) -> Result<String> {
    client.join().expect("the client's thread")
}

/// A site whose one server may have so many requests at once, and so many wait.
fn bounded(most: u32, queue: u32, more: &str) -> String {
    let server = "address = \"10.77.0.11\"\n";
    let upstream = format!("queue = {queue}\n{more}");
    site(1, "", &upstream).replace(server, &format!("{server}max_active = {most}\n"))
}

fn waiting(proxy: &Proxy<'_>, count: u64) -> Result<()> {
    let what = format!("{count} to wait");
    proxy.wait_status(&what, |status| status["upstreams"][0]["waiting"] == count)?;
    Ok(())
}

#[test]
fn of_ten_times_what_a_server_may_have_some_wait_and_the_rest_is_told_at_once() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let origin = Origin::start(&lab, "web1")?;
    let proxy = Proxy::start(&lab, &bounded(4, 16, "queue_timeout = \"60s\""))?;
    let mut clients: Vec<_> = (0..40).map(|_| ask(&lab)).collect::<Result<_>>()?;
    // Nobody is answered by the server, so whoever hears anything was refused.
    let mut refused = 0;
    eventually(SOON, "20 to be refused", || {
        let (done, left) = clients.drain(..).partition(JoinHandle::is_finished);
        clients = left;
        for client in Vec::from_iter::<Vec<_>>(done) {
            let text = text(client)?;
            assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
            assert!(text.contains("\r\nRetry-After: 1\r\n"), "{text}");
            refused += 1;
        }
        Ok((refused == 20).then_some(()))
    })?;
    waiting(&proxy, 16)?;
    assert_eq!(proxy.server(0, "active")?, 4);
    origin.let_go(1000);
    for client in clients {
        let text = text(client)?;
        assert!(text.ends_with("\r\n\r\nok"), "{text}");
    }
    assert_eq!(origin.most.load(SeqCst), 4, "never more than it may have");
    assert_eq!(origin.answered.load(SeqCst), 20);
    assert_eq!(
        (proxy.server(0, "active")?, proxy.server(0, "failures")?),
        (0, 0)
    );
    lab.finish()
}

#[test]
fn who_came_first_is_served_first_and_who_leaves_makes_room() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let origin = Origin::start(&lab, "web1")?;
    let proxy = Proxy::start(&lab, &bounded(1, 3, "queue_timeout = \"60s\""))?;
    let served = ask(&lab)?;
    proxy.wait_status("the server to be busy", |status| {
        status["upstreams"][0]["servers"][0]["active"] == 1
    })?;
    let mut clients = Vec::new();
    for place in 1..=2 {
        clients.push(ask(&lab)?);
        waiting(&proxy, place)?;
    }
    let mut impatient = connect(&lab)?;
    impatient.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
    waiting(&proxy, 3)?;
    drop(impatient);
    waiting(&proxy, 2)?;
    clients.push(ask(&lab)?);
    waiting(&proxy, 3)?;
    origin.let_go(1);
    assert!(text(served)?.ends_with("ok"));
    for client in clients {
        origin.let_go(1);
        // If another one were served instead, this one would wait in vain.
        assert!(text(client)?.ends_with("ok"));
    }
    assert_eq!(origin.most.load(SeqCst), 1);
    lab.finish()
}

#[test]
fn who_waits_too_long_is_told_to_come_again() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let origin = Origin::start(&lab, "web1")?;
    let proxy = Proxy::start(&lab, &bounded(1, 3, "queue_timeout = \"250ms\""))?;
    let served = ask(&lab)?;
    proxy.wait_status("the server to be busy", |status| {
        status["upstreams"][0]["servers"][0]["active"] == 1
    })?;
    let late = text(ask(&lab)?)?;
    assert!(
        late.starts_with("HTTP/1.1 503 ") && late.contains("Retry-After: 1"),
        "{late}"
    );
    waiting(&proxy, 0)?;
    // A reload that lets it have more lets those in who wait.
    proxy
        .reload(&bounded(1, 3, "queue_timeout = \"60s\""))?
        .expect("taken");
    let patient = ask(&lab)?;
    waiting(&proxy, 1)?;
    proxy
        .reload(&bounded(2, 3, "queue_timeout = \"60s\""))?
        .expect("taken");
    waiting(&proxy, 0)?;
    origin.let_go(2);
    assert!(text(patient)?.ends_with("ok") && text(served)?.ends_with("ok"));
    lab.finish()
}
