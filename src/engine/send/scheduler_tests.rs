use super::*;
use crate::engine::testing::{eventually, Count};
use crate::engine::WorkersConfig;

/// A stream with a backlog, driven as by a response writer.
struct Stream {
    slot: WriteSlot,
    woken: Arc<Count>,
    waker: Waker,
}

impl Stream {
    /// A stream that has used up its unscheduled messages.
    fn busy(workers: &Workers) -> Stream {
        let (woken, waker) = Count::new();
        let slot = WriteSlot::new();
        let mut stream = Stream { slot, woken, waker };
        for _ in 0..UNSCHEDULED_MESSAGES {
            assert!(stream.send(workers));
        }
        stream
    }

    fn send(&mut self, workers: &Workers) -> bool {
        let sent = self.slot.may_write(1, &self.waker, workers);
        if sent && self.slot.batch_is_used() {
            self.slot.end_batch();
        }
        sent
    }

    /// The number of messages sent before it has to wait.
    fn send_all(&mut self, workers: &Workers) -> u32 {
        (0..10 * BATCH_MESSAGES)
            .take_while(|_| self.send(workers))
            .count() as u32
    }
}

fn workers() -> Workers {
    Workers::new(WorkersConfig::default()).unwrap()
}

#[test]
fn a_lone_stream_never_waits() {
    let workers = workers();
    assert_eq!(
        Stream::busy(&workers).send_all(&workers),
        10 * BATCH_MESSAGES
    );
}

#[test]
fn a_batch_each_first_come_first_served() {
    let workers = workers();
    let [mut a, mut b, mut c] = [(); 3].map(|()| Stream::busy(&workers));
    assert!(a.send(&workers) && !b.send(&workers) && !c.send(&workers));
    assert_eq!(a.send_all(&workers), BATCH_MESSAGES - 1);
    assert_eq!((b.woken.get(), c.woken.get()), (1, 0));
    assert_eq!(c.send_all(&workers), 0);
    assert_eq!(b.send_all(&workers), BATCH_MESSAGES);
    assert_eq!(c.send_all(&workers), BATCH_MESSAGES);
    assert_eq!(a.send_all(&workers), BATCH_MESSAGES);
}

#[test]
fn a_stream_that_was_idle_writes_a_few_messages_first() {
    let workers = workers();
    let [mut busy, mut other] = [(); 2].map(|()| Stream::busy(&workers));
    assert!(busy.send(&workers));
    other.slot.become_idle();
    assert_eq!(other.send_all(&workers), UNSCHEDULED_MESSAGES);
}

#[test]
fn an_idle_stream_leaves_its_batch_to_the_next() {
    let workers = workers();
    let [mut a, mut b, mut c] = [(); 3].map(|()| Stream::busy(&workers));
    assert!(a.send(&workers) && !b.send(&workers) && !c.send(&workers));
    a.slot.become_idle();
    assert!(b.send(&workers));
    drop(b);
    assert!(c.send(&workers));
}

#[test]
fn a_waiting_stream_that_leaves_wakes_the_next() {
    let workers = workers();
    let [mut a, mut b, mut c] = [(); 3].map(|()| Stream::busy(&workers));
    assert!(a.send(&workers) && !b.send(&workers) && !c.send(&workers));
    drop(a);
    assert_eq!((b.woken.get(), c.woken.get()), (1, 0));
    b.slot.leave();
    assert_eq!(c.woken.get(), 1);
    assert!(c.send(&workers));
}

#[test]
fn a_stuck_batch_is_taken_over_by_the_next() {
    let workers = workers();
    let [mut stuck, mut next, mut last] = [(); 3].map(|()| Stream::busy(&workers));
    assert!(stuck.send(&workers) && !next.send(&workers) && !last.send(&workers));
    eventually("the next one is woken", || next.woken.get() > 0);
    assert!(next.send(&workers));
    // The stuck stream may write at any time, beside the others.
    assert_eq!(stuck.send_all(&workers), 10 * BATCH_MESSAGES);
    assert_eq!(next.send_all(&workers), BATCH_MESSAGES - 1);
    assert_eq!(last.send_all(&workers), BATCH_MESSAGES);
}

#[test]
fn the_timer_runs_only_while_a_stream_waits() {
    let workers = workers();
    let [mut a, mut b] = [(); 2].map(|()| Stream::busy(&workers));
    assert!(a.send(&workers) && !b.send(&workers));
    assert_eq!(workers.status().scheduled, 1);
    drop((a, b));
    eventually("the timer ends", || workers.status().scheduled == 0);
}
