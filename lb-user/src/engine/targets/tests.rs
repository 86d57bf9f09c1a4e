//! Where probes go.

use daemon::source::SourceFile;

use super::*;
use crate::config::Site;

/// The addresses that the services of a file are probed at, by their names.
fn probed(services: &str) -> Vec<(String, String)> {
    let text = format!("[hosts.lb1.director]\ninterfaces = [\"eth0\"]\n{services}");
    let checked =
        Site::parse(SourceFile::new("site.toml", text)).unwrap_or_else(|report| panic!("{report}"));
    let mut targets = Targets::default();
    let wall = SystemTime::UNIX_EPOCH;
    let now = crate::time::now();
    targets.follow(&checked.site.services, |_| false, now, wall);
    let (probes, _) = targets.due(now + Duration::from_secs(60), wall);
    probes
        .into_iter()
        .map(|probe| (probe.id.service, probe.address.to_string()))
        .collect()
}

fn service(method: &str, port: &str, rest: &str) -> String {
    format!(
        "[[service]]\nname = \"{method}\"\nvip = \"10.77.0.100\"\nport = {port}\n\
         protocol = \"tcp\"\nmethod = \"{method}\"\n[service.health]\ntype = \"tcp\"\n{rest}"
    )
}

#[test]
fn a_probe_goes_to_the_real_servers_port_or_the_checks() {
    let real = "[[service.real]]\naddress = \"10.77.0.11\"\nport = 8080\n";
    let at = |address: &str| vec![("nat".to_owned(), address.to_owned())];
    assert_eq!(probed(&service("nat", "80", real)), at("10.77.0.11:8080"));
    let own = format!("port = 9000\n{real}");
    assert_eq!(probed(&service("nat", "80", &own)), at("10.77.0.11:9000"));
    let range = "port = 9000\n[[service.real]]\naddress = \"10.77.0.11\"\n";
    let several = service("nat", "\"8000-8099\"", range);
    assert_eq!(probed(&several), at("10.77.0.11:9000"));
}

#[test]
fn a_service_of_this_host_is_probed_at_its_vip() {
    let at = |address: &str| vec![("local".to_owned(), address.to_owned())];
    assert_eq!(probed(&service("local", "80", "")), at("10.77.0.100:80"));
    let several = service("local", "\"all\"", "port = 8080\n");
    assert_eq!(probed(&several), at("10.77.0.100:8080"));
}

/// What a check with `draining = "503"`, rise 2 and fall 3 makes of results: after each, whether the target
/// is draining, and its verdict.
fn told(outcomes: &[Outcome]) -> Vec<(bool, Verdict)> {
    let text = "[hosts.lb1.director]\ninterfaces = [\"eth0\"]\n\
        [[service]]\nname = \"web\"\nvip = \"10.77.0.100\"\nport = 80\nprotocol = \"tcp\"\n\
        method = \"dr\"\n[service.health]\ntype = \"http\"\ndraining = \"503\"\n\
        [[service.real]]\naddress = \"10.77.0.21\"\n";
    let site = Site::parse(SourceFile::new("site.toml", text))
        .unwrap()
        .site;
    let (wall, mut now) = (SystemTime::UNIX_EPOCH, crate::time::now());
    let mut targets = Targets::default();
    targets.follow(&site.services, |_| true, now, wall);
    let mut hear = |outcome: &Outcome| {
        now += Duration::from_secs(60);
        let (probes, _) = targets.due(now, wall);
        let before = targets.targets[&probes[0].id].is_draining();
        let heard = targets.result(&probes[0].id, probes[0].round, *outcome, now, wall);
        let target = &targets.targets[&probes[0].id];
        assert_eq!(heard.draining.is_some(), target.is_draining() != before);
        (target.is_draining(), target.verdict())
    };
    outcomes.iter().map(&mut hear).collect()
}

#[test]
fn a_target_that_says_that_it_stops_is_up_and_draining_until_it_comes_back() {
    let (says, gone) = (
        Outcome::Failed(Failure::Status(503)),
        Outcome::Failed(Failure::Refused),
    );
    let (up, down) = (Verdict::Up, Verdict::Down);
    let passed = Outcome::Passed;
    // A word is not enough, and what comes between counts.
    assert_eq!(
        told(&[says, says, passed, says, says, says]),
        [false, false, false, false, false, true].map(|is| (is, up))
    );
    // It goes, as it said; it comes back.
    let story = told(&[says, says, says, gone, gone, gone, gone, passed, passed]);
    let wanted = [up, up, up, up, up, down, down, down, up];
    let verdicts: Vec<Verdict> = story.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(verdicts, wanted);
    let draining: Vec<bool> = story.iter().map(|(is, _)| *is).collect();
    assert_eq!(
        draining,
        [false, false, true, true, true, true, true, true, false]
    );
    // Another status is a failure like any.
    let other = Outcome::Failed(Failure::Status(500));
    assert_eq!(told(&[other, other, other])[2], (false, down));
}
