//! Formats numbers. Three digits are all that these measurements carry.

use crate::stats::{Estimate, ENOUGH_ROUNDS};

/// Formats a value with three significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".into();
    }
    match () {
        () if size >= 99.95 => grouped(value.round()),
        () if size >= 9.995 => format!("{value:.1}"),
        () if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        () => format!("{value:.3}"),
    }
}

/// Formats a round number for an axis.
pub fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e4.. => format!("{} k", value / 1e3),
        1e3.. => grouped(value),
        // Hides the rounding error of a power of ten.
        _ => format!("{}", (value * 1e6).round() / 1e6),
    }
}

/// Formats the median, followed by the interval if there is one.
pub fn estimate(estimate: &Estimate) -> String {
    let Estimate {
        median, low, high, ..
    } = *estimate;
    if low == high {
        return number(median);
    }
    format!("{} ({}–{})", number(median), number(low), number(high))
}

/// The mark of a ratio that is not known to ±5 %.
pub fn mark(ratio: &Estimate) -> &'static str {
    match ratio.is_narrow() {
        true => "",
        false => "~",
    }
}

/// Formats how exactly a ratio is known.
pub fn precision(ratio: &Estimate) -> String {
    match ratio.rounds {
        0 | 1 => "1 round".into(),
        rounds @ ..ENOUGH_ROUNDS => format!("range of {rounds} rounds"),
        rounds if ratio.is_narrow() => format!("within ±5 %, {rounds} rounds"),
        rounds => format!("interval wider than ±5 %, {rounds} rounds"),
    }
}

/// Formats the size of a message.
pub fn size(bytes: u64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 0x10_0000),
    }
}

/// Formats a count with separators: 10,000.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (n, digit) in digits.chars().enumerate() {
        if n != 0 && (digits.len() - n) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits() {
        let written = [0.0, 0.0312, 0.25, 1.234, 9.996, 12.34, 99.97, 98_765.4].map(number);
        assert_eq!(
            written,
            ["0.00", "0.031", "0.25", "1.23", "10.0", "12.3", "100", "98,765"]
        );
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn separators() {
        let written = [0.0, 999.0, 1_000.0, 1_234_567.0, -1_000.0].map(grouped);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567", "-1,000"]);
    }

    #[test]
    fn sizes() {
        assert_eq!([8, 4096, 1 << 20].map(size), ["8 B", "4 KiB", "1 MiB"]);
    }

    #[test]
    fn an_interval_is_shown_where_there_is_one() {
        let mut some = Estimate {
            median: 1.5,
            low: 1.4,
            high: 1.6,
            rounds: 9,
        };
        assert_eq!(estimate(&some), "1.50 (1.40–1.60)");
        assert_eq!(precision(&some), "interval wider than ±5 %, 9 rounds");
        (some.low, some.high) = (1.45, 1.55);
        assert_eq!(precision(&some), "within ±5 %, 9 rounds");
        some.rounds = 3;
        assert_eq!(precision(&some), "range of 3 rounds");
        (some.low, some.high, some.rounds) = (1.5, 1.5, 1);
        assert_eq!(estimate(&some), "1.50");
        assert_eq!(precision(&some), "1 round");
    }
}
