//! The rules as plainly as they can be written, and the limiter beside them on random traces.
//!
//! The model knows nothing of the limiter's table, locks or types: a list of nodes, newest first,
//! and nginx's order of doing things, pins included.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

struct Node {
    key: u32,
    last: i128,
    excess: i128,
    count: u32,
}

/// A zone: newest first.
struct Zone {
    rate: i128,
    capacity: usize,
    nodes: Vec<Node>,
}

struct Limit {
    zone: usize,
    burst: i128,
    delay: i128,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Declined,
    Passed,
    Delayed {
        millis: i128,
        limit: usize,
        excess: i128,
    },
    Busy {
        limit: usize,
        excess: i128,
    },
}

/// `last` of a node that was never charged: nginx's 0, further back than any burst needs.
const LONG_AGO: i128 = -1_000_000_000_000_000;

/// Rule 2.
fn elapsed(now: i128, last: i128) -> i128 {
    let ms = now - last;
    if ms < -60_000 {
        1
    } else if ms < 0 {
        0
    } else {
        ms
    }
}

impl Zone {
    fn excess(&self, node: &Node, now: i128) -> i128 {
        let excess = node.excess - self.rate * elapsed(now, node.last) / 1000 + 1000;
        excess.max(0)
    }

    /// Rule 11.
    fn expire(&mut self, now: i128, mut n: u32) {
        while n < 3 {
            let Some(last) = self.nodes.last() else {
                return;
            };
            if last.count > 0 {
                return;
            }
            if n != 0 {
                let ms = (now - last.last).abs();
                if ms < 60_000 || last.excess - self.rate * ms / 1000 > 0 {
                    return;
                }
            }
            n += 1;
            self.nodes.pop();
        }
    }

    fn create(&mut self, now: i128, key: u32) -> bool {
        self.expire(now, 1);
        if self.nodes.len() >= self.capacity {
            self.expire(now, 0);
        }
        if self.nodes.len() >= self.capacity {
            return false;
        }
        let node = Node {
            key,
            last: LONG_AGO,
            excess: 0,
            count: 0,
        };
        self.nodes.insert(0, node);
        true
    }
}

/// Rules 3 to 7 and 9.
fn handle(zones: &mut [Zone], limits: &[Limit], now: i128, keys: &[Option<u32>]) -> Verdict {
    let mut pinned: Vec<Option<u32>> = vec![None; limits.len()];
    let mut refused = None;
    let mut charged_last = None;
    for (n, (limit, key)) in limits.iter().zip(keys).enumerate() {
        let Some(key) = *key else { continue };
        let account = n == limits.len() - 1;
        let zone = &mut zones[limit.zone];
        if let Some(found) = zone.nodes.iter().position(|node| node.key == key) {
            let node = zone.nodes.remove(found);
            zone.nodes.insert(0, node);
            let excess = zone.excess(&zone.nodes[0], now);
            if excess > limit.burst {
                refused = Some((n, excess));
                break;
            }
            if account {
                let ms = elapsed(now, zone.nodes[0].last);
                zone.nodes[0].excess = excess;
                if ms != 0 {
                    zone.nodes[0].last = now;
                }
                charged_last = Some((n, excess));
                break;
            }
        } else {
            assert!(zone.create(now, key), "nothing is pinned by anyone else");
            if account {
                zone.nodes[0].last = now;
                charged_last = Some((n, 0));
                break;
            }
        }
        zone.nodes[0].count += 1;
        pinned[n] = Some(key);
    }
    let any = pinned.iter().any(Option::is_some);
    if let Some((limit, excess)) = refused {
        for (n, key) in pinned.iter().enumerate() {
            if let Some(key) = key {
                pin(&mut zones[limits[n].zone], *key).count -= 1;
            }
        }
        return Verdict::Busy { limit, excess };
    }
    if !any && charged_last.is_none() {
        return Verdict::Declined;
    }
    let last = charged_last.unwrap_or((limits.len() - 1, 0));
    account(zones, limits, now, &pinned, last)
}

/// Charges those that were only looked at; the longest delay wins.
fn account(
    zones: &mut [Zone],
    limits: &[Limit],
    now: i128,
    pinned: &[Option<u32>],
    (mut limit, mut excess): (usize, i128),
) -> Verdict {
    let mut longest = match excess <= limits[limit].delay {
        true => 0,
        false => (excess - limits[limit].delay) * 1000 / zones[limits[limit].zone].rate,
    };
    for n in (0..limits.len()).rev() {
        let Some(key) = pinned[n] else { continue };
        let zone = &mut zones[limits[n].zone];
        let rate = zone.rate;
        let found = zone.nodes.iter().position(|node| node.key == key).unwrap();
        let new = zone.excess(&zone.nodes[found], now);
        let node = &mut zone.nodes[found];
        if elapsed(now, node.last) != 0 {
            node.last = now;
        }
        node.excess = new;
        node.count -= 1;
        if new <= limits[n].delay {
            continue;
        }
        let delay = (new - limits[n].delay) * 1000 / rate;
        if delay > longest {
            (longest, limit, excess) = (delay, n, new);
        }
    }
    match longest {
        0 => Verdict::Passed,
        millis => Verdict::Delayed {
            millis,
            limit,
            excess,
        },
    }
}

fn pin(zone: &mut Zone, key: u32) -> &mut Node {
    zone.nodes.iter_mut().find(|node| node.key == key).unwrap()
}

