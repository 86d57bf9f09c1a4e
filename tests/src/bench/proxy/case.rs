//! What is asked for: the cases, as bytes.
//!
//! A case is a row as soon as it is in [`CASES`]; one over TLS or HTTP/2 needs a `Wire` of its own in
//! `load`. Not here: asking.

/// Headers as a browser sends them.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: http://www.example.com/articles/2026/index.html\r\n\
    Cookie: session=4f0c2b9e7d1a4e5f8b6c3d2e1f0a9b8c; theme=dark; seen=12\r\n\
    Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
    Cache-Control: max-age=0\r\n";

/// One thing that clients ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Case {
    /// What the row is called.
    pub(super) name: &'static str,
    /// The file.
    pub(super) path: &'static str,
    /// Bytes of the answer's body.
    pub(super) bytes: usize,
    /// What is sent besides `Host`.
    headers: &'static str,
    /// Whether the next request goes over the same connection.
    pub(super) keeps: bool,
    /// What CPU time a request is to cost, against the best of the others.
    pub(super) goal: f64,
}

/// In the order of the table.
pub(super) const CASES: [Case; 4] = [
    Case {
        name: "1 KB",
        path: "/1k",
        bytes: 1 << 10,
        headers: "",
        keeps: true,
        goal: 0.85,
    },
    Case {
        name: "1 KB, ten headers",
        path: "/1k",
        bytes: 1 << 10,
        headers: BROWSER,
        keeps: true,
        goal: 0.85,
    },
    Case {
        name: "64 KB",
        path: "/64k",
        bytes: 64 << 10,
        headers: "",
        keeps: true,
        goal: 0.85,
    },
    Case {
        name: "new connection",
        path: "/1k",
        bytes: 1 << 10,
        headers: "",
        keeps: false,
        goal: 1.0,
    },
];

impl Case {
    /// A request, as it goes over the wire.
    pub(super) fn request(&self) -> Vec<u8> {
        let close = if self.keeps {
            ""
        } else {
            "Connection: close\r\n"
        };
        format!(
            "GET {} HTTP/1.1\r\nHost: www.example.com\r\n{}{close}\r\n",
            self.path, self.headers
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_sends_ten_headers() {
        assert_eq!(BROWSER.lines().count(), 10);
        let request = String::from_utf8(CASES[3].request()).unwrap();
        assert!(request.ends_with("Connection: close\r\n\r\n"), "{request}");
    }
}
