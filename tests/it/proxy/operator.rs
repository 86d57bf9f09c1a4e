//! One command line for all daemons: `viaduct check` and `viaduct status` know of the proxy.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use tests::{
    lab::{
        find,
        proxy::site,
        site::{Service, Site},
        topology::Method,
    },
    require,
};

use super::with_nginx;

/// A directory of the test's own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        let name = format!("viaduct-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs `viaduct check`; gives its status, and all that it said.
fn check(viaduct: &Path, file: &Path) -> Result<(Option<i32>, String)> {
    // Nothing of another installation.
    let out = Command::new(viaduct)
        .arg("check")
        .arg(file)
        .env("PATH", "")
        .output()?;
    let said = [out.stdout, out.stderr].concat();
    Ok((
        out.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// A site file for directors and proxies.
fn whole_site(proxy: &str) -> String {
    let site = Site::new(vec![Service::proxied(Method::Dr, 2)]);
    site.proxies(Method::Dr, 2, proxy.to_owned()).to_string()
}

#[test]
fn check_says_what_each_daemon_says_of_its_tables() -> Result<()> {
    require!(daemon, proxy);
    let scratch = Scratch::new("check")?;
    let file = scratch.0.join("site.toml");
    let viaduct = find::program("viaduct")?;
    fs::write(&file, whole_site(&site(1, "", "")))?;
    let (status, said) = check(&viaduct, &file)?;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("good: 1 services, 3 hosts"), "{said}");
    assert!(said.contains("good: 1 routes, 1 upstreams"), "{said}");
    // A mistake of the proxies', and one that all daemons see: each is told once.
    let bad = "unheard = 1\n".to_owned() + &whole_site(&site(1, "colour = 1", ""));
    fs::write(&file, bad)?;
    let (status, said) = check(&viaduct, &file)?;
    assert_eq!(status, Some(64), "{said}");
    assert_eq!(said.matches("unknown key `colour`").count(), 1, "{said}");
    assert_eq!(said.matches("unknown key `unheard`").count(), 1, "{said}");
    Ok(())
}

#[test]
fn check_says_what_nobody_checked() -> Result<()> {
    require!(daemon, proxy);
    let scratch = Scratch::new("alone")?;
    let (file, alone) = (scratch.0.join("site.toml"), scratch.0.join("viaduct"));
    fs::copy(find::program("viaduct")?, &alone)?;
    fs::write(&file, whole_site(&site(1, "colour = 1", "")))?;
    let (status, said) = check(&alone, &file)?;
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("the table `proxy` is not checked: viaduct-proxy is neither beside"),
        "{said}"
    );
    Ok(())
}

#[test]
fn status_shows_the_proxy_on_this_host() -> Result<()> {
    require!(root, tools, daemon, proxy);
    with_nginx(1, &site(1, "", ""), |_, proxy| {
        let ask = |more: &[&str]| -> Result<String> {
            let mut viaduct = Command::new(find::program("viaduct")?);
            viaduct.args(["status", "--socket", "/nonexistent/lb.sock"]);
            viaduct
                .arg("--proxy-socket")
                .arg(&proxy.files().socket)
                .args(more);
            let out = viaduct.output()?;
            assert!(
                out.status.success(),
                "{}",
                String::from_utf8_lossy(&out.stderr)
            );
            Ok(String::from_utf8(out.stdout)?)
        };
        let table = ask(&[])?;
        assert!(table.contains(": serving, site file 1"), "{table}");
        assert!(table.contains("10.77.0.11:80"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&ask(&["--json"])?)?;
        assert_eq!(json["proxy"]["state"], "serving", "{json}");
        Ok(())
    })
}
