//! The documented example, all of a site's limits, and what a reload keeps.

use std::mem::MaybeUninit;

use daemon::source::SourceFile;

use super::*;
use crate::config::{Site, settings::HEADERS_MAX};

/// A site with these zones, and these limits on its one route.
fn site(zones: &str, route: &str) -> Site {
    let text = format!(
        "[proxy]\n[[proxy.listener]]\nname = \"web\"\naddress = \"0.0.0.0\"\nport = 80\n{zones}\n\
         [[proxy.route]]\nname = \"site\"\nstatus = 200\n{route}\n"
    );
    let checked = Site::parse(SourceFile::new("site.toml", text));
    checked.unwrap_or_else(|report| panic!("{report}")).site
}

fn policy(site: &Site) -> Policy {
    Policy::of(site, None, 2).unwrap()
}

const LOGIN: &str = "[[proxy.zone]]\nname = \"login\"\nrate = \"12r/m\"\nsize = \"64KiB\"\n";
const BUSY: &str = "[[proxy.zone]]\nname = \"busy\"\nsize = \"64KiB\"\n";

/// What a request with this head is told, and the header lines of its answer.
fn ask_with(policy: &Policy, head: &str, client: &str, now: u64) -> (Verdict, String) {
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let request = Request::parse(head.as_bytes(), &mut slots, 1000).unwrap();
    let asked = Asked {
        client: client.parse().unwrap(),
        path: b"/",
        request: &request,
    };
    let mut lines = vec![];
    let limited = policy.of_route(0).unwrap();
    let verdict = limited.admit(1, &asked, Millis(now), &mut lines);
    (verdict, String::from_utf8(lines).unwrap())
}

fn ask(policy: &Policy, client: &str, now: u64) -> Verdict {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    ask_with(policy, head, client, now).0
}

fn enter(policy: &Policy, verdict: &Verdict) -> Result<Entry, (Refused, Mark)> {
    policy.of_route(0).unwrap().enter(1, &verdict.places)
}

const ON: Admission = Admission::After(Duration::ZERO);

fn refused(status: u16, retry_after: Option<u32>) -> Admission {
    Admission::Refused(Refused {
        status,
        retry_after,
    })
}

#[test]
fn twelve_a_minute_alone_is_one_every_five_seconds() {
    let policy = policy(&site(LOGIN, "limit = [{ zone = \"login\" }]"));
    assert_eq!(ask(&policy, "192.0.2.1", 0).admission, ON);
    assert_eq!(
        ask(&policy, "192.0.2.1", 1).admission,
        refused(429, Some(5))
    );
    assert_eq!(ask(&policy, "192.0.2.2", 1).admission, ON, "another client");
    assert_eq!(
        ask(&policy, "192.0.2.1", 4999).admission,
        refused(429, Some(1))
    );
    assert_eq!(ask(&policy, "192.0.2.1", 5000).admission, ON);
}

#[test]
fn a_burst_of_eleven_lets_twelve_in_at_once_and_refuses_the_thirteenth() {
    let limits = "limit = [{ zone = \"login\", burst = 11, nodelay = true }]\nlimit_status = 503";
    let policy = policy(&site(LOGIN, limits));
    for n in 1..=12 {
        assert_eq!(ask(&policy, "192.0.2.1", 0).admission, ON, "request {n}");
    }
    assert_eq!(
        ask(&policy, "192.0.2.1", 0).admission,
        refused(503, Some(5))
    );
}

#[test]
fn each_word_is_counted_by_the_thread_and_told_to_the_log() {
    let limits = "limit = [{ zone = \"login\", burst = 1 }]";
    let (real, dry) = (
        policy(&site(LOGIN, limits)),
        policy(&site(LOGIN, &format!("{limits}\nlimit_dry_run = true"))),
    );
    let words =
        |policy: &Policy| [0, 0, 0].map(|now| ask(policy, "192.0.2.1", now).mark.unwrap().word);
    assert_eq!(words(&real), [Word::Passed, Word::Delayed, Word::Rejected]);
    let in_dry_run = [Word::Passed, Word::DelayedDryRun, Word::RejectedDryRun];
    assert_eq!(words(&dry), in_dry_run);
    assert_eq!(ask(&dry, "192.0.2.1", 0).admission, ON);
    let said = |policy: &Policy, thread| {
        let stats = &policy.of_route(0).unwrap().counts()[0].stats;
        Word::ALL.map(|word| stats.of(thread).said[word as usize].get())
    };
    assert_eq!(said(&real, 1), [1, 1, 1, 0, 0]);
    assert_eq!(said(&dry, 1), [1, 0, 0, 1, 2]);
    assert_eq!(said(&real, 0), [0; 5]);
}

#[test]
fn what_is_left_is_told_where_the_file_says_so() {
    let limits = "limit = [{ zone = \"login\", burst = 11, nodelay = true }]";
    let told = policy(&site(LOGIN, &format!("{limits}\nlimit_headers = true")));
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let lines = [(); 13].map(|()| ask_with(&told, head, "192.0.2.1", 0).1);
    assert_eq!(
        lines[0],
        "RateLimit-Policy: \"login\";q=12;w=60\r\nRateLimit: \"login\";r=11;t=5\r\n"
    );
    assert_eq!(
        lines[12],
        "RateLimit-Policy: \"login\";q=12;w=60\r\nRateLimit: \"login\";r=0;t=60\r\n"
    );
    let silent = policy(&site(LOGIN, limits));
    assert_eq!(ask_with(&silent, head, "192.0.2.1", 0).1, "");
}

