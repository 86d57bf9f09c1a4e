//! Which server a request goes to: clients that stay, backups, a budget for second tries, and web servers
//! of another make.

use anyhow::{Context as _, Result};
use tests::{
    lab::{
        Lab,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
    },
    require,
};

use super::{LOCATIONS, url, with_nginx};

/// A server that says which it is and what cookies it got.
const COOKIES: &str = "location / { return 200 \"$hostname $http_cookie\\n\"; }";

/// The cookie that an answer gives, as a client sends it back.
fn cookie(answer: &str) -> Option<String> {
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: "))?;
    Some(line.split(';').next()?.to_owned())
}

fn served_by(answer: &str) -> Option<&str> {
    answer
        .lines()
        .find_map(|line| line.strip_prefix("x-real: "))
}

#[test]
fn a_client_stays_with_its_server_over_reloads_and_leaves_it_when_it_dies() -> Result<()> {
    require!(root, tools, proxy);
    let persistence = "[proxy.upstream.persistence]\ncookie = \"srv\"";
    let lab = Lab::build(proxied(3))?;
    let webs: Vec<_> = (1..=3)
        .map(|web| lab.nginx(web, COOKIES))
        .collect::<Result<_>>()?;
    let proxy = Proxy::start(&lab, &site(3, "", persistence))?;
    let first = proxy.get(&["-i", &url("/")])?;
    assert!(
        first.contains("; Path=/; HttpOnly; SameSite=Lax\r\n"),
        "{first}"
    );
    assert!(first.contains("\r\nCache-Control: private\r\n"), "{first}");
    let name = cookie(&first).context("no cookie")?;
    let home = served_by(&first).context("no server")?.to_owned();
    let with =
        |name: &str| proxy.get(&["-i", "-H", &format!("Cookie: a=1; {name}; b=2"), &url("/")]);
    let stays = |what: &str| -> Result<()> {
        for _ in 0..6 {
            let answer = with(&name)?;
            assert_eq!(served_by(&answer), Some(&*home), "{what}: {answer}");
            assert_eq!(cookie(&answer), None, "{what}: it has one: {answer}");
            // The cookie is between the client and the proxy.
            assert!(answer.ends_with(" a=1; b=2\n"), "{what}: {answer}");
        }
        Ok(())
    };
    stays("at first")?;
    proxy
        .reload(&site(3, "", &format!("balance = \"lc\"\n{persistence}")))?
        .expect("taken");
    stays("after a reload")?;
    // Of weight 0: no new clients, but those it has.
    let number: u8 = home.trim_start_matches("web").parse()?;
    let address = format!("address = \"10.77.0.1{number}\"\n");
    let quiescent = site(3, "", persistence).replace(&address, &format!("{address}weight = 0\n"));
    proxy.reload(&quiescent)?.expect("taken");
    stays("of weight 0")?;
    webs[usize::from(number) - 1].kill()?;
    let moved = with(&name)?;
    let other = served_by(&moved).context("no server")?;
    assert_ne!(other, home);
    let fresh = cookie(&moved).context("no new cookie")?;
    assert_ne!(fresh, name);
    assert_eq!(served_by(&with(&fresh)?), Some(other));
    lab.finish()
}

#[test]
fn a_backup_takes_over_when_no_other_server_is_up_and_gives_back() -> Result<()> {
    require!(root, tools, proxy);
    let health = "[proxy.upstream.health]\ntype = \"http\"\ninterval = \"250ms\"\n\
        timeout = \"250ms\"\nfall = 1\nrise = 1";
    let lab = Lab::build(proxied(2))?;
    let first = lab.nginx(1, LOCATIONS)?;
    lab.nginx(2, LOCATIONS)?;
    let spare = "address = \"10.77.0.12\"\n";
    let text = site(2, "", health).replace(spare, &format!("{spare}backup = true\n"));
    let proxy = Proxy::start(&lab, &text)?;
    let is = |health: &'static str| {
        move |status: &serde_json::Value| {
            let servers = &status["upstreams"][0]["servers"];
            servers[0]["health"] == health && servers[1]["health"] == "up"
        }
    };
    proxy.wait_status("both to be up", is("up"))?;
    let target = (PROXY_ADDRESS, 80).into();
    let outcome = lab.requests_at(target, 40)?;
    assert_eq!(outcome.servers.get("web1"), Some(&40), "{outcome:?}");
    first.kill()?;
    // At once, before any probe has seen it: a second try goes to the backup.
    let outcome = lab.requests_at(target, 40)?;
    assert_eq!(outcome.servers.get("web2"), Some(&40), "{outcome:?}");
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    proxy.wait_status("the first to be down", is("down"))?;
    assert_eq!(lab.requests_at(target, 40)?.servers.get("web2"), Some(&40));
    lab.nginx(1, LOCATIONS)?;
    proxy.wait_status("the first to be back", is("up"))?;
    proxy.wait_status("its ejection to be over", |status| {
        status["upstreams"][0]["servers"][0]["ejected"] == false
    })?;
    let outcome = lab.requests_at(target, 40)?;
    assert_eq!(outcome.servers.get("web1"), Some(&40), "{outcome:?}");
    lab.finish()
}

