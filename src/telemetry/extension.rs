//! Logs and spans of calls, as an extension of a server. It must not know their content.

use std::sync::Arc;

#[cfg(feature = "otlp")]
use super::spans::{Collector, Spans};
use super::traces::Traces;
use super::CallLog;
use crate::extension::{BoxError, Extension, Setup};

/// Observes every call, and exports spans if there is a collector.
pub(crate) struct Telemetry {
    #[cfg(feature = "otlp")]
    collector: Option<Collector>,
    traces: Traces,
}

impl Telemetry {
    pub(crate) fn new(#[cfg(feature = "otlp")] collector: Option<Collector>) -> Telemetry {
        Telemetry {
            #[cfg(feature = "otlp")]
            collector,
            traces: Default::default(),
        }
    }
}

impl Extension for Telemetry {
    fn name(&self) -> &str {
        "telemetry"
    }

    /// One exports spans.
    #[cfg(feature = "otlp")]
    fn threads(&self) -> usize {
        usize::from(self.collector.is_some())
    }

    fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
        #[cfg(feature = "otlp")]
        {
            self.traces = Traces(self.collector.as_ref().map(Spans::start).transpose()?);
        }
        let traces = self.traces.clone();
        setup.observe(Arc::new(CallLog {
            traces,
            ..CallLog::default()
        }));
        Ok(())
    }

    /// Sends the last spans. Blocks for at most a second.
    #[cfg(feature = "otlp")]
    fn stopped(&self) {
        if let Some(spans) = &self.traces.0 {
            spans.shut_down();
        }
    }
}
