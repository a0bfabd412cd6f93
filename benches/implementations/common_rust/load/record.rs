//! The record of one call. The summary, not this file, adds records up.

use std::time::{Duration, Instant};

/// The data to record for each response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recording {
    /// The time since the previous response.
    pub samples: bool,
    /// The lateness of each response that is due a step after the previous one. Without steps no
    /// response is due after the start of the last call, so nothing is recorded.
    pub step: Option<Duration>,
}

impl Recording {
    fn lateness(self) -> Option<Duration> {
        self.step.filter(|step| !step.is_zero())
    }
}

/// One call, from its start to its end.
#[derive(Debug)]
pub struct Record {
    recording: Recording,
    /// Whether a response needs the clock.
    timed: bool,
    pub started: Instant,
    /// The time of the last response. Only kept with samples.
    last: Instant,
    pub messages: u64,
    pub bytes: u64,
    /// The time from the start to the first response. Only kept with samples.
    pub first: Option<Duration>,
    /// Microseconds between consecutive responses. Only kept with samples.
    pub gaps: Vec<u64>,
    /// Microseconds by which response j came later than j steps after the start. Only kept with a
    /// step.
    pub late: Vec<i64>,
}

impl Record {
    pub fn new(recording: Recording, started: Instant) -> Record {
        Record {
            recording,
            timed: recording.samples || recording.lateness().is_some(),
            started,
            last: started,
            messages: 0,
            bytes: 0,
            first: None,
            gaps: Vec::new(),
            late: Vec::new(),
        }
    }

    /// Records a response of `bytes` bytes. Reads the clock only if needed.
    #[inline]
    pub fn response(&mut self, bytes: usize) {
        if self.timed {
            self.came_at(Instant::now());
        }
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    fn came_at(&mut self, now: Instant) {
        if self.recording.samples {
            match self.first {
                None => self.first = Some(now - self.started),
                Some(_) => self.gaps.push(micros(now - self.last) as u64),
            }
            self.last = now;
        }
        if let Some(step) = self.recording.lateness() {
            let due = micros(step).saturating_mul(self.messages as i64);
            self.late.push(micros(now - self.started) - due);
        }
    }
}

/// Never negative.
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A call with responses at these milliseconds after its start.
    fn record(recording: Recording, came: &[u32]) -> Record {
        let mut record = Record::new(recording, Instant::now());
        for &after in came {
            record.came_at(record.started + after * MS);
            record.messages += 1;
        }
        record
    }

    #[test]
    fn samples_are_the_first_and_the_gaps() {
        let recording = Recording {
            samples: true,
            step: None,
        };
        let record = record(recording, &[3, 4, 9]);
        assert_eq!(record.first, Some(3 * MS));
        assert_eq!(record.gaps, [1000, 5000]);
        assert!(record.late.is_empty());
    }

    #[test]
    fn late_is_after_the_start_and_the_steps() {
        let recording = Recording {
            samples: false,
            step: Some(10 * MS),
        };
        let record = record(recording, &[1, 8, 25]);
        assert_eq!(record.late, [1000, -2000, 5000]);
        assert_eq!((record.first, record.gaps.len()), (None, 0));
    }

    #[test]
    fn without_steps_nothing_is_late() {
        let recording = Recording {
            samples: false,
            step: Some(Duration::ZERO),
        };
        let mut record = Record::new(recording, Instant::now());
        record.response(1);
        assert_eq!((record.timed, record.late), (false, vec![]));
    }

    #[test]
    fn without_a_recording_responses_are_only_counted() {
        let mut record = Record::new(Recording::default(), Instant::now());
        record.response(5);
        record.response(7);
        assert_eq!((record.messages, record.bytes), (2, 12));
        assert_eq!((record.first, record.last), (None, record.started));
    }
}
