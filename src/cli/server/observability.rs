//! The server's flags for logs, metrics and traces. It must not know how they are made.

use clap::Args;
use tracing_subscriber::filter::LevelFilter;

use crate::address::Address;
use crate::logging::LogFormat;
use crate::telemetry::Collector;

/// Logs, metrics and traces.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Observability")]
pub struct ServerObservabilityArgs {
    /// Serve /metrics (OpenMetrics, for Prometheus), /healthz and /readyz on this address, over plain
    /// HTTP: HOST:PORT, [::1]:PORT or :PORT; port 0 takes a free port and prints it
    #[arg(long, value_name = "ADDRESS", value_parser = tcp)]
    pub metrics: Option<Address>,

    /// Print the Grafana dashboard for these metrics as JSON, and exit
    #[arg(long, exclusive = true)]
    pub print_dashboard: bool,

    /// Send a span of each call to this collector, by OTLP over HTTP; the default path of the URL is
    /// /v1/traces
    #[arg(long, value_name = "URL")]
    pub otlp: Option<Collector>,

    /// Format of log lines: `tutorial` logs a line for each response; `text` and `json` log one for each
    /// call when it has ended
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Lowest level that is logged: error, warn, info, debug, trace or off
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
}

fn tcp(text: &str) -> Result<Address, String> {
    match text.parse() {
        Ok(Address::Unix(_)) => Err("metrics are served over TCP: HOST:PORT".into()),
        Ok(address) => Ok(address),
        Err(error) => Err(error.to_string()),
    }
}
