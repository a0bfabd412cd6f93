//! Tests of the oracle: a correct call with one fault added must be a violation. A model that
//! allows too much would make a faulty engine look correct.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grpcio::RpcStatusCode as Code;
use rstest::rstest;

use super::adapter::End;
use super::oracle::{judge, Surroundings, ABORT};
use super::probe::{Probe, ServerEnd};
use super::reader::Observation;
use super::scenario::*;

/// A call of two jobs with three messages each, and its observations.
struct Case {
    server: ServerPlan,
    event: Event,
    probe: Arc<Probe>,
    seen: Observation,
    server_end: Option<ServerEnd>,
}

impl Case {
    fn fine() -> Case {
        let job = JobPlan {
            delay_ms: 0,
            count: Count::Of(3),
            size: 1,
            mixed: false,
            blocks: None,
            end: JobEnd::Ends,
            drop: DropPlan::Nothing,
            polled: false,
            poison: None,
        };
        let plan = CallPlan {
            start_ms: 0,
            open: OpenPlan {
                blocks_ms: 0,
                outcome: OpenOutcome::Eager,
            },
            jobs: vec![job.clone(), job],
            reader: ReaderPlan {
                pace: Pace::Fast,
                deadline_ms: None,
                timeout_ms: None,
                capacity: 4,
            },
        };
        let probe = Probe::new(plan, Arc::default());
        probe.forget();
        probe.opened.store(1, SeqCst);
        probe.feed_ended.store(true, SeqCst);
        for job in &probe.jobs {
            job.made.store(3, SeqCst);
            job.ended.store(true, SeqCst);
        }
        probe.arrived();
        Case {
            server: ServerPlan {
                workers: 1,
                messages: 4,
                bytes: 100,
                max_streams: None,
                max_streams_per_peer: None,
                rate_per_peer: None,
                max_age_ms: None,
                write_stall_ms: None,
                connections: 1,
                connection_age_ms: None,
                small_windows: false,
            },
            event: Event::Nothing,
            seen: Observation {
                ended: Instant::now() + Duration::from_millis(10),
                received: vec![3, 3],
                end: Some(End::Ok),
                longest_gap: Duration::from_millis(5),
            },
            server_end: Some(server_end(Code::OK)),
            probe,
        }
    }

    fn ends_with(&mut self, code: Code, message: &str) {
        self.seen.end = Some(End::Status(code, message.into()));
        self.server_end = Some(server_end(code));
    }

    /// Records the failure of a job.
    fn fails(&mut self, job: usize, code: Code, message: &str) {
        self.probe.fail(Some(job), Some((code, message.into())));
        self.probe.jobs[job].ended.store(false, SeqCst);
    }

    fn judged(self) -> Vec<String> {
        if let Some(end) = self.server_end {
            self.probe.ended(end);
        }
        let around = Surroundings {
            server: &self.server,
            event: &self.event,
            event_at: None,
        };
        judge(&around, &self.probe, &self.seen)
    }
}

fn server_end(code: Code) -> ServerEnd {
    ServerEnd {
        code,
        messages: 6,
        refused: false,
    }
}

#[rstest]
#[case("as planned", |_: &mut Case| {})]
#[case("a failure after all that was made before it", |case: &mut Case| {
    case.fails(1, Code::DATA_LOSS, "lost");
    case.seen.received[0] = 1;
    case.ends_with(Code::DATA_LOSS, "lost");
})]
#[case("a panic", |case: &mut Case| {
    case.probe.fail(Some(0), None);
    case.ends_with(Code::INTERNAL, "the producer panicked");
})]
#[case("given up", |case: &mut Case| {
    case.seen.end = None;
    case.seen.received = vec![0, 1];
})]
#[case("refused", |case: &mut Case| {
    case.server.max_streams = Some(1);
    case.probe.opened.store(0, SeqCst);
    case.ends_with(Code::RESOURCE_EXHAUSTED, "too many");
})]
#[case("too old", |case: &mut Case| {
    case.server.max_age_ms = Some(10);
    case.ends_with(Code::UNAVAILABLE, "too old");
})]
fn an_allowed_end_is_no_violation(#[case] _what: &str, #[case] change: fn(&mut Case)) {
    let mut case = Case::fine();
    change(&mut case);
    assert_eq!(case.judged(), [""; 0]);
}

