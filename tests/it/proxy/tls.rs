//! TLS of clients and to servers, with curl and openssl at the other end.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use tests::{
    lab::{
        Lab,
        certificates::Authority,
        netns,
        proxy::{PROXY, PROXY_ADDRESS, Proxy, proxied, site},
        topology::{CLIENT, Method},
        wait::{SOON, eventually},
    },
    require,
};

/// Arguments of curl for `https://<host>/`, whose certificate `ca` has vouched for.
fn https(ca: &str, host: &str) -> [String; 6] {
    let known = format!("{host}:443:{PROXY_ADDRESS}");
    let [cacert, resolve] = ["--cacert", "--resolve"].map(str::to_owned);
    [
        cacert,
        ca.to_owned(),
        resolve,
        known,
        "--http1.1".to_owned(),
        format!("https://{host}/"),
    ]
}

fn get(proxy: &Proxy<'_>, args: &[String], more: &[&str]) -> Result<String> {
    let args = args.iter().map(String::as_str);
    proxy.get(&args.chain(more.iter().copied()).collect::<Vec<_>>())
}

/// A listener on port 443 with these certificates; `more` stands in its table.
fn listener(certificates: &[(String, String)], more: &str) -> String {
    let one = |(chain, key): &(String, String)| {
        format!("[[proxy.listener.tls.certificate]]\nchain = \"{chain}\"\nkey = \"{key}\"\n")
    };
    let all: String = certificates.iter().map(one).collect();
    format!(
        "[[proxy.listener]]\nname = \"tls\"\naddress = \"0.0.0.0\"\nport = 443\n\
         [proxy.listener.tls]\n{more}\n{all}"
    )
}

/// What `openssl s_client` says about its connection with these arguments; it reads for a moment.
fn s_client(lab: &Lab, args: &[&str]) -> Result<String> {
    let mut client = netns::command(&lab.netns(CLIENT), "openssl");
    let target = format!("{PROXY_ADDRESS}:443");
    let client = client.args(["s_client", "-connect", &target]).args(args);
    let mut client = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // An answer comes behind the tickets.
    let mut stdin = client.stdin.take().context("no stdin")?;
    stdin.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut said = String::new();
    client
        .stdout
        .take()
        .context("no stdout")?
        .read_to_string(&mut said)?;
    drop(stdin);
    client.wait()?;
    Ok(said)
}

fn subject(lab: &Lab, name: &str) -> Result<String> {
    let said = s_client(lab, &["-servername", name])?;
    let line = said.lines().find(|line| line.starts_with("subject="));
    Ok(line.with_context(|| said.clone())?.to_owned())
}

/// A lab with nginx on a web server, and an authority.
fn lab() -> Result<(Lab, Authority)> {
    let lab = Lab::build(proxied(1))?;
    let authority = Authority::make(&lab.dir().join("authority"))?;
    Ok((lab, authority))
}

#[test]
fn a_client_gets_the_certificate_of_the_name_that_it_asks_for() -> Result<()> {
    require!(root, tools, proxy);
    let (lab, authority) = lab()?;
    lab.nginx(1, super::LOCATIONS)?;
    let one = authority.vouch("one", &["a.example"])?;
    let two = authority.vouch("two", &["*.b.example", "b.example"])?;
    let site = site(1, "", "") + &listener(&[one, two], "");
    let proxy = Proxy::start(&lab, &site)?;
    // curl believes them, so the names are right.
    for host in ["a.example", "b.example", "www.b.example"] {
        let text = get(&proxy, &https(&authority.pem(), host), &[])?;
        assert_eq!(text, format!("GET / {host} 10.77.0.1 https\n"));
        let old = get(
            &proxy,
            &https(&authority.pem(), host),
            &["--tls-max", "1.2"],
        )?;
        assert_eq!(old, text);
    }
    assert!(subject(&lab, "unknown.example")?.contains("one"));
    assert!(subject(&lab, "a.b.example")?.contains("two"));
    assert!(proxy.metric("viaduct_proxy_tls_handshakes_total{kind=\"full\"}")? >= 8);
    lab.finish()
}

