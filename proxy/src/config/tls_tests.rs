//! `[proxy.listener.tls]` and `[proxy.upstream.tls]`, good and bad.

use daemon::source::SourceFile;

use super::*;

/// A site with TLS on both sides; `listener` and `upstream` stand at the ends of their tables.
fn site(listener: &str, upstream: &str) -> Result<Site, String> {
    let text = format!(
        "[proxy]\n[[proxy.listener]]\nname = \"a\"\naddress = \"::\"\nport = 443\n\
         [proxy.listener.tls]\n{listener}\n\
         [[proxy.upstream]]\nname = \"b\"\nhttp2 = true\n\
         [[proxy.upstream.server]]\naddress = \"10.77.1.11\"\n\
         [proxy.upstream.tls]\n{upstream}\n\
         [[proxy.route]]\nname = \"c\"\nupstream = \"b\"\n"
    );
    let parsed = Site::parse(SourceFile::new("site.toml", text));
    parsed
        .map(|checked| checked.site)
        .map_err(|report| report.to_string())
}

const ONE: &str = "[[proxy.listener.tls.certificate]]\nchain = \"/c.pem\"\nkey = \"/c.key\"\n";

#[test]
fn tls_of_both_sides_is_taken_with_its_defaults() {
    let site = site(ONE, "").unwrap();
    let tls = site.listeners[0].tls.as_ref().unwrap();
    assert!(site.listeners[0].http2 && tls.has_tls12);
    assert_eq!((&tls.tickets, &tls.client_ca), (&None, &None));
    assert_eq!(tls.certificates[0].chain.path.to_str(), Some("/c.pem"));
    assert!(tls.certificates[0].names.is_empty());
    let tls = site.upstreams[0].tls.as_ref().unwrap();
    assert!(site.upstreams[0].http2 && tls.verify && tls.server_name.is_none());
    assert!(tls.ca.path.ends_with("ca-certificates.crt"));
}

#[test]
fn what_cannot_be_meant_is_refused_in_words() {
    let certificate = |more: &str| format!("{ONE}{more}");
    for (listener, upstream, words) in [
        ("", "", "TLS without a certificate"),
        (
            "[[proxy.listener.tls.certificate]]\nkey = \"/k\"",
            "",
            "missing key `chain`",
        ),
        (
            &certificate("names = [\"*.*.b\"]"),
            "",
            "`*.*.b` is no name of a host",
        ),
        (
            &format!("versions = [\"1.2\"]\n{ONE}"),
            "",
            "TLS without version 1.3",
        ),
        (
            &format!("versions = [\"1.1\"]\n{ONE}"),
            "",
            "unknown TLS version `1.1`",
        ),
        (
            &format!("tickets = \"keys\"\n{ONE}"),
            "",
            "`keys` is not an absolute path",
        ),
        (ONE, "server_name = \"a b\"", "`a b` is no name of a server"),
        (ONE, "verify = 1", "verify"),
    ] {
        let error = site(listener, upstream).unwrap_err();
        assert!(error.contains(words), "{words}:\n{error}");
    }
}

#[test]
fn a_check_by_http_cannot_be_made_where_something_else_is_spoken() {
    let health = "[proxy.upstream.health]\ntype = \"http\"\n";
    let error = site(ONE, health).unwrap_err();
    assert!(error.contains("asks in plain HTTP/1.1"), "{error}");
    assert!(site(ONE, &health.replace("http", "tcp")).is_ok());
}

#[test]
fn files_that_are_not_there_are_told_with_the_line_that_names_them() {
    let text = format!(
        "[proxy]\n[[proxy.listener]]\nname = \"a\"\naddress = \"::\"\nport = 443\n\
         [proxy.listener.tls]\ntickets = \"/nowhere/keys\"\n{ONE}\
         [[proxy.route]]\nname = \"c\"\nstatus = 200\nbody = \"\"\n"
    );
    let path = std::env::temp_dir().join(format!("viaduct-tls-{}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let error = Site::load(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    for words in [
        "/c.pem: No such file",
        "tickets = \"/nowhere/keys\"",
        "/nowhere/keys: No such",
    ] {
        assert!(error.contains(words), "{words}:\n{error}");
    }
}
