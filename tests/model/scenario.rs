//! A scenario as plain data: one server, its concurrent calls, and one event that concerns all of
//! them. It knows nothing of the engine, and nothing of how scenarios are generated, run or judged.

use std::time::Duration;

use grpcio::RpcStatusCode;

/// One server and its concurrent calls. Each call is a case.
#[derive(Clone, Debug)]
pub struct Batch {
    pub server: ServerPlan,
    pub event: Event,
    pub calls: Vec<CallPlan>,
}

/// Configuration of the server and its connections.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// The most worker threads.
    pub workers: usize,
    /// The channel of each call: messages, bytes.
    pub messages: usize,
    pub bytes: usize,
    pub max_streams: Option<usize>,
    pub max_streams_per_peer: Option<u32>,
    /// Calls a second, and as many at once.
    pub rate_per_peer: Option<u32>,
    pub max_age_ms: Option<u64>,
    pub write_stall_ms: Option<u64>,
    /// Connections that the calls are spread over.
    pub connections: usize,
    /// Connections older than this are closed, also under open streams.
    pub connection_age_ms: Option<u64>,
    /// Fixed HTTP/2 windows of 64 KiB, so that a reader that stops is noticed soon.
    pub small_windows: bool,
}

impl ServerPlan {
    /// True when a call may be refused because of other calls.
    pub fn limits_calls(&self) -> bool {
        self.max_streams.is_some()
            || self.max_streams_per_peer.is_some()
            || self.rate_per_peer.is_some()
    }

    pub fn write_stall(&self) -> Option<Duration> {
        self.write_stall_ms.map(Duration::from_millis)
    }

    /// The most streams that may be open at once.
    pub fn most_open(&self) -> Option<usize> {
        let per_peer = self.max_streams_per_peer.map(|n| n as usize);
        self.max_streams.into_iter().chain(per_peer).min()
    }
}

/// An event for all calls of a batch.
#[derive(Clone, Debug)]
pub enum Event {
    Nothing,
    AbortAll {
        after_ms: u64,
    },
    /// The server shuts down, as `fanstream::server` does it: it refuses new calls, lets open
    /// streams finish within the grace period, then aborts them, then cuts the connections.
    Shutdown {
        after_ms: u64,
        grace_ms: u64,
    },
}

#[derive(Clone, Debug)]
pub struct CallPlan {
    /// When the client calls, after the start of the batch.
    pub start_ms: u64,
    pub open: OpenPlan,
    pub jobs: Vec<JobPlan>,
    pub reader: ReaderPlan,
}

#[derive(Clone, Debug)]
pub struct OpenPlan {
    /// How long it blocks first.
    pub blocks_ms: u64,
    pub outcome: OpenOutcome,
}

#[derive(Clone, Debug)]
pub enum OpenOutcome {
    /// All jobs in one `Vec`.
    Eager,
    /// Jobs from an iterator. It blocks before each job, `until_read` until its client has read
    /// something, and panics instead of job `panics_at`.
    Lazy {
        blocks_ms: u64,
        until_read: bool,
        panics_at: Option<usize>,
    },
    Fails(RpcStatusCode),
    Panics,
}

#[derive(Clone, Debug)]
pub struct JobPlan {
    pub delay_ms: u64,
    pub count: Count,
    /// The largest message, in bytes.
    pub size: usize,
    /// Sizes vary between 0 and `size`.
    pub mixed: bool,
    pub blocks: Option<Block>,
    pub end: JobEnd,
    pub drop: DropPlan,
    /// A job without delay is polled, and has nothing yet most times.
    pub polled: bool,
    /// One faulty message: its number and its fault.
    pub poison: Option<(u32, Poison)>,
}

impl JobPlan {
    /// The size of a message without its header.
    pub fn size_of(&self, sequence: u32) -> usize {
        if !self.mixed {
            return self.size;
        }
        let mut hash = u64::from(sequence).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.size as u64;
        hash ^= hash >> 29;
        (hash.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) as usize % (self.size + 1)
    }

    pub fn makes(&self, sequence: u32) -> bool {
        match self.count {
            Count::Of(n) => sequence < n,
            Count::Endless => true,
        }
    }

    pub fn poison_of(&self, sequence: u32) -> Option<Poison> {
        let (at, poison) = self.poison?;
        (at == sequence).then_some(poison)
    }
}

/// The number of messages of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Of(u32),
    Endless,
}

/// A producer blocks before every `every`-th message.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub every: u32,
    pub ms: u64,
    /// And until its client has read all that it made before.
    pub until_read: bool,
}

/// The end of a producer after its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    Ends,
    Fails(RpcStatusCode),
    /// `Err` of a status whose code is OK.
    FailsWithOk,
    Panics,
}

/// The effect of dropping a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropPlan {
    Nothing,
    Blocks(u64),
    Panics,
}

/// The fault of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    EncodingFails,
    EncodingPanics,
    SizePanics,
    /// The engine is told another size each time.
    SizeVaries,
    DropPanics,
}

#[derive(Clone, Debug)]
pub struct ReaderPlan {
    pub pace: Pace,
    pub deadline_ms: Option<u64>,
    /// The receive timeout of one response.
    pub timeout_ms: Option<u64>,
    /// Messages in its channel.
    pub capacity: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Reads everything at once.
    Fast,
    Slow {
        every: u32,
        pause_ms: u64,
    },
    Pauses {
        after: u32,
        pause_ms: u64,
    },
    Cancels {
        after: u32,
    },
    /// Stops for as long as the test allows, then reads on or cancels.
    Stalls {
        after: u32,
        reads_on: bool,
    },
}
