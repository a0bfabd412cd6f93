//! An error with a gRPC code. It knows nothing of calls.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use grpcio::{RpcStatus, RpcStatusCode};

use crate::names::status_name;

/// An error with a gRPC code and a text for the client.
///
/// It converts from an [`io::Error`], from the errors of this crate's client and senders, and from and
/// into grpcio's `RpcStatus`; any other error becomes one in a [`BoxError`](crate::BoxError). Handlers,
/// producers and checks return it. It is as small as a pointer. `Display` writes the code's name and
/// the text, such as `NOT_FOUND: no such file`.
///
/// ```
/// use std::fs::File;
/// use fanstream::Status;
///
/// fn open(name: &str) -> Result<File, Status> {
///     if name.contains('/') {
///         return Err(Status::invalid_argument("a name has no slash"));
///     }
///     Ok(File::open(name)?) // NOT_FOUND, PERMISSION_DENIED, …
/// }
///
/// assert_eq!(open("/etc").unwrap_err().to_string(), "INVALID_ARGUMENT: a name has no slash");
/// assert!(open("no such file").unwrap_err().to_string().starts_with("NOT_FOUND: "));
/// ```
#[derive(Clone, Debug)]
pub struct Status(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: RpcStatusCode,
    message: String,
    details: Vec<u8>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Status {
    /// A status with this code and text. With the code OK a call ends with INTERNAL: a failure cannot
    /// be OK.
    pub fn new(code: impl Into<RpcStatusCode>, message: impl Into<String>) -> Status {
        Status(Box::new(Parts {
            code: code.into(),
            message: message.into(),
            details: Vec::new(),
            source: None,
        }))
    }

    /// Adds details for the client: by convention an encoded `google.rpc.Status`.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Vec<u8>>) -> Status {
        self.0.details = details.into();
        self
    }

    /// Adds the cause, for [`Error::source`]. No client gets it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Status {
        self.0.source = Some(source.into().into());
        self
    }

    /// The code.
    pub fn code(&self) -> RpcStatusCode {
        self.0.code
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The details.
    pub fn details(&self) -> &[u8] {
        &self.0.details
    }
}

