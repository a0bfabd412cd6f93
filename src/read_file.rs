//! Reads small files whole: settings, certificates, tokens. No read waits for ever for a pipe. It
//! must not know the contents.
//!
//! | file | [`read`], at the start | [`read_regular`], to reload |
//! | --- | --- | --- |
//! | regular | read | read |
//! | a pipe, such as `<(command)` in a shell | read to its end, while a writer has it open | refused |
//! | a FIFO without a writer | an error after [`WITHOUT_WRITER`] | refused |
//! | a device | read to its end | refused |
//!
//! A pipe can be read only once. So a second read would take its end for an empty file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use humantime::format_duration;
use nix::libc::O_NONBLOCK;

/// Longest wait for a FIFO's writer. A shell that starts both sides opens them within milliseconds.
const WITHOUT_WRITER: Duration = Duration::from_secs(1);

/// Longest wait for a writer's next byte: a command may ask a server for a secret first.
const SILENCE: Duration = Duration::from_secs(30);

/// Interval between two attempts to read a pipe.
const RETRY: Duration = Duration::from_millis(5);

/// Reads a file of at most `most` bytes to its end. Blocks for a pipe's writer, as in the table
/// above, and for a hung file system.
///
/// # Errors
/// The system's, or one that says why a pipe or a large file is not read.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let limits = Limits {
        without_writer: match file.metadata()?.file_type().is_fifo() && !is_anonymous(&file) {
            true => WITHOUT_WRITER,
            false => Duration::ZERO,
        },
        silence: SILENCE,
    };
    read_to_end(file, most, limits)
}

/// Reads a regular file of at most `most` bytes. Blocks only for a hung file system.
///
/// # Errors
/// The system's, or one that says that the file is not regular, or too large.
#[cfg(feature = "tls")]
pub(crate) fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Asked before it is opened, since opening a FIFO lets its writer write to nobody.
    refuse_irregular(&fs::metadata(path)?)?;
    let file = open(path)?;
    // Another file may have taken its place.
    refuse_irregular(&file.metadata()?)?;
    let limits = Limits {
        without_writer: Duration::ZERO,
        silence: Duration::ZERO,
    };
    read_to_end(file, most, limits)
}

/// Opens a file without waiting for a FIFO's writer.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(O_NONBLOCK).open(path)
}

#[cfg(feature = "tls")]
fn refuse_irregular(file: &fs::Metadata) -> io::Result<()> {
    match file.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file, and only such files are reloaded",
        )),
    }
}

/// Whether a pipe has no name. Its writer opened it first, so without a writer it is at its end.
fn is_anonymous(pipe: &File) -> bool {
    let name = fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd()));
    name.is_ok_and(|name| name.to_string_lossy().starts_with("pipe:"))
}

/// The longest waits of a read.
struct Limits {
    /// For the first byte of a FIFO that no writer has open.
    without_writer: Duration,
    /// For the next byte of one that a writer has open.
    silence: Duration,
}

fn read_to_end(mut file: File, most: u64, limits: Limits) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut last_byte = Instant::now();
    loop {
        let before = bytes.len();
        // One byte more distinguishes a file that is too large from one that just fits.
        let mut rest = file.by_ref().take(most + 1 - before as u64);
        let (limit, reason) = match rest.read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > most => return Err(too_large(most)),
            // No writer has opened the FIFO yet, or one has written nothing.
            Ok(_) if bytes.is_empty() && !limits.without_writer.is_zero() => {
                (limits.without_writer, "nobody writes to this FIFO")
            }
            Ok(_) => return Ok(bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                (limits.silence, "its writer writes no more")
            }
            Err(error) => return Err(error),
        };
        if bytes.len() > before {
            last_byte = Instant::now();
        }
        if last_byte.elapsed() >= limit {
            let reason = format!("{reason}, for {}", format_duration(limit));
            return Err(io::Error::new(ErrorKind::TimedOut, reason));
        }
        thread::sleep(RETRY);
    }
}

fn too_large(most: u64) -> io::Error {
    io::Error::other(format!("it is larger than {} MiB", most >> 20))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    const MOST: u64 = 1 << 20;

    /// A new FIFO in a directory that exists until the end of the test.
    fn fifo() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        (directory, path)
    }

    fn path_of(pipe: &impl AsRawFd) -> PathBuf {
        format!("/dev/fd/{}", pipe.as_raw_fd()).into()
    }

    #[test]
    fn a_fifo_without_a_writer_is_an_error_in_time() {
        let (_directory, path) = fifo();
        let began = Instant::now();
        let error = read(&path, MOST).unwrap_err();
        assert_eq!(error.to_string(), "nobody writes to this FIFO, for 1s");
        assert!(began.elapsed() < 10 * WITHOUT_WRITER);
    }

    #[test]
    fn a_fifo_is_read_to_its_end() {
        let (_directory, path) = fifo();
        let of_writer = path.clone();
        // Opens only when the reader does.
        let writer = thread::spawn(move || fs::write(of_writer, "text"));
        assert_eq!(read(&path, MOST).unwrap(), b"text");
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn a_pipe_of_a_command_is_read_to_its_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = path_of(&reader);
        let slow = thread::spawn(move || {
            writer.write_all(b"one ").unwrap();
            thread::sleep(4 * RETRY);
            writer.write_all(b"two").unwrap();
        });
        assert_eq!(read(&path, MOST).unwrap(), b"one two");
        slow.join().unwrap();
        // Without waiting for a writer: it has been there.
        let began = Instant::now();
        assert_eq!(read(&path, MOST).unwrap(), b"");
        assert!(began.elapsed() < WITHOUT_WRITER);
    }

    #[test]
    fn a_writer_that_stops_is_an_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"half").unwrap();
        let file = open(&path_of(&reader)).unwrap();
        let limits = Limits {
            without_writer: Duration::ZERO,
            silence: 2 * RETRY,
        };
        let error = read_to_end(file, MOST, limits).unwrap_err();
        assert_eq!(error.to_string(), "its writer writes no more, for 10ms");
    }

    #[test]
    fn only_a_regular_file_is_read_again() {
        let (directory, path) = fifo();
        for other in [&path, directory.path(), "/dev/null".as_ref()] {
            let error = read_regular(other, MOST).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
        let file = directory.path().join("file");
        fs::write(&file, "text").unwrap();
        assert_eq!(read_regular(&file, MOST).unwrap(), b"text");
        let missing = read_regular(&directory.path().join("none"), MOST);
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_large_file_is_refused() {
        let error = read("/dev/zero".as_ref(), MOST).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1 MiB");
        assert_eq!(read("/dev/null".as_ref(), MOST).unwrap(), b"");
    }
}
