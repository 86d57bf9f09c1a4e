//! What good files mean, the shipped examples, which host is whose, and limits.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use daemon::source::SourceFile;
use expect_test::expect;
use proptest::prelude::*;

use super::{GOOD, good, refused, with};
use crate::config::{
    Candidates, HealthCheck, Host, Method, Ports, Protocol, RealServer, Scheduler, Service, Site,
    Timeouts, Vip, Weight,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn real(address: &str, port: u16, weight: u16) -> RealServer {
    RealServer {
        address: ip(address),
        port: Some(port),
        weight: Weight(weight),
        server_id: None,
    }
}

#[test]
fn a_good_file_says_what_it_says() {
    let checked = good(GOOD);
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    let [web, dns] = &checked.site.services[..] else {
        panic!("two services")
    };
    let health = web.health.clone().unwrap();
    assert_eq!(health.spec.interval, Duration::from_secs(2));
    assert_eq!((health.spec.rise.get(), health.spec.fall.get()), (2, 3));
    let expected = Service {
        name: "web".to_owned(),
        vip: Vip::single(ip("10.77.0.100")),
        ports: Ports::one(80),
        protocol: Protocol::Tcp,
        method: Method::Dr,
        scheduler: Scheduler::Maglev,
        timeouts: Timeouts {
            established: Duration::from_secs(900),
            syn: Duration::from_secs(60),
            fin: Duration::from_secs(120),
        },
        persistence: None,
        track: false,
        quic: None,
        health: Some(HealthCheck {
            probe: health::ProbeKind::Http(health::HttpCheck {
                path: "/health".parse().unwrap(),
                ..health::HttpCheck::default()
            }),
            port: None,
            draining: None,
            ..health
        }),
        reals: vec![real("10.77.0.11", 80, 50), real("10.77.0.12", 80, 100)],
    };
    assert_eq!(*web, expected);
    assert_eq!(
        (dns.timeouts.established, dns.health.is_none()),
        (Duration::from_secs(300), true)
    );
    assert_eq!(dns.reals, [real("10.77.0.21", 5353, 100)]);
    assert_eq!(checked.site.director.status.to_string(), "127.0.0.1:9144");
    let lb1 = &checked.site.hosts["lb1"];
    assert_eq!(lb1.addresses, [ip("10.77.0.2")]);
    assert_eq!(lb1.director.as_ref().unwrap().interfaces, ["eth0"]);
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = with("[director]\nstatus = \"127.0.0.1:9144\"\n", "");
    let site = good(&text).site;
    assert_eq!(site.director.status.to_string(), "127.0.0.1:9144");
    let site = good("").site;
    assert!(site.hosts.is_empty() && site.services.is_empty());
}

#[test]
fn statuses_come_as_one_or_a_list() {
    let statuses = |status: &str| {
        let text = with(
            "path = \"/health\"",
            &format!("status = {status}\nport = 8080"),
        );
        let health = good(&text).site.services[0].health.clone().unwrap();
        assert_eq!(health.port, Some(8080));
        match health.probe {
            health::ProbeKind::Http(check) => check.statuses.to_string(),
            health::ProbeKind::Tcp => panic!("not http"),
        }
    };
    assert_eq!(statuses("\"200\""), "200");
    assert_eq!(statuses("[\"200\", \"301-302\"]"), "200,301-302");
}

#[test]
fn other_daemons_tables_are_left_to_them() {
    let text =
        format!("{GOOD}\n[proxy]\nanything = [1, {{ x = 2 }}]\n[[sqlproxy]]\n[hosts.lb1.proxy]\n");
    assert_eq!(good(&text).site, good(GOOD).site);
    assert_ne!(good(&text).digest, good(GOOD).digest);
}

#[test]
fn the_same_port_serves_tcp_and_udp_and_real_servers_are_shared() {
    // Another protocol at the same VIP and port; the same real server with dr, and with nat at
    // another protocol.
    let more = "
[[service]]
name = \"dns-tcp\"
vip = \"10.77.0.100\"
port = 53
protocol = \"tcp\"
method = \"nat\"
[[service.real]]
address = \"10.77.0.21\"
port = 5353
[[service]]
name = \"web-alt\"
vip = \"10.77.0.101\"
port = 80
protocol = \"tcp\"
method = \"dr\"
[[service.real]]
address = \"10.77.0.11\"
";
    let checked = good(&format!("{GOOD}{more}"));
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    assert_eq!(checked.site.services.len(), 4);
}

#[test]
fn the_shipped_examples_are_good() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut found = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let checked = Site::load(&path).unwrap_or_else(|error| panic!("{error}"));
            assert!(checked.warnings.is_empty(), "{}", checked.warnings);
            assert!(!checked.site.services.is_empty(), "{}", path.display());
            found += 1;
        }
    }
    assert!(found >= 1, "no example in {}", directory.display());
}