/// A constructor for each code but OK.
macro_rules! constructors {
    ($($(#[$doc:meta])+ $name:ident $code:ident;)+) => {
        impl Status {
            $($(#[$doc])+
            pub fn $name(message: impl Into<String>) -> Status {
                Status::new(RpcStatusCode::$code, message)
            })+
        }
    };
}

constructors! {
    /// CANCELLED: the caller no longer wants the call.
    cancelled CANCELLED;
    /// UNKNOWN: there is no better code.
    unknown UNKNOWN;
    /// INVALID_ARGUMENT: the request is wrong, in whatever state the server is.
    invalid_argument INVALID_ARGUMENT;
    /// DEADLINE_EXCEEDED: the time was too short.
    deadline_exceeded DEADLINE_EXCEEDED;
    /// NOT_FOUND: there is no such thing.
    not_found NOT_FOUND;
    /// ALREADY_EXISTS: what the call would create exists.
    already_exists ALREADY_EXISTS;
    /// PERMISSION_DENIED: this caller may not do this.
    permission_denied PERMISSION_DENIED;
    /// RESOURCE_EXHAUSTED: a quota, a limit or a disk is used up. Clients may call again later.
    resource_exhausted RESOURCE_EXHAUSTED;
    /// FAILED_PRECONDITION: the server's state must change before another call can succeed.
    failed_precondition FAILED_PRECONDITION;
    /// ABORTED: the call conflicts with another one. The caller may start over.
    aborted ABORTED;
    /// OUT_OF_RANGE: a position is past the end.
    out_of_range OUT_OF_RANGE;
    /// UNIMPLEMENTED: the server cannot do this.
    unimplemented UNIMPLEMENTED;
    /// INTERNAL: the server is broken.
    internal INTERNAL;
    /// UNAVAILABLE: the server cannot do this now. Clients may call again soon.
    unavailable UNAVAILABLE;
    /// DATA_LOSS: data are lost or damaged for good.
    data_loss DATA_LOSS;
    /// UNAUTHENTICATED: the caller does not prove who it is.
    unauthenticated UNAUTHENTICATED;
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", status_name(self.code()), self.message())
    }
}

impl Error for Status {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<RpcStatus> for Status {
    fn from(status: RpcStatus) -> Status {
        Status::new(status.code(), status.message()).with_details(status.details())
    }
}

impl From<Status> for RpcStatus {
    /// Without the source.
    fn from(status: Status) -> RpcStatus {
        let parts = *status.0;
        RpcStatus::with_details(parts.code, parts.message, parts.details)
    }
}

impl From<io::Error> for Status {
    /// | kind | code |
    /// | --- | --- |
    /// | `NotFound` | NOT_FOUND |
    /// | `PermissionDenied` | PERMISSION_DENIED |
    /// | `AlreadyExists` | ALREADY_EXISTS |
    /// | `InvalidInput` | INVALID_ARGUMENT |
    /// | `TimedOut` | DEADLINE_EXCEEDED |
    /// | `Unsupported` | UNIMPLEMENTED |
    /// | `OutOfMemory`, `StorageFull`, `QuotaExceeded` | RESOURCE_EXHAUSTED |
    /// | `ConnectionRefused` and other faults of a network | UNAVAILABLE |
    /// | any other | INTERNAL |
    ///
    /// The text is that of the error. The standard library puts no path into it. The error is the
    /// source.
    fn from(error: io::Error) -> Status {
        Status::new(code_of(error.kind()), error.to_string()).with_source(error)
    }
}

fn code_of(kind: io::ErrorKind) -> RpcStatusCode {
    use io::ErrorKind as Kind;
    match kind {
        Kind::NotFound => RpcStatusCode::NOT_FOUND,
        Kind::PermissionDenied => RpcStatusCode::PERMISSION_DENIED,
        Kind::AlreadyExists => RpcStatusCode::ALREADY_EXISTS,
        Kind::InvalidInput => RpcStatusCode::INVALID_ARGUMENT,
        Kind::TimedOut => RpcStatusCode::DEADLINE_EXCEEDED,
        Kind::Unsupported => RpcStatusCode::UNIMPLEMENTED,
        Kind::OutOfMemory | Kind::StorageFull | Kind::QuotaExceeded => {
            RpcStatusCode::RESOURCE_EXHAUSTED
        }
        Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::NotConnected
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown => RpcStatusCode::UNAVAILABLE,
        _ => RpcStatusCode::INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_constructor_has_its_code() {
        let constructors: [fn(&'static str) -> Status; 16] = [
            Status::cancelled,
            Status::unknown,
            Status::invalid_argument,
            Status::deadline_exceeded,
            Status::not_found,
            Status::already_exists,
            Status::permission_denied,
            Status::resource_exhausted,
            Status::failed_precondition,
            Status::aborted,
            Status::out_of_range,
            Status::unimplemented,
            Status::internal,
            Status::unavailable,
            Status::data_loss,
            Status::unauthenticated,
        ];
        // The codes of gRPC are 1 to 16, in this order.
        for (code, make) in (1..).zip(constructors) {
            let status = make("why");
            assert_eq!((i32::from(status.code()), status.message()), (code, "why"));
        }
    }

    #[test]
    fn an_error_of_io_keeps_its_text_and_becomes_the_source() {
        let error = std::fs::File::open("/no/such/file").unwrap_err();
        let text = error.to_string();
        let status = Status::from(error);
        assert_eq!(status.code(), RpcStatusCode::NOT_FOUND);
        assert_eq!(status.message(), text);
        assert!(!status.message().contains("/no/such"), "{text}");
        assert_eq!(status.to_string(), format!("NOT_FOUND: {text}"));
        assert_eq!(status.source().unwrap().to_string(), text);
        let odd = Status::from(io::Error::other("odd"));
        assert_eq!(odd.to_string(), "INTERNAL: odd");
    }

    #[test]
    fn a_status_of_grpcio_converts_both_ways() {
        let status = Status::aborted("why")
            .with_details([1, 2])
            .with_source("a cause");
        let rpc = RpcStatus::from(status);
        assert_eq!((rpc.code(), rpc.message()), (RpcStatusCode::ABORTED, "why"));
        let back = Status::from(rpc);
        assert_eq!(back.to_string(), "ABORTED: why");
        assert_eq!(back.details(), [1, 2]);
        assert!(back.source().is_none());
    }

    #[test]
    fn a_status_is_as_small_as_a_pointer() {
        assert_eq!(size_of::<Option<Status>>(), size_of::<usize>());
    }
}
