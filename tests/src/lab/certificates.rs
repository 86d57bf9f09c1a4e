//! An authority of the lab's own, and certificates that it vouches for, made by `openssl`.
//!
//! Not here: who shows them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

/// An authority, in a directory of its own.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn make(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = dir.to_owned();
        let made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj /CN=authority -keyout ca.key -out ca.pem";
        openssl(&dir, made)?;
        Ok(Self { dir })
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.file("ca.pem")
    }

    /// Makes a certificate for some hosts, and its key: files `<name>.pem` and `<name>.key`. What was there
    /// under that name is replaced, as a person would do it.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn vouch(&self, name: &str, hosts: &[&str]) -> Result<(String, String)> {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
        let extensions = format!(
            "subjectAltName={}\nbasicConstraints=CA:FALSE\n",
            hosts.join(",")
        );
        fs::write(self.dir.join("extensions"), extensions)?;
        let request = format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
             -keyout new.key -out new.csr"
        );
        openssl(&self.dir, &request)?;
        let sign = "x509 -req -in new.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile extensions -out new.pem";
        openssl(&self.dir, sign)?;
        let (chain, key) = (format!("{name}.pem"), format!("{name}.key"));
        fs::rename(self.dir.join("new.pem"), self.dir.join(&chain))?;
        fs::rename(self.dir.join("new.key"), self.dir.join(&key))?;
        Ok((self.file(&chain), self.file(&key)))
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

fn openssl(dir: &Path, args: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    let out = command
        .args(args.split_whitespace())
        .current_dir(dir)
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success(), "openssl {args}: {said}");
    Ok(())
}
