//! Parses the head of an HTTP/1.0 or HTTP/1.1 request. It must not know sockets, nor any path.

use super::reply::Reply;

/// Headers per request.
const MAX_HEADERS: usize = 64;

/// A request for a page.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::metrics) struct Request {
    /// The path, without a query.
    pub(in crate::metrics) path: String,
    /// All headers `Accept` as one; empty without any.
    pub(in crate::metrics) accept: String,
    /// HEAD: the response has no body.
    pub(super) is_head: bool,
}

/// Returns the request or the response that refuses it, or `None` while the head is incomplete.
pub(super) fn parse(head: &[u8]) -> Option<Result<Request, Reply>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => Some(checked(&request)),
        Err(httparse::Error::TooManyHeaders) => Some(Err(Reply::text(431, "too many headers\n"))),
        Err(error) => Some(Err(bad(&error.to_string()))),
    }
}

fn checked(request: &httparse::Request<'_, '_>) -> Result<Request, Reply> {
    let is_head = request.method == Some("HEAD");
    let refused = |refusal: Reply| match is_head {
        true => refusal.without_body(),
        false => refusal,
    };
    check_host(request).map_err(refused)?;
    // No page has another method, so a path that does not exist makes no difference.
    if !is_head && request.method != Some("GET") {
        return Err(Reply::text(405, "only GET and HEAD are supported\n"));
    }
    let path = path(request.path.unwrap_or_default());
    let path = path.ok_or_else(|| refused(bad("the target is not a path")))?;
    Ok(Request {
        path: path.into(),
        accept: values(request, "accept").collect::<Vec<_>>().join(","),
        is_head,
    })
}

/// RFC 9112 wants 400 for HTTP/1.1 without `Host`, and for two of them.
fn check_host(request: &httparse::Request<'_, '_>) -> Result<(), Reply> {
    let is_optional = request.version == Some(0);
    match values(request, "host").count() {
        1 => Ok(()),
        0 if is_optional => Ok(()),
        0 => Err(bad("the header Host is missing")),
        _ => Err(bad("there are two headers Host")),
    }
}

/// The values of a header; those that are not UTF-8 are empty.
fn values<'a>(
    request: &'a httparse::Request<'_, '_>,
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    let headers = request.headers.iter();
    headers
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| std::str::from_utf8(header.value).unwrap_or_default())
}

/// The path of a target such as `/metrics?a=b`, or `http://host/metrics` as sent to a proxy.
fn path(target: &str) -> Option<&str> {
    let (before_query, _) = target.split_once('?').unwrap_or((target, ""));
    if before_query.starts_with('/') {
        return Some(before_query);
    }
    let (_, rest) = before_query.split_once("://")?;
    Some(rest.find('/').map_or("/", |at| &rest[at..]))
}

fn bad(why: &str) -> Reply {
    Reply::text(400, format!("not an HTTP request: {why}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of a refusal, or 200, and the path.
    fn parsed(head: &str) -> Option<(u16, String)> {
        match parse(head.as_bytes())? {
            Ok(request) => Some((200, request.path)),
            Err(reply) => Some((reply.status, String::new())),
        }
    }

    fn status(head: &str) -> u16 {
        parsed(head).unwrap().0
    }

    #[test]
    fn paths() {
        let path = |path: &str| Some((200, path.to_string()));
        for (head, wanted) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "/metrics"),
            ("HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n", "/metrics"),
            ("GET /a?b=c HTTP/1.0\r\nx: y\r\n\r\n", "/a"),
            ("GET http://x:1/a/b?c HTTP/1.1\r\nHost: x\r\n\r\n", "/a/b"),
            ("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "/"),
        ] {
            assert_eq!(parsed(head), path(wanted), "{head}");
        }
        assert_eq!(parsed("GET /metrics HTTP/1.1\r\nHost:"), None);
    }

    #[test]
    fn only_get_and_head_are_allowed() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "BREW"] {
            let head = format!("{method} /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(status(&head), 405, "{method}");
        }
        assert_eq!(status("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
    }

    #[test]
    fn malformed_requests() {
        for head in [
            "\u{16}\u{3}\u{1}",
            "no HTTP at all\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            assert_eq!(status(head), 400, "{head}");
        }
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(status(&many), 431);
    }

    #[test]
    fn a_refused_head_has_no_body() {
        let Some(Err(reply)) = parse(b"HEAD / HTTP/1.1\r\n\r\n") else {
            panic!("it has no header Host");
        };
        let sent = reply.to_http();
        assert!(sent.starts_with("HTTP/1.1 400 ") && sent.ends_with("\r\n\r\n"));
    }

    #[test]
    fn several_accept_headers_are_one_list() {
        let accept = |headers: &str| {
            let head = format!("GET / HTTP/1.0\r\n{headers}\r\n");
            let request = parse(head.as_bytes()).unwrap().ok().unwrap();
            request.accept
        };
        assert_eq!(accept(""), "");
        assert_eq!(accept("Accept: a/b\r\nX: y\r\naccept: c/d\r\n"), "a/b,c/d");
    }
}
