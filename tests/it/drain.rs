//! `viaduct drain` and `undrain`: a real server gets no new flows and keeps those it has, as long as
//! the operator says.
//!
//! Not here: weight 0 in the site file (`reload`), and how an order's names are read (`lb_user::drain`).

use std::{fs::File, io::Read as _, process::Output};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tests::{
    guest::blob::Blob,
    lab::{
        Lab,
        director::Director,
        find, netns,
        process::Process,
        site::{Service, Site},
        topology::{CLIENT, LB1, Method, VIP, one_director, web_address},
        wait::{SOON, eventually},
    },
    require,
};

fn site(method: Method, webs: u8) -> Site {
    Site::new(vec![Service::web(method, webs)])
}

/// Runs the operator's command on the director's host.
fn viaduct(lab: &Lab, director: &Director<'_>, args: &[&str]) -> Result<Output> {
    let mut command = netns::command(&lab.netns(LB1), find::program("viaduct")?);
    command
        .args(args)
        .arg("--socket")
        .arg(&director.files().socket);
    Ok(command.output()?)
}

/// The same where it must succeed; what it said.
fn done(lab: &Lab, director: &Director<'_>, args: &[&str]) -> Result<String> {
    let output = viaduct(lab, director, args)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{args:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &said)
}

/// The name of the web server that a test drains.
const DRAINED: &str = "web2";

fn address(method: Method) -> String {
    web_address(method, 2).to_string()
}

/// A download from the drained server, held up as long as the test likes: its reader is stopped.
struct Download(Process);

const LENGTH: u64 = 40_000_000;

impl Download {
    /// Downloads, from ports one after the other, until the server is the one wanted.
    fn start(lab: &Lab, path: &std::path::Path) -> Result<Self> {
        let out = path.to_string_lossy().into_owned();
        for attempt in 0..60 {
            let head = path.with_extension(format!("head{attempt}"));
            let heads = head.to_string_lossy().into_owned();
            let url = format!("http://{VIP}/blob/{LENGTH}?7");
            let args = ["-sS", "--limit-rate", "20M", "-D", &heads, "-o", &out, &url];
            let curl = lab.spawn(CLIENT, "curl", "curl", &args)?;
            let server = eventually(SOON, "the head of the answer", || {
                let text = std::fs::read_to_string(&head).unwrap_or_default();
                Ok(text.contains("\r\n\r\n").then_some(text))
            })?;
            if server
                .lines()
                .any(|line| line.trim_end().ends_with(DRAINED))
            {
                curl.signal(Signal::SIGSTOP)?;
                ensure!(
                    curl.exit()?.is_none(),
                    "it is over before it could be stopped"
                );
                return Ok(Self(curl));
            }
            curl.terminate()?;
        }
        anyhow::bail!("no connection of 60 went to {DRAINED}")
    }

    fn go_on(&self) -> Result<()> {
        ensure!(self.0.exit()?.is_none(), "{}", self.0.story());
        self.0.signal(Signal::SIGCONT)
    }
}

/// Who answers a hundred new connections, in the order of names.
fn servers(lab: &Lab) -> Result<Vec<String>> {
    let outcome = lab.requests(100)?;
    ensure!(outcome.failures.is_empty(), "{outcome:?}");
    Ok(outcome.servers.into_keys().collect())
}

fn a_download_goes_on(method: Method) -> Result<()> {
    let lab = Lab::build(one_director(method, 3))?;
    lab.webs(method, 3)?;
    let mut director = Director::start(&lab, LB1, site(method, 3))?;
    director.wait_serving("web")?;
    let file = lab.host_dir(CLIENT)?.join("download");
    let download = Download::start(&lab, &file)?;
    let real = address(method);

    let said = done(&lab, &director, &["drain", "web", &real])?;
    assert!(said.contains(": drained; active connections: "), "{said}");
    assert_eq!(servers(&lab)?, ["web1", "web3"]);
    let status = director.status()?;
    let told = status.real("web", &real);
    assert_eq!(
        (&told["drained"], &told["share"]),
        (&true.into(), &0.0.into())
    );
    assert!(told["active"].as_u64() >= Some(1), "{told}");
    let output = viaduct(&lab, &director, &["drain", "web", &real, "--wait", "1"])?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        said.contains("after 1 s active connections are left"),
        "{said}"
    );

    // Neither a reload nor the end of the daemon ends it.
    director.apply(site(method, 3).to_string() + "\n# edited\n")?;
    assert_eq!(servers(&lab)?, ["web1", "web3"]);
    director.daemon().signal(Signal::SIGKILL)?;
    director.daemon().wait_exit()?;
    assert_eq!(servers(&lab)?, ["web1", "web3"]);
    director.start_again()?;
    assert_eq!(servers(&lab)?, ["web1", "web3"]);
    assert_eq!(director.status()?.real("web", &real)["drained"], true);
    // Nor do others that are drained, be they all.
    let others = [1, 3].map(|number| web_address(method, number).to_string());
    for other in &others {
        done(&lab, &director, &["drain", "web", other])?;
    }
    download.go_on()?;

    let said = done(&lab, &director, &["drain", "web", &real, "--wait", "60"])?;
    assert!(said.contains("no active connections are left"), "{said}");
    let status = download.0.wait_exit()?;
    ensure!(status.success(), "{}", download.0.story());
    let mut bytes = Vec::new();
    File::open(&file)?.read_to_end(&mut bytes)?;
    let blob: Vec<u8> = Blob::new(7, LENGTH).flatten().collect();
    assert!(bytes == blob, "{} bytes came", bytes.len());

    for other in &others {
        done(&lab, &director, &["undrain", "web", other])?;
    }
    assert_eq!(servers(&lab)?, ["web1", "web3"]);
    let said = done(&lab, &director, &["undrain", "web", &real])?;
    assert!(said.contains(": gets new flows again"), "{said}");
    assert_eq!(servers(&lab)?, ["web1", "web2", "web3"]);
    drop(director);
    lab.finish()
}

