//! What operators may write, and what they are told.

use crate::config::Site;

use super::*;

const SITE: &str = r#"
[hosts.lb1.director]
interfaces = ["eth0"]

[[service]]
name = "web"
vip = "10.77.0.100"
port = 80
protocol = "tcp"
method = "nat"

[[service.real]]
address = "10.77.0.11"
port = 8080

[[service.real]]
address = "10.77.0.11"
port = 8081

[[service.real]]
address = "10.77.0.12"
"#;

fn asked(service: &str, real: &str) -> String {
    let source = daemon::source::SourceFile::new("site.toml", SITE);
    let site = Site::parse(source).expect("a good site file").site;
    let order = Order {
        service: service.to_owned(),
        real: real.parse().unwrap(),
        drain: true,
    };
    match find(&site.services, &order) {
        Ok((service, real)) => id(service, &real).real.to_string(),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn a_real_server_is_found_by_its_address_and_by_its_port_where_it_takes_one() {
    assert_eq!(asked("web", "10.77.0.12"), "10.77.0.12:80");
    assert_eq!(asked("web", "10.77.0.12:80"), "10.77.0.12:80");
    assert_eq!(asked("web", "10.77.0.11:8081"), "10.77.0.11:8081");
    assert_eq!(
        asked("web", "10.77.0.11"),
        "web has several real servers at 10.77.0.11: say which, 10.77.0.11:8080 or 10.77.0.11:8081"
    );
}

#[test]
fn who_is_not_there_is_explained() {
    assert_eq!(
        asked("wbe", "10.77.0.12"),
        "there is no service `wbe`: did you mean web?"
    );
    assert_eq!(
        asked("dns", "10.77.0.12"),
        "there is no service `dns`: there is web"
    );
    assert_eq!(
        asked("web", "10.77.0.12:81"),
        "web has no real server 10.77.0.12:81: did you mean 10.77.0.12:80?"
    );
    assert_eq!(
        asked("web", "fd77::1"),
        "web has no real server fd77::1: there is 10.77.0.11:8080, 10.77.0.11:8081, 10.77.0.12:80"
    );
}

#[test]
fn addresses_are_read_and_written_alike() {
    for text in ["10.77.0.12", "10.77.0.12:80", "fd77::1", "[fd77::1]:80"] {
        assert_eq!(text.parse::<Named>().unwrap().to_string(), text);
    }
    assert!(
        "web1"
            .parse::<Named>()
            .unwrap_err()
            .contains("10.0.0.11:80")
    );
}
