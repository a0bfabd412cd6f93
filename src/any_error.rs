//! Errors of any kind as statuses. It knows the crate's own errors, not what they are for.

use std::error::Error;
use std::io;

use crate::engine::ReceiveError;
use crate::Status;

/// An error of any kind. `?` converts every error into it, and `.into()` a text.
pub type BoxError = Box<dyn Error + Send + Sync>;

impl From<BoxError> for Status {
    /// A [`Status`], an [`io::Error`] and a [`ReceiveError`] in the box become what they become without
    /// it. Any other error is UNKNOWN with its text, as in other implementations of gRPC, and the
    /// source.
    ///
    /// So a function that meets errors of other packages returns a [`BoxError`], and a handler takes
    /// it by `?`:
    ///
    /// ```
    /// use fanstream::{BoxError, Status};
    ///
    /// fn sum(numbers: &str) -> Result<i64, BoxError> {
    ///     let mut sum = 0;
    ///     for number in numbers.split('+') {
    ///         sum += number.trim().parse::<i64>()?;
    ///     }
    ///     match sum {
    ///         0 => Err(Status::not_found("the sum is zero").into()),
    ///         sum => Ok(sum),
    ///     }
    /// }
    ///
    /// fn handle(request: &str) -> Result<i64, Status> {
    ///     Ok(sum(request)?)
    /// }
    ///
    /// assert_eq!(handle("1 + 2").unwrap(), 3);
    /// assert_eq!(handle("1 - 1").unwrap_err().to_string(), "UNKNOWN: invalid digit found in string");
    /// assert_eq!(handle("0").unwrap_err().to_string(), "NOT_FOUND: the sum is zero");
    /// ```
    fn from(error: BoxError) -> Status {
        converted::<Status>(error)
            .or_else(converted::<io::Error>)
            .or_else(converted::<ReceiveError>)
            .unwrap_or_else(|error| Status::unknown(error.to_string()).with_source(error))
    }
}

fn converted<E: Error + Into<Status> + 'static>(error: BoxError) -> Result<Status, BoxError> {
    error.downcast::<E>().map(|error| (*error).into())
}

#[cfg(test)]
mod tests {
    use grpcio::RpcStatusCode as Code;

    use super::*;

    #[test]
    fn an_error_in_a_box_becomes_what_it_becomes_without_it() {
        let code = |error: BoxError| Status::from(error).code();
        assert_eq!(code(Status::aborted("why").into()), Code::ABORTED);
        assert_eq!(
            code(io::Error::from(io::ErrorKind::NotFound).into()),
            Code::NOT_FOUND
        );
        let elapsed = ReceiveError::FirstTimeout(std::time::Duration::ZERO);
        assert_eq!(code(elapsed.into()), Code::DEADLINE_EXCEEDED);
        let other = Status::from(BoxError::from("out of luck"));
        assert_eq!(other.to_string(), "UNKNOWN: out of luck");
        assert_eq!(other.source().unwrap().to_string(), "out of luck");
    }
}
