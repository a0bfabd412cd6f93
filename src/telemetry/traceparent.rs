//! Parses the trace headers of a call ([W3C Trace Context]). Malformed headers are ignored. It must
//! not know spans.
//!
//! The parser of `opentelemetry_sdk` is not used, because it also accepts signs and ids that are
//! too short.
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/

use std::str::FromStr;

use grpcio::Metadata;
use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry::{SpanId, TraceFlags, TraceId};

/// Returns the parent named by `traceparent` and `tracestate`.
pub(super) fn parent(headers: &Metadata) -> Option<SpanContext> {
    let mut parents = headers.iter().filter(|(name, _)| *name == "traceparent");
    let (parent, None) = (parents.next()?.1, parents.next()) else {
        return None;
    };
    let (trace, span, flags) = parse(parent)?;
    // Several headers form one list.
    let states: Vec<_> = headers
        .iter()
        .filter(|(name, _)| *name == "tracestate")
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .collect();
    let state = TraceState::from_str(&states.join(",")).unwrap_or_default();
    Some(SpanContext::new(trace, span, flags, true, state))
}

fn parse(header: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    const LENGTH: usize = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".len();
    let (known, more) = header.split_at_checked(LENGTH)?;
    let version = number(&known[..2])?;
    // Later versions may append fields.
    let more_is_fine = more.is_empty() || (version > 0 && more[0] == b'-');
    let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    if version == 0xff || !more_is_fine || !dashes {
        return None;
    }
    let trace = TraceId::from(number(&known[3..35])?);
    let span = SpanId::from(u64::try_from(number(&known[36..52])?).ok()?);
    let flags = TraceFlags::new(u8::try_from(number(&known[53..])?).ok()?) & TraceFlags::SAMPLED;
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((trace, span, flags))
}

/// Parses lower-case hexadecimal digits. Returns `None` for any other character.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use grpcio::MetadataBuilder;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(headers: &[(&str, &str)]) -> Metadata {
        let mut builder = MetadataBuilder::new();
        for (name, value) in headers {
            builder.add_str(name, value).unwrap();
        }
        builder.build()
    }

    #[test]
    fn valid_headers() {
        let context = parent(&headers(&[
            ("traceparent", GOOD),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ]));
        let context = context.unwrap();
        assert_eq!(
            context.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(context.trace_state().header(), "a=1,b=2");
    }

    #[test]
    fn only_the_sampled_flag_is_kept() {
        let flags = |flags: &str| Some(parse(format!("{}{flags}", &GOOD[..53]).as_bytes())?.2);
        assert_eq!(flags("00"), Some(TraceFlags::default()));
        assert_eq!(flags("ff"), Some(TraceFlags::SAMPLED));
    }

    #[test]
    fn later_versions_may_append_fields() {
        let later = format!("cc{}", &GOOD[2..]);
        assert!(parse(later.as_bytes()).is_some());
        assert!(parse(format!("{later}-more").as_bytes()).is_some());
        assert!(parse(format!("{later}more").as_bytes()).is_none());
    }

    #[test]
    fn malformed_headers_are_ignored() {
        for bad in [
            "",
            "00",
            &GOOD[..54],
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c8031-9cb7ad6b7169203331-01",
            "00-xaf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(parent(&headers(&[("traceparent", GOOD), ("traceparent", GOOD)])).is_none());
        let odd = parent(&headers(&[
            ("traceparent", GOOD),
            ("tracestate", "no list"),
        ]));
        assert_eq!(odd.unwrap().trace_state().header(), "");
    }
}
