//! A zone's memory is taken at the start and never grows, however many clients there are.
//!
//! A program of its own: what the process has is measured, and nothing else may allocate
//! meanwhile.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: where one fails is what it says"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use proxy::limit::{
    Burst, Delay, Key, Limit, Limits, Millis, Outcome, Size, Status, Subject, Zone,
};

/// One at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn ten_times_as_many_clients_as_fit_take_no_more_memory() {
    crowd(500_000, 4 << 20);
}

#[test]
#[ignore = "ten million clients: `cargo test --release -p proxy -- --ignored`"]
fn ten_million_clients_take_no_more_memory() {
    crowd(10_000_000, 100 << 20);
}

fn crowd(clients: u32, size: u64) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let size = Size::of_bytes(size).unwrap();
    let before = resident();
    let rate = "12r/m".parse().unwrap();
    let zone = Arc::new(Zone::new("one", Key::address(), rate, size).unwrap());
    let limit = Limit {
        zone: Arc::clone(&zone),
        burst: Burst::new(11).unwrap(),
        delay: Delay::NEVER,
    };
    let limits = Limits::new(vec![limit], Status::default(), false).unwrap();
    let taken = resident();
    for number in 0..clients {
        // A hundred clients a millisecond: none has drained when room is needed.
        let now = Millis(1_000_000 + u64::from(number / 100));
        let decision = limits.decide(now, &Client(Ipv4Addr::from_bits(number).into()));
        assert_eq!(decision.outcome, Outcome::Passed);
    }
    let stats = zone.stats();
    assert_eq!(stats.clients, stats.capacity);
    assert!(u64::from(stats.capacity) * 64 >= size.bytes(), "{stats:?}");
    let forgotten = stats.drained + stats.forced;
    assert_eq!(forgotten, u64::from(clients - stats.capacity));
    // It was there from the start, and is what was asked for.
    let slack = 1 << 19;
    assert!(taken - before <= size.bytes() + slack, "{before} {taken}");
    assert!(taken + slack - before >= size.bytes(), "{before} {taken}");
    assert!(resident() <= taken + slack, "{taken} {}", resident());
}

/// Bytes of memory this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

struct Client(IpAddr);

impl Subject for Client {
    fn address(&self) -> IpAddr {
        self.0
    }

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn host(&self) -> &[u8] {
        b""
    }

    fn path(&self) -> &[u8] {
        b""
    }
}