#[rstest]
#[case("2 of 3 messages of job 0 arrived", |case: &mut Case| case.seen.received[0] = 2)]
#[case("made 3 messages, and 4 arrived", |case: &mut Case| case.seen.received[1] = 4)]
#[case("OK, but job 1 has not ended", |case: &mut Case| case.probe.jobs[1].ended.store(false, SeqCst))]
#[case("OK, but its feed has not ended", |case: &mut Case| case.probe.feed_ended.store(false, SeqCst))]
#[case("OK, but it failed", |case: &mut Case| case.fails(0, Code::DATA_LOSS, "lost"))]
#[case("nothing failed like that", |case: &mut Case| case.ends_with(Code::DATA_LOSS, "lost"))]
#[case("only 2 of 3 messages of job 1", |case: &mut Case| {
    case.fails(1, Code::DATA_LOSS, "lost");
    case.seen.received[1] = 2;
    case.ends_with(Code::DATA_LOSS, "lost");
})]
#[case("another failure came", |case: &mut Case| {
    case.fails(0, Code::NOT_FOUND, "first");
    std::thread::sleep(Duration::from_millis(1));
    case.fails(1, Code::DATA_LOSS, "second");
    case.ends_with(Code::DATA_LOSS, "second");
})]
#[case("nothing panicked", |case: &mut Case| case.ends_with(Code::INTERNAL, "the producer panicked"))]
#[case("it has no deadline", |case: &mut Case| case.ends_with(Code::DEADLINE_EXCEEDED, "late"))]
#[case("there is no limit", |case: &mut Case| case.ends_with(Code::RESOURCE_EXHAUSTED, "too many"))]
#[case("opened before it was refused", |case: &mut Case| {
    case.server.max_streams = Some(1);
    case.ends_with(Code::RESOURCE_EXHAUSTED, "too many");
})]
#[case("no reason to end it", |case: &mut Case| case.ends_with(Code::CANCELLED, ""))]
#[case("9ms are allowed", |case: &mut Case| {
    case.server.max_age_ms = Some(10);
    case.seen.ended = case.probe.began + Duration::from_millis(5);
    case.ends_with(Code::UNAVAILABLE, "too old");
})]
#[case("and a stall takes 40ms", |case: &mut Case| {
    case.server.write_stall_ms = Some(40);
    case.ends_with(Code::CANCELLED, "");
})]
#[case("no abort happened", |case: &mut Case| case.ends_with(ABORT.0, ABORT.1))]
#[case("no end within", |case: &mut Case| case.seen.end = Some(End::TimedOut(Duration::from_secs(1))))]
#[case("the call broke", |case: &mut Case| case.seen.end = Some(End::Broken("how".into())))]
#[case("the server counts", |case: &mut Case| case.server_end = Some(server_end(Code::CANCELLED)))]
#[case("ended 0 times", |case: &mut Case| case.server_end = None)]
#[case("ended 2 times", |case: &mut Case| case.probe.ended(server_end(Code::OK)))]
#[case("7 messages arrived", |case: &mut Case| {
    case.seen.received[0] = 4;
    case.probe.jobs[0].made.store(4, SeqCst);
})]
#[case("called 9 times after", |case: &mut Case| case.probe.jobs[0].late.store(9, SeqCst))]
#[case("9 messages were held", |case: &mut Case| {
    case.probe.messages.add(9);
})]
#[case("the client held 7 messages", |case: &mut Case| {
    case.probe.received.add(7);
})]
fn a_wrong_end_is_a_violation(#[case] objection: &str, #[case] change: fn(&mut Case)) {
    let mut case = Case::fine();
    change(&mut case);
    let found = case.judged();
    let objects = found.iter().any(|violation| violation.contains(objection));
    assert!(objects, "not {objection:?} but {found:?}");
}
