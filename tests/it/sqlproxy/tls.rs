//! TLS on both sides, with certificates such as servers make themselves: they name no host.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};
use tests::{
    lab::{
        Lab,
        mariadb::Setup,
        proxy::{PROXY, proxied},
        sqlproxy::{SqlProxy, site},
        topology::{Method, web, web_address},
    },
    require,
};

/// Which TLS the server that answers has with its client, which is the proxy.
const VERSION: &str = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_version'";

fn openssl(dir: &Path, args: &str) -> Result<()> {
    let out = Command::new("openssl")
        .current_dir(dir)
        .args(args.split(' '))
        .output()?;
    ensure!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

/// An authority, another one, and a certificate of the first for no host.
fn certificates(dir: &Path) -> Result<()> {
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(
        dir,
        &format!("{new} -x509 -keyout ca.key -out ca.pem -subj /CN=lab-ca"),
    )?;
    openssl(
        dir,
        &format!("{new} -x509 -keyout no.key -out no.pem -subj /CN=another"),
    )?;
    openssl(
        dir,
        &format!("{new} -keyout own.key -out own.csr -subj /CN=own"),
    )?;
    std::fs::write(dir.join("own.ext"), "basicConstraints=CA:FALSE\n")?;
    let sign = "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2";
    openssl(dir, &format!("{sign} -extfile own.ext -out own.pem"))
}

#[test]
fn tls_is_spoken_on_both_sides_and_only_with_who_is_trusted() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy, proxy);
    let lab = Lab::build(proxied(2))?;
    let dir = lab.host_dir(PROXY)?;
    certificates(&dir)?;
    let file = |name: &str| dir.join(name).display().to_string();
    let start = |number| {
        let setup = Setup::new(number, web_address(Method::Fullnat, number));
        let (cert, key) = (file("own.pem"), file("own.key"));
        let tls = [format!("--ssl-cert={cert}"), format!("--ssl-key={key}")];
        lab.mariadb(&web(number), setup.options(&[&tls[0], &tls[1]]))
    };
    let (primary, replica) = (start(1)?, start(2)?);
    replica.replicate(&primary)?;
    let shown = format!(
        "certificate = \"{}\"\nkey = \"{}\"",
        file("own.pem"),
        file("own.key")
    );
    let text = site(&lab, &[&primary, &replica], &shown)?;
    let met = |mode: &str, authorities: &str| {
        let role = "role = \"replica\"";
        let how = format!(
            "{role}\ntls = \"{mode}\"\ntls_ca = \"{}\"",
            file(authorities)
        );
        text.replace(role, &how)
    };
    let proxy = SqlProxy::start(&lab, &met("verify-ca", "ca.pem"), &[])?;
    // A client that insists on TLS, and one that does not want it; the reader has TLS either way.
    let authority = format!("--ssl-ca={}", file("ca.pem"));
    let out = proxy.mariadb(&["--ssl", &authority], &format!("status; {VERSION}"))?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("Cipher in use is"), "{out:?}");
    assert!(said.ends_with("TLSv1.3\n"), "{said}");
    assert_eq!(proxy.query(VERSION)?, "TLSv1.3");
    let long = "SELECT LENGTH(REPEAT('x', 9000000)), REPEAT('x', 9000000)";
    let out = proxy.mariadb(&["--ssl", "--max-allowed-packet=64M"], long)?;
    assert_eq!(
        out.stdout.len(),
        "9000000\t".len() + 9_000_001,
        "{:?}",
        out.stderr
    );
    // Certificates that are not of the authority, or not for the address, are nobody's.
    for (mode, authorities) in [("verify-ca", "no.pem"), ("verify-identity", "ca.pem")] {
        proxy
            .reload(&met("preferred", "ca.pem"))?
            .map_err(anyhow::Error::msg)?;
        proxy.wait_status("the replica", |status| {
            status["servers"][1]["is_up"] == true
        })?;
        proxy
            .reload(&met(mode, authorities))?
            .map_err(anyhow::Error::msg)?;
        proxy.wait_status("no replica", |status| {
            status["servers"][1]["is_up"] == false
        })?;
        // What was opened before is used up to its end; a new session has the primary read.
        assert_eq!(proxy.query("SELECT 1")?, "1", "{mode}");
    }
    lab.finish()
}
