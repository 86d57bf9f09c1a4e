//! Messages that are malformed, or that two readers could understand differently; what each of three
//! proxies makes of them, and why they differ. A verdict is the statuses that the client hears (the last one
//! is of a good request behind the case) and, in brackets, what the origin gets.
//!
//! Not here: the asking (`differential`).

/// A message, and what becomes of it.
pub(super) struct Case {
    pub(super) text: &'static str,
    pub(super) ours: &'static str,
    pub(super) nginx: &'static str,
    pub(super) haproxy: &'static str,
    /// Why they differ; empty where they do not.
    pub(super) why: &'static str,
}

impl Case {
    /// The message.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.text.as_bytes().to_vec()
    }

    /// By ours, nginx and HAProxy.
    pub(super) fn verdicts(&self) -> [&'static str; 3] {
        [self.ours, self.nginx, self.haproxy]
    }
}

/// One that all three judge alike.
const fn agreed(text: &'static str, ours: &'static str) -> Case {
    Case {
        text,
        ours,
        nginx: ours,
        haproxy: ours,
        why: "",
    }
}

/// One that they do not: what ours, nginx and HAProxy make of it.
const fn differs(text: &'static str, verdicts: [&'static str; 3], why: &'static str) -> Case {
    let [ours, nginx, haproxy] = verdicts;
    Case {
        text,
        ours,
        nginx,
        haproxy,
        why,
    }
}

