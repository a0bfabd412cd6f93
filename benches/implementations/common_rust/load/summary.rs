//! Adds up all calls and formats the summary as a line of JSON.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::record::{micros, Record, Recording};

/// The results of the calls so far.
#[derive(Debug, Default)]
pub struct Tally {
    statuses: BTreeMap<&'static str, u64>,
    messages: u64,
    bytes: u64,
    first: Vec<u64>,
    gaps: Vec<u64>,
    /// The start of each call and the lateness of its responses.
    late: Vec<(Instant, Vec<i64>)>,
    /// The time from the start of the first call to the end of the last one.
    span: Option<(Instant, Instant)>,
    last_start: Option<Instant>,
}

/// The summary, as a line of JSON.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub calls: usize,
    pub statuses: BTreeMap<&'static str, u64>,
    pub messages: u64,
    pub bytes: u64,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_us: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_us: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_us: Option<Vec<i64>>,
}

impl Tally {
    /// Adds a call that has just ended with `status`.
    pub fn add(&mut self, record: Record, status: &'static str, now: Instant) {
        *self.statuses.entry(status).or_default() += 1;
        self.messages += record.messages;
        self.bytes += record.bytes;
        self.first
            .extend(record.first.map(|first| micros(first) as u64));
        self.gaps.extend(record.gaps);
        let (began, ended) = self.span.unwrap_or((record.started, now));
        self.span = Some((began.min(record.started), ended.max(now)));
        self.last_start = self.last_start.max(Some(record.started));
        if !record.late.is_empty() {
            self.late.push((record.started, record.late));
        }
    }

    /// Summarises `calls` calls and their records.
    pub fn summary(self, calls: usize, recording: Recording) -> Summary {
        let late_us = recording.step.map(|step| self.late(micros(step)));
        let samples = |samples| recording.samples.then_some(samples);
        Summary {
            calls,
            statuses: self.statuses,
            messages: self.messages,
            bytes: self.bytes,
            seconds: self
                .span
                .map_or(0.0, |(began, ended)| (ended - began).as_secs_f64()),
            first_us: samples(self.first),
            gap_us: samples(self.gaps),
            late_us,
        }
    }

    /// The lateness of responses that were due, `step` microseconds apart, after the last call had
    /// started.
    fn late(&self, step: i64) -> Vec<i64> {
        let Some(last_start) = self.last_start else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (started, late) in &self.late {
            let still_starting = micros(last_start - *started);
            let due = |j: usize| step.saturating_mul(j as i64);
            let counted = late
                .iter()
                .enumerate()
                .filter(|(j, _)| due(*j) > still_starting);
            all.extend(counted.map(|(_, late)| late));
        }
        all
    }
}

impl Summary {
    /// Whether every call ended with OK.
    pub fn all_ok(&self) -> bool {
        self.statuses.keys().all(|&status| status == "OK")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn stepped(step: Duration) -> Recording {
        Recording {
            samples: false,
            step: Some(step),
        }
    }

    #[test]
    fn calls_are_added_up() {
        let start = Instant::now();
        let recording = Recording::default();
        let mut tally = Tally::default();
        for (after, ended, status) in [(0, 30, "OK"), (10, 50, "UNAVAILABLE"), (20, 40, "OK")] {
            let mut record = Record::new(recording, start + after * MS);
            record.response(18);
            record.response(19);
            tally.add(record, status, start + ended * MS);
        }
        let summary = tally.summary(3, recording);
        assert_eq!(
            serde_json::to_string(&summary).unwrap(),
            r#"{"calls":3,"statuses":{"OK":2,"UNAVAILABLE":1},"messages":6,"bytes":111,"seconds":0.05}"#
        );
        assert!(!summary.all_ok());
    }

    #[test]
    fn samples_of_all_calls_are_in_the_summary() {
        let recording = Recording {
            samples: true,
            step: None,
        };
        let start = Instant::now();
        let mut tally = Tally::default();
        for (first, gap) in [(3, 5), (4, 6)] {
            let mut record = Record::new(recording, start);
            record.first = Some(first * MS);
            record.gaps = vec![gap];
            tally.add(record, "OK", start);
        }
        let summary = tally.summary(2, recording);
        assert_eq!(summary.first_us, Some(vec![3000, 4000]));
        assert_eq!(summary.gap_us, Some(vec![5, 6]));
        assert_eq!(summary.late_us, None);
    }

    #[test]
    fn late_counts_only_what_was_due_after_the_last_start() {
        let start = Instant::now();
        let recording = stepped(10 * MS);
        let mut tally = Tally::default();
        for after in [0, 10, 25] {
            let mut record = Record::new(recording, start + after * MS);
            record.late = vec![1, 2, 3, 4]
                .into_iter()
                .map(|j| i64::from(after) + j)
                .collect();
            tally.add(record, "OK", start + 60 * MS);
        }
        // The last call starts at 25: of the first call those due at 30, of the second one those
        // due at 30 and 40, of the last one those due at 35, 45 and 55.
        assert_eq!(
            tally.summary(3, recording).late_us,
            Some(vec![4, 13, 14, 27, 28, 29])
        );
    }
}
