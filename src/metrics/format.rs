//! Chooses the text format of the metrics by a request's header `Accept` (RFC 9110, section 12.5.1).
//! It must not know HTTP, nor write metrics.

use super::CONTENT_TYPE;

/// A text format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.0, the default.
    OpenMetrics,
    /// The older Prometheus text format, 0.0.4.
    Prometheus,
}

impl Format {
    /// Returns the format that `accept` prefers. Of two formats with the same quality it is the one
    /// that is named rather than matched by `*`, and then OpenMetrics.
    ///
    /// If `accept` has neither, it is OpenMetrics too, not an error 406, as RFC 9110 permits and
    /// Prometheus's own libraries do: a scraper sees the content type and can decide for itself.
    pub(super) fn accepted(accept: &str) -> Format {
        let ranges: Vec<_> = split(accept, ',').filter_map(Range::parse).collect();
        match rank(Format::Prometheus, &ranges) > rank(Format::OpenMetrics, &ranges) {
            true => Format::Prometheus,
            false => Format::OpenMetrics,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => CONTENT_TYPE,
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Type, subtype and version of the content type.
    fn media(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Format::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
            Format::Prometheus => ("text", "plain", "0.0.4"),
        }
    }
}

/// How much the ranges want a format: its quality, and whether one of them names it.
fn rank(format: Format, ranges: &[Range<'_>]) -> (u16, bool) {
    let matching = ranges
        .iter()
        .filter_map(|range| Some((range.specificity(format)?, range.quality)));
    // Only the most specific range counts: `*/*, text/plain;q=0` does not accept text.
    match matching.max() {
        None | Some((_, 0)) => (0, false),
        Some((specificity, quality)) => (quality, specificity >= Specificity::Named),
    }
}

/// How closely a range describes a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    /// `*/*`.
    Any,
    /// `text/*`.
    Type,
    /// `text/plain`.
    Named,
    /// `text/plain;version=0.0.4`.
    Version,
}

/// A range of media types, one element of `Accept`. Its other parameters do not matter: all text is
/// UTF-8, and no name needs the `escaping` that Prometheus asks for.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// Returns `None` for what is not a range.
    fn parse(text: &'a str) -> Option<Range<'a>> {
        let mut parts = split(text, ';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let mut range = Range {
            kind,
            subtype,
            version: None,
            quality: 1000,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("q") {
                range.quality = quality(value)?;
            } else if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            }
        }
        Some(range)
    }

    /// Returns `None` if the range does not include the format.
    fn specificity(&self, format: Format) -> Option<Specificity> {
        let (kind, subtype, version) = format.media();
        if (self.kind, self.subtype) == ("*", "*") {
            return Some(Specificity::Any);
        }
        if !self.kind.eq_ignore_ascii_case(kind) {
            return None;
        }
        match self.version {
            _ if self.subtype == "*" => Some(Specificity::Type),
            _ if !self.subtype.eq_ignore_ascii_case(subtype) => None,
            None => Some(Specificity::Named),
            Some(asked) => (asked == version).then_some(Specificity::Version),
        }
    }
}

/// Splits at a separator outside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c: char| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
}

/// A quality from `0` to `1` in thousandths.
fn quality(text: &str) -> Option<u16> {
    let quality: f32 = text.parse().ok()?;
    let is_valid = (0.0..=1.0).contains(&quality);
    is_valid.then(|| (quality * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::Format::{OpenMetrics, Prometheus};
    use super::*;

    #[track_caller]
    fn assert_accepted(cases: &[(&str, Format)]) {
        for (accept, format) in cases {
            assert_eq!(Format::accepted(accept), *format, "{accept}");
        }
    }

    #[test]
    fn the_default_is_open_metrics() {
        assert_accepted(&[
            ("", OpenMetrics),
            ("*/*", OpenMetrics),
            ("application/*", OpenMetrics),
            ("text/html,application/xhtml+xml,*/*;q=0.8", OpenMetrics),
            // Neither fits.
            ("application/json", OpenMetrics),
            ("text/plain;q=0", OpenMetrics),
            ("text/plain;version=1.0.0", OpenMetrics),
            ("nonsense, ;;,/", OpenMetrics),
        ]);
    }

    #[test]
    fn a_format_that_is_named_is_sent() {
        assert_accepted(&[
            ("text/plain", Prometheus),
            ("TEXT/Plain ; Version=\"0.0.4\"", Prometheus),
            ("text/plain; version=0.0.4; charset=utf-8", Prometheus),
            ("text/*", Prometheus),
            ("application/json, text/plain, */*", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text; version=1.0.0", OpenMetrics),
            ("text/plain, application/openmetrics-text", OpenMetrics),
            // Another version is another format.
            (
                "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5",
                Prometheus,
            ),
        ]);
    }

    #[test]
    fn quality_decides() {
        assert_accepted(&[
            ("text/plain;q=0.5, */*;q=0.1", Prometheus),
            (
                "text/plain;q=0.5, application/openmetrics-text;q=0.501",
                OpenMetrics,
            ),
            (
                "text/plain;q=0.9, application/openmetrics-text;q=0.5",
                Prometheus,
            ),
            ("application/openmetrics-text;q=0, */*", Prometheus),
            ("text/plain;q=0, */*;q=0.1", OpenMetrics),
            // The most specific range decides.
            (
                "text/plain;version=0.0.4;q=0.1, text/*, application/*;q=0.5",
                OpenMetrics,
            ),
            // Not a quality, so not a range.
            (
                "text/plain;q=NaN, application/openmetrics-text;q=0.1",
                OpenMetrics,
            ),
            (
                "text/plain;q=2, application/openmetrics-text;q=0.1",
                OpenMetrics,
            ),
            ("text/plain;a=\"b,c;q=0\", application/*;q=0.5", Prometheus),
        ]);
    }

    #[test]
    fn prometheus_gets_what_it_prefers() {
        let open_metrics_first =
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let text_first = "text/plain;version=0.0.4;q=0.6,\
             application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.4";
        assert_accepted(&[(open_metrics_first, OpenMetrics), (text_first, Prometheus)]);
    }
}
