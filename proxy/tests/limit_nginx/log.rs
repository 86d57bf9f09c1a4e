//! nginx's debug log, as far as it tells of limits.
//!
//! Not here: nginx itself, and what is compared.

use std::collections::HashMap;

/// What nginx's log says of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judged {
    pub(crate) number: usize,
    /// Limit, nginx's code, thousandths.
    pub(crate) limits: Vec<(usize, i32, u32)>,
    pub(crate) delayed: Option<Delayed>,
    pub(crate) now: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Delayed {
    pub(crate) excess: u32,
    pub(crate) zone: String,
    /// None in a dry run.
    pub(crate) millis: Option<u64>,
}

/// The requests in the order in which nginx judged them.
pub(crate) fn parse(log: &str) -> Vec<Judged> {
    let mut open: HashMap<&str, Judged> = HashMap::new();
    let mut done: Vec<(usize, Judged)> = Vec::new();
    let mut order: HashMap<usize, usize> = HashMap::new();
    for (at, line) in log.lines().enumerate() {
        let Some((connection, text)) = of_connection(line) else {
            continue;
        };
        if let Some(number) = text.strip_prefix("http header: \"x-number: ") {
            let number = number.trim_end_matches('"').parse().unwrap();
            let judged = Judged {
                number,
                ..Judged::default()
            };
            open.insert(connection, judged);
            continue;
        }
        let Some(judged) = open.get_mut(connection) else {
            continue;
        };
        if let Some(rest) = text.strip_prefix("limit_req[") {
            order.entry(judged.number).or_insert(at);
            judged.limits.push(limit_line(rest));
        } else if text.starts_with("delaying request") {
            judged.delayed = Some(delay_line(text));
        } else if let Some((timer, now)) = timer_line(text) {
            // The first timer after the head is read and the limits are judged.
            let mut judged = open.remove(connection).unwrap();
            judged.now = Some(now);
            if let Some(delayed) = &mut judged.delayed {
                delayed.millis = delayed.millis.map(|_| timer);
            }
            done.push((order.get(&judged.number).copied().unwrap_or(at), judged));
        }
    }
    assert!(open.is_empty(), "requests without a time: {open:?}");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, judged)| judged).collect()
}

/// `… [debug] 7#7: *3 text`: `3` and the text.
fn of_connection(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(": *")?;
    rest.split_once(' ')
}

/// `1]: -3 2.920`.
fn limit_line(rest: &str) -> (usize, i32, u32) {
    let (limit, rest) = rest.split_once("]: ").unwrap();
    let (code, excess) = rest.split_once(' ').unwrap();
    (
        limit.parse().unwrap(),
        code.parse().unwrap(),
        thousandths(excess),
    )
}

/// `delaying request, excess: 0.480, by zone "one", client: …`; `, dry run` after `request`.
fn delay_line(text: &str) -> Delayed {
    let (before, rest) = text.split_once("excess: ").unwrap();
    let (excess, rest) = rest.split_once(", by zone \"").unwrap();
    let (zone, _) = rest.split_once('"').unwrap();
    Delayed {
        excess: thousandths(excess),
        zone: zone.to_owned(),
        millis: (!before.contains("dry run")).then_some(0),
    }
}

/// `event timer add: 8: 75000:2415778`: how long it runs, and when it was set.
fn timer_line(text: &str) -> Option<(u64, u64)> {
    let rest = text.strip_prefix("event timer add: ")?;
    let (_, rest) = rest.split_once(": ")?;
    let (timer, key) = rest.split_once(':')?;
    let (timer, key): (u64, u64) = (timer.parse().ok()?, key.parse().ok()?);
    Some((timer, key - timer))
}

fn thousandths(excess: &str) -> u32 {
    let (whole, rest) = excess.split_once('.').unwrap();
    whole.parse::<u32>().unwrap() * 1000 + rest.parse::<u32>().unwrap()
}