#[test]
fn places_are_held_until_the_guard_is_dropped() {
    let limits = "limit = [{ zone = \"busy\", connections = 2 }]";
    let policy = policy(&site(BUSY, limits));
    let verdict = ask(&policy, "192.0.2.1", 0);
    assert_eq!((verdict.admission, verdict.mark), (ON, None));
    let first = enter(&policy, &verdict).unwrap();
    let _second = enter(&policy, &verdict).unwrap();
    let (told, mark) = enter(&policy, &verdict).unwrap_err();
    assert_eq!((told.status, told.retry_after), (429, None));
    assert_eq!(mark.word, Word::Rejected);
    assert!(enter(&policy, &ask(&policy, "192.0.2.2", 0)).is_ok());
    drop(first);
    assert!(enter(&policy, &verdict).is_ok());
    let stats = &policy.of_route(0).unwrap().counts()[0].stats;
    let said = Word::ALL.map(|word| stats.sum(|one| &one.said[word as usize]));
    assert_eq!(said, [4, 0, 1, 0, 0]);
}

#[test]
fn a_dry_run_lets_in_who_would_find_no_place() {
    let limits = "limit = [{ zone = \"busy\", connections = 1 }]\nlimit_dry_run = true";
    let policy = policy(&site(BUSY, limits));
    let verdict = ask(&policy, "192.0.2.1", 0);
    let _first = enter(&policy, &verdict).unwrap();
    let second = enter(&policy, &verdict).unwrap();
    assert!(second.guard.is_none());
    assert_eq!(second.mark.unwrap().word, Word::RejectedDryRun);
}

#[test]
fn keys_are_read_from_requests_as_they_come() {
    let zone = |key: &str| format!("{LOGIN}key = {key}\n");
    let ask_as = |key: &str, heads: [&str; 2]| {
        let policy = policy(&site(&zone(key), "limit = [{ zone = \"login\" }]"));
        let verdicts = heads.map(|head| {
            let head = format!("GET / HTTP/1.1\r\n{head}\r\n\r\n");
            ask_with(&policy, &head, "192.0.2.1", 0).0.admission
        });
        assert_eq!(verdicts[0], ON);
        verdicts[1] != ON
    };
    let same = |key, one, other| assert!(ask_as(key, [one, other]), "{key}: {one} {other}");
    let differs = |key, one, other| assert!(!ask_as(key, [one, other]), "{key}: {one} {other}");
    same("\"host\"", "Host: A.example:81", "Host: a.EXAMPLE.");
    differs("\"host\"", "Host: a.example", "Host: b.example");
    same(
        "\"header:X-Key\"",
        "Host: a\r\nx-key: 1",
        "Host: b\r\nX-KEY: 1",
    );
    differs(
        "\"header:x-key\"",
        "Host: a\r\nx-key: 1",
        "Host: a\r\nx-key: 2",
    );
    let cookie = "\"cookie:id\"";
    same(
        cookie,
        "Host: a\r\nCookie: a=b; id=7",
        "Host: a\r\ncookie: id=7;x=y",
    );
    differs(
        cookie,
        "Host: a\r\nCookie: id=7",
        "Host: a\r\nCookie: aid=7; id=8",
    );
    // nginx: an empty key is not limited.
    differs(cookie, "Host: a\r\nCookie: id=", "Host: a\r\nCookie: id=");
    differs(cookie, "Host: a", "Host: a");
    let both = "[\"host\", \"header:x-key\"]";
    same(both, "Host: a\r\nx-key: 1", "Host: a\r\nx-key: 1");
    differs(both, "Host: a\r\nx-key: 1", "Host: b\r\nx-key: 1");
}

#[test]
fn a_reload_keeps_what_is_remembered_and_counted() {
    let limits = "limit = [{ zone = \"login\", burst = 1, nodelay = true }]";
    let before_site = site(LOGIN, limits);
    let before = policy(&before_site);
    for _ in 0..3 {
        let _verdict = ask(&before, "192.0.2.1", 0);
    }
    // Another zone stands before it now, and its rate is another.
    let faster = LOGIN.replace("12r/m", "1r/s");
    let after_site = site(&format!("{BUSY}{faster}"), limits);
    let after = Policy::of(&after_site, Some((&before_site, &before)), 2).unwrap();
    assert_eq!(
        ask(&after, "192.0.2.1", 999).admission,
        refused(429, Some(1))
    );
    assert_eq!(ask(&after, "192.0.2.1", 1000).admission, ON);
    let counted = &after.of_route(0).unwrap().counts()[0];
    assert_eq!(counted.zone, 1);
    let said = Word::ALL.map(|word| counted.stats.sum(|one| &one.said[word as usize]));
    assert_eq!(said, [3, 0, 2, 0, 0]);
    assert_eq!(after.zones()[1].stats().clients, 1);
    // Its clients would be told apart by something else.
    let other = site(&format!("{LOGIN}key = \"host\"\n"), limits);
    let error = Policy::of(&other, Some((&before_site, &before)), 2).unwrap_err();
    assert!(
        error.to_string().contains("by host, but did so by address"),
        "{error}"
    );
}
