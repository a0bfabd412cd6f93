use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use super::super::job::{Job, Jobs};
use super::super::polled::{self, Polled, Wakeable};
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn jobs(delays: Vec<Duration>) -> Jobs<u32> {
    let job = |delay| Job::after(delay, std::iter::empty());
    Jobs::from(delays.into_iter().map(job).collect::<Vec<_>>())
}

/// A call that is driven as by one worker.
struct Driver {
    state: State<u32>,
    now: Instant,
    out: Vec<Strand<u32>>,
}

impl Driver {
    /// A call that has started `jobs` jobs, which are out, and has one more `later`.
    fn started(jobs_now: usize, later: Duration, is_ordered: bool) -> Driver {
        let now = Instant::now();
        let mut delays = vec![Duration::ZERO; jobs_now];
        delays.push(later);
        let jobs = match is_ordered {
            true => jobs(delays).ordered(),
            false => jobs(delays),
        };
        let mut driver = Driver {
            state: State::new(Box::new(move |_| Ok(jobs))),
            now,
            out: Vec::new(),
        };
        assert_eq!(driver.next(), Action::Queue);
        for _ in 0..jobs_now {
            driver.start_one();
        }
        driver
    }

    fn next(&self) -> Action {
        self.state.next(false, || self.now)
    }

    /// The source's turn, which goes on with the job that it starts.
    fn start_one(&mut self) {
        let Some(Work::Source(mut source)) = self.state.take(|| self.now) else {
            panic!("not the source's turn");
        };
        self.state.begin_turn();
        let mut extras = None;
        let context = Default::default();
        let body = source.step(&context, self.now, &mut extras).ok().unwrap();
        self.state.source = source;
        if extras.is_some() {
            self.state.extras = extras;
        }
        let (strand, _) = self.state.start(body.unwrap());
        self.out.push(strand);
        self.state.source_ran_last = false;
    }

    fn put_back(&mut self, pause: impl FnOnce(Strand<u32>) -> Pause<u32>) -> Option<Status> {
        let strand = self.out.pop().unwrap();
        self.state.put_back(Some(pause(strand)))
    }

    fn take(&mut self) -> bool {
        match self.state.take(|| self.now) {
            Some(Work::Strand(strand, may_send)) => {
                self.state.begin_turn();
                self.out.push(strand);
                may_send
            }
            _ => panic!("no strand is ready"),
        }
    }
}

fn ended(strand: Strand<u32>) -> Pause<u32> {
    Pause::Ended(strand.number(), Ok(()))
}

fn failed(strand: Strand<u32>) -> Pause<u32> {
    Pause::Ended(strand.number(), Err(Status::aborted("")))
}

#[test]
fn each_row_of_the_table() {
    let mut call = Driver::started(1, HOUR, false);
    let due = call.now + HOUR;
    assert_eq!(call.next(), Action::At(due));
    assert_eq!(call.state.next(false, || due), Action::Queue, "due");
    assert!(call.put_back(Pause::Slot).is_none());
    assert_eq!(
        call.state.next(false, || due),
        Action::Rest,
        "one is parked"
    );
    assert_eq!(call.state.next(true, || due), Action::Queue, "code to drop");
    call.state.unpark();
    assert_eq!(call.next(), Action::Queue);
    assert!(call.take());
    assert!(call.put_back(Pause::Ready).is_none());
    assert_eq!(call.next(), Action::Queue);
    assert!(call.take());
    assert!(call.put_back(failed).is_some());
    call.state.take_code().unwrap().discard();
    assert_eq!(
        call.state.next(true, || due),
        Action::Rest,
        "nothing to drop"
    );
    assert!(call.state.is_complete());
}

#[test]
fn at_most_256_strands_have_started() {
    let mut call = Driver::started(256, Duration::ZERO, false);
    assert_eq!(call.next(), Action::Rest);
    assert!(call.put_back(ended).is_none());
    assert_eq!(call.next(), Action::Queue);
}

#[test]
fn a_call_is_complete_when_its_last_strand_has_ended() {
    let mut call = Driver::started(1, Duration::ZERO, false);
    call.start_one();
    assert!(!call.state.is_complete());
    assert!(call.put_back(ended).is_none());
    assert!(!call.state.is_complete(), "one is out");
    // The function of a push job has returned; its sender is held elsewhere.
    call.out.pop().unwrap();
    assert!(call.state.put_back(Some(Pause::Senders)).is_none());
    assert_eq!(call.state.running, 0);
    assert!(!call.state.is_complete());
    assert!(call.state.end_push(None).is_none());
    assert!(call.state.is_complete());
}

