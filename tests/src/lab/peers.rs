//! Other makes of web server and proxy, behind and before and beside ours: Apache, HAProxy, and nginx as a
//! proxy.
//!
//! Not here: nginx as a web server (`proxy`), and what tests expect of any of them.

use std::{fs, net::SocketAddr};

use anyhow::{Context as _, Result};

use super::{
    Lab, netns,
    process::Process,
    topology::web,
    wait::{SOON, eventually},
};

/// Where Debian has Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

impl Lab {
    /// Starts Apache on host `web<number>` and waits until it listens on port 80. It serves the files
    /// given by name and text, with these lines of its own language beside.
    ///
    /// # Errors
    /// When it does not listen soon.
    pub fn apache(&self, number: u8, files: &[(&str, &str)], lines: &str) -> Result<Process> {
        let host = web(number);
        let dir = self.host_dir(&host)?;
        let docs = dir.join("docs");
        fs::create_dir_all(&docs)?;
        for (name, text) in files {
            fs::write(docs.join(name), text)?;
        }
        let at = dir.display();
        let modules: String = ["mpm_event", "authz_core", "headers"]
            .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
            .concat();
        // Root only listens; its children serve as nobody.
        let text = format!(
            "{modules}ServerRoot {at}\nServerName {host}\nListen 80\nUser nobody\nGroup nogroup\n\
             PidFile {at}/apache.pid\nErrorLog /dev/stderr\nDefaultRuntimeDir {at}\nMutex sem\n\
             DocumentRoot {at}/docs\n<Directory />\nRequire all granted\n</Directory>\n\
             Header always set x-real {host}\n{lines}\n"
        );
        let file = dir.join("apache.conf");
        fs::write(&file, text)?;
        let file = file.to_string_lossy().into_owned();
        let args = ["-X", "-f", &file];
        let apache = self.spawn(&host, &format!("apache-{host}"), "apache2", &args)?;
        self.answers(&host, 80).with_context(|| apache.story())?;
        Ok(apache)
    }

    /// Starts HAProxy on a host with these sections, and waits until it listens on `port`.
    ///
    /// # Errors
    /// When it does not listen soon.
    pub fn haproxy(&self, host: &str, sections: &str, port: u16) -> Result<Process> {
        let file = self.host_dir(host)?.join("haproxy.cfg");
        let defaults = "defaults\n mode http\n timeout connect 2s\n timeout client 2s\n\
            timeout server 2s\n timeout http-request 2s\n";
        fs::write(&file, format!("{defaults}{sections}\n"))?;
        let file = file.to_string_lossy().into_owned();
        let args = ["-db", "-f", &file];
        let haproxy = self.spawn(host, &format!("haproxy-{host}"), "haproxy", &args)?;
        self.answers(host, port).with_context(|| haproxy.story())?;
        Ok(haproxy)
    }

    /// Starts nginx as a proxy on a host: `port` leads to `origin`.
    ///
    /// # Errors
    /// When it does not listen soon.
    pub fn nginx_proxy(&self, host: &str, port: u16, origin: SocketAddr) -> Result<Process> {
        let dir = self.host_dir(host)?;
        let at = dir.display();
        let text = format!(
            "daemon off; master_process off; pid {at}/nginx.pid; error_log stderr notice;\n\
             events {{ }}\nhttp {{ access_log off; client_body_timeout 2s; client_header_timeout 2s;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen {port}; location / {{ proxy_pass http://{origin}; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_request_buffering off; proxy_next_upstream off;\n\
             proxy_read_timeout 2s; }} }} }}\n"
        );
        let file = dir.join("nginx.conf");
        fs::write(&file, text)?;
        let file = file.to_string_lossy().into_owned();
        let args = ["-c", &file, "-e", "stderr"];
        let nginx = self.spawn(host, &format!("nginx-{host}"), "nginx", &args)?;
        self.answers(host, port).with_context(|| nginx.story())?;
        Ok(nginx)
    }

    /// Waits until somebody listens on a port of a host.
    fn answers(&self, host: &str, port: u16) -> Result<()> {
        eventually(SOON, &format!("port {port} of {host}"), || {
            let connected = netns::within(&self.netns(host), || {
                Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
            })?;
            Ok(connected.then_some(()))
        })
    }
}
