//! Which servers may be chosen, of what is known of them.

use crate::secrets::Secrets;
use daemon::source::SourceFile;

use super::*;

fn plan(upstream: &str, servers: &[&str]) -> Plan {
    let servers = servers.iter().zip(1..).map(|(more, number)| {
        format!("[[proxy.upstream.server]]\naddress = \"10.0.0.{number}\"\n{more}\n")
    });
    let text = format!(
        "[proxy]\n[[proxy.listener]]\nname = \"a\"\naddress = \"::\"\nport = 80\n\
         [[proxy.upstream]]\nname = \"u\"\n{upstream}\n{}\
         [[proxy.route]]\nname = \"r\"\nupstream = \"u\"\n",
        servers.collect::<String>()
    );
    let checked = Site::parse(SourceFile::new("site.toml", text));
    let checked = checked.unwrap_or_else(|report| panic!("{report}"));
    Plan::first(
        &checked,
        Secrets::load(&checked.site, None).unwrap(),
        1,
        crate::clock::now(),
    )
    .unwrap()
}

/// The places that may be chosen.
fn up(plan: &Plan, tried: &[usize], now: u64) -> Vec<usize> {
    let servers = &plan.upstreams[0];
    let candidate = servers.candidates(&plan.site.upstreams[0], tried, now);
    (0..servers.0.len())
        .filter(|&place| candidate(place).is_up)
        .collect()
}

#[test]
fn a_backup_is_up_while_no_other_server_is() {
    let plan = plan(
        "",
        &["", "", "backup = true", "backup = true\nmax_active = 1"],
    );
    let servers = &plan.upstreams[0];
    assert_eq!(up(&plan, &[], 0), [0, 1]);
    assert_eq!(up(&plan, &[0], 0), [1]);
    assert_eq!(up(&plan, &[0, 1], 0), [2, 3]);
    servers.0[0].set_verdict(Verdict::Down);
    servers.0[1].set_verdict(Verdict::Down);
    assert_eq!(up(&plan, &[], 0), [2, 3]);
    assert!(servers.0[3].try_begin());
    assert_eq!(up(&plan, &[], 0), [2]);
    servers.0[1].set_verdict(Verdict::Up);
    assert_eq!(up(&plan, &[], 0), [1]);
}

#[test]
fn a_server_with_all_it_may_have_is_passed_over_and_no_backup_helps() {
    let plan = plan("", &["max_active = 2", "max_active = 1", "backup = true"]);
    let servers = &plan.upstreams[0];
    let is_bounded = || servers.is_bounded(&plan.site.upstreams[0], 0);
    assert!(servers.0[1].try_begin());
    assert_eq!(up(&plan, &[], 0), [0]);
    assert!(servers.0[0].try_begin() && servers.0[0].try_begin());
    assert!(up(&plan, &[], 0).is_empty() && is_bounded());
    // The others being down is another matter.
    servers.0[0].set_verdict(Verdict::Down);
    servers.0[1].set_verdict(Verdict::Down);
    assert_eq!(up(&plan, &[], 0), [2]);
    servers.0[2].set_verdict(Verdict::Down);
    assert!(
        up(&plan, &[], 0).is_empty() && !is_bounded(),
        "nothing to wait for"
    );
}

#[test]
fn more_than_half_are_never_ejected() {
    let plan = plan("max_failures = 1", &["", "", ""]);
    let servers = &plan.upstreams[0];
    let fail = |place: usize| servers.0[place].failed(0, 1, Duration::from_secs(1));
    assert!(fail(0));
    assert_eq!(up(&plan, &[], 10), [1, 2]);
    assert!(fail(1));
    assert_eq!(up(&plan, &[], 10), [0, 1, 2]);
    assert_eq!(up(&plan, &[], 1000), [0, 1, 2]);
}

#[test]
fn a_faithful_client_stays_while_its_server_may_serve() {
    let plan = plan("", &["", "weight = 0\nmax_active = 1", ""]);
    let servers = &plan.upstreams[0];
    let seed = servers.0[1].seed;
    assert!(servers.0[1].try_begin());
    assert_eq!(
        servers.faithful(seed, &[], 0),
        Some(1),
        "quiescent and busy"
    );
    assert_eq!(servers.faithful(seed, &[1], 0), None);
    assert_eq!(servers.faithful(seed ^ 1, &[], 0), None);
    servers.0[1].set_verdict(Verdict::Down);
    assert_eq!(servers.faithful(seed, &[], 0), None);
}

#[test]
fn a_server_that_comes_back_gets_its_share_little_by_little() {
    let slow = Duration::from_secs(10);
    assert_eq!(started(100, slow, 0), 1);
    assert_eq!(started(100, slow, 2500), 25);
    assert_eq!(started(100, slow, 10_000), 100);
    assert_eq!(started(0, slow, 10), 0);
    assert_eq!(started(7, Duration::ZERO, 0), 7);
}
