//! Checks of flags that both programs make. They read no contents of files.

use std::path::PathBuf;

use crate::security::readable_by_others;

/// Warnings about the files of these flags that hold a secret and that other users can read.
pub(in crate::cli) fn readable_secrets<const N: usize>(
    secrets: [(&str, &Option<PathBuf>); N],
) -> Vec<String> {
    let given = secrets
        .into_iter()
        .filter_map(|(flag, path)| Some((flag, path.as_ref()?)));
    given
        .filter(|(_, path)| readable_by_others(path))
        .map(|(flag, path)| {
            let path = path.display();
            format!("{flag}: `{path}` can be read by others; restrict it to its owner (chmod 600)")
        })
        .collect()
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
