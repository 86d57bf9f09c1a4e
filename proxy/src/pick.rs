//! What a request says about the server it is for: a cookie that names one, and what stands for it
//! where servers are chosen by a hash.
//!
//! Pure. Not here: the choice (`balance`).

use std::net::IpAddr;

use crate::{
    balance,
    config::{Balance, Upstream},
    h1::{names::Name, request::Request, target::without_port},
    limit::key::Part,
    persistence,
};

/// What a request says about the server it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What stands for it.
    pub key: u64,
    /// The server its cookie names, by its seed; it may not be there.
    pub server: Option<u64>,
}

impl Wish {
    /// What a request with this path says to this upstream.
    #[must_use]
    pub fn of(upstream: &Upstream, client: IpAddr, request: &Request<'_, '_>, path: &[u8]) -> Self {
        let key = match upstream.balance {
            Balance::RoundRobin | Balance::LeastConnections | Balance::TwoChoices => 0,
            Balance::Source => balance::client_key(client),
            Balance::Hash => {
                let part = upstream.hash.as_ref().and_then(|part| match part {
                    Part::Path => Some(path),
                    Part::Host => request.host.map(without_port),
                    Part::Header(name) => header(request, name),
                    Part::Cookie(name) => cookie(request, name),
                    Part::Address | Part::Prefix { .. } => None,
                });
                part.map_or_else(|| balance::client_key(client), balance::key)
            }
        };
        let named = upstream
            .persistence
            .as_ref()
            .and_then(|persistence| persistence::named(cookie(request, &persistence.cookie)?));
        Self { key, server: named }
    }
}

fn header<'b>(request: &Request<'b, '_>, wanted: &str) -> Option<&'b [u8]> {
    let mut headers = request.headers.iter();
    let header = headers.find(|header| header.name.eq_ignore_ascii_case(wanted));
    header.map(|header| header.value)
}

/// The value of the first cookie of this name.
fn cookie<'b>(request: &Request<'b, '_>, wanted: &str) -> Option<&'b [u8]> {
    let headers = request.headers.iter().zip(&request.names);
    let values = headers.filter(|(_, name)| **name == Name::Cookie);
    let mut cookies = values.flat_map(|(header, _)| persistence::cookies(header.value));
    let cookie = cookies.find(|(name, _)| *name == wanted.as_bytes());
    cookie.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use daemon::source::SourceFile;

    use super::*;
    use crate::config::{Site, settings::HEADERS_MAX};

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// What a request with these lines says to an upstream with these keys.
    fn wish(keys: &str, lines: &str) -> Wish {
        let text = format!(
            "[proxy]\n[[proxy.listener]]\nname = \"a\"\naddress = \"::\"\nport = 80\n\
             [[proxy.upstream]]\nname = \"u\"\n{keys}\n\
             [[proxy.upstream.server]]\naddress = \"10.0.0.1\"\n\
             [[proxy.route]]\nname = \"r\"\nupstream = \"u\"\n"
        );
        let checked = Site::parse(SourceFile::new("site.toml", text));
        let checked = checked.unwrap_or_else(|report| panic!("{report}"));
        let head = format!("GET /p HTTP/1.1\r\nHost: a:81\r\n{lines}\r\n");
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let request = Request::parse(head.as_bytes(), &mut slots, 100).unwrap();
        Wish::of(&checked.site.upstreams[0], CLIENT, &request, b"/p")
    }

    #[test]
    fn a_request_is_known_by_what_the_file_names_or_else_by_its_client() {
        let key = |hash: &str, lines: &str| {
            wish(&format!("balance = \"hash\"\nhash = \"{hash}\""), lines).key
        };
        assert_eq!(key("path", ""), balance::key(b"/p"));
        assert_eq!(key("host", ""), balance::key(b"a"));
        assert_eq!(key("header:x-user", "X-USER: me\r\n"), balance::key(b"me"));
        let cookies = "Cookie: a=1\r\nCookie: b=2; user=you; user=me\r\n";
        assert_eq!(key("cookie:user", cookies), balance::key(b"you"));
        let client = balance::client_key(CLIENT);
        assert_eq!(
            key("cookie:User", cookies),
            client,
            "names of cookies have case"
        );
        assert_eq!(key("header:x-user", ""), client);
        assert_eq!(wish("balance = \"source\"", "").key, client);
        assert_eq!(wish("balance = \"lc\"", cookies), Wish::default());
    }

    #[test]
    fn a_cookie_of_ours_names_a_server_and_no_other_does() {
        let keys = "[proxy.upstream.persistence]\ncookie = \"srv\"";
        let server = |value: &str| wish(keys, &format!("Cookie: x=1; srv={value}\r\n")).server;
        assert_eq!(server("00000000000000ff"), Some(255));
        assert_eq!(server("10.0.0.1"), None);
        assert_eq!(wish("", "Cookie: srv=00000000000000ff\r\n").server, None);
    }
}
