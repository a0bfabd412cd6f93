//! The server's program: from flags to a configuration, and from a shutdown to an exit code.

mod flags;
mod heap_trim;
mod limits;
mod manual;
mod observability;
mod report;
mod security;
mod services;
mod source;

pub use flags::ServerArgs;
pub use heap_trim::trim_heap_when_free;
pub use limits::ServerLimitsArgs;
pub use observability::ServerObservabilityArgs;
pub use report::{announce, explain, print, report};
pub use security::ServerSecurityArgs;
pub use services::ServerServicesArgs;
pub use source::{ServerSourceArgs, SourceError, SourceName};
