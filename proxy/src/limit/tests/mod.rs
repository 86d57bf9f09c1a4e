//! The limiter against nginx's rules: one test a rule, a model written from the rules, and laws.
//!
//! The clock is a number. Against nginx itself: `proxy/tests/limit_nginx.rs`.

mod conn;
mod crowd;
mod key;
mod laws;
mod model;
mod parse;
mod rules;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

use super::*;

/// A zone with room for exactly so many clients, told apart by address.
fn zone(rate: &str, clients: u32) -> Arc<Zone> {
    let rate = rate.parse().unwrap();
    Arc::new(Zone::new("one", Key::address(), rate, Size::for_clients(clients)).unwrap())
}

fn limit(zone: &Arc<Zone>, burst: u32, delay: Delay) -> Limit {
    Limit {
        zone: Arc::clone(zone),
        burst: match burst {
            0 => Burst::NONE,
            _ => Burst::new(burst).unwrap(),
        },
        delay,
    }
}

fn limits(limits: Vec<Limit>) -> Limits {
    Limits::new(limits, Status::default(), false).unwrap()
}

/// The client of this number, as a key.
fn client(number: u32) -> Option<ClientKey> {
    // Spread by a multiplication, so that tests see the same positions each time.
    let hi = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Some(ClientKey { hi, lo: number })
}

/// A request of which only some parts matter.
#[derive(Clone, Debug)]
struct Request {
    address: IpAddr,
    headers: Vec<(&'static str, Vec<u8>)>,
    cookies: Vec<(&'static str, &'static str)>,
}

impl Request {
    fn from(address: &str) -> Self {
        Self {
            address: address.parse().unwrap(),
            headers: Vec::new(),
            cookies: Vec::new(),
        }
    }

    fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn cookie(mut self, name: &'static str, value: &'static str) -> Self {
        self.cookies.push((name, value));
        self
    }
}

impl Subject for Request {
    fn address(&self) -> IpAddr {
        self.address
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        headers.find_map(|(known, value)| (*known == name).then_some(value.as_slice()))
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        let mut cookies = self.cookies.iter();
        cookies.find_map(|(known, value)| (*known == name).then_some(value.as_bytes()))
    }

    fn host(&self) -> &[u8] {
        b"www.example.org"
    }

    fn path(&self) -> &[u8] {
        b"/login"
    }
}
