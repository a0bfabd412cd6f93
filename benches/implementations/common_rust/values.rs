//! Parses values of flags that servers and load clients share. It must not know any flag.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Parses `250ms`, `1s`, `1m 30s`, or a bare `0`.
///
/// # Errors
/// Returns a message for the user if the text is none of these.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a duration as in `250ms` or `1s`"))
}

/// Reads `file`, the value of `flag`, which must contain a PEM block of this `kind`. The TLS
/// library, not this function, validates the block.
///
/// # Errors
/// Returns a message for the user if there is no such block.
pub fn pem(flag: &str, file: &Path, kind: &str) -> Result<String, String> {
    let wrong = |what: &str| format!("{flag} {}: {what}", file.display());
    let pem = fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    // grpcio passes it as a C string.
    if pem.contains(&format!("{kind}-----")) && !pem.contains('\0') {
        Ok(pem)
    } else {
        Err(wrong(&format!("it has no PEM block with a {kind}")))
    }
}
