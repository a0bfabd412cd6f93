//! Medians and their confidence intervals. It must not know any metric.

use fastrand::Rng;

/// The number of resamples of a bootstrap.
const RESAMPLES: usize = 2_000;

/// The share of the resamples inside an interval.
const CONFIDENCE: f64 = 0.95;

/// The same numbers always give the same interval.
const SEED: u64 = 1;

/// A median with the 95 % confidence interval of a bootstrap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// Of none there is none.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        let middle = median(values)?;
        Some(bootstrap(middle, |rng| median(&resample(values, rng))))
    }

    /// Of `after` / `before`, which are independent of each other.
    pub fn of_change(before: &[f64], after: &[f64]) -> Option<Estimate> {
        let middle = median(after)? / median(before)?;
        Some(bootstrap(middle, |rng| {
            Some(median(&resample(after, rng))? / median(&resample(before, rng))?)
        }))
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[half]),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

fn resample(values: &[f64], rng: &mut Rng) -> Vec<f64> {
    let one = |_| values[rng.usize(..values.len())];
    (0..values.len()).map(one).collect()
}

/// The percentile bootstrap.
fn bootstrap(median: f64, mut draw: impl FnMut(&mut Rng) -> Option<f64>) -> Estimate {
    let mut rng = Rng::with_seed(SEED);
    let mut drawn: Vec<f64> = (0..RESAMPLES).filter_map(|_| draw(&mut rng)).collect();
    drawn.sort_by(f64::total_cmp);
    let outside = (1.0 - CONFIDENCE) / 2.0;
    let at = |fraction: f64| {
        let index = (fraction * drawn.len() as f64) as usize;
        drawn.get(index.min(drawn.len().saturating_sub(1))).copied()
    };
    Estimate {
        median,
        low: at(outside).unwrap_or(median),
        high: at(1.0 - outside).unwrap_or(median),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn an_interval_holds_the_median_and_stays_within_the_data() {
        let values = [10.0, 11.0, 9.0, 10.5, 30.0];
        let estimate = Estimate::of(&values).expect("some");
        assert_eq!(estimate.median, 10.5);
        assert!(estimate.low >= 9.0 && estimate.low < 10.5, "{estimate:?}");
        assert!(
            estimate.high <= 30.0 && estimate.high > 10.5,
            "{estimate:?}"
        );
        assert_eq!(Estimate::of(&values), Some(estimate), "the same again");
    }

    /// The 95 % interval of the median of 1..=99, by order statistics, is from the 40th to the
    /// 60th.
    #[test]
    fn the_interval_of_a_known_sample() {
        let values: Vec<f64> = (1..=99).map(f64::from).collect();
        let estimate = Estimate::of(&values).expect("some");
        assert_eq!(estimate.median, 50.0);
        assert!((estimate.low - 40.0).abs() <= 2.0, "{estimate:?}");
        assert!((estimate.high - 60.0).abs() <= 2.0, "{estimate:?}");
    }

    #[test]
    fn equal_values_leave_no_doubt() {
        let estimate = Estimate::of(&[2.0; 5]).expect("some");
        assert_eq!((estimate.low, estimate.high), (2.0, 2.0));
    }

    #[test]
    fn a_change_of_a_factor() {
        let before = [10.0, 10.1, 9.9, 10.0, 10.2];
        let after = before.map(|value| value * 2.0);
        let change = Estimate::of_change(&before, &after).expect("some");
        assert_eq!(change.median, 2.0);
        assert!(change.low > 1.9 && change.high < 2.1, "{change:?}");
        assert_eq!(Estimate::of_change(&[], &after), None);
    }
}
