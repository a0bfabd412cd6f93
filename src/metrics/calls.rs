//! Defines the metrics of calls, from the engine's counters. Names are those of go-grpc-prometheus
//! (`grpc_server_…`) where it has one, else `fanstream_…`. It must not count anything itself.

use std::collections::HashSet;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::engine::{HistogramSnapshot, MethodSnapshot, Streams, BOUNDS};
use crate::names::split_method;

/// Names of the status codes in go-grpc-prometheus, by number.
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

/// Collects the metrics of all methods.
#[derive(Debug)]
pub(super) struct CallMetrics {
    pub(super) streams: Streams,
    /// Full names. All other methods are server streaming.
    pub(super) unary_methods: HashSet<&'static str>,
}

impl Collector for CallMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let snapshot = self.streams.snapshot();
        let methods = snapshot.methods.iter();
        let labelled = methods.map(|method| (self.labels(&method.name), method));
        let mut out = MethodMetrics {
            encoder: &mut encoder,
            methods: labelled.collect(),
        };
        out.counters("grpc_server_started", "Calls that arrived", |m| m.started)?;
        out.handled()?;
        // A call arrives together with its one request.
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
        out.gauges(
            "fanstream_lingering_calls",
            "Calls that have ended for their client while a producer still blocks; they count against the limits",
            |m| m.lingering,
        )?;
        out.bytes()?;
        out.counters(
            "fanstream_send_stalls",
            "Times that a producer found its channel full, because the client or the network is slower",
            |m| m.stalls,
        )?;
        out.gauges(
            "fanstream_parked_producers",
            "Producers that wait for free slots in their channel now",
            |m| m.parked,
        )?;
        out.gauges(
            "fanstream_channel_slots",
            "Occupied slots of all channels now; a response occupies one, a large one several",
            |m| m.slots,
        )?;
        let mut family = encoder.encode_descriptor(
            "fanstream_refused_calls",
            "Refused calls, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in &snapshot.refused {
            counter(&mut family, &[("reason", *reason)], *count)?;
        }
        Ok(())
    }
}

impl CallMetrics {
    /// The labels of `/package.Service/Method`.
    fn labels<'a>(&self, method: &'a str) -> Labels<'a> {
        let kind = match self.unary_methods.contains(method) {
            true => "unary",
            false => "server_stream",
        };
        let (service, name) = split_method(method);
        [
            ("grpc_type", kind),
            ("grpc_service", service),
            ("grpc_method", name),
        ]
    }
}

type Labels<'a> = [(&'static str, &'a str); 3];

/// Writes metrics that have a value for each method.
struct MethodMetrics<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
    methods: Vec<(Labels<'a>, &'a MethodSnapshot)>,
}

impl MethodMetrics<'_, '_> {
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        value: fn(&MethodSnapshot) -> u64,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, method) in &self.methods {
            counter(&mut family, labels, value(method))?;
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        value: fn(&MethodSnapshot) -> usize,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, method) in &self.methods {
            let mut metric = family.encode_family(labels)?;
            metric.encode_gauge(&(value(method) as i64))?;
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        value: fn(&MethodSnapshot) -> &HistogramSnapshot,
    ) -> fmt::Result {
        let (unit, kind) = (Unit::Seconds, MetricType::Histogram);
        let mut family = self
            .encoder
            .encode_descriptor(name, help, Some(&unit), kind)?;
        for (labels, method) in &self.methods {
            histogram(family.encode_family(labels)?, value(method))?;
        }
        Ok(())
    }

    fn handled(&mut self) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(
            "grpc_server_handled",
            "Calls that ended, by status code",
            None,
            MetricType::Counter,
        )?;
        for ([kind, service, name], method) in &self.methods {
            for (code, count) in CODES.iter().zip(method.handled) {
                counter(
                    &mut family,
                    &[*kind, *service, *name, ("grpc_code", code)],
                    count,
                )?;
            }
        }
        Ok(())
    }

    fn bytes(&mut self) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(
            "fanstream_sent",
            "Bytes of the responses, without framing",
            Some(&Unit::Bytes),
            MetricType::Counter,
        )?;
        for (labels, method) in &self.methods {
            counter(&mut family, labels, method.bytes)?;
        }
        Ok(())
    }
}

fn counter<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &str); N],
    count: u64,
) -> fmt::Result {
    let mut metric = family.encode_family(labels)?;
    metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

pub(super) fn histogram(
    mut metric: MetricEncoder<'_>,
    snapshot: &HistogramSnapshot,
) -> fmt::Result {
    let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(snapshot.buckets).collect();
    metric.encode_histogram::<NoLabelSet>(snapshot.seconds, snapshot.count(), &buckets, None)
}
