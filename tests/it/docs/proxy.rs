//! The page of the proxy against its program.
//!
//! Not here: what is common to all documents ([`super`]).

use anyhow::Result;
use tests::require;

use super::{check_text_by, document, known_keys, secrets::Secrets, snippets};

const PROXY: &str = "docs/proxy.md";

#[test]
fn snippets_for_the_proxy_pass_its_check() -> Result<()> {
    require!(proxy);
    let secrets = Secrets::make()?;
    let mut checked = 0;
    for snippet in snippets("toml")? {
        if snippet.info.iter().any(|word| word == "proxy") {
            let text = secrets.put_into(&snippet.text);
            let (passed, said) = check_text_by("viaduct-proxy", &text, "proxy-snippet")?;
            assert!(passed && !said.contains("warning"), "{snippet}:\n{said}");
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} were found");
    Ok(())
}

#[test]
fn the_page_of_the_proxy_names_every_key_and_no_other() -> Result<()> {
    require!(proxy);
    let page = document(PROXY)?;
    let upstream = "[[proxy.upstream]]\n";
    for table in [
        "[proxy]",
        "[hosts.NAME.proxy]",
        "[proxy.log]",
        "[proxy.timeouts]",
        "[proxy.limits]",
        "[[proxy.listener]]",
        "[proxy.listener.tls]",
        "[[proxy.listener.tls.certificate]]",
        "[[proxy.upstream]]",
        "[proxy.upstream.tls]",
        "[proxy.upstream.persistence]",
        "[proxy.upstream.maintenance]",
        "[proxy.upstream.health]",
        "[[proxy.upstream.server]]",
        "[[proxy.zone]]",
        "[[proxy.route]]",
        "[[proxy.route.limit]]",
    ] {
        let parent = match table {
            "[[proxy.route.limit]]" => "[[proxy.route]]\n",
            "[[proxy.listener.tls.certificate]]" => "[[proxy.listener]]\n[proxy.listener.tls]\n",
            _ if table.contains("listener.") => "[[proxy.listener]]\n",
            _ if table.contains("upstream.") => upstream,
            _ => "",
        };
        let header = table.replace("NAME", "a");
        let known = known_keys("viaduct-proxy", &format!("{parent}{header}\n"))?;
        let heading = format!("`{table}`");
        assert_eq!(page.names_under(&heading)?, known, "{PROXY}, {heading}");
    }
    Ok(())
}