#[test]
fn a_replaced_certificate_is_shown_without_a_restart_and_a_bad_one_is_not() -> Result<()> {
    require!(root, tools, proxy);
    let (lab, authority) = lab()?;
    lab.web(Method::Fullnat, 1)?;
    let files = authority.vouch("one", &["a.example"])?;
    let proxy = Proxy::start(
        &lab,
        &(site(1, "", "") + &listener(std::slice::from_ref(&files), "")),
    )?;
    let serial = || -> Result<String> {
        let mut shown = Command::new("openssl");
        let shown = shown.args(["x509", "-noout", "-serial", "-in", &files.0]);
        let on_disk = String::from_utf8(shown.output()?.stdout)?;
        let said = s_client(&lab, &["-showcerts"])?;
        let file = lab.dir().join("shown.pem");
        fs::write(&file, said)?;
        let mut shown = Command::new("openssl");
        let shown = shown.args(["x509", "-noout", "-serial", "-in"]).arg(&file);
        let shown = String::from_utf8(shown.output()?.stdout)?;
        Ok(if shown == on_disk {
            "as on disk".to_owned()
        } else {
            shown
        })
    };
    assert_eq!(serial()?, "as on disk");
    // A request that is under way all the while.
    let mut args: Vec<String> = https(&authority.pem(), "a.example").into();
    if let Some(url) = args.last_mut() {
        url.push_str("slow/8000");
    }
    args.push("-sS".to_owned());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let slow = lab.spawn(CLIENT, "slow", "curl", &args)?;
    proxy.wait_status("the slow request", |status| {
        status["upstreams"][0]["servers"][0]["active"] == 1
    })?;
    authority.vouch("one", &["a.example"])?;
    eventually(SOON, "the new certificate to be shown", || {
        Ok((serial()? == "as on disk").then_some(()))
    })?;
    fs::write(&files.0, "-----BEGIN nothing-----\n")?;
    let refused = |line: &str| line.contains("cannot be used; what was there stays");
    proxy.daemon().wait_for_log("the refusal", refused)?;
    get(&proxy, &https(&authority.pem(), "a.example"), &[])?;
    let error = proxy
        .reload(&(site(1, "", "") + &listener(std::slice::from_ref(&files), "")))?
        .unwrap_err();
    assert!(error.contains("one.pem"), "{error}");
    assert!(slow.wait_exit()?.success(), "{}", slow.story());
    assert!(slow.output()?.contains("web1"), "{}", slow.story());
    lab.finish()
}

#[test]
fn a_session_goes_on_with_whoever_has_the_key_of_its_ticket() -> Result<()> {
    require!(root, tools, proxy);
    let (lab, authority) = lab()?;
    lab.nginx(1, super::LOCATIONS)?;
    let files = authority.vouch("one", &["a.example"])?;
    let keys = lab.dir().join("tickets");
    let more = format!("tickets = \"{}\"", keys.display());
    let site = site(1, "", "") + &listener(&[files], &more);
    let session = lab.dir().join("session.pem");
    let session = session.to_string_lossy();
    for version in ["-tls1_3", "-tls1_2"] {
        fs::write(&keys, format!("{}\n", "0123456789abcdef".repeat(4)))?;
        let first = Proxy::start(&lab, &site)?;
        let said = s_client(&lab, &[version, "-sess_out", &session])?;
        assert!(said.contains("\nNew, TLSv1"), "{said}");
        // Another process: what they share is the file.
        assert!(first.daemon().kill()?.code().is_none());
        let second = Proxy::start(&lab, &site)?;
        let said = s_client(&lab, &[version, "-sess_in", &session])?;
        assert!(said.contains("\nReused, TLSv1"), "{said}");
        let resumed = second.metric("viaduct_proxy_tls_handshakes_total{kind=\"resumed\"}")?;
        assert_eq!(resumed, 1);
        // It knows the old key no more.
        fs::write(&keys, format!("{}\n", "fedcba9876543210".repeat(4)))?;
        let taken = |line: &str| line.contains("ticket keys") && line.contains("and taken");
        second.daemon().wait_for_log("the new key", taken)?;
        let said = s_client(&lab, &[version, "-sess_in", &session])?;
        assert!(said.contains("\nNew, TLSv1"), "{said}");
        assert!(second.daemon().kill()?.code().is_none());
    }
    lab.finish()
}

#[test]
fn a_client_that_does_not_come_to_an_agreement_is_cut() -> Result<()> {
    require!(root, tools, proxy);
    let (lab, authority) = lab()?;
    let files = authority.vouch("one", &["a.example"])?;
    let more = "[proxy.timeouts]\nhead = \"500ms\"\nidle = \"1h\"\n";
    let proxy = Proxy::start(&lab, &(site(1, more, "") + &listener(&[files], "")))?;
    let failed = |reason| {
        proxy.metric(&format!(
            "viaduct_proxy_tls_failed_handshakes_total{{reason=\"{reason}\"}}"
        ))
    };
    // A hello that never ends, nothing at all, and what is no TLS.
    for (bytes, reason, count) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            "late",
            1,
        ),
        (b"", "late", 2),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed", 1),
    ] {
        let mut stream = netns::within(&lab.netns(CLIENT), || {
            Ok(TcpStream::connect((PROXY_ADDRESS, 443))?)
        })?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(bytes)?;
        let mut rest = Vec::new();
        // An alert at most, then the end.
        stream.read_to_end(&mut rest)?;
        assert!(rest.is_empty() || rest[0] == 21, "{rest:?}");
        assert_eq!(failed(reason)?, count, "{bytes:?}");
    }
    lab.finish()
}

