//! Generates scenarios with proptest strategies, so that failures shrink. Every value shrinks
//! towards the simplest call: one job, due at once, of few small messages, with a fast reader. It
//! knows nothing of the engine.

use grpcio::RpcStatusCode;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::scenario::*;

/// The most bytes of a finite call.
const MOST_BYTES: usize = 1 << 20;

/// Later than the end of any call here.
const HOUR_MS: u64 = 3_600_000;

/// The longest total block of one producer.
const MOST_BLOCKED_MS: u64 = 10;

pub fn batch() -> BoxedStrategy<Batch> {
    // Calls come first: with fewer calls, the rest shrinks sooner.
    let crowded = proptest::bool::weighted(0.06);
    (vec(call(), 1..=48), event(), server(), crowded)
        .prop_map(|(mut calls, event, mut server, crowded)| {
            if crowded {
                crowd(&mut server, &mut calls);
            }
            at_most_one_feed_waits(&server, &mut calls);
            Batch {
                server,
                event,
                calls,
            }
        })
        .boxed()
}

/// Allows few streams, and ends calls while their producers block and others arrive.
fn crowd(server: &mut ServerPlan, calls: &mut [CallPlan]) {
    server.max_streams = Some(1 + calls.len() / 8);
    server.rate_per_peer = None;
    for call in calls.iter_mut().skip(1) {
        call.reader.deadline_ms = Some(3);
        call.open.blocks_ms = 0;
        for job in &mut call.jobs {
            job.blocks = Some(Block {
                every: 1_000,
                ms: 5,
                until_read: false,
            });
        }
    }
}

fn server() -> BoxedStrategy<ServerPlan> {
    let capacity = (
        prop_oneof![2 => 1..4usize, 3 => 4..64usize, 2 => 64..=300usize],
        prop_oneof![3 => Just(1 << 20), 2 => 1..4096usize, 1 => 4096..200_000usize],
    );
    let limits = (
        weighted(0.12, 1..24usize),
        weighted(0.08, 1..24u32),
        weighted(0.05, 1..60u32),
        weighted(0.2, 20..150u64),
        weighted(0.2, 40..120u64),
        weighted(0.06, 20..100u64),
    );
    (1..=8usize, capacity, limits, 1..=3usize, any::<bool>())
        .prop_map(
            |(workers, (messages, bytes), limits, connections, small_windows)| ServerPlan {
                workers,
                messages,
                bytes,
                max_streams: limits.0,
                max_streams_per_peer: limits.1,
                rate_per_peer: limits.2,
                max_age_ms: limits.3,
                write_stall_ms: limits.4,
                connection_age_ms: limits.5,
                connections,
                small_windows,
            },
        )
        .boxed()
}

fn event() -> BoxedStrategy<Event> {
    prop_oneof![
        6 => Just(Event::Nothing),
        2 => (0..40u64).prop_map(|after_ms| Event::AbortAll { after_ms }),
        2 => (0..40u64, 0..40u64)
            .prop_map(|(after_ms, grace_ms)| Event::Shutdown { after_ms, grace_ms }),
    ]
    .boxed()
}

fn call() -> BoxedStrategy<CallPlan> {
    let jobs = prop_oneof![
        12 => vec(job(), 0..5usize),
        2 => vec(job(), 5..16usize),
        1 => vec(short_job(), 16..100usize),
    ];
    (0..12u64, open(), jobs, reader(), any::<bool>())
        .prop_map(|(start_ms, open, jobs, reader, in_order)| {
            let call = CallPlan {
                start_ms,
                open,
                jobs,
                reader,
            };
            normal(call, in_order)
        })
        .boxed()
}

fn open() -> BoxedStrategy<OpenPlan> {
    let lazy = (
        prop_oneof![8 => Just(0), 1 => 1..3u64],
        proptest::bool::weighted(0.2),
        weighted(0.1, 0..4usize),
    );
    let outcome = prop_oneof![
        20 => Just(OpenOutcome::Eager),
        12 => lazy.prop_map(|(blocks_ms, until_read, panics_at)| OpenOutcome::Lazy {
            blocks_ms,
            until_read,
            panics_at,
        }),
        1 => code().prop_map(OpenOutcome::Fails),
        1 => Just(OpenOutcome::Panics),
    ];
    (prop_oneof![8 => Just(0), 1 => 1..4u64], outcome)
        .prop_map(|(blocks_ms, outcome)| OpenPlan { blocks_ms, outcome })
        .boxed()
}

fn job() -> BoxedStrategy<JobPlan> {
    let count = prop_oneof![
        12 => (0..8u32).prop_map(Count::Of),
        8 => (8..80u32).prop_map(Count::Of),
        2 => (80..600u32).prop_map(Count::Of),
        1 => Just(Count::Endless),
    ];
    let size = prop_oneof![
        14 => 0..64usize,
        4 => 64..4096usize,
        2 => 4096..65_536usize,
        1 => 65_536..204_800usize,
    ];
    let block = (1..200u32, 1..=5u64, any::<bool>()).prop_map(|(every, ms, until_read)| Block {
        every,
        ms,
        until_read,
    });
    let poison = prop_oneof![
        Just(Poison::EncodingFails),
        Just(Poison::EncodingPanics),
        Just(Poison::SizePanics),
        Just(Poison::SizeVaries),
        Just(Poison::DropPanics),
    ];
    let parts = (
        delay(),
        count,
        (size, any::<bool>()),
        weighted(0.15, block),
        end(),
        dropping(),
        proptest::bool::weighted(0.25),
        weighted(0.02, (0..20u32, poison)),
    );
    parts
        .prop_map(
            |(delay_ms, count, (size, mixed), blocks, end, drop, polled, poison)| JobPlan {
                delay_ms,
                count,
                size,
                mixed,
                blocks,
                end,
                drop,
                polled,
                poison,
            },
        )
        .boxed()
}

