//! Scenarios, and how they are made up from a seed. Data only; nothing runs here.

use std::fmt;

use fastrand::Rng;

use super::producer::{Producer, Tick, SMALL};

/// The most clients of a scenario, and the most calls of a client.
const MAX_CLIENTS: usize = 4;
const MAX_CALLS: usize = 12;

pub struct Scenario {
    pub neighbours: Vec<Neighbour>,
}

/// A client with one connection.
#[derive(Debug)]
pub enum Neighbour {
    /// It opens all calls in one write.
    Calls(Vec<CallPlan>),
    Burst(Burst),
}

#[derive(Clone, Copy, Debug)]
pub struct CallPlan {
    pub reader: Reader,
    pub producer: Producer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Opens its window for ever.
    Fast,
    /// Opens its window a little, again and again.
    Slow { step: u32, every_ms: u64 },
    /// Opens no window, neither its own nor the connection's. So it may block all calls of its
    /// connection, and none of them is expected to end.
    Never,
    /// Cancels after some messages. If it `reopens`, it opens another call in the same write.
    Cancels { after: usize, reopens: bool },
}

/// A client that opens hundreds of calls, and then cancels all of them and opens as many in one
/// write, some times over. The last calls are read to their ends.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// How often it cancels.
    pub rounds: u32,
}

impl Neighbour {
    /// True if its calls may stay as long as the scenario lasts.
    pub fn is_silent(&self) -> bool {
        match self {
            Neighbour::Calls(calls) => !calls.iter().all(CallPlan::is_read),
            Neighbour::Burst(_) => false,
        }
    }
}

impl CallPlan {
    pub fn is_read(&self) -> bool {
        self.reader != Reader::Never
    }
}

impl Scenario {
    /// The scenario of this seed, always the same.
    pub fn random(seed: u64) -> Scenario {
        let mut random = Rng::with_seed(seed);
        let clients = random.usize(1..=MAX_CLIENTS);
        let neighbours = (0..clients)
            // The first is never silent: there is someone to suffer.
            .map(|n| neighbour(&mut random, n > 0))
            .collect();
        Scenario { neighbours }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, neighbour) in self.neighbours.iter().enumerate() {
            match neighbour {
                Neighbour::Calls(calls) => {
                    writeln!(f, "client {number}:")?;
                    for call in calls {
                        writeln!(f, "  {call:?}")?;
                    }
                }
                Neighbour::Burst(burst) => writeln!(f, "client {number}: {burst:?}")?,
            }
        }
        Ok(())
    }
}

fn neighbour(random: &mut Rng, may_be_silent: bool) -> Neighbour {
    let calls = 0..random.usize(1..=MAX_CALLS);
    match random.u8(..8) {
        0 => Neighbour::Burst(Burst { rounds: 1 }),
        1..=3 if may_be_silent => Neighbour::Calls(calls.map(|_| silent_call(random)).collect()),
        _ => Neighbour::Calls(calls.map(|_| read_call(random)).collect()),
    }
}

fn read_call(random: &mut Rng) -> CallPlan {
    let reader = match random.u8(..8) {
        0 | 1 => Reader::Slow {
            step: random.u32(512..=2048),
            every_ms: random.u64(1..=3),
        },
        2 | 3 => return cancelled_call(random),
        _ => Reader::Fast,
    };
    CallPlan {
        reader,
        producer: producer(random),
    }
}

fn silent_call(random: &mut Rng) -> CallPlan {
    if random.u8(..4) == 0 {
        return cancelled_call(random);
    }
    CallPlan {
        reader: Reader::Never,
        producer: match random.bool() {
            true => flood(random),
            false => producer(random),
        },
    }
}

fn cancelled_call(random: &mut Rng) -> CallPlan {
    // It must get its messages, or end without them.
    let (producer, most) = match random.u8(..3) {
        0 => (Producer::Stays, 1),
        1 => (flood(random), 1_000),
        _ => (producer(random), 5),
    };
    CallPlan {
        reader: Reader::Cancels {
            after: random.usize(0..=most),
            reopens: random.bool(),
        },
        producer,
    }
}

fn producer(random: &mut Rng) -> Producer {
    match random.u8(..14) {
        0..=2 => Producer::Quick {
            messages: random.u32(0..=300),
            size: random.usize(0..=100),
        },
        3..=5 => Producer::Ticks {
            messages: random.u32(1..=20),
            every_ms: random.u64(1..=5),
            how: match random.u8(..3) {
                0 => Tick::Sleeps,
                1 => Tick::Jobs,
                _ => Tick::OrderedJobs,
            },
        },
        6 => Producer::Computes {
            ms: random.u64(10..=60),
        },
        7 => Producer::Blocks {
            ms: random.u64(10..=60),
        },
        8 | 9 => Producer::Pushes {
            messages: random.u32(0..=300),
            elsewhere: random.bool(),
        },
        10 | 11 => Producer::Fails {
            messages: random.u32(0..=20),
        },
        _ => Producer::OrderedFailure,
    }
}

/// More messages than the windows of HTTP/2 and the call's channel hold together.
fn flood(random: &mut Rng) -> Producer {
    let messages = random.u32(4_000..=6_000);
    match random.bool() {
        true => Producer::Quick {
            messages,
            size: SMALL,
        },
        false => Producer::Pushes {
            messages,
            elsewhere: random.bool(),
        },
    }
}