#[test]
fn only_clients_that_the_authority_vouches_for_are_served_where_that_is_asked() -> Result<()> {
    require!(root, tools, proxy);
    let (lab, authority) = lab()?;
    lab.nginx(1, super::LOCATIONS)?;
    let files = authority.vouch("one", &["a.example"])?;
    let (chain, key) = authority.vouch("client", &["client.example"])?;
    let more = format!("client_ca = \"{}\"", authority.pem());
    let proxy = Proxy::start(&lab, &(site(1, "", "") + &listener(&[files], &more)))?;
    let args = https(&authority.pem(), "a.example");
    let text = get(&proxy, &args, &["--cert", &chain, "--key", &key])?;
    assert_eq!(text, "GET / a.example 10.77.0.1 https\n");
    assert!(get(&proxy, &args, &[]).is_err());
    let name = "viaduct_proxy_tls_failed_handshakes_total{reason=\"certificate\"}";
    assert_eq!(proxy.metric(name)?, 1);
    lab.finish()
}

#[test]
fn a_websocket_goes_through_tls() -> Result<()> {
    require!(root, tools, proxy);
    let (lab, authority) = lab()?;
    let listening = super::raw::listen(&lab, "web1")?;
    let server = super::raw::serve(listening, 1, |mut stream| {
        let head = super::raw::read_to(&mut stream, "\r\n\r\n")?;
        assert!(head.contains("\r\nX-Forwarded-Proto: https\r\n"), "{head}");
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello\n",
        )?;
        assert_eq!(super::raw::read_to(&mut stream, "bye")?, "ping bye");
        stream.write_all(b"pong")?;
        Ok(())
    });
    let files = authority.vouch("one", &["a.example"])?;
    let _proxy = Proxy::start(&lab, &(site(1, "", "") + &listener(&[files], "")))?;
    let mut client = netns::command(&lab.netns(CLIENT), "openssl");
    let target = format!("{PROXY_ADDRESS}:443");
    let mut client = client
        .args(["s_client", "-quiet", "-verify_quiet", "-connect", &target])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = client.stdin.take().context("no stdin")?;
    let mut stdout = client.stdout.take().context("no stdout")?;
    let ask =
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nping bye";
    stdin.write_all(ask.as_bytes())?;
    let mut said = String::new();
    stdout.read_to_string(&mut said)?;
    assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
    assert!(said.ends_with("\r\n\r\nhello\npong"), "{said}");
    drop(stdin);
    client.wait()?;
    super::raw::joined(server)?;
    lab.finish()
}

#[test]
fn servers_are_spoken_to_over_tls_and_have_to_be_who_they_are_meant_to_be() -> Result<()> {
    require!(root, tools, proxy);
    let (lab, authority) = lab()?;
    let (chain, key) = authority.vouch("web", &["web.internal"])?;
    let tls = format!("listen 443 ssl; ssl_certificate {chain}; ssl_certificate_key {key};");
    lab.nginx(1, &(tls + super::LOCATIONS))?;
    let upstream = |name: &str, more: &str| {
        let tls = format!(
            "[proxy.upstream.tls]\nserver_name = \"{name}\"\nca = \"{}\"\n{more}",
            authority.pem()
        );
        site(1, "", &tls).replace(
            "address = \"10.77.0.11\"\n",
            "address = \"10.77.0.11\"\nport = 443\n",
        )
    };
    let proxy = Proxy::start(&lab, &upstream("web.internal", ""))?;
    for _ in 0..4 {
        let text = proxy.get(&[&super::url("/")])?;
        assert_eq!(text, "GET / 10.77.0.21 10.77.0.1 http\n");
    }
    let connects = proxy.server(0, "connects")?;
    assert!(
        connects <= 2,
        "{connects} connections, a thread each at most"
    );
    assert!(proxy.reload(&upstream("other.internal", ""))?.is_ok());
    let status = proxy.get(&["-o", "/dev/null", "-w", "%{http_code}", &super::url("/")])?;
    assert_eq!(status, "502");
    let told = |line: &str| line.contains("no connection") && line.contains("certificate");
    proxy.daemon().wait_for_log("why", told)?;
    assert!(
        proxy
            .reload(&upstream("other.internal", "verify = false\n"))?
            .is_ok()
    );
    assert!(proxy.get(&[&super::url("/")])?.starts_with("GET / "));
    assert!(lab.host_dir(PROXY)?.exists());
    lab.finish()
}