/// One of many jobs of a call.
fn short_job() -> BoxedStrategy<JobPlan> {
    (
        delay(),
        0..4u32,
        prop_oneof![2 => 0..64usize, 1 => 64..9000usize],
    )
        .prop_map(|(delay_ms, count, size)| JobPlan {
            delay_ms,
            count: Count::Of(count),
            size,
            mixed: false,
            blocks: None,
            end: JobEnd::Ends,
            drop: DropPlan::Nothing,
            polled: count % 2 == 1,
            poison: None,
        })
        .boxed()
}

fn delay() -> BoxedStrategy<u64> {
    prop_oneof![40 => Just(0), 20 => 0..=20u64, 1 => Just(HOUR_MS)].boxed()
}

fn end() -> BoxedStrategy<JobEnd> {
    prop_oneof![
        30 => Just(JobEnd::Ends),
        3 => code().prop_map(JobEnd::Fails),
        1 => Just(JobEnd::Panics),
        1 => Just(JobEnd::FailsWithOk),
    ]
    .boxed()
}

fn dropping() -> BoxedStrategy<DropPlan> {
    prop_oneof![
        30 => Just(DropPlan::Nothing),
        1 => (1..=3u64).prop_map(DropPlan::Blocks),
        1 => Just(DropPlan::Panics),
    ]
    .boxed()
}

/// A code that neither the C-core nor the engine uses for its own ends.
fn code() -> BoxedStrategy<RpcStatusCode> {
    prop_oneof![
        Just(RpcStatusCode::DATA_LOSS),
        Just(RpcStatusCode::NOT_FOUND),
        Just(RpcStatusCode::ABORTED),
    ]
    .boxed()
}

fn reader() -> BoxedStrategy<ReaderPlan> {
    let pace = prop_oneof![
        12 => Just(Pace::Fast),
        2 => (1..20u32, 1..3u64).prop_map(|(every, pause_ms)| Pace::Slow { every, pause_ms }),
        2 => (0..40u32, 5..40u64).prop_map(|(after, pause_ms)| Pace::Pauses { after, pause_ms }),
        3 => prop_oneof![0..4u32, 0..100u32].prop_map(|after| Pace::Cancels { after }),
        2 => (prop_oneof![0..3u32, 0..60u32], any::<bool>())
            .prop_map(|(after, reads_on)| Pace::Stalls { after, reads_on }),
    ];
    let capacity = prop_oneof![2 => Just(256usize), 1 => 1..8usize, 1 => 8..=300usize];
    let limits = (weighted(0.08, 1..60u64), weighted(0.05, 3..60u64));
    (pace, limits, capacity)
        .prop_map(|(pace, (deadline_ms, timeout_ms), capacity)| ReaderPlan {
            pace,
            deadline_ms,
            timeout_ms,
            capacity,
        })
        .boxed()
}

/// Bounds the cost of a call, and ensures that it ends.
fn normal(mut call: CallPlan, in_order: bool) -> CallPlan {
    let lazy = matches!(call.open.outcome, OpenOutcome::Lazy { .. });
    if lazy || in_order {
        call.jobs.sort_by_key(|job| job.delay_ms);
    }
    let mut bytes = MOST_BYTES;
    for job in &mut call.jobs {
        if let Count::Of(count) = &mut job.count {
            *count = (*count).min((bytes / job.size.max(1)) as u32 + 1);
            bytes = bytes.saturating_sub(*count as usize * job.size);
            if let Some(block) = &mut job.blocks {
                let most = (MOST_BLOCKED_MS / block.ms) as u32;
                block.every = block.every.max(*count / most + 1);
            }
        }
    }
    let reader = &mut call.reader;
    let reads = matches!(reader.pace, Pace::Fast | Pace::Slow { .. });
    for block in call.jobs.iter_mut().filter_map(|job| job.blocks.as_mut()) {
        block.until_read &= reads;
    }
    let gives_up = matches!(
        reader.pace,
        Pace::Cancels { .. }
            | Pace::Stalls {
                reads_on: false,
                ..
            }
    );
    let endless = |job: &JobPlan| job.count == Count::Endless;
    let late = |job: &JobPlan| job.delay_ms == HOUR_MS;
    if call.jobs.iter().any(late) || call.jobs.iter().any(endless) && !gives_up {
        reader.deadline_ms.get_or_insert(40);
    }
    if let Pace::Slow { every, .. } = &mut reader.pace {
        // At most some 30 pauses in a call.
        let total: u32 = call
            .jobs
            .iter()
            .map(|job| match job.count {
                Count::Of(n) => n,
                Count::Endless => 0,
            })
            .sum();
        *every = (*every).max(total / 30);
    }
    call
}

/// A feed that waits for its reader occupies a thread, and its producers need another one.
fn at_most_one_feed_waits(server: &ServerPlan, calls: &mut [CallPlan]) {
    let mut allowed = server.workers > 1;
    for call in calls {
        let first = call.jobs.first();
        let delivers = first.is_some_and(|job| job.makes(0)) && call.reader.pace == Pace::Fast;
        if let OpenOutcome::Lazy { until_read, .. } = &mut call.open.outcome {
            *until_read &= allowed && delivers;
            allowed &= !*until_read;
        }
    }
}