/// Two directors and a host that is none.
fn three_hosts() -> Site {
    good(
        "[hosts.lb1]\naddresses = [\"10.0.0.1\"]\n[hosts.lb1.director]\ninterfaces = [\"eth0\"]\n\
         [hosts.\"lb2.example.com\"]\naddresses = [\"10.0.0.2\", \"fd00::2\"]\n\
         [hosts.\"lb2.example.com\".director]\ninterfaces = [\"eth1\"]\n[hosts.web1]\n",
    )
    .site
}

#[test]
fn a_daemon_finds_its_host_by_flag_then_name_then_address() {
    let site = three_hosts();
    let own = |named, hostname, addresses: &[&str]| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
        let candidates = Candidates {
            named,
            hostname,
            addresses: &addresses,
        };
        site.own_host(&candidates)
            .map(|(name, _): (&str, &Host)| name.to_owned())
    };
    let found = |name: &str| Ok(name.to_owned());
    assert_eq!(own(Some("web1"), Some("lb1"), &["10.0.0.2"]), found("web1"));
    assert_eq!(own(None, Some("lb1"), &["10.0.0.2"]), found("lb1"));
    assert_eq!(own(None, Some("lb1.example.com"), &[]), found("lb1"));
    assert_eq!(
        own(None, Some("lb2.example.com"), &[]),
        found("lb2.example.com")
    );
    assert_eq!(
        own(None, Some("debian"), &["127.0.0.1", "10.0.0.2"]),
        found("lb2.example.com")
    );
    assert_eq!(own(None, None, &["fd00::2"]), found("lb2.example.com"));
    let message = |result: Result<String, super::super::HostError>| result.unwrap_err().to_string();
    expect!["--host lb3: no such host in the site file (did you mean lb1? it has: lb1, lb2.example.com, web1)"]
        .assert_eq(&message(own(Some("lb3"), Some("lb1"), &["10.0.0.1"])));
    expect!["this host is not in the site file: neither its hostname `debian` nor one of its addresses is; add it, or say which it is with --host (it has: lb1, lb2.example.com, web1)"]
        .assert_eq(&message(own(None, Some("debian"), &["10.0.0.3"])));
    expect!["this host has addresses of several hosts of the site file (lb1, lb2.example.com): say which it is with --host"]
        .assert_eq(&message(own(None, None, &["10.0.0.2", "10.0.0.1"])));
}

#[test]
fn a_host_that_is_no_director_is_told_so() {
    let site = three_hosts();
    let director = |named| {
        site.own_director(&Candidates {
            named,
            ..Candidates::default()
        })
    };
    let (name, own) = director(Some("lb1")).unwrap();
    assert_eq!(
        (name, &own.interfaces[..]),
        ("lb1", &["eth0".to_owned()][..])
    );
    expect!["host web1 is not a director: give it `[hosts.web1.director]` with its `interfaces` (directors: lb1, lb2.example.com)"]
        .assert_eq(&director(Some("web1")).unwrap_err().to_string());
    let empty = good("").site;
    let nobody = empty.own_director(&Candidates {
        hostname: Some("a"),
        ..Candidates::default()
    });
    expect!["this host is not in the site file: neither its hostname `a` nor one of its addresses is; add it, or say which it is with --host (it has no hosts)"]
        .assert_eq(&nobody.unwrap_err().to_string());
}

