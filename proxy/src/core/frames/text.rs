//! Heads of HTTP/2 as text of HTTP/1.1, and back.
//!
//! What h2 takes for a head has no line end in it, so that it cannot become two heads; it is then read as
//! strictly as one that came as text. Not here: sending and receiving.

use std::io::Write as _;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING, UPGRADE},
    request, response,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::{config::settings::HEADERS_MAX, h1::trailers};

/// Lines of a head at most: those that came, and those that were added.
const LINES: usize = HEADERS_MAX + 16;

/// Writes a request's head; gives its length, or nothing where there is no room for it. One with a body
/// whose length it does not tell is said to be in chunks.
pub(super) fn write_request(
    head: &request::Parts,
    has_body: bool,
    room: &mut [u8],
) -> Option<usize> {
    let whole = room.len();
    let mut out = room;
    let authority = head.uri.authority().map(Authority::as_str);
    out.write_all(head.method.as_str().as_bytes()).ok()?;
    out.write_all(b" ").ok()?;
    match (head.uri.path_and_query(), authority) {
        (Some(path), _) => out.write_all(path.as_str().as_bytes()).ok()?,
        // CONNECT has nothing else.
        (None, Some(authority)) => out.write_all(authority.as_bytes()).ok()?,
        (None, None) => out.write_all(b"/").ok()?,
    }
    out.write_all(b" HTTP/1.1\r\n").ok()?;
    if let Some(authority) = authority {
        line(&mut out, b"host", authority.as_bytes())?;
    }
    let mut has_length = false;
    let mut cookies = head.headers.get_all(COOKIE).iter();
    if let Some(first) = cookies.next() {
        // RFC 9113 section 8.2.3: in pieces here, in one there.
        out.write_all(b"cookie: ").ok()?;
        out.write_all(first.as_bytes()).ok()?;
        for more in cookies {
            out.write_all(b"; ").ok()?;
            out.write_all(more.as_bytes()).ok()?;
        }
        out.write_all(b"\r\n").ok()?;
    }
    for (name, value) in &head.headers {
        let same = |authority: &str| value.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
        if name == COOKIE || (name == HOST && authority.is_some_and(same)) {
            continue;
        }
        has_length |= name == CONTENT_LENGTH;
        line(&mut out, name.as_str().as_bytes(), value.as_bytes())?;
    }
    if has_body && !has_length {
        line(&mut out, b"transfer-encoding", b"chunked")?;
    }
    out.write_all(b"\r\n").ok()?;
    Some(whole - out.len())
}

fn line(out: &mut &mut [u8], name: &[u8], value: &[u8]) -> Option<()> {
    for piece in [name, b": ", value, b"\r\n"] {
        out.write_all(piece).ok()?;
    }
    Some(())
}

/// Writes an answer's head. One without a body whose length it does not tell gets one.
pub(super) fn write_response(head: &response::Parts, is_empty: bool, out: &mut Vec<u8>) {
    let status = head.status;
    let reason = status.canonical_reason().unwrap_or_default();
    // Writing into memory cannot fail.
    drop(write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_u16()));
    for (name, value) in &head.headers {
        write_line(name, value, out);
    }
    let may_be_empty = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    if is_empty && !may_be_empty && !head.headers.contains_key(CONTENT_LENGTH) {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes headers that came behind a body.
pub(super) fn write_trailers(trailers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in trailers {
        write_line(name, value, out);
    }
}

fn write_line(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        out.extend_from_slice(piece);
    }
}

/// Reads an answer's head from the front of a text; gives its length, too.
pub(super) fn response(text: &[u8]) -> Option<(usize, Response<()>)> {
    let mut slots = [httparse::EMPTY_HEADER; LINES];
    let mut head = httparse::Response::new(&mut slots);
    let httparse::Status::Complete(end) = head.parse(text).ok()? else {
        return None;
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.code?).ok()?;
    *response.headers_mut() = headers(&text[..end], head.headers)?;
    Some((end, response))
}

/// Reads a request's head from the front of a text; gives its length, too.
pub(super) fn request(text: &[u8], scheme: &Scheme) -> Option<(usize, Request<()>)> {
    let mut slots = [httparse::EMPTY_HEADER; LINES];
    let mut head = httparse::Request::new(&mut slots);
    let httparse::Status::Complete(end) = head.parse(text).ok()? else {
        return None;
    };
    let mut headers = headers(&text[..end], head.headers)?;
    let host = headers.remove(HOST)?;
    let target = head.path?;
    let target = if target == "*" { "*" } else { target };
    let uri = Uri::builder()
        .scheme(scheme.clone())
        .authority(Authority::try_from(host.as_bytes()).ok()?)
        .path_and_query(PathAndQuery::try_from(target).ok()?);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method?.as_bytes()).ok()?;
    *request.uri_mut() = uri.build().ok()?;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = headers;
    Some((end, request))
}

