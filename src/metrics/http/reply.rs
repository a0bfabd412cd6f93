//! A response: its status, its headers and its body. It must not know sockets.

/// A response that ends its connection.
pub(in crate::metrics) struct Reply {
    pub(super) status: u16,
    content_type: &'static str,
    /// The header `Vary`.
    vary: Option<&'static str>,
    /// The length of the body, even if the body is not sent.
    length: usize,
    body: String,
}

impl Reply {
    pub(in crate::metrics) fn new(status: u16, content_type: &'static str, body: String) -> Reply {
        Reply {
            status,
            content_type,
            vary: None,
            length: body.len(),
            body,
        }
    }

    pub(in crate::metrics) fn text(status: u16, body: impl Into<String>) -> Reply {
        Reply::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// Says that the response depends on this header of the request.
    pub(in crate::metrics) fn vary(self, header: &'static str) -> Reply {
        Reply {
            vary: Some(header),
            ..self
        }
    }

    /// The response to HEAD: the same headers without the body.
    pub(super) fn without_body(self) -> Reply {
        Reply {
            body: String::new(),
            ..self
        }
    }

    /// The response as it is sent.
    pub(super) fn to_http(&self) -> String {
        let Reply {
            status,
            content_type,
            length,
            body,
            ..
        } = self;
        let reason = reason(*status);
        let allow = match status {
            405 => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let vary = match self.vary {
            Some(header) => format!("Vary: {header}\r\n"),
            None => String::new(),
        };
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n{allow}{vary}Cache-Control: no-store\r\n\
             Connection: close\r\n\r\n{body}"
        )
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_the_headers_of_the_body_it_leaves_out() {
        let reply = || Reply::text(200, "alive\n").vary("Accept");
        let full = reply().to_http();
        let wanted = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
                      Content-Length: 6\r\nVary: Accept\r\nCache-Control: no-store\r\n\
                      Connection: close\r\n\r\nalive\n";
        assert_eq!(full, wanted);
        let head = reply().without_body().to_http();
        assert_eq!(full, format!("{head}alive\n"));
    }

    #[test]
    fn a_refused_method_names_the_allowed_ones() {
        let refused = Reply::text(405, "").to_http();
        assert!(refused.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
        assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
    }
}
