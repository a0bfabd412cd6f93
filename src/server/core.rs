//! The C-core's server: from a configuration and a [`Setup`] to bound addresses, and to its end. It
//! must not know extensions, nor how streams are drained.

use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{bounded, RecvTimeoutError};
use futures::executor::block_on;
use grpcio::{ChannelBuilder, EnvBuilder, Environment, ServerBuilder};

use super::listen::bind;
use super::{lock, processors, ServerConfig, StartError};
use crate::engine::frames;
use crate::extension::{Service, Setup, Started};
use crate::gzip;
use crate::message_size::limit_messages;

/// Request slots of all poll threads together, 0.4 KB each. With the patches in scripts/ccore a
/// call occupies one only briefly, once its request has arrived.
const REQUEST_SLOTS: usize = 2_048;

/// The same where a call occupies a slot until its request has arrived: 20 connections with 1,000
/// half-open calls each leave slots for others.
const REQUEST_SLOTS_OF_HALF_OPEN_CALLS: usize = 20_480;

/// Channel arguments that the patches in scripts/ccore add. An unpatched C-core ignores them.
const AWAIT_REQUESTS: &CStr = c"fanstream.await_requests";

/// As the patch of that name describes: one write for all streams of a connection that have
/// something to send. Not beside generated code: its handlers may block the poll thread, or cancel
/// their calls by dropping the requests once they have started to send a status.
const WRITE_BEFORE_POLL: &CStr = c"fanstream.write_before_poll";

/// Time for the C-core to free a server. It takes milliseconds, or for ever.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The C-core's server and its poll threads.
///
/// It is `None` only while it is dropped.
pub(super) struct Core(Option<Parts>);

/// Dropped in this order: the server needs the poll threads to end.
struct Parts {
    server: Mutex<grpcio::Server>,
    _poll_threads: Arc<Environment>,
}

impl Core {
    /// Binds all addresses and accepts calls.
    pub(super) fn start(
        config: &ServerConfig,
        setup: Setup,
    ) -> Result<(Core, Arc<Started>), StartError> {
        let poll_threads = EnvBuilder::new().cq_count(processors());
        let poll_threads = Arc::new(poll_threads.name_prefix("fanstream-poll").build());
        let is_generated = setup.services.iter().any(Service::is_generated);
        // Small messages leave together. Compression takes each message on its own, and generated
        // code may set the flag that marks joined messages.
        let is_framed = frames::are_supported() && !config.gzip && !is_generated;
        let slots = match config.await_requests && frames::are_supported() {
            true => REQUEST_SLOTS,
            false => REQUEST_SLOTS_OF_HALF_OPEN_CALLS,
        };
        let arguments = ChannelBuilder::new(poll_threads.clone());
        let arguments = channel_arguments(arguments, config, &setup, is_generated, is_framed);
        let mut core = ServerBuilder::new(poll_threads.clone())
            .channel_args(arguments.build_args())
            .requests_slot_per_cq(slots.div_ceil(processors()));
        let streams = match is_framed {
            true => setup.streams.framed(),
            false => setup.streams.clone(),
        };
        let names = setup.service_names();
        for service in setup.services {
            let services = service.build(&streams, config.max_request_bytes);
            core = services
                .into_iter()
                .fold(core, ServerBuilder::register_service);
        }
        let core = setup
            .checks
            .into_iter()
            .fold(core, ServerBuilder::add_checker);
        let core = Core(Some(Parts {
            server: Mutex::new(core.build()?),
            _poll_threads: poll_threads,
        }));
        let addresses = config.listen.iter();
        let bound = addresses.map(|address| bind(&mut core.lock(), address, &*setup.credentials));
        let bound = bound.collect::<Result<_, _>>()?;
        core.lock().start();
        let started = Started {
            bound,
            services: names,
            streams: setup.streams,
            workers: setup.workers,
        };
        Ok((core, Arc::new(started)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, grpcio::Server> {
        let Some(parts) = &self.0 else {
            unreachable!("only the drop takes the parts")
        };
        lock(&parts.server)
    }
}

fn channel_arguments(
    arguments: ChannelBuilder,
    config: &ServerConfig,
    setup: &Setup,
    is_generated: bool,
    is_framed: bool,
) -> ChannelBuilder {
    let at_most = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let mut arguments = arguments
        // Otherwise a second server could bind the same port, and both would share its connections.
        .reuse_port(false)
        // Services check the size of requests themselves, except those of generated code. The
        // C-core's filter also checks complete messages only, and every response passes through it:
        // without the filter, sending costs a quarter less.
        .max_receive_message_len(match is_generated {
            true => at_most(config.max_request_bytes),
            false => -1,
        })
        // A call occupies a request slot only once its request is complete. Until then it occupies
        // memory only.
        .raw_cfg_int(AWAIT_REQUESTS.into(), config.await_requests.into())
        .raw_cfg_int(WRITE_BEFORE_POLL.into(), (!is_generated).into())
        .raw_cfg_int(frames::FRAMED_MESSAGES.into(), is_framed.into())
        // On by default, and slow: the C-core counts every message for it.
        .raw_cfg_int(c"grpc.enable_channelz".into(), 0);
    // A larger request is refused by its length prefix, before its content arrives.
    let largest = config.max_request_bytes.max(setup.largest_request);
    arguments = limit_messages(arguments, largest);
    if config.gzip {
        arguments = gzip::compress_responses(arguments);
    }
    if let Some(most) = config.max_streams_per_connection {
        arguments = arguments.max_concurrent_stream(at_most(most as usize));
    }
    arguments = config.connections.apply(arguments);
    let of_extensions = setup.arguments.iter();
    of_extensions.fold(arguments, |arguments, (name, value)| {
        arguments.raw_cfg_int((*name).to_owned(), *value)
    })
}

impl Drop for Core {
    /// Ends calls and connections, and frees the server, on a thread of its own: once the system has
    /// refused the C-core a thread, the C-core waits for that thread for ever. If the system refuses
    /// this one too, the server stays in memory.
    fn drop(&mut self) {
        let Some(parts) = self.0.take() else {
            return;
        };
        let stopping = {
            let mut server = lock(&parts.server);
            let stopping = server.shutdown();
            server.cancel_all_calls();
            stopping
        };
        // Not dropped here if the thread does not start.
        let parts = ManuallyDrop::new(parts);
        let (ends, ended) = bounded::<()>(0);
        let end = move || {
            // It fails if the C-core fails to shut down, and then there is nothing else to do.
            let _ = block_on(stopping);
            drop(ManuallyDrop::into_inner(parts));
            drop(ends);
        };
        let started = thread::Builder::new()
            .name("fanstream-end".into())
            .spawn(end);
        let timed_out = ended.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout);
        if started.is_err() || timed_out {
            tracing::warn!("the C-core could not free the server: it lacks threads");
        }
    }
}