/// Versions 1.22 and 2.6, as Debian 12 has them.
pub(super) const CASES: &[Case] = &[
    // Plain.
    agreed(
        "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 200 [GET /x, GET /end]",
    ),
    agreed(
        "\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 200 [GET /x, GET /end]",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "200 200 [POST /x abc, GET /end]",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "200 200 [POST /x abc, GET /end]",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        "200 200 [POST /x abc, GET /end]",
    ),
    // Both framings.
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 [POST /x]"],
        "HAProxy goes by Transfer-Encoding and closes then, as RFC 9112 section 6.3 lets it",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 [POST /x]"],
        "HAProxy goes by Transfer-Encoding and closes then, as RFC 9112 section 6.3 lets it",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 [POST /x]"],
        "HAProxy goes by Transfer-Encoding and closes then, as RFC 9112 section 6.3 lets it",
    ),
    // Lengths.
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "400 []",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        ["400 []", "400 []", "200 200 [POST /x abc, GET /end]"],
        "HAProxy makes one of equal lengths, as RFC 9110 section 8.6 lets it",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
        ["400 []", "400 []", "200 200 [POST /x abc, GET /end]"],
        "HAProxy makes one of equal lengths, as RFC 9110 section 8.6 lets it",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3a\r\n\r\nabc",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        "400 []",
    ),
    // Codings.
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        ["400 []", "501 []", "400 []"],
        "nginx says 501 of all that is not `chunked` alone",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["501 []", "501 []", "422 []"],
        "HAProxy says 422; none of them decodes",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "501 []", "400 []"],
        "nginx says 501 of all that is not `chunked` alone",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "501 []", "400 []"],
        "nginx says 501 of all that is not `chunked` alone",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 []",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "501 []", "400 []"],
        "nginx says 501 of all that is not `chunked` alone",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "501 []", "400 []"],
        "nginx says 501 of all that is not `chunked` alone",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "501 []", "400 []"],
        "nginx says 501 of all that is not `chunked` alone",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "501 []", "400 []"],
        "nginx says 501 of all that is not `chunked` alone",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "501 []", "400 []"],
        "nginx says 501 of all that is not `chunked` alone",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        "200 200 [POST /x, GET /end]",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 400 [POST /x]",
    ),
    // Names and lines.
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
        "400 []",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\n Content-Length: 3\r\n\r\nabc",
        ["400 []", "400 []", "200 200 [POST /x, abcGET /end]"],
        "HAProxy unfolds lines, as RFC 9112 section 5.2 lets it: the length is part of the value before, and what was its body begins the next request",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 3\r\n\r\nabc",
        ["400 []", "400 []", "200 200 [POST /x, abcGET /end]"],
        "HAProxy unfolds lines, as RFC 9112 section 5.2 lets it: the length is part of the value before, and what was its body begins the next request",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nX: a\nContent-Length: 3\r\n\r\nabc",
        [
            "400 []",
            "200 200 [POST /x abc, GET /end]",
            "200 200 [POST /x abc, GET /end]",
        ],
        "a line feed alone ends a line for both, as RFC 9112 section 2.2 lets them",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 3\r\n\r\nabc",
        "400 []",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        ["400 []", "400 []", "200 200 [POST /x, GET /end]"],
        "HAProxy sends a NUL on",
    ),
    agreed("POST /x HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", "400 []"),
    agreed("POST /x HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "400 []"),
    // Chunks.
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        [
            "400 []",
            "200 200 [POST /x abc, GET /end]",
            "200 200 [POST /x abc, GET /end]",
        ],
        "a line feed alone ends a line for both, as RFC 9112 section 2.2 lets them",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
        "400 []",
    ),
    differs(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
        [
            "400 []",
            "200 200 [POST /x abc, GET /end]",
            "200 200 [POST /x abc, GET /end]",
        ],
        "both skip space behind a size, as old senders wrote it",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\nx\r\nabc\r\n0\r\n\r\n",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
        "400 []",
    ),
    agreed(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n",
        "400 []",
    ),
    // Hosts.
    differs(
        "GET /x HTTP/1.1\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /x, GET /end]"],
        "HAProxy leaves Host to its rules and to servers",
    ),
    agreed("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 []"),
    differs(
        "GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /x, GET /end]"],
        "HAProxy makes one of equal hosts",
    ),
    differs(
        "GET /x HTTP/1.1\r\nHost:\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /x, GET /end]"],
        "HAProxy leaves Host to its rules and to servers",
    ),
    differs(
        "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /x, GET /end]"],
        "HAProxy leaves Host to its rules and to servers",
    ),
    differs(
        "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /x, GET /end]"],
        "HAProxy leaves Host to its rules and to servers",
    ),
    differs(
        "GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n",
        [
            "400 []",
            "200 200 [GET /x, GET /end]",
            "200 200 [GET /x, GET /end]",
        ],
        "both take it for a host; in a URL it would be a user's name",
    ),
    differs(
        "GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n",
        ["400 []", "200 200 [GET /x, GET /end]", "400 []"],
        "nginx goes by the target, as RFC 9112 section 3.2.2 has it, and HAProxy and ours refuse",
    ),
    differs(
        "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
        [
            "200 200 [GET /x, GET /end]",
            "200 200 [GET /x, GET /end]",
            "200 200 [GET http://a/x, GET /end]",
        ],
        "HAProxy sends the target on as it came",
    ),
    // Targets.
    agreed("GET x HTTP/1.1\r\nHost: a\r\n\r\n", "400 []"),
    differs(
        "GET /a/../x HTTP/1.1\r\nHost: a\r\n\r\n",
        [
            "400 []",
            "200 200 [GET /a/../x, GET /end]",
            "200 200 [GET /a/../x, GET /end]",
        ],
        "nginx resolves it for its own rules, and both send it on as it came: two readers, two paths",
    ),
    differs(
        "GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /%2e%2e/x, GET /end]"],
        "HAProxy does not decode paths",
    ),
    differs(
        "GET /x#b HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "200 200 [GET /x#b, GET /end]", "400 []"],
        "nginx cuts it off for its own rules, and sends it on as it came",
    ),
    differs(
        "GET /x%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /x%00, GET /end]"],
        "HAProxy does not decode paths",
    ),
    differs(
        "GET /x%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /x%zz, GET /end]"],
        "HAProxy does not decode paths",
    ),
    agreed(
        "GET //x HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 200 [GET //x, GET /end]",
    ),
    differs(
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "200 200 [GET /\u{e9}, GET /end]", "400 []"],
        "nginx sends on what is not ASCII",
    ),
    differs(
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        ["501 []", "400 []", "200 [CONNECT a:443]"],
        "nginx says 400; HAProxy asks the server for a tunnel",
    ),
    // First lines.
    differs(
        "GET  /x HTTP/1.1\r\nHost: a\r\n\r\n",
        [
            "400 []",
            "200 200 [GET /x, GET /end]",
            "200 200 [GET /x, GET /end]",
        ],
        "both skip more than one space",
    ),
    differs(
        "GET /x  HTTP/1.1\r\nHost: a\r\n\r\n",
        [
            "505 []",
            "200 200 [GET /x, GET /end]",
            "200 200 [GET /x, GET /end]",
        ],
        "both skip more than one space",
    ),
    differs(
        "GET\t/x HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 200 [GET /x, GET /end]"],
        "HAProxy skips tabs like spaces",
    ),
    differs(
        "GET /x\r\n\r\n",
        ["400 []", " [GET /x]", "400 []"],
        "nginx takes it for HTTP/0.9 and answers without a head",
    ),
    differs(
        "GET /x HTTP/2.0\r\nHost: a\r\n\r\n",
        ["505 []", "505 []", "200 200 [GET /x, GET /end]"],
        "HAProxy takes it for 1.1; HTTP/2 does not look like that",
    ),
    differs(
        "GET /x HTTP/1.2\r\nHost: a\r\n\r\n",
        [
            "505 []",
            "200 200 [GET /x, GET /end]",
            "200 200 [GET /x, GET /end]",
        ],
        "both take versions above 1.1 for 1.1, as RFC 9110 section 2.5 wants it; nobody sends them",
    ),
    differs(
        "GET /x http/1.1\r\nHost: a\r\n\r\n",
        ["505 []", "400 []", "400 []"],
        "both say 400",
    ),
    agreed("G(T /x HTTP/1.1\r\nHost: a\r\n\r\n", "400 []"),
    differs(
        "get /x HTTP/1.1\r\nHost: a\r\n\r\n",
        [
            "200 200 [get /x, GET /end]",
            "400 []",
            "200 200 [get /x, GET /end]",
        ],
        "nginx knows methods in capitals only; this one is just unknown",
    ),
    differs(
        "GET /x HTTP/1.1\nHost: a\n\n",
        [
            "400 []",
            "200 200 [GET /x, GET /end]",
            "200 200 [GET /x, GET /end]",
        ],
        "a line feed alone ends a line for both, as RFC 9112 section 2.2 lets them",
    ),
    differs(
        "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ["400 []", "400 []", "200 [POST /x]"],
        "HAProxy takes chunks from HTTP/1.0, too, and closes then",
    ),
    differs(
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        [" []", "400 []", " []"],
        "ours and HAProxy go on in HTTP/2, of which no frame follows; nginx says 400",
    ),
    agreed("\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", "400 []"),
    differs(
        "GET /x HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n",
        [
            "417 []",
            "200 200 [GET /x, GET /end]",
            "200 200 [GET /x, GET /end]",
        ],
        "both pass over expectations they do not know",
    ),
];
