//! The engine's counts under the names that Prometheus users know: those of go-grpc-prometheus
//! where there is one, `fanstream_…` for what only streams have.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::engine::{HistogramSnapshot, MethodSnapshot, Streams, Workers, BOUNDS};
use crate::names::split_method;

/// As go-grpc-prometheus writes the status codes, by number.
const CODES: [&str; crate::engine::CODES] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The calls of all methods.
#[derive(Debug)]
pub(super) struct Calls(pub(super) Streams);

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let mut out = Out(&mut encoder, &snapshot.methods);
        out.counters("grpc_server_started", "Calls that arrived", |m| m.started)?;
        out.handled()?;
        // The server is given a call when its one request is there.
        out.counters("grpc_server_msg_received", "Requests received", |m| {
            m.started
        })?;
        out.counters(
            "grpc_server_msg_sent",
            "Responses handed to the transport, of open streams too",
            |m| m.messages,
        )?;
        out.histograms(
            "grpc_server_handling",
            "From a call's arrival to its end",
            |m| &m.handling,
        )?;
        out.histograms(
            "fanstream_first_response",
            "From a call's arrival to its first response",
            |m| &m.first,
        )?;
        out.gauges("fanstream_open_streams", "Streams open now", |m| m.open)?;
        out.bytes()?;
        out.counters(
            "fanstream_send_stalls",
            "Times that a producer found its channel full: the reader, or the network, is slower",
            |m| m.stalls,
        )?;
        out.gauges(
            "fanstream_parked_producers",
            "Producers that wait for room in a channel now",
            |m| m.parked,
        )?;
        out.gauges(
            "fanstream_channel_slots",
            "Slots taken in all channels now; a response takes one, a large one more",
            |m| m.slots,
        )?;
        let mut family = encoder.encode_descriptor(
            "fanstream_refused_calls",
            "Calls that were refused, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in &snapshot.refused {
            counter(&mut family, &[("reason", *reason)], *count)?;
        }
        Ok(())
    }
}

struct Out<'a, 'b>(&'a mut DescriptorEncoder<'b>, &'a [MethodSnapshot]);

impl Out<'_, '_> {
    fn counters(&mut self, name: &str, help: &str, of: fn(&MethodSnapshot) -> u64) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for method in self.1 {
            counter(&mut family, &labels(&method.name), of(method))?;
        }
        Ok(())
    }

    fn gauges(&mut self, name: &str, help: &str, of: fn(&MethodSnapshot) -> usize) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for method in self.1 {
            let labels = labels(&method.name);
            let mut metric = family.encode_family(&labels)?;
            metric.encode_gauge(&(of(method) as i64))?;
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        of: fn(&MethodSnapshot) -> &HistogramSnapshot,
    ) -> fmt::Result {
        let (unit, kind) = (Unit::Seconds, MetricType::Histogram);
        let mut family = self.0.encode_descriptor(name, help, Some(&unit), kind)?;
        for method in self.1 {
            histogram(family.encode_family(&labels(&method.name))?, of(method))?;
        }
        Ok(())
    }

    fn handled(&mut self) -> fmt::Result {
        let mut family = self.0.encode_descriptor(
            "grpc_server_handled",
            "Calls that ended, by status code",
            None,
            MetricType::Counter,
        )?;
        for method in self.1 {
            let [kind, service, name] = labels(&method.name);
            for (code, count) in CODES.iter().zip(method.handled) {
                counter(
                    &mut family,
                    &[kind, service, name, ("grpc_code", code)],
                    count,
                )?;
            }
        }
        Ok(())
    }

    fn bytes(&mut self) -> fmt::Result {
        let mut family = self.0.encode_descriptor(
            "fanstream_sent",
            "Bytes of the responses, without framing",
            Some(&Unit::Bytes),
            MetricType::Counter,
        )?;
        for method in self.1 {
            counter(&mut family, &labels(&method.name), method.bytes)?;
        }
        Ok(())
    }
}

/// Of `/package.Service/Method`.
fn labels(method: &str) -> [(&'static str, &str); 3] {
    let (service, name) = split_method(method);
    [
        ("grpc_type", "server_stream"),
        ("grpc_service", service),
        ("grpc_method", name),
    ]
}

fn counter<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &str); N],
    count: u64,
) -> fmt::Result {
    let mut metric = family.encode_family(labels)?;
    metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

fn histogram(mut metric: MetricEncoder<'_>, spread: &HistogramSnapshot) -> fmt::Result {
    let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(spread.buckets).collect();
    metric.encode_histogram::<NoLabelSet>(spread.seconds, spread.count(), &buckets, None)
}

/// The worker threads.
#[derive(Debug)]
pub(super) struct Pool(pub(super) Workers);

impl Collector for Pool {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let status = self.0.status();
        let busy = status.threads.saturating_sub(status.idle);
        for (name, help, value) in [
            ("fanstream_worker_threads", "Worker threads", status.threads),
            (
                "fanstream_worker_threads_busy",
                "Worker threads that run something",
                busy,
            ),
            (
                "fanstream_tasks_ready",
                "Tasks that are due and wait for a worker thread",
                status.ready,
            ),
            (
                "fanstream_tasks_scheduled",
                "Tasks that are not due yet",
                status.scheduled,
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&(value as i64))?;
        }
        let metric = encoder.encode_descriptor(
            "fanstream_worker_queue_delay",
            "How long due tasks waited for a worker thread; a sample",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        histogram(metric, &self.0.queue_delay())
    }
}
