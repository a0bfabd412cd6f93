//! Defines the metrics of the worker threads and of their queue. It must not know calls.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::calls::histogram;
use crate::engine::Workers;

/// Collects the metrics of the worker threads.
#[derive(Debug)]
pub(super) struct WorkerMetrics(pub(super) Workers);

impl Collector for WorkerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let status = self.0.status();
        let busy = status.threads.saturating_sub(status.idle);
        for (name, help, value) in [
            ("fanstream_worker_threads", "Worker threads", status.threads),
            (
                "fanstream_worker_threads_busy",
                "Worker threads that run a task",
                busy,
            ),
            (
                "fanstream_tasks_ready",
                "Due tasks that wait for a worker thread",
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
        encoder
            .encode_descriptor(
                "fanstream_worker_pool_full",
                "For how long all worker threads have been busy while tasks wait; 0 if they are not",
                Some(&Unit::Seconds),
                MetricType::Gauge,
            )?
            .encode_gauge(&status.full_for.as_secs_f64())?;
        let metric = encoder.encode_descriptor(
            "fanstream_worker_queue_delay",
            "Time that due tasks waited for a worker thread; sampled",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        histogram(metric, &self.0.queue_delay())
    }
}
