//! Values of flags that both the servers and the load clients have. It must not know any flag.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// `250ms`, `1s`, `1m 30s`; also a bare `0`.
///
/// # Errors
/// A text for the user when it is none of these.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a duration as in `250ms` or `1s`"))
}

/// The contents of `file`, as `flag` names it, which must have a block of PEM of this `kind` in it.
/// Whether the block is any good is for the TLS library to say.
///
/// # Errors
/// A text for the user when there is none.
pub fn pem(flag: &str, file: &Path, kind: &str) -> Result<String, String> {
    let wrong = |what: &str| format!("{flag} {}: {what}", file.display());
    let pem = fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    // grpcio makes a C string of it.
    if pem.contains(&format!("{kind}-----")) && !pem.contains('\0') {
        Ok(pem)
    } else {
        Err(wrong(&format!("there is no {kind} in PEM in it")))
    }
}
