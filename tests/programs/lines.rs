//! `server --source lines:DIR`: what is served and what is not, and its cost.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use fanstream::cli::server::ServerArgs;
use flate2::write::GzEncoder;
use rstest::rstest;
use tempfile::TempDir;

use super::reconnecting::{assert_same, SlowClient};
use crate::common::process::{eventually, Process};
use crate::common::server::{server, TestServer};
use crate::common::transport::Transport::Clear;

/// The arguments of `lines:DIR`.
pub fn source(directory: &Path) -> String {
    format!("lines:{}", directory.display())
}

/// A directory with these files.
pub fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

/// So many lines of 100 bytes.
pub fn lines(count: usize) -> Vec<u8> {
    let text = "x".repeat(88);
    let line = |n| format!("line {n:06} {text}\n").into_bytes();
    (0..count).flat_map(line).collect()
}

/// Compresses.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Each id has its own stream, and fails alone.
#[test]
fn what_is_not_served_harms_no_other_stream() {
    let outside = directory(&[("secret", b"secret\n")]);
    let inside = directory(&[
        ("1", b"fine\n"),
        ("2", &b"x".repeat(2000)),
        ("3", b"not \xff UTF-8\n"),
        ("4.gz", b"not gzip"),
    ]);
    let at = |name: &str| inside.path().join(name);
    symlink(outside.path().join("secret"), at("5")).unwrap();
    let up = format!(
        "../{}/secret",
        outside.path().file_name().unwrap().to_str().unwrap()
    );
    symlink(up, at("6")).unwrap();
    fs::create_dir(at("7")).unwrap();
    symlink("1", at("8")).unwrap();
    let flags = [
        "--source",
        &source(inside.path()),
        "--max-line-bytes",
        "1KiB",
    ];
    let server = TestServer::start(Clear, &flags);
    let flags = ["--id", "1-9", "--concurrency", "1", "--format", "text"];
    let ended = server.client(&flags).end();
    assert_eq!(ended.code, Some(5));
    assert_eq!(ended.output, ["fine", "fine"], "{ended:?}");
    for (id, said) in [
        (2, "DATA_LOSS: line 1 is longer than 1024 bytes"),
        (3, "DATA_LOSS: line 1 is not UTF-8 after its first 4 bytes"),
        (4, "DATA_LOSS: the file cannot be read"),
        (5, "NOT_FOUND: no file for id 5"),
        (6, "NOT_FOUND: no file for id 6"),
        (7, "NOT_FOUND: no file for id 7"),
        (9, "NOT_FOUND: no file for id 9"),
    ] {
        let said = format!("id {id}: {said}");
        assert!(
            ended.errors.iter().any(|line| line.contains(&said)),
            "{ended:?}"
        );
    }
    let mut warned = Vec::new();
    while warned.len() < 2 {
        let line = server.process.error_line();
        warned.extend(line.contains("is not served").then_some(line));
    }
    assert!(
        warned[0].contains("`5`") && warned[1].contains("`6`"),
        "{warned:?}"
    );
}

#[test]
fn bad_lines_are_replaced_as_asked() {
    let directory = directory(&[("1", b"123456789\n\xff\n")]);
    let source = source(directory.path());
    let flags = [
        "--source",
        &source,
        "--max-line-bytes",
        "5",
        "--bad-lines",
        "replace",
    ];
    let server = TestServer::start(Clear, &flags);
    let ended = server.client(&["--format", "text"]).end();
    assert_eq!(
        (ended.code, &ended.output[..]),
        (Some(0), &["12345…", "\u{fffd}"].map(String::from)[..])
    );
}

/// 200 MB, once as lines and once as one line.
#[test]
fn a_large_file_needs_little_memory() {
    let megabyte = lines(10_000);
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..200 {
        encoder.write_all(&megabyte).unwrap();
    }
    let directory = directory(&[("1.gz", &encoder.finish().unwrap()), ("2", b"")]);
    let sparse = File::create(directory.path().join("2")).unwrap();
    sparse.set_len(200 << 20).unwrap();
    let source = source(directory.path());
    let server = TestServer::start(Clear, &["--source", &source, "--bad-lines", "replace"]);
    let ended = server
        .client(&["--id", "1,2", "--quiet", "--format", "json"])
        .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.output[0].contains("\"responses\":2000001"),
        "{ended:?}"
    );
    let peak = kilobytes(&server.process, "VmHWM:");
    assert!(peak < 150_000, "{peak} kB");
}

/// A server reads a file no faster than the client takes it.
#[test]
fn a_client_that_does_not_read_holds_the_reading() {
    let content = lines(1_000_000);
    let directory = directory(&[("1", &content)]);
    let server = TestServer::start(Clear, &["--source", &source(directory.path())]);
    let mut client = SlowClient::start(&server, &[]);
    let first = client.read(1);
    // The offset of the file in the server, once it no longer grows.
    let offset = || offset(&server.process, &directory.path().join("1"));
    let mut same = 0;
    let mut last = None;
    let stopped = eventually(|| {
        let now = offset();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same == 200).then_some(last)
    });
    let stopped = stopped.expect("an open file");
    assert!(stopped < 20 << 20, "it has read {stopped} bytes of 100 MB");
    let (rest, code, _) = client.end();
    assert_eq!(code, Some(0));
    assert_same(&[first, rest].concat(), &content);
}

/// A line of /proc/PID/status.
fn kilobytes(process: &Process, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Where a process is in an open file. `None` if it has not opened it.
fn offset(process: &Process, path: &Path) -> Option<u64> {
    let of_process = format!("/proc/{}", process.id());
    let mut all = fs::read_dir(format!("{of_process}/fd")).unwrap();
    let entry = all.find_map(|entry| {
        let entry = entry.ok()?;
        (fs::read_link(entry.path()).ok()? == path).then_some(entry)
    })?;
    let name = entry.file_name().into_string().unwrap();
    let info = fs::read_to_string(format!("{of_process}/fdinfo/{name}")).ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("pos:"))?;
    line.trim().parse().ok()
}

#[rstest]
#[case(&["--source", "lines:/no/such"], "--source: the directory `/no/such`")]
#[case(&["--source", "lines:/etc/passwd"], "--source: the directory `/etc/passwd`")]
#[case(&["--source", "lines:/tmp", "--resume-key", "/no/such"], "--resume-key: the key `/no/such`")]
#[case(&["--source", "lines:/tmp", "--resume-key", "/dev/null"], "--resume-key: a key needs 16 bytes")]
#[case(&["--source", "lines:/tmp", "--responses", "3"], "--responses is not for --source lines:/tmp")]
#[case(&["--bad-lines", "replace"], "--bad-lines is not for --source tutorial")]
fn an_unusable_source_is_wrong_usage(
    #[case] flags: &[&str],
    #[case] said: &str,
    #[values(&[][..], &["--check-config"])] check: &[&str],
) {
    let listen = ["--listen", "127.0.0.1:0"];
    let all = listen.iter().chain(flags).chain(check);
    let ended = server(all.copied()).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.errors.iter().any(|line| line.contains(said)),
        "{ended:?}"
    );
}

#[test]
fn the_default_source_has_no_positions() {
    use clap::Parser;
    let args = ServerArgs::parse_from(["server"]);
    assert_eq!(args.source.source.to_string(), "tutorial");
    let server = TestServer::start(Clear, &["--responses", "2", "--step", "0s"]);
    let ended = server.client(&["--reconnect", "--format", "text"]).end();
    assert_eq!(ended.output, ["Request #0 For Id:1", "Request #1 For Id:1"]);
}