#[test]
fn requests_are_spread_and_kept_together_as_the_file_says() -> Result<()> {
    require!(root, tools, proxy);
    with_nginx(3, &site(3, "", "balance = \"p2c\""), |lab, proxy| {
        let outcome = lab.requests_at((PROXY_ADDRESS, 80).into(), 300)?;
        assert!(
            outcome.failures.is_empty() && outcome.servers.len() == 3,
            "{outcome:?}"
        );
        assert!(
            outcome.servers.values().all(|&count| count > 30),
            "{outcome:?}"
        );
        proxy
            .reload(&site(3, "", "balance = \"source\""))?
            .expect("taken");
        let outcome = lab.requests_at((PROXY_ADDRESS, 80).into(), 60)?;
        assert_eq!(outcome.servers.len(), 1, "one client: {outcome:?}");
        let by_user = "balance = \"hash\"\nhash = \"header:x-user\"";
        proxy.reload(&site(3, "", by_user))?.expect("taken");
        let mut homes = std::collections::BTreeSet::new();
        for user in 0..12 {
            let ask = || proxy.get(&["-i", "-H", &format!("X-User: {user}"), &url("/")]);
            let answer = ask()?;
            let home = served_by(&answer).context("no server")?.to_owned();
            assert_eq!(served_by(&ask()?), Some(&*home), "user {user}");
            homes.insert(home);
        }
        assert!(homes.len() > 1, "all users are with {homes:?}");
        Ok(())
    })
}

#[test]
fn when_all_servers_fail_second_tries_are_few() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(2))?;
    // Nobody listens: a second try is always safe, and never helps.
    let proxy = Proxy::start(&lab, &site(2, "", "max_failures = 0\nretry_budget = 0"))?;
    let outcome = lab.requests_at((PROXY_ADDRESS, 80).into(), 400)?;
    assert_eq!((outcome.ok, outcome.failures.len()), (0, 400));
    let sum =
        |number: &str| -> Result<u64> { Ok(proxy.server(0, number)? + proxy.server(1, number)?) };
    let (tried, withheld) = (sum("requests")?, sum("withheld")?);
    assert_eq!(tried + withheld, 800, "each is tried again or not");
    assert!(withheld > 0, "{tried} attempts for 400 requests");
    lab.finish()
}

#[test]
fn apache_is_a_web_server_like_others() -> Result<()> {
    require!(root, tools, proxy, peers);
    let lab = Lab::build(proxied(1))?;
    // Apache closes each connection after three requests: no client is to notice.
    lab.apache(
        1,
        &[("index.txt", "from apache\n")],
        "MaxKeepAliveRequests 3",
    )?;
    let proxy = Proxy::start(&lab, &site(1, "", ""))?;
    assert_eq!(proxy.get(&[&url("/index.txt")])?, "from apache\n");
    let head = proxy.get(&["-I", &url("/index.txt")])?;
    assert!(
        head.contains("\r\nContent-Length: 12\r\n") && head.contains("x-real: web1"),
        "{head}"
    );
    let part = proxy.get(&["-i", "-r", "5-10", &url("/index.txt")])?;
    assert!(
        part.starts_with("HTTP/1.1 206 ") && part.ends_with("\r\n\r\napache"),
        "{part}"
    );
    let none = proxy.get(&["-o", "/dev/null", "-w", "%{http_code}", &url("/none")])?;
    assert_eq!(none, "404");
    for _ in 0..20 {
        assert_eq!(
            proxy
                .get(&[&url("/index.txt"), &url("/index.txt")])?
                .lines()
                .count(),
            2
        );
    }
    assert_eq!(proxy.server(0, "failures")?, 0);
    let (requests, connects) = (proxy.server(0, "requests")?, proxy.server(0, "connects")?);
    // Four requests go over a connection: the first, and three after it.
    assert!(
        connects * 4 >= requests,
        "{connects} connections for {requests} requests"
    );
    lab.finish()
}