#[test]
fn a_failure_waits_for_its_turn() {
    let mut call = Driver::started(3, HOUR, true);
    assert!(call.put_back(failed).is_none(), "the third");
    assert!(
        call.put_back(Pause::Turn).is_none(),
        "the second, with its message"
    );
    assert_eq!(call.next(), Action::At(call.now + HOUR));
    assert!(call.put_back(ended).is_none(), "the first");
    assert!(call.take(), "now the second may send");
    assert!(call.put_back(ended).is_some());
}

fn waits(until: Option<Instant>) -> impl FnOnce(Strand<u32>) -> Pause<u32> {
    move |strand| {
        Pause::Waits(Waiting {
            strand,
            until,
            knows_drain: false,
        })
    }
}

#[test]
fn a_waiting_strand_is_ready_when_it_is_due() {
    let mut call = Driver::started(2, HOUR, false);
    let (soon, later) = (call.now + HOUR / 4, call.now + HOUR / 2);
    assert!(call.put_back(waits(Some(later))).is_none());
    assert_eq!(call.next(), Action::At(later), "before the next job");
    assert!(call.put_back(waits(Some(soon))).is_none());
    assert_eq!(call.next(), Action::At(soon));
    assert!(!call.state.is_complete());
    assert!(call.state.take(|| call.now).is_none(), "early");
    call.now = soon;
    assert!(call.take());
    assert_eq!(call.next(), Action::At(later), "the other one");
    assert!(call.put_back(Pause::Slot).is_none());
    assert_eq!(call.next(), Action::At(later), "beside a parked one");
    call.state.unpark();
    assert!(call.take());
    call.now = later;
    assert!(call.take());
    assert_eq!(call.next(), Action::At(call.now + HOUR / 2), "the next job");
}

struct NoCall;

impl Wakeable for NoCall {
    fn wake_polled(self: Arc<Self>) {}
}

/// The waker of the strand that is out.
fn poll(call: &mut Driver) -> Waker {
    let mut polled = Polled::new(Box::new(|_| Ok(polled::Next::End)));
    polled.connect(|| Weak::<NoCall>::new());
    let waker = polled.waker();
    call.out[0].body = Body::Poll(polled);
    waker
}

#[test]
fn a_waiting_strand_is_ready_when_it_is_woken() {
    let mut call = Driver::started(1, HOUR, false);
    let waker = poll(&mut call);
    assert!(call.put_back(waits(None)).is_none());
    assert_eq!(call.next(), Action::At(call.now + HOUR), "the next job");
    assert!(!call.state.wake(), "nobody woke it");
    waker.wake_by_ref();
    assert!(call.state.wake());
    assert_eq!(call.next(), Action::Queue);
    assert!(call.take());
    assert!(call.put_back(waits(None)).is_none());
    assert_eq!(call.next(), Action::Queue, "woken since it was asked last");
    assert_eq!(call.state.next(true, || call.now), Action::Queue);
    call.state.take_code().unwrap().discard();
    waker.wake();
    assert!(!call.state.wake() && call.state.is_complete());
}

#[test]
fn a_call_that_only_waits_to_be_woken_rests_until_it_drains() {
    let mut call = Driver::started(1, Duration::ZERO, false);
    call.start_one();
    assert!(call.put_back(ended).is_none());
    poll(&mut call);
    assert!(call.put_back(waits(None)).is_none());
    assert_eq!(call.next(), Action::Rest);
    assert_eq!(call.state.next(true, || call.now), Action::Queue, "code");
    assert!(call.state.drain());
    assert!(call.take());
    assert!(call.put_back(waits(None)).is_none());
    assert_eq!(call.next(), Action::Queue, "it missed the drain");
    assert!(call.take());
    let knows = |strand| {
        Pause::Waits(Waiting {
            strand,
            until: None,
            knows_drain: true,
        })
    };
    assert!(call.put_back(knows).is_none());
    assert_eq!(call.next(), Action::Rest, "it waits on");
}

#[test]
fn a_later_strand_of_an_ordered_call_waits_for_its_message_and_then_its_turn() {
    let mut call = Driver::started(2, HOUR, true);
    let due = call.now + HOUR / 2;
    assert!(call.put_back(waits(Some(due))).is_none(), "the second");
    assert_eq!(call.next(), Action::At(due));
    call.now = due;
    assert!(!call.take(), "it may not send yet");
    assert!(call.put_back(waits(Some(due + HOUR))).is_none());
    assert!(call.put_back(ended).is_none(), "the first");
    assert_eq!(call.next(), Action::At(call.now + HOUR / 2));
    call.now = due + HOUR;
    call.state.source_ran_last = true;
    assert!(call.take(), "now the second may send");
}
