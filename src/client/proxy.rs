//! The HTTP proxy that the C-core takes from the environment, for error messages: without its name a
//! failure looks like the server's. It must not connect.

use std::env;

/// The variables that name a proxy and those that except hosts from it, as the C-core reads them: the
/// first that is set counts.
const PROXIES: [&str; 3] = ["grpc_proxy", "https_proxy", "http_proxy"];
const EXCEPTIONS: [&str; 2] = ["no_grpc_proxy", "no_proxy"];

/// The proxy on the way to `host`, such as `proxy.example:3128 ($https_proxy)`, without its
/// password.
pub(super) fn on_the_way_to(host: &str) -> Option<String> {
    of(host, |name| env::var(name).ok())
}

fn of(host: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let first = |names: &[&'static str]| {
        let set = |name: &&'static str| Some((*name, variable(name).filter(|v| !v.is_empty())?));
        names.iter().find_map(set)
    };
    let (name, url) = first(&PROXIES)?;
    let (_, exceptions) = first(&EXCEPTIONS).unwrap_or_default();
    let is_excepted = |end: &str| !end.is_empty() && host.ends_with(end);
    if exceptions.split(',').map(str::trim).any(is_excepted) {
        return None;
    }
    let place = url.split_once("://").map_or(&*url, |(_, place)| place);
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    Some(format!("{} (${name})", place.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_named_without_its_password() {
        let with = |set: &'static [(&str, &str)], host: &str| {
            of(host, |name| {
                let value = set.iter().find(|(known, _)| *known == name);
                value.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[], "a.example"), None);
        let proxy = &[("http_proxy", "http://user:secret@proxy:3128/")];
        assert_eq!(
            with(proxy, "a.example").unwrap(),
            "proxy:3128 ($http_proxy)"
        );
        let both = &[("https_proxy", "p:1"), ("http_proxy", "q:2")];
        assert_eq!(with(both, "a.example").unwrap(), "p:1 ($https_proxy)");
        let except = &[("http_proxy", "p:1"), ("no_proxy", "b.example, .a.example")];
        assert_eq!(with(except, "x.a.example"), None);
        assert!(with(except, "c.example").is_some());
    }
}