impl PartialEq<Decision> for Verdict {
    fn eq(&self, decision: &Decision) -> bool {
        let named = |limit: usize, excess: i128| {
            limit == decision.limit && excess == i128::from(decision.excess)
        };
        match (self, decision.outcome) {
            (Self::Declined, Outcome::Unlimited) | (Self::Passed, Outcome::Passed) => true,
            (
                Self::Delayed {
                    millis,
                    limit,
                    excess,
                },
                Outcome::Delayed(delay),
            ) => {
                let millis = u64::try_from(*millis).unwrap();
                delay == Duration::from_millis(millis) && named(*limit, *excess)
            }
            (Self::Busy { limit, excess }, Outcome::Rejected { .. }) => named(*limit, *excess),
            _ => false,
        }
    }
}

/// Which zones a route names, how far ahead each lets its clients be, and from where on they wait.
type Route = Vec<(usize, u32, Option<u32>)>;

#[derive(Clone, Debug)]
struct Trace {
    zones: Vec<(String, u32)>,
    routes: Vec<Route>,
    /// Route, milliseconds since the request before, and the client for each zone.
    requests: Vec<(usize, i64, Vec<Option<u32>>)>,
}

fn rate() -> impl Strategy<Value = String> {
    prop_oneof![
        (1_u32..100).prop_map(|n| format!("{n}r/m")),
        (1_u32..100).prop_map(|n| format!("{n}r/s")),
        Just("1r/m".to_owned()),
        Just("12r/m".to_owned()),
    ]
}

/// Often none, often about a request's worth, sometimes long, sometimes backwards.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => Just(0_i64),
        4 => 1_i64..50,
        4 => 50_i64..6_000,
        1 => 59_990_i64..60_010,
        1 => 6_000_i64..200_000,
        1 => -5_000_i64..0,
        1 => -60_010_i64..-59_990,
    ]
}

fn trace() -> impl Strategy<Value = Trace> {
    let zones = prop::collection::vec((rate(), 1_u32..9), 1..4);
    zones.prop_flat_map(|zones| {
        let count = zones.len();
        let delay = prop_oneof![Just(None), (0_u32..8).prop_map(Some)];
        let route = prop::collection::vec((0..count, 0_u32..15, delay), 1..=count).prop_map(
            |mut route: Route| {
                let mut seen = Vec::new();
                route.retain(|(zone, ..)| {
                    !seen.contains(zone) && {
                        seen.push(*zone);
                        true
                    }
                });
                route
            },
        );
        let routes = prop::collection::vec(route, 1..3);
        let key = prop_oneof![1 => Just(None), 12 => (0_u32..14).prop_map(Some)];
        let requests = prop::collection::vec(
            (0_usize..3, step(), prop::collection::vec(key, count)),
            1..150,
        );
        (Just(zones), routes, requests).prop_map(|(zones, routes, requests)| Trace {
            zones,
            routes,
            requests,
        })
    })
}

fn check(trace: &Trace) -> Result<(), TestCaseError> {
    let real: Vec<_> = trace
        .zones
        .iter()
        .map(|(rate, room)| zone(rate, *room))
        .collect();
    let mut model: Vec<Zone> = std::iter::zip(&real, &trace.zones)
        .map(|(zone, (rate, _))| Zone {
            rate: i128::from(rate.parse::<Rate>().unwrap().thousandths()),
            capacity: usize::try_from(zone.stats().capacity).unwrap(),
            nodes: Vec::new(),
        })
        .collect();
    let routes: Vec<_> = trace
        .routes
        .iter()
        .map(|route| both(route, &real))
        .collect();
    let mut now = 10_000_000_i64;
    for (n, (route, step, keys)) in trace.requests.iter().enumerate() {
        now += step;
        let (plain, fast) = &routes[route % routes.len()];
        let keys: Vec<_> = plain.iter().map(|limit| keys[limit.zone]).collect();
        let verdict = handle(&mut model, plain, i128::from(now), &keys);
        let hashed: Vec<_> = keys.iter().map(|key| key.and_then(client)).collect();
        let decision = fast.decide_for(Millis(u64::try_from(now).unwrap()), &hashed);
        prop_assert!(
            verdict == decision,
            "request {n}: {verdict:?}, but {decision:?}"
        );
        for (model, real) in std::iter::zip(&model, &real) {
            prop_assert_eq!(
                model.nodes.len(),
                real.stats().clients as usize,
                "request {}",
                n
            );
        }
    }
    Ok(())
}

fn both(route: &Route, zones: &[Arc<super::Zone>]) -> (Vec<Limit>, Limits) {
    let plain = route.iter().map(|&(zone, burst, delay)| Limit {
        zone,
        burst: i128::from(burst) * 1000,
        delay: delay.map_or(i128::MAX, |delay| i128::from(delay) * 1000),
    });
    let fast = route.iter().map(|&(zone, burst, delay)| {
        let delay = match delay {
            None => Delay::NEVER,
            Some(0) => Delay::ALWAYS,
            Some(requests) => Delay::after(requests).unwrap(),
        };
        limit(&zones[zone], burst, delay)
    });
    (plain.collect(), limits(fast.collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_limiter_and_the_rules_agree_on_every_request(trace in trace()) {
        check(&trace)?;
    }
}
