//! Trusted authorities from the environment: `SSL_CERT_FILE` and `SSL_CERT_DIR`, as OpenSSL, curl and
//! Go honour them. The C-core knows only a variable of its own.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::client_tls::Authorities;
use super::files::{FileError, FileRole, Source};

/// The C-core's own variable, which comes first: the C-core reads it itself.
const OF_CCORE: &str = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";

/// What begins each certificate in a PEM file.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The authorities that the environment names; `None` trusts those of the system. Blocks while files
/// are read.
///
/// # Errors
/// [`FileError`] if the file or a directory is unusable.
pub(super) fn from_environment() -> Result<Option<Authorities>, FileError> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    if variable(OF_CCORE).is_some() {
        return Ok(None);
    }
    of(variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR"))
}

fn of(file: Option<OsString>, dirs: Option<OsString>) -> Result<Option<Authorities>, FileError> {
    let mut found = Vec::new();
    if let Some(file) = &file {
        let source = Source::new(FileRole::Authorities, file);
        found.extend(source.read()?.bytes);
    }
    for dir in dirs.iter().flat_map(env::split_paths) {
        for bytes in certificates_in(dir)? {
            found.push(b'\n');
            found.extend(bytes);
        }
    }
    match file.is_some() || dirs.is_some() {
        true => Authorities::from_pem(found, file.or(dirs).unwrap_or_default()).map(Some),
        false => Ok(None),
    }
}

/// The files of a directory that have certificates. It may hold links with hashed names to the same
/// ones, and files of other kinds.
fn certificates_in(dir: PathBuf) -> Result<Vec<Vec<u8>>, FileError> {
    let source = Source::new(FileRole::Authorities, &dir);
    let entries = fs::read_dir(&dir).map_err(|error| source.error(error))?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| fs::canonicalize(entry.ok()?.path()).ok())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.dedup();
    let files = paths.into_iter().filter_map(|path| fs::read(path).ok());
    let has_some = |bytes: &Vec<u8>| {
        bytes
            .windows(CERTIFICATE.len())
            .any(|window| window == CERTIFICATE)
    };
    Ok(files.filter(has_some).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn certificate() -> String {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        key.unwrap().cert.pem()
    }

    #[test]
    fn the_file_and_all_files_of_the_directories_are_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert!(of(None, None).unwrap().is_none());

        fs::write(path("a.pem"), certificate()).unwrap();
        fs::create_dir(path("more")).unwrap();
        fs::write(path("more/b.pem"), certificate()).unwrap();
        fs::write(path("more/README"), "no certificate").unwrap();
        symlink(path("more/b.pem"), path("more/1234.0")).unwrap();
        let count = |found: Option<Authorities>| found.unwrap().count();
        let (file, dirs) = (Some(path("a.pem").into()), Some(path("more").into()));
        assert_eq!(count(of(file.clone(), None).unwrap()), 1);
        assert_eq!(count(of(None, dirs.clone()).unwrap()), 1, "once");
        assert_eq!(count(of(file, dirs).unwrap()), 2);
    }

    #[test]
    fn an_unusable_file_is_named() {
        let error = of(Some("/no/such".into()), None).err().unwrap();
        assert!(error.to_string().contains("/no/such"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        assert!(of(None, Some(dir.path().into())).is_err(), "no certificate");
        assert!(of(None, Some("/no/such".into())).is_err());
    }
}
