//! `viaduct explain`: what it says of flows is where they are, and asking changes nothing.
//!
//! Not here: the sentences and every case of a decision; the unit tests of `explain` have those.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{
    lab::{
        Lab,
        director::Director,
        find, netns,
        site::{Service, Site},
        topology::{CLIENT, LB1, LB1_ADDRESS, Method, VIP, one_director, web_address},
    },
    require,
};

const WEBS: u8 = 3;

/// A connection of the client's that stays open, and the name of the server that has it.
fn connection(lab: &Lab) -> Result<(TcpStream, String)> {
    netns::within(&lab.netns(CLIENT), || {
        let mut stream = TcpStream::connect((VIP, 80))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n")?;
        let mut answer = String::new();
        let mut bytes = [0; 512];
        while !answer.contains("web") || !answer.contains("\r\n\r\n") {
            let len = stream.read(&mut bytes)?;
            anyhow::ensure!(len > 0, "the connection ended: {answer}");
            answer += &String::from_utf8_lossy(&bytes[..len]);
        }
        let at = answer.rfind("web").context("no server named itself")?;
        Ok((stream, answer[at..].trim().to_owned()))
    })
}

/// What `viaduct explain` says on the director, and what it ends with.
fn explain(director: &Director<'_>, lab: &Lab, words: &[&str]) -> Result<(Value, i32)> {
    let files = director.files();
    let out = netns::command(&lab.netns(LB1), find::program("viaduct")?)
        .arg("explain")
        .args(words)
        .arg("--json")
        .arg("--pin-dir")
        .arg(&files.pins)
        .arg("--socket")
        .arg(&files.socket)
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let answer = serde_json::from_slice(&out.stdout).with_context(|| said)?;
    Ok((answer, out.status.code().unwrap_or(-1)))
}

fn tells_where_connections_are(service: Service, has_entries: bool) -> Result<()> {
    let method = service.method;
    let lab = Lab::build(one_director(method, WEBS))?;
    lab.webs(method, WEBS)?;
    let director = Director::start(&lab, LB1, Site::new(vec![service]))?;
    director.wait_serving("web")?;
    let vip = SocketAddr::from((VIP, 80)).to_string();
    let mut open = Vec::new();
    for _ in 0..4 {
        let (stream, server) = connection(&lab)?;
        let client = stream.local_addr()?.to_string();
        let entries = director.status()?.0["flows"]["events"].clone();
        let (told, code) = explain(&director, &lab, &[&client, &vip])?;
        let number: u8 = server.trim_start_matches("web").parse()?;
        let at = SocketAddr::from((web_address(method, number), 80));
        assert_eq!(told["real"]["at"], at.to_string(), "{server}: {told}");
        assert_eq!(told["service"]["name"], "web", "{told}");
        assert_eq!((code, &told["interface"]), (0, &Value::from("eth0")));
        let state = &told["entry"]["state"];
        assert_eq!(
            state.as_str(),
            has_entries.then_some("established"),
            "{told}"
        );
        let left = told["entry"]["seconds_left"].as_u64().unwrap_or(900);
        // The timeout, and a 64th of it at most.
        assert!((880..=915).contains(&left), "{told}");
        // A new flow, which would be recorded: nothing is.
        let (new, code) = explain(&director, &lab, &["10.77.0.1:1", &vip, "--syn"])?;
        assert_eq!((&new["makes_entry"], code), (&has_entries.into(), 0));
        assert_eq!(director.status()?.0["flows"]["events"], entries);
        open.push(stream);
    }
    let own = SocketAddr::from((LB1_ADDRESS, 22)).to_string();
    let (told, code) = explain(&director, &lab, &["10.77.0.1:1", &own])?;
    assert_eq!((&told["verdict"]["reason"], code), (&"not_vip".into(), 4));
    director.stop()?;
    let (told, code) = explain(&director, &lab, &["10.77.0.1:1", &vip, "--syn"])?;
    assert_eq!((&told["service"]["name"], code), (&Value::Null, 0));
    lab.finish()
}

#[test]
fn explain_tells_where_connections_of_the_ring_are() -> Result<()> {
    require!(root, tools, xdp, daemon);
    tells_where_connections_are(Service::web(Method::Dr, WEBS), false)
}

#[test]
fn explain_tells_the_entries_of_connections_by_turns() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let service = Service::web(Method::Dr, WEBS).key("scheduler = \"rr\"");
    tells_where_connections_are(service, true)
}

#[test]
fn without_a_data_plane_explain_says_so() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let pins = lab.bpffs(LB1)?.join("viaduct");
    let out = netns::command(&lab.netns(LB1), find::program("viaduct")?)
        .args(["explain", "10.77.0.1:1", "10.77.0.100:80", "--pin-dir"])
        .arg(&pins)
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("no data plane to ask"), "{said}");
    assert!(!pins.exists(), "asking has made something");
    lab.finish()
}
