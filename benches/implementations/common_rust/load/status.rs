//! The names of the status codes, as the gRPC specification spells them.

/// The status of a call that its client cancels.
pub const CANCELLED: &str = "CANCELLED";

const NAMES: [&str; 17] = [
    "OK",
    CANCELLED,
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a status code. Unspecified codes are UNKNOWN, as the specification requires.
pub fn name(code: i32) -> &'static str {
    let known = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    known.copied().unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_specification() {
        assert_eq!(name(0), "OK");
        assert_eq!(name(14), "UNAVAILABLE");
        assert_eq!(name(16), "UNAUTHENTICATED");
        assert_eq!(name(17), "UNKNOWN");
        assert_eq!(name(-1), "UNKNOWN");
    }
}
