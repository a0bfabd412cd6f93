//! Histograms of latencies in microseconds. The raw data holds them as the base64 text of
//! HdrHistogram's own tools.

use anyhow::{Context, Result};
use base64::prelude::{Engine, BASE64_STANDARD};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use hdrhistogram::Histogram;
use serde::{de, ser};

/// Significant decimal digits of a value.
const DIGITS: u8 = 3;

/// A histogram of latencies.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// Builds a histogram of microseconds; negative values count as 0. `None` if there are no
    /// values.
    pub fn of(micros: &[i64]) -> Result<Option<Latencies>> {
        if micros.is_empty() {
            return Ok(None);
        }
        let mut histogram = Histogram::new(DIGITS)?;
        for &value in micros {
            histogram.record(u64::try_from(value).unwrap_or(0))?;
        }
        Ok(Some(Latencies(histogram)))
    }

    /// Merges histograms; `None` if there are none.
    pub fn merged<'a>(all: impl IntoIterator<Item = &'a Latencies>) -> Option<Latencies> {
        let mut all = all.into_iter();
        let mut sum = all.next()?.clone();
        // Histograms grow as they need to, so adding does not fail.
        all.for_each(|more| sum.0 += &more.0);
        Some(sum)
    }

    /// The value in microseconds at the fraction `quantile`.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64
    }

    fn to_text(&self) -> Result<String> {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.0, &mut bytes);
        written.map_err(|e| anyhow::anyhow!("a histogram: {e:?}"))?;
        Ok(BASE64_STANDARD.encode(bytes))
    }

    fn from_text(text: &str) -> Result<Latencies> {
        let bytes = BASE64_STANDARD.decode(text).context("a histogram")?;
        let read = Deserializer::new().deserialize(&mut bytes.as_slice());
        let mut histogram = read.map_err(|e| anyhow::anyhow!("a histogram: {e:?}"))?;
        // One that was read does not grow by itself when others are added.
        histogram.auto(true);
        Ok(Latencies(histogram))
    }
}

impl ser::Serialize for Latencies {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text().map_err(ser::Error::custom)?)
    }
}

impl<'de> de::Deserialize<'de> for Latencies {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Latencies, D::Error> {
        let text = <String as de::Deserialize>::deserialize(deserializer)?;
        Latencies::from_text(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: &[i64]) -> Latencies {
        Latencies::of(micros).expect("in range").expect("some")
    }

    #[test]
    fn quantiles_of_known_values() {
        let values: Vec<i64> = (1..=1000).collect();
        let latencies = of(&values);
        assert_eq!(latencies.quantile(0.5), 500.0);
        assert_eq!(latencies.quantile(0.99), 990.0);
        assert_eq!(latencies.quantile(1.0), 1000.0);
    }

    #[test]
    fn early_is_on_time() {
        assert_eq!(of(&[-5, -1, 7]).quantile(0.5), 0.0);
        assert_eq!(Latencies::of(&[]).expect("fine"), None);
    }

    #[test]
    fn merged_they_count_together() {
        let merged = Latencies::merged([&of(&[1, 2]), &of(&[70_000_000])]).expect("some");
        assert_eq!(merged.quantile(0.5), 2.0);
        assert!(merged.quantile(1.0) >= 70_000_000.0);
    }

    #[test]
    fn raw_data_keeps_them() {
        let latencies = of(&[3, 1, 4_000, 159]);
        let json = serde_json::to_string(&latencies).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Latencies>(&json).expect("JSON"),
            latencies
        );
        let read: Latencies = serde_json::from_str(&json).expect("JSON");
        let merged = Latencies::merged([&read, &of(&[70_000_000])]).expect("some");
        assert!(merged.quantile(1.0) >= 70_000_000.0, "it grows");
        assert!(serde_json::from_str::<Latencies>("\"nonsense\"").is_err());
    }
}
