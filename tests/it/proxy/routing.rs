//! What a route makes of a request, as the server behind sees it.

use anyhow::Result;
use tests::{
    lab::{
        Lab, find,
        proxy::{PROXY, Proxy, proxied, site},
    },
    require,
};

use super::{LOCATIONS, url, with_nginx};

#[test]
fn a_server_is_asked_for_what_a_route_rewrites() -> Result<()> {
    require!(root, tools, proxy);
    let route = |name: &str, lines: &str| {
        format!("[[proxy.route]]\nname = \"{name}\"\nupstream = \"webs\"\n{lines}\n")
    };
    let routes = route(
        "users",
        "regex = '^/u/([0-9]+)(/.*)?$'\nrewrite = \"/users/$1$2\"",
    ) + &route("app", "prefix = \"/app/\"\nrewrite = \"/$1\"")
        + &route("find", "path = \"/find\"\nrewrite = \"/search?v=2&$query\"")
        + "[[proxy.route]]\nname = \"old\"\nregex = '^/old/(.*)\\.php$'\nredirect = \"/new/$1?$query\"\n";
    with_nginx(1, &(site(1, "", "") + &routes), |_, proxy| {
        let asked = |path: &str| {
            let text = proxy.get(&["--path-as-is", &url(path)])?;
            Ok::<_, anyhow::Error>(text.split(' ').nth(1).unwrap_or_default().to_owned())
        };
        assert_eq!(asked("/u/42/x?q=1")?, "/users/42/x?q=1");
        assert_eq!(asked("/u/%34%32")?, "/users/42");
        assert_eq!(asked("/u/x")?, "/u/x");
        assert_eq!(asked("/app/a%2Fb?c")?, "/a%2Fb?c");
        assert_eq!(asked("/find?q=1")?, "/search?v=2&q=1");
        let moved = proxy.get(&["-i", &url("/old/a/b.php?c=d")])?;
        assert!(moved.contains("\r\nLocation: /new/a/b?c=d\r\n"), "{moved}");
        // What leads upwards only once it is put together reaches no server.
        let before = proxy.server(0, "requests")?;
        let status = ["-o", "/dev/null", "-w", "%{http_code}", "--path-as-is"];
        assert_eq!(
            proxy.get(&[&status[..], &[&url("/app/%2e./x")]].concat())?,
            "400"
        );
        assert_eq!(proxy.server(0, "requests")?, before);
        Ok(())
    })
}

#[test]
fn servers_that_are_worked_on_have_a_page_and_some_clients_pass() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.nginx(1, LOCATIONS)?;
    let page = lab.host_dir(PROXY)?.join("down.html");
    std::fs::write(&page, "<h1>back at noon</h1>\n")?;
    let closed = |allow: &str| {
        let page = page.display();
        let table = "[proxy.upstream.maintenance]\n";
        let keys = format!("page = \"{page}\"\nretry_after = \"10m\"\nallow = [{allow}]");
        site(1, "", &(table.to_owned() + &keys))
    };
    let proxy = Proxy::start(&lab, &closed(""))?;
    let answer = proxy.get(&["-i", &url("/x")])?;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 600\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(
        answer.ends_with("\r\n\r\n<h1>back at noon</h1>\n"),
        "{answer}"
    );
    proxy.reload(&closed("\"10.77.0.0/24\""))?.expect("taken");
    assert!(proxy.get(&[&url("/x")])?.starts_with("GET /x "));
    proxy.reload(&closed("\"10.77.0.2\""))?.expect("taken");
    assert!(proxy.get(&[&url("/x")])?.starts_with("<h1>"));
    // A page that is gone refuses the file, and what runs stays.
    std::fs::remove_file(&page)?;
    let error = proxy.reload(&closed("\"10.77.0.0/24\""))?.unwrap_err();
    assert!(error.contains("down.html` cannot be read"), "{error}");
    assert!(proxy.get(&[&url("/x")])?.starts_with("<h1>"));
    lab.finish()
}

#[test]
fn which_route_wins_is_explained_without_a_proxy() -> Result<()> {
    require!(proxy);
    let dir = std::env::temp_dir().join(format!("viaduct-explain-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let file = dir.join("site.toml");
    let more =
        "[[proxy.route]]\nname = \"api\"\nprefix = \"/api\"\nlistener = \"web\"\nstatus = 404\n";
    std::fs::write(&file, site(1, "", "") + more)?;
    let explain = |args: &[&str]| {
        let mut check = std::process::Command::new(find::program("viaduct-proxy")?);
        let out = check
            .arg("check")
            .arg(&file)
            .arg("--explain")
            .args(args)
            .output()?;
        let said = [out.stdout, out.stderr].concat();
        Ok::<_, anyhow::Error>((out.status.success(), String::from_utf8(said)?))
    };
    let (good, said) = explain(&["GET", "http://a/api/x"])?;
    assert!(
        good && said.contains("route `api` wins: prefix /api, 1 more condition\n"),
        "{said}"
    );
    assert!(said.ends_with("answered with 404\n"), "{said}");
    let (good, said) = explain(&["GET", "/", "--listener", "wbe"])?;
    assert!(
        !good && said.contains("there is no listener `wbe`"),
        "{said}"
    );
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