/// Headers without those of one connection only. Their values are parts of one copy of the text.
fn headers(text: &[u8], lines: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let whole = Bytes::copy_from_slice(text);
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        if name == CONNECTION || name == TRANSFER_ENCODING || name == UPGRADE {
            continue;
        }
        let at = (line.value.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        let value = match whole.get(at..at + line.value.len()) {
            Some(_) => whole.slice(at..at + line.value.len()),
            // An empty value may be nowhere.
            None => Bytes::copy_from_slice(line.value),
        };
        headers.append(name, HeaderValue::from_maybe_shared(value).ok()?);
    }
    Some(headers)
}

/// The headers behind a body; none where there are none that may be there.
pub(super) fn trailers(lines: &[u8]) -> Option<HeaderMap> {
    if lines.is_empty() {
        return None;
    }
    let mut text = Vec::new();
    trailers::write(lines, &mut text).ok()?;
    text.extend_from_slice(b"\r\n");
    let mut slots = [httparse::EMPTY_HEADER; LINES];
    let httparse::Status::Complete((_, lines)) = httparse::parse_headers(&text, &mut slots).ok()?
    else {
        return None;
    };
    headers(&text, lines).filter(|headers| !headers.is_empty())
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;
    use crate::h1::{body::Framing, request::Request as Head};

    fn written(request: Request<()>, has_body: bool) -> String {
        let mut room = [0; 4096];
        let end = write_request(&request.into_parts().0, has_body, &mut room).unwrap();
        String::from_utf8(room[..end].to_vec()).unwrap()
    }

    fn get(uri: &str) -> request::Builder {
        Request::get(uri)
    }

    #[test]
    fn a_request_is_written_as_one_of_http11() {
        let request = get("https://a.example/b?c=d")
            .header("cookie", "a=b")
            .header("x", "1")
            .header("cookie", "c=d")
            .header("host", "A.example");
        assert_eq!(
            written(request.body(()).unwrap(), false),
            "GET /b?c=d HTTP/1.1\r\nhost: a.example\r\ncookie: a=b; c=d\r\nx: 1\r\n\r\n"
        );
    }

    #[test]
    fn a_body_without_a_length_is_in_chunks_as_far_as_the_head_goes() {
        let text = written(get("http://a/").body(()).unwrap(), true);
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let head = Head::parse(text.as_bytes(), &mut slots, 100).unwrap();
        assert_eq!(head.framing, Framing::Chunked);
        let request = get("http://a/").header("content-length", "5");
        let text = written(request.body(()).unwrap(), true);
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let head = Head::parse(text.as_bytes(), &mut slots, 100).unwrap();
        assert_eq!(head.framing, Framing::Length(5));
    }

    #[test]
    fn another_host_than_the_authority_is_left_to_be_refused() {
        let text = written(
            get("http://a/").header("host", "b").body(()).unwrap(),
            false,
        );
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        assert!(
            Head::parse(text.as_bytes(), &mut slots, 100).is_err(),
            "{text}"
        );
    }

    #[test]
    fn a_head_that_has_no_room_is_none() {
        let head = get("http://a/").body(()).unwrap().into_parts().0;
        let whole = written(get("http://a/").body(()).unwrap(), false).len();
        for room in 0..whole {
            assert_eq!(write_request(&head, false, &mut vec![0; room]), None);
        }
        assert_eq!(
            write_request(&head, false, &mut vec![0; whole]),
            Some(whole)
        );
    }

    #[test]
    fn an_answer_becomes_text_and_text_an_answer() {
        let answer = Response::builder()
            .status(404)
            .header("x", "")
            .header("x", "2");
        let mut text = Vec::new();
        write_response(&answer.body(()).unwrap().into_parts().0, true, &mut text);
        assert_eq!(
            String::from_utf8_lossy(&text),
            "HTTP/1.1 404 Not Found\r\nx: \r\nx: 2\r\ncontent-length: 0\r\n\r\n"
        );
        text.extend_from_slice(b"body");
        let (end, answer) = response(&text).unwrap();
        assert_eq!(
            (end, answer.status()),
            (text.len() - 4, StatusCode::NOT_FOUND)
        );
        let values: Vec<_> = answer.headers().get_all("x").iter().collect();
        assert_eq!(values, ["", "2"]);
        let own = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(response(own).unwrap().1.headers().is_empty());
    }

    #[test]
    fn a_request_for_a_server_has_its_host_as_authority() {
        let text = b"PUT /a?b HTTP/1.1\r\nHost: c:81\r\nTE: trailers\r\n\r\n";
        let (_, request) = request(text, &Scheme::HTTPS).unwrap();
        assert_eq!(request.uri(), "https://c:81/a?b");
        assert_eq!(request.headers().len(), 1);
    }

    #[test]
    fn headers_behind_a_body_that_belong_before_it_are_left_out() {
        let found = trailers(b"grpc-status: 0\r\ncontent-length: 5\r\n").unwrap();
        assert_eq!(
            (found.len(), &found["grpc-status"]),
            (1, &HeaderValue::from_static("0"))
        );
        assert!(trailers(b"host: a\r\n").is_none());
        assert!(trailers(b"").is_none());
    }
}