fn services(count: usize, reals: usize) -> String {
    let head = "[hosts.a.director]\ninterfaces = [\"eth0\"]\n".to_owned();
    (0..count).fold(head, |text, nth| {
        let (high, low) = (nth / 250, nth % 250);
        let reals: String = (0..reals)
            .map(|real| {
                format!(
                    "[[service.real]]\naddress = \"10.9.{}.{}\"\n",
                    real / 250,
                    real % 250
                )
            })
            .collect();
        format!(
            "{text}[[service]]\nname = \"s{nth}\"\nvip = \"10.8.{high}.{low}\"\nport = 80\n\
             protocol = \"tcp\"\nmethod = \"dr\"\n{reals}"
        )
    })
}

#[test]
fn limits_are_told() {
    assert_eq!(good(&services(4096, 1)).site.services.len(), 4096);
    refused(
        &services(4097, 1),
        &expect![[r#"
        site.toml:32771:1: error: more than the 4096 services of this version
              |
        32771 | [[service]]
              | ^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    assert_eq!(good(&services(1, 512)).site.services[0].reals.len(), 512);
    refused(
        &services(1, 513),
        &expect![[r#"
        site.toml:1033:1: error: more than the 512 real servers of a service
             |
        1033 | [[service.real]]
             | ^^^^^^^^^^^^^^^^
             = help: split the service

        site.toml: 1 error"#]],
    );
    assert_eq!(good(&services(80, 512)).site.services.len(), 80);
    refused(
        &services(81, 512),
        &expect![[r#"
            site.toml:82403:1: error: more than the 40960 real servers in all services of this version
                  |
            82403 | [[service]]
                  | ^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_file_of_mistakes_is_told_to_a_bound() {
    let text = services(300, 1).replace("port = 80", "port = 0");
    let report = Site::parse(SourceFile::new("site.toml", text)).unwrap_err();
    assert_eq!(report.diagnostics().len(), 201);
    assert!(
        report
            .to_string()
            .contains("100 more mistakes are not shown")
    );
}

proptest! {
    /// Lines of the good file, shuffled and mangled: the nearest thing to what an operator does.
    #[test]
    fn no_text_makes_it_panic(
        mut lines in Just(GOOD.lines().map(str::to_owned).collect::<Vec<_>>()).prop_shuffle(),
        cuts in proptest::collection::vec((0_usize..40, 0_usize..30, "\\PC{0,4}"), 0..6),
        keep in 0_usize..40,
    ) {
        lines.truncate(keep);
        for (line, at, text) in cuts {
            if let Some(line) = lines.get_mut(line) {
                *line = line.chars().take(at).chain(text.chars()).collect();
            }
        }
        let source = SourceFile::new("site.toml", lines.join("\n"));
        if let Err(report) = Site::parse(source) {
            prop_assert!(report.has_errors());
            prop_assert!(report.to_string().contains("site.toml:"));
        }
    }

    #[test]
    fn no_words_make_it_panic(text in "\\PC{0,200}") {
        drop(Site::parse(SourceFile::new("site.toml", text)));
    }

    /// One value of the good file replaced by any other.
    #[test]
    fn no_value_makes_it_panic(nth in 0_usize..40, value in prop_oneof![
        Just("1"), Just("-1"), Just("\"\""), Just("\"x\""), Just("[]"), Just("{}"), Just("true"),
        Just("1.5"), Just("1979-05-27"), Just("[{}]"), Just("\"1s\""), Just("\"10.0.0.1\""), Just("[[]]"),
    ]) {
        let mut lines: Vec<String> = GOOD.lines().map(str::to_owned).collect();
        let nth = nth % lines.len();
        if let Some((key, _)) = lines[nth].clone().split_once(" = ") {
            lines[nth] = format!("{key} = {value}");
        }
        let text = lines.join("\n");
        match Site::parse(SourceFile::new("site.toml", text)) {
            Ok(_) => {}
            Err(report) => prop_assert!(report.has_errors()),
        }
    }
}
