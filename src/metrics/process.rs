//! What the system knows of this process, under the names that every Prometheus client uses. Where
//! it does not tell, the metric is left out.

use std::fmt;

use procfs::process::{Limits, Process as This, Stat};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// This process.
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
            gauge(&mut encoder, "process_open_fds", "Open files", open as u64)?;
        }
        if let Ok(Limits { max_open_files, .. }) = this.limits() {
            if let procfs::process::LimitValue::Value(most) = max_open_files.soft_limit {
                gauge(&mut encoder, "process_max_fds", "Most open files", most)?;
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
            "Memory that is resident",
            stat.rss * procfs::page_size(),
        ),
        ("process_virtual_memory", "Address space", stat.vsize),
    ] {
        encoder
            .encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?
            .encode_gauge(&(bytes as i64))?;
    }
    gauge(
        encoder,
        "process_threads",
        "Threads of all kinds",
        stat.num_threads.unsigned_abs(),
    )
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, None, MetricType::Gauge)?
        .encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}