#[test]
fn a_download_from_a_drained_server_goes_on_over_reload_and_restart() -> Result<()> {
    require!(root, tools, xdp, daemon);
    a_download_goes_on(Method::Dr)
}

#[test]
fn a_download_from_a_server_drained_behind_nat_goes_on_over_reload_and_restart() -> Result<()> {
    require!(root, tools, xdp, daemon);
    a_download_goes_on(Method::Nat)
}

#[test]
fn draining_ends_when_the_site_file_no_longer_has_the_server() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 2))?;
    lab.webs(Method::Dr, 2)?;
    let director = Director::start(&lab, LB1, site(Method::Dr, 2))?;
    director.wait_serving("web")?;
    let real = address(Method::Dr);
    done(&lab, &director, &["drain", "web", &real])?;
    let said = done(&lab, &director, &["drain", "web", &real])?;
    assert!(said.contains("was drained already"), "{said}");
    director.apply(site(Method::Dr, 1))?;
    director.apply(site(Method::Dr, 2))?;
    director.wait_serving("web")?;
    assert_eq!(director.status()?.real("web", &real)["drained"], false);
    assert_eq!(servers(&lab)?, ["web1", "web2"]);
    drop(director);
    lab.finish()
}

#[test]
fn orders_that_cannot_be_carried_out_are_explained_and_others_than_root_are_refused() -> Result<()>
{
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 2))?;
    lab.webs(Method::Dr, 2)?;
    let director = Director::start(&lab, LB1, site(Method::Dr, 2))?;
    director.wait_serving("web")?;
    let refused = |args: &[&str]| {
        let output = viaduct(&lab, &director, args)?;
        ensure!(output.status.code() == Some(1), "{output:?}");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let real = address(Method::Dr);
    let said = refused(&["drain", "wbe", &real])?;
    assert!(
        said.contains("no service `wbe`: did you mean web?"),
        "{said}"
    );
    let said = refused(&["drain", "web", &format!("{real}:81")])?;
    assert!(said.contains(&format!("did you mean {real}:80?")), "{said}");
    let said = refused(&["undrain", "web", "10.77.0.99"])?;
    assert!(said.contains("web has no real server 10.77.0.99"), "{said}");

    // Of the socket's group, and not root.
    let socket = &director.files().socket;
    std::os::unix::fs::chown(socket, None, Some(65534))?;
    let mut dir = socket.parent();
    while let Some(at) = dir {
        let mode = std::fs::metadata(at)?.permissions();
        ensure!(
            std::os::unix::fs::PermissionsExt::mode(&mode) & 0o001 != 0,
            "{} is closed to others, and with it the socket",
            at.display()
        );
        dir = at.parent();
    }
    let body = format!(r#"{{"service":"web","real":"{real}","drain":true}}"#);
    let ask = |path: &str, body: Option<&str>| -> Result<String> {
        let mut curl = std::process::Command::new("setpriv");
        curl.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "curl",
            "-s",
        ]);
        curl.arg("--unix-socket").arg(socket);
        curl.args(body.map(|body| ["-d", body]).into_iter().flatten());
        let output = curl.arg(format!("http://localhost{path}")).output();
        let output = output.context("setpriv")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(ask("/healthz", None)?, "ok\n", "it may ask");
    assert_eq!(ask("/drain", Some(&body))?, "only root may drain\n");
    assert_eq!(director.status()?.real("web", &real)["drained"], false);

    // Nobody is left: that is done, and said.
    done(&lab, &director, &["drain", "web", &real])?;
    let other = web_address(Method::Dr, 1).to_string();
    let said = done(&lab, &director, &["drain", "web", &other])?;
    assert!(
        said.contains("no real server of web gets new flows"),
        "{said}"
    );
    drop(director);
    lab.finish()
}
