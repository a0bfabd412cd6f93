//! Checks of flags that both programs make. Text in, text out: they read no files.

use std::path::Path;

/// The warning about a file with a secret that other users can read.
pub(in crate::cli) fn readable_secret_warning(flag: &str, path: &Path) -> String {
    let path = path.display();
    format!("{flag}: `{path}` can be read by others; restrict it to its owner (chmod 600)")
}

/// Checks that `needed` is present if `flag` is. clap checks this only for flags on one level, not for
/// one before a command and another behind it.
pub(in crate::cli) fn needs(
    flag: &str,
    given: bool,
    needed: &str,
    present: bool,
) -> Result<(), String> {
    match given && !present {
        true => Err(format!("{flag} needs {needed}")),
        false => Ok(()),
    }
}
