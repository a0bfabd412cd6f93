//! Medians, ratios and their confidence intervals. It must not know any metric.

use fastrand::Rng;

/// The number of resamples of a bootstrap.
const RESAMPLES: usize = 2_000;

/// The share of the resamples inside an interval.
const CONFIDENCE: f64 = 0.95;

/// The same numbers always give the same interval.
const SEED: u64 = 1;

/// From so many rounds on, a ratio has a confidence interval; below, only a range. The interval is
/// a little too narrow if rounds are added until it is narrow, the more so the fewer they are: of
/// simulated runs that stop at ±5 %, it contains the true ratio in 93 to 95 of 100 from seven rounds
/// on. The range of three rounds, which is also what a bootstrap of their median gives, does in 75.
pub const ENOUGH_ROUNDS: usize = 7;

/// An interval is narrow if neither end is farther from the middle.
const NARROW: f64 = 0.05;

/// The 97.5 % quantile of the normal distribution.
const NORMAL_QUANTILE: f64 = 1.959_964;

/// A middle value with an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median, or the trimmed mean of [`Estimate::of_ratios`].
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// The number of values behind it.
    pub rounds: usize,
}

impl Estimate {
    /// Of none there is none.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        let middle = median(values)?;
        Some(bootstrap(middle, values.len(), |rng| {
            median(&resample(values, rng))
        }))
    }

    /// Of ratios, each taken within a round; they must be above 0. The middle is the mean of their
    /// logarithms without the lowest and the highest, and the interval is Student's t for trimmed
    /// means (Tukey and McLaughlin). With fewer than [`ENOUGH_ROUNDS`]: the median and the range.
    pub fn of_ratios(ratios: &[f64]) -> Option<Estimate> {
        let mut logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
        logs.sort_by(f64::total_cmp);
        let (&lowest, &highest) = (logs.first()?, logs.last()?);
        let (middle, below, above) = match logs.len() {
            ENOUGH_ROUNDS.. => {
                let (middle, half) = trimmed(&logs);
                (middle.exp(), middle - half, middle + half)
            }
            _ => (median(ratios)?, lowest, highest),
        };
        Some(Estimate {
            median: middle,
            low: below.exp().min(middle),
            high: above.exp().max(middle),
            rounds: ratios.len(),
        })
    }

    /// Whether the interval, or the range of at least two rounds, is within ±5 % of the middle.
    pub fn is_narrow(&self) -> bool {
        let Estimate {
            median, low, high, ..
        } = *self;
        self.rounds > 1 && low >= median * (1.0 - NARROW) && high <= median * (1.0 + NARROW)
    }

    /// Of `after` / `before`, which are independent of each other.
    pub fn of_change(before: &[f64], after: &[f64]) -> Option<Estimate> {
        let middle = median(after)? / median(before)?;
        let rounds = before.len().min(after.len());
        Some(bootstrap(middle, rounds, |rng| {
            Some(median(&resample(after, rng))? / median(&resample(before, rng))?)
        }))
    }
}

/// The mean of sorted values without the lowest and the highest, and half its 95 % interval. Their
/// deviation is computed with the lowest and the highest replaced by their neighbours.
fn trimmed(sorted: &[f64]) -> (f64, f64) {
    let count = sorted.len();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let kept = &sorted[1..count - 1];
    let mut replaced = kept.to_vec();
    replaced.extend([kept[0], kept[kept.len() - 1]]);
    let middle = mean(&replaced);
    let squares: f64 = replaced.iter().map(|value| (value - middle).powi(2)).sum();
    let deviation = (squares / (count - 1) as f64).sqrt();
    let share = kept.len() as f64 / count as f64;
    let half = t_quantile(kept.len() - 1) * deviation / (share * (count as f64).sqrt());
    (mean(kept), half)
}

/// The 97.5 % quantile of Student's t with so many degrees of freedom, to within 0.5 % from four on
/// (its expansion around the normal quantile).
fn t_quantile(degrees: usize) -> f64 {
    let z = NORMAL_QUANTILE;
    let n = degrees as f64;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / n + second / n.powi(2) + third / n.powi(3)
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
fn bootstrap(
    median: f64,
    rounds: usize,
    mut draw: impl FnMut(&mut Rng) -> Option<f64>,
) -> Estimate {
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
        rounds,
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
    fn quantiles_of_students_t() {
        for (degrees, expected) in [(4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042)] {
            let quantile = t_quantile(degrees);
            assert!((quantile / expected - 1.0).abs() < 0.005, "{quantile}");
        }
    }

    #[test]
    fn a_ratio_of_few_rounds_has_a_range() {
        let few = Estimate::of_ratios(&[1.1, 0.9, 1.0]).expect("some");
        assert_eq!((few.median, few.rounds), (1.0, 3));
        assert!((few.low - 0.9).abs() < 1e-9 && (few.high - 1.1).abs() < 1e-9);
        assert_eq!(Estimate::of_ratios(&[]), None);
        let one = Estimate::of_ratios(&[2.0]).expect("some");
        assert_eq!((one.median, one.low, one.high), (2.0, 2.0, 2.0));
        assert!(!one.is_narrow(), "one round says nothing about noise");
    }

    #[test]
    fn a_round_that_is_far_off_hardly_moves_a_ratio() {
        let calm = [0.98, 0.99, 1.0, 1.0, 1.01, 1.02, 1.0];
        let mut hit = calm;
        hit[6] = 3.0;
        for ratios in [calm, hit] {
            let estimate = Estimate::of_ratios(&ratios).expect("some");
            assert!((estimate.median - 1.0).abs() < 0.01, "{estimate:?}");
            assert!(estimate.is_narrow(), "{estimate:?}");
        }
    }

    /// Rounds are added until the interval is narrow, or to twelve: it must still contain the true
    /// ratio about as often as it says.
    #[test]
    fn an_interval_that_rounds_stop_at_contains_the_true_ratio() {
        let mut rng = Rng::with_seed(7);
        for deviation in [0.02, 0.05, 0.10] {
            let mut contained = 0;
            for _ in 0..2_000 {
                let ratios: Vec<f64> = (0..12)
                    .map(|_| {
                        // Nearly normal.
                        let sum: f64 = (0..12).map(|_| rng.f64()).sum();
                        (deviation * (sum - 6.0)).exp()
                    })
                    .collect();
                let until = |rounds: usize| Estimate::of_ratios(&ratios[..rounds]).expect("some");
                let last = (ENOUGH_ROUNDS..12).map(until).find(Estimate::is_narrow);
                let last = last.unwrap_or_else(|| until(12));
                contained += u32::from(last.low <= 1.0 && last.high >= 1.0);
            }
            assert!(contained > 1_840, "{deviation}: {contained} of 2000");
        }
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
