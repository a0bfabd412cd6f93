//! The Prometheus text format 0.0.4, from the OpenMetrics text that prometheus-client writes. It must
//! not know any metric.
//!
//! | OpenMetrics | 0.0.4 |
//! | --- | --- |
//! | `# TYPE x counter` | `# TYPE x_total counter`: the name of its samples |
//! | `# TYPE x info` | `# TYPE x_info gauge` |
//! | `# TYPE x stateset` | `# TYPE x gauge` |
//! | `# TYPE x unknown` | `# TYPE x untyped`; so is a `gaugehistogram` |
//! | `# HELP x …` | under the name of its TYPE |
//! | `# UNIT`, `# EOF`, exemplars | nothing |
//! | samples | the same |
//!
//! prometheus-client writes neither timestamps, whose unit differs, nor samples with `_created`.

use std::borrow::Cow;

/// Converts a whole exposition.
pub(super) fn of(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // HELP comes first, and its name depends on the TYPE that follows.
    let mut help = None;
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text += without_exemplar(line);
            text += "\n";
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), said) => help = said,
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (name, kind) = family(name, kind);
                if let Some(help) = help.take() {
                    text += &format!("# HELP {name} {help}\n");
                }
                text += &format!("# TYPE {name} {kind}\n");
            }
            _ => {}
        }
    }
    text
}

/// The name and the type of a family in 0.0.4.
fn family<'a>(name: &'a str, kind: &'a str) -> (Cow<'a, str>, &'a str) {
    match kind {
        "counter" => (format!("{name}_total").into(), kind),
        "info" => (format!("{name}_info").into(), "gauge"),
        "stateset" => (name.into(), "gauge"),
        "gauge" | "histogram" | "summary" => (name.into(), kind),
        _ => (name.into(), "untyped"),
    }
}

/// The sample up to the `#` of its exemplar. A `#` in the quotes of a label does not begin one.
fn without_exemplar(sample: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let exemplar = sample.find(|c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' => is_escaped = !was_escaped,
            '"' => is_quoted ^= !was_escaped,
            _ => {}
        }
        c == '#' && !is_quoted
    });
    exemplar.map_or(sample, |at| sample[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_the_names_of_their_samples() {
        let open_metrics = "\
# HELP calls Calls that arrived.
# TYPE calls counter
calls_total{method=\"a\"} 3
# HELP cpu_seconds Processor time.
# TYPE cpu_seconds counter
# UNIT cpu_seconds seconds
cpu_seconds_total 1.5
# HELP build The version.
# TYPE build info
build_info{version=\"1\"} 1
# TYPE mode stateset
mode{mode=\"on\"} 1
# TYPE other unknown
other 7
# HELP open Open streams: # and \\n.
# TYPE open gauge
open 2
# TYPE delay_seconds histogram
# UNIT delay_seconds seconds
delay_seconds_sum 0.5
delay_seconds_count 1
delay_seconds_bucket{le=\"0.1\"} 0
delay_seconds_bucket{le=\"+Inf\"} 1
# EOF
";
        let prometheus = "\
# HELP calls_total Calls that arrived.
# TYPE calls_total counter
calls_total{method=\"a\"} 3
# HELP cpu_seconds_total Processor time.
# TYPE cpu_seconds_total counter
cpu_seconds_total 1.5
# HELP build_info The version.
# TYPE build_info gauge
build_info{version=\"1\"} 1
# TYPE mode gauge
mode{mode=\"on\"} 1
# TYPE other untyped
other 7
# HELP open Open streams: # and \\n.
# TYPE open gauge
open 2
# TYPE delay_seconds histogram
delay_seconds_sum 0.5
delay_seconds_count 1
delay_seconds_bucket{le=\"0.1\"} 0
delay_seconds_bucket{le=\"+Inf\"} 1
";
        assert_eq!(of(open_metrics), prometheus);
    }

    #[test]
    fn exemplars_go() {
        for (sample, wanted) in [
            (r##"a_total 1 # {trace="#1"} 0.5 17"##, "a_total 1"),
            (r##"a{b="c # d"} 1"##, r##"a{b="c # d"} 1"##),
            (r##"a{b="\"# \\"} 1 # {} 2"##, r##"a{b="\"# \\"} 1"##),
        ] {
            assert_eq!(without_exemplar(sample), wanted);
        }
    }
}
