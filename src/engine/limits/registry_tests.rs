use std::sync::Arc;
use std::time::{Duration, Instant};

use grpcio::RpcStatusCode;

use super::super::stats::{CallEnd, Counts};
use super::super::termination::Termination;
use super::registry::{OpenStream, Registration, Registry, Step, BATCH_STREAMS};

struct Stream(u64);

impl OpenStream for Stream {
    fn terminate(&self, _: Termination) {}

    fn drain(self: Arc<Self>) {}

    fn waiting_at(&self) -> u32 {
        self.0 as u32
    }

    fn counts(&self) -> Counts {
        Counts {
            messages: self.0,
            ..Counts::default()
        }
    }
}

fn add(registry: &mut Registry, ends: Option<Instant>, messages: u64) -> Registration {
    let method = registry.methods.of(b"/p.S/M");
    registry.add(Arc::new(Stream(messages)), method, ends, None)
}

fn end(registry: &mut Registry, registration: &Registration, messages: u64) {
    registry.end(registration, &call_end(messages));
}

fn call_end(messages: u64) -> CallEnd {
    let counts = Counts {
        messages,
        ..Counts::default()
    };
    CallEnd {
        code: RpcStatusCode::OK,
        counts,
        lasted: Duration::ZERO,
        subject: None,
        refused: None,
    }
}

#[test]
fn due_steps_come_in_batches_and_none_of_ended_streams() {
    let mut registry = Registry::new(None);
    let now = Instant::now();
    let registrations: Vec<_> = (0..BATCH_STREAMS + 10)
        .map(|_| add(&mut registry, Some(now), 0))
        .collect();
    let later = add(&mut registry, Some(now + Duration::from_secs(1)), 0);
    for registration in &registrations[..5] {
        assert!(registry.remove(registration).is_some());
        end(&mut registry, &registrations[10], 0);
    }
    registry.schedule([(now, 100_000, Step::Cut)]);
    let mut taken = registry.take_due(now).len() + registry.take_due(now).len();
    taken += registry.take_due(now).len();
    assert_eq!(taken, BATCH_STREAMS + 4);
    assert!(registry.first_due().is_some());
    end(&mut registry, &later, 0);
    assert_eq!(registry.first_due(), None);
}

#[test]
fn batches_visit_each_open_stream_once() {
    let mut registry = Registry::new(None);
    let registrations: Vec<_> = (0..2 * BATCH_STREAMS)
        .map(|_| add(&mut registry, None, 0))
        .collect();
    let (mut from, mut seen) = (Some(0), 0);
    while let Some(next) = from {
        let (streams, following) = registry.open_batch(next);
        seen += streams.len();
        from = following;
        // Visited streams may end meanwhile.
        registry.remove(&registrations[0]);
    }
    assert_eq!(seen, 2 * BATCH_STREAMS);
}

/// A snapshot must count each stream once, at any time of its end.
#[test]
fn a_stream_that_ends_during_a_snapshot_is_counted_once() {
    for ends in [0, BATCH_STREAMS - 1, BATCH_STREAMS, 2 * BATCH_STREAMS - 1] {
        let mut registry = Registry::new(None);
        let registrations: Vec<_> = (0..2 * BATCH_STREAMS)
            .map(|_| add(&mut registry, None, 1))
            .collect();
        registry.begin_snapshot();
        assert!(registry.continue_snapshot().is_none());
        end(&mut registry, &registrations[ends], 1);
        registry.remove(&registrations[ends]);
        let mut snapshot = registry.continue_snapshot();
        while snapshot.is_none() {
            snapshot = registry.continue_snapshot();
        }
        let method = &snapshot.unwrap()[0];
        assert_eq!(method.messages, 2 * BATCH_STREAMS as u64, "{ends}");
        assert_eq!(method.open, 2 * BATCH_STREAMS, "{ends}");
    }
}

#[test]
fn an_ended_stream_stays_registered_until_it_is_removed() {
    let mut registry = Registry::new(None);
    let registration = add(&mut registry, None, 0);
    assert_eq!((registry.len(), registry.open()), (1, 1));
    end(&mut registry, &registration, 0);
    assert_eq!((registry.len(), registry.open()), (1, 0));
    assert!(registry.admit(1, None).is_err());
    registry.begin_snapshot();
    let method = &registry.continue_snapshot().unwrap()[0];
    assert_eq!((method.open, method.lingering), (0, 1));
    registry.remove(&registration);
    assert!(registry.admit(1, None).is_ok());
}

#[test]
fn a_reader_that_takes_nothing_for_the_timeout_is_stalled() {
    let mut registry = Registry::new(None);
    add(&mut registry, None, 7);
    add(&mut registry, None, 0);
    let long = Duration::from_secs(1);
    let now = Instant::now();
    assert!(registry.stalled(0, now, long).0.is_empty());
    let (stalled, next) = registry.stalled(0, now + long, long);
    assert_eq!((stalled.len(), next), (1, None));
    assert_eq!(stalled[0].1, 0);
}

/// Poll threads wait for the registry's lock, so no step under it may take long: with 30 times the
/// streams, 900,000, it takes about as long.
#[test]
fn no_step_holds_the_lock_for_longer_with_900_000_streams() {
    let few = fastest_steps(120);
    let many = fastest_steps(3_600);
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        println!("{name}: {few:?}, {many:?}");
        let few = few.max(Duration::from_micros(1));
        assert!(many < 10 * few, "{name}: {few:?}, {many:?}");
    }
}

/// The time of each step, the fastest of 100 runs: other tests share the processors.
fn fastest_steps(batches: u64) -> Vec<(&'static str, Duration)> {
    let streams = batches * BATCH_STREAMS as u64;
    let mut registry = Registry::new(None);
    let now = Instant::now();
    let registrations: Vec<_> = (0..streams)
        .map(|_| add(&mut registry, Some(now), 1))
        .collect();
    let mut from = 0;
    let mut steps = Vec::new();
    let mut measure = |name, step: &mut dyn FnMut(&mut Registry, u64)| {
        let times = (0..100).map(|n| {
            from = (from + BATCH_STREAMS as u64) % streams;
            let began = Instant::now();
            step(&mut registry, if n == 0 { 0 } else { from });
            began.elapsed()
        });
        steps.push((name, times.min().unwrap()));
    };
    measure("snapshot", &mut |registry, n| {
        if n == 0 {
            registry.begin_snapshot();
        }
        registry.continue_snapshot();
    });
    measure("batch", &mut |registry, n| drop(registry.open_batch(n)));
    let long = Duration::from_secs(1);
    measure("stalled", &mut |registry, n| {
        drop(registry.stalled(n, Instant::now(), long))
    });
    measure("due", &mut |registry, _| drop(registry.take_due(now)));
    let mut ended = registrations.iter();
    measure("end", &mut |registry, _| {
        let registration = ended.next().unwrap();
        end(registry, registration, 1);
        drop(registry.remove(registration));
    });
    measure("add", &mut |registry, _| {
        add(registry, Some(now), 1);
    });
    steps
}
