//! Parses lists of ids: `1`, `1,2,5-9`, `-5`, `-3--1`.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// The most ids of one command. Each is a call, and a mistyped range is large.
pub const MAX_IDS: usize = 100_000;

/// Ids in the order in which they were written, repetitions included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(pub Vec<i32>);

/// Why a text is not a list of ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdsError {
    /// A part between commas is neither a number nor a range.
    #[error(
        "`{0}` is neither an id nor a range of ids: write them as in `1`, `1,2,5-9` or `-3--1`"
    )]
    NotAnId(String),
    /// The number does not fit an id.
    #[error("`{0}` is not an id: ids are whole numbers from -2147483648 to 2147483647")]
    OutOfRange(String),
    /// The range ends before it begins.
    #[error("`{0}` ends before it begins")]
    Backwards(String),
    /// The list has more than [`MAX_IDS`] ids.
    #[error("more than {MAX_IDS} ids")]
    TooMany,
}

impl FromStr for Ids {
    type Err = IdsError;

    fn from_str(text: &str) -> Result<Ids, IdsError> {
        let mut ids = Vec::new();
        for part in text.split(',') {
            let range = range(part.trim())?;
            // i64 holds the difference of any two ids.
            let count = i64::from(*range.end()) - i64::from(*range.start()) + 1;
            let left = (MAX_IDS - ids.len()) as i64;
            if count > left {
                return Err(IdsError::TooMany);
            }
            ids.extend(range);
        }
        Ok(Ids(ids))
    }
}

fn range(part: &str) -> Result<RangeInclusive<i32>, IdsError> {
    let not_an_id = || IdsError::NotAnId(part.into());
    // The first character may be a sign; a later hyphen separates the ends of a range.
    let hyphen = part.char_indices().skip(1).find(|(_, c)| *c == '-');
    let (first, last) = match hyphen {
        Some((at, _)) => (&part[..at], &part[at + 1..]),
        None => (part, part),
    };
    if !is_number(first) || !is_number(last) {
        return Err(not_an_id());
    }
    let (first, last) = (id(first)?, id(last)?);
    if last < first {
        return Err(IdsError::Backwards(part.into()));
    }
    Ok(first..=last)
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn id(number: &str) -> Result<i32, IdsError> {
    number
        .parse()
        .map_err(|_| IdsError::OutOfRange(number.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<i32> {
        text.parse::<Ids>().unwrap().0
    }

    fn error(text: &str) -> String {
        text.parse::<Ids>().unwrap_err().to_string()
    }

    #[test]
    fn numbers_and_ranges() {
        assert_eq!(ids("1"), [1]);
        assert_eq!(ids("1,2,5-9"), [1, 2, 5, 6, 7, 8, 9]);
        assert_eq!(ids("3, 1"), [3, 1]);
        assert_eq!(ids("7,7,6-7"), [7, 7, 6, 7]);
        assert_eq!(ids("4-4"), [4]);
    }

    #[test]
    fn negative_ids_and_ranges_of_them() {
        assert_eq!(ids("-5"), [-5]);
        assert_eq!(ids("-3--1"), [-3, -2, -1]);
        assert_eq!(ids("-1-1"), [-1, 0, 1]);
    }

    #[test]
    fn the_smallest_and_the_largest() {
        assert_eq!(ids("-2147483648,2147483647"), [i32::MIN, i32::MAX]);
        assert_eq!(ids("2147483646-2147483647"), [i32::MAX - 1, i32::MAX]);
        for beyond in ["2147483648", "-2147483649", "99999999999999999999"] {
            assert!(error(beyond).contains(&format!("`{beyond}` is not an id")));
            assert!(error(beyond).contains("-2147483648 to 2147483647"));
        }
    }

    #[test]
    fn errors_quote_the_wrong_part() {
        for wrong in [
            "", "x", "1.5", "+1", "1-", "-", "--1", "1-2-3", "1--", "ä-1", "1 2",
        ] {
            assert!(
                error(wrong).contains(&format!("`{wrong}` is neither")),
                "{wrong}"
            );
        }
        assert!(error("1,,2").contains("`` is neither"));
        assert!(error("9-5").contains("`9-5` ends before it begins"));
        assert!(error("1--1").contains("ends before"));
    }

    #[test]
    fn the_number_of_ids_is_limited() {
        assert_eq!(ids("1-100000").len(), MAX_IDS);
        for beyond in ["0-100000", "1-100000,1", "-2147483648-2147483647"] {
            assert!(error(beyond).contains("more than 100000 ids"));
        }
    }
}
