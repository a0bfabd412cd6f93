//! Openings, feeds and producers that follow a plan and report to the probe.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use grpcio::RpcStatusCode;

use super::adapter::{CallContext, Job, Jobs, Next, Produced, Status};
use super::message::Message;
use super::probe::{Held, Probe, OPENING};
use super::scenario::{DropPlan, JobEnd, OpenOutcome};

/// Turns the plan into jobs; for the engine to call on a worker.
pub fn opening(
    probe: Arc<Probe>,
) -> impl FnOnce(&CallContext) -> Result<Jobs<Message>, Status> + Send + 'static {
    let held = Held::new(&probe, OPENING);
    move |context| {
        let _held = held;
        let _inside = probe.enter("an opening");
        probe.is_opened_with(context);
        block(probe.plan.open.blocks_ms);
        match &probe.plan.open.outcome {
            OpenOutcome::Fails(code) => {
                let message = format!("call {} is not opened", probe.id);
                probe.fail(None, Some((*code, message.clone())));
                Err(Status::new(*code, message))
            }
            OpenOutcome::Panics => {
                probe.fail(None, None);
                panic!("planned: an opening")
            }
            OpenOutcome::Eager => {
                let count = probe.jobs.len();
                probe.handed_out.store(count as u32, SeqCst);
                probe.feed_ended.store(true, SeqCst);
                let jobs: Vec<_> = (0..count).map(|job| Scripted::job(&probe, job)).collect();
                Ok(jobs.into())
            }
            OpenOutcome::Lazy { .. } => Ok(Jobs::lazy(Feed {
                next: 0,
                held: Held::new(&probe, "the drop of a feed"),
            })),
        }
    }
}

/// Yields the jobs one by one.
struct Feed {
    next: usize,
    held: Held,
}

impl Iterator for Feed {
    type Item = Job<Message>;

    fn next(&mut self) -> Option<Job<Message>> {
        let probe = &self.held.probe;
        let _inside = probe.enter("a feed");
        if probe.feed_ended.load(SeqCst) {
            probe.object("a feed is called again after its end");
            return None;
        }
        if let OpenOutcome::Lazy {
            blocks_ms,
            until_read,
            panics_at,
        } = probe.plan.open.outcome
        {
            block(blocks_ms);
            if until_read && self.next > 0 {
                let before = &probe.jobs[..self.next];
                probe.wait_until("anything, while the feed blocks", || {
                    before.iter().any(|job| job.read.load(SeqCst) > 0)
                });
            }
            if panics_at == Some(self.next) {
                probe.feed_ended.store(true, SeqCst);
                probe.fail(None, None);
                panic!("planned: a feed");
            }
        }
        if self.next == probe.jobs.len() {
            probe.feed_ended.store(true, SeqCst);
            return None;
        }
        self.next += 1;
        probe.handed_out.store(self.next as u32, SeqCst);
        Some(Scripted::job(probe, self.next - 1))
    }
}

/// The producer of one job.
struct Scripted {
    job: usize,
    made: u32,
    ended: bool,
    held: Held,
}

impl Scripted {
    fn job(probe: &Arc<Probe>, job: usize) -> Job<Message> {
        let mut producer = Scripted {
            job,
            made: 0,
            ended: false,
            held: Held::new(probe, "the drop of a producer"),
        };
        let plan = &probe.plan.jobs[job];
        if !plan.polled || plan.delay_ms > 0 {
            return Job::after(Duration::from_millis(plan.delay_ms), producer);
        }
        let mut asked = job;
        Job::poll(move |waker| {
            asked += 1;
            match asked % 5 {
                0 => Ok(Next::Later(Duration::from_millis(1))),
                1 => {
                    waker.wake_by_ref();
                    Ok(Next::WhenWoken)
                }
                2 => {
                    let waker = waker.clone();
                    thread::spawn(move || waker.wake());
                    Ok(Next::WhenWoken)
                }
                _ => match producer.next() {
                    Some(made) => made.map(Next::Message),
                    None => Ok(Next::End),
                },
            }
        })
    }
}

impl Iterator for Scripted {
    type Item = Produced<Message>;

    fn next(&mut self) -> Option<Produced<Message>> {
        let (probe, job) = (&self.held.probe, self.job);
        let _inside = probe.enter("a producer");
        if self.ended {
            probe.object(format!("job {job} is called again after its end"));
            return None;
        }
        probe.note_call(job);
        let (plan, seen) = (&probe.plan.jobs[job], &probe.jobs[job]);
        let due = probe.began + Duration::from_millis(plan.delay_ms);
        if self.made == 0 && Instant::now() < due {
            probe.object(format!("job {job} is early"));
        }
        match plan.blocks {
            Some(blocks) if self.made.is_multiple_of(blocks.every) => {
                block(blocks.ms);
                if blocks.until_read {
                    let what = format!("{} of job {job}, which blocks", self.made);
                    probe.wait_until(&what, || seen.read.load(SeqCst) >= self.made);
                }
            }
            _ => {}
        }
        if plan.makes(self.made) {
            let message = Message::new(probe, job, self.made);
            self.made += 1;
            seen.made.store(self.made, SeqCst);
            return Some(Ok(message));
        }
        self.ended = true;
        match plan.end {
            JobEnd::Ends => {
                seen.ended.store(true, SeqCst);
                None
            }
            JobEnd::Fails(code) => {
                let message = format!("job {job} of call {} fails", probe.id);
                probe.fail(Some(job), Some((code, message.clone())));
                Some(Err(Status::new(code, message)))
            }
            JobEnd::FailsWithOk => {
                // Either a failure, which then is INTERNAL or UNKNOWN, or the end of the producer.
                probe.fail(Some(job), None);
                seen.ended.store(true, SeqCst);
                Some(Err(Status::new(RpcStatusCode::OK, "")))
            }
            JobEnd::Panics => {
                probe.fail(Some(job), None);
                panic!("planned: a producer");
            }
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let probe = &self.held.probe;
        match probe.plan.jobs[self.job].drop {
            DropPlan::Nothing => {}
            DropPlan::Blocks(ms) => block(ms),
            DropPlan::Panics => {
                probe.drop_panicked.store(true, SeqCst);
                panic!("planned: a drop");
            }
        }
    }
}

fn block(ms: u64) {
    if ms > 0 {
        thread::sleep(Duration::from_millis(ms));
    }
}
