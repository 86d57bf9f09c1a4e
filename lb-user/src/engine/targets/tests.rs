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
