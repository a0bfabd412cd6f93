//! Metrics of the process (`process_…`), under the names of the Prometheus client libraries. It
//! must not know calls. A metric whose value the kernel does not give is left out.

use std::fmt;

use procfs::process::{Limits, Process as This, Stat};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// Collects the metrics of this process.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Ok(this) = This::myself() else {
            return Ok(());
        };
        if let Ok(stat) = this.stat() {
            of_stat(&mut encoder, &stat)?;
        }
        if let Ok(open) = this.fd_count() {
            gauge(
                &mut encoder,
                "process_open_fds",
                "Open file descriptors",
                open as u64,
            )?;
        }
        if let Ok(Limits { max_open_files, .. }) = this.limits() {
            if let procfs::process::LimitValue::Value(most) = max_open_files.soft_limit {
                gauge(
                    &mut encoder,
                    "process_max_fds",
                    "Limit of open file descriptors",
                    most,
                )?;
            }
        }
        Ok(())
    }
}

fn of_stat(encoder: &mut DescriptorEncoder, stat: &Stat) -> fmt::Result {
    let ticks = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    encoder
        .encode_descriptor(
            "process_cpu",
            "Processor time, user and system",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?
        .encode_counter::<NoLabelSet, _, f64>(&ticks, None)?;
    for (name, help, bytes) in [
        (
            "process_resident_memory",
            "Resident memory",
            stat.rss * procfs::page_size(),
        ),
        ("process_virtual_memory", "Virtual memory", stat.vsize),
    ] {
        encoder
            .encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?
            .encode_gauge(&(bytes as i64))?;
    }
    gauge(
        encoder,
        "process_threads",
        "Threads of the process",
        stat.num_threads.unsigned_abs(),
    )
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, None, MetricType::Gauge)?
        .encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}
