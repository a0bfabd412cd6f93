//! Tests of the lines of files, without a server.

use std::fs;
use std::io::Write;

use flate2::write::GzEncoder;
use grpcio::RpcStatusCode as Code;
use protobuf::Message as _;
use tempfile::TempDir;

use super::*;

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

fn open(lines: &Lines, id: i32, place: Option<&[u8]>) -> Result<LineRecords, Status> {
    let request = Request {
        id,
        ..Request::default()
    };
    lines.open(&CallContext::default(), &request, place)
}

/// The lines to the end or to the first failure.
fn texts(records: LineRecords) -> Result<Vec<String>, Status> {
    let encoded = crate::engine::codec::server_streaming::<Request, Response>("");
    let text = |line: Produced<Encoded<Response>>| {
        let mut bytes = grpcio::GrpcSlice::default();
        (encoded.resp_mar.ser)(&line?, &mut bytes).unwrap();
        Ok(Response::parse_from_bytes(bytes.as_slice()).unwrap().result)
    };
    records.map(text).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

const THREE: &[u8] = "one\r\n\nthr\u{e9}e".as_bytes();

#[test]
fn lines_lose_their_newline_alone() {
    // A skippable frame, and one after the other.
    let frames = [
        &[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..],
        &zstd(&THREE[..5]),
        &zstd(&THREE[5..]),
    ];
    let members = [gzip(&THREE[..4]), gzip(&THREE[4..])].concat();
    let directory = directory(&[
        ("1", THREE),
        ("2", b""),
        ("3.gz", &members),
        ("4.zst", &frames.concat()),
        ("5", b"plain\n"),
        ("5.gz", &gzip(b"compressed")),
    ]);
    let lines = Lines::new(directory.path()).unwrap();
    let of = |id| texts(open(&lines, id, None).unwrap()).unwrap();
    for id in [1, 3, 4] {
        assert_eq!(of(id), ["one\r", "", "thr\u{e9}e"], "{id}");
    }
    assert!(of(2).is_empty());
    assert_eq!(of(5), ["plain"], "the file itself comes first");
    for missing in [0, -1, 6] {
        let error = open(&lines, missing, None).map(drop).unwrap_err();
        assert_eq!(error.code(), Code::NOT_FOUND);
        assert!(error.message().ends_with(&format!("id {missing}")));
    }
}

/// From every place, whatever was skipped before, the rest follows.
#[test]
fn a_place_gives_the_rest() {
    // Beyond the buffers of the readers.
    let content: Vec<_> = (0..9000).map(|n| format!("line {n}")).collect();
    let bytes = content.join("\n").into_bytes();
    let files = [
        ("1", &bytes[..]),
        ("2.gz", &gzip(&bytes)),
        ("3.zst", &zstd(&bytes)),
    ];
    let (one, copy) = (directory(&files), directory(&files));
    let (one, copy) = (
        Lines::new(one.path()).unwrap(),
        Lines::new(copy.path()).unwrap(),
    );
    for id in [1, 2, 3] {
        let start = open(&one, id, None).unwrap().place().unwrap();
        for skipped in [0, 1, 17, 4567, 8999, 9000] {
            let mut records = open(&copy, id, Some(&start)).unwrap();
            assert_eq!(records.skip_records(skipped).unwrap(), skipped);
            let place = records.place().unwrap();
            let rest = &content[skipped as usize..];
            assert_eq!(texts(records).unwrap(), rest, "{id} skips {skipped}");
            let again = open(&one, id, Some(&place)).unwrap();
            assert_eq!(again.place().unwrap(), place);
            assert_eq!(texts(again).unwrap(), rest, "{id} at {skipped}");
        }
        let mut records = open(&one, id, Some(&start)).unwrap();
        assert_eq!(records.skip_records(10_000).unwrap(), 9000, "all there are");
    }
}

#[test]
fn a_stream_ends_where_the_file_ended_when_it_began() {
    let directory = directory(&[("1", b"a\nb")]);
    let path = directory.path().join("1");
    let lines = Lines::new(directory.path()).unwrap();
    let mut records = open(&lines, 1, None).unwrap();
    let start = records.place().unwrap();
    fs::write(&path, "a\nbcd\ne\n").unwrap();
    assert_eq!(records.skip_records(1).unwrap(), 1);
    assert_eq!(texts(records).unwrap(), ["b"]);
    let again = open(&lines, 1, Some(&start)).unwrap();
    assert_eq!(
        texts(again).unwrap(),
        ["a", "b"],
        "added lines are not of it"
    );
    let new = open(&lines, 1, None).unwrap();
    assert_eq!(texts(new).unwrap(), ["a", "bcd", "e"]);
    for other in ["x\nb", "a\n", ""] {
        fs::write(&path, other).unwrap();
        let error = open(&lines, 1, Some(&start)).map(drop).unwrap_err();
        assert_eq!(error.code(), Code::FAILED_PRECONDITION, "{other:?}");
    }
    fs::remove_file(&path).unwrap();
    let error = open(&lines, 1, Some(&start)).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::NOT_FOUND);
}

/// Clients try again after this code, perhaps with another server.
#[test]
fn a_copy_that_is_behind_is_unavailable() {
    let directory = directory(&[("1", &b"a\n".repeat(5000))]);
    let lines = Lines::new(directory.path()).unwrap();
    let start = open(&lines, 1, None).unwrap().place().unwrap();
    fs::write(directory.path().join("1"), b"a\n".repeat(4000)).unwrap();
    let error = open(&lines, 1, Some(&start)).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::UNAVAILABLE);
}

#[test]
fn a_file_that_becomes_shorter_is_no_end() {
    let directory = directory(&[("1", &b"a\n".repeat(50_000))]);
    let lines = Lines::new(directory.path()).unwrap();
    let records = open(&lines, 1, None).unwrap();
    fs::write(directory.path().join("1"), "a\n").unwrap();
    let error = texts(records).unwrap_err();
    assert_eq!(error.code(), Code::DATA_LOSS);
    assert!(error.message().contains("shorter"), "{error}");
}

#[test]
fn bad_lines_fail_or_are_replaced() {
    let long = "é".repeat(40_000);
    let directory = directory(&[
        ("1", b"12345\n123456\n12345"),
        ("2", b"ok\n\xffbad\nok"),
        ("3", "éééé\nlast\n".as_bytes()),
        ("4", format!("{long}\nlast").as_bytes()),
    ]);
    let fails = Lines::new(directory.path()).unwrap().max_line_bytes(5);
    let replaces = fails.clone().bad_lines(BadLines::Replace);
    let failure = |id| {
        let error = texts(open(&fails, id, None).unwrap()).unwrap_err();
        assert_eq!(error.code(), Code::DATA_LOSS);
        error.message().to_owned()
    };
    assert_eq!(failure(1), "line 2 is longer than 5 bytes");
    assert_eq!(failure(2), "line 2 is not UTF-8 after its first 0 bytes");
    let replaced = |id| texts(open(&replaces, id, None).unwrap()).unwrap();
    assert_eq!(replaced(1), ["12345", "12345…", "12345"]);
    assert_eq!(replaced(2), ["ok", "\u{fffd}bad", "ok"]);
    assert_eq!(replaced(3), ["éé…", "last"]);
    assert_eq!(replaced(4), ["éé…", "last"]);
    assert_ne!(fails.settings(), replaces.settings());
}

#[test]
fn broken_compression_is_data_loss() {
    let lines: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() / 2);
        bytes
    };
    let mut wrong_sum = zstd(lines.as_bytes());
    *wrong_sum.last_mut().unwrap() ^= 1;
    let directory = directory(&[
        ("1.gz", &cut(gzip(lines.as_bytes()))),
        ("2.zst", &cut(zstd(lines.as_bytes()))),
        ("3.gz", b"not gzip"),
        ("4.zst", b"not zstd"),
        ("5.zst", &wrong_sum),
    ]);
    let source = Lines::new(directory.path()).unwrap();
    for id in 1..=5 {
        let error = texts(open(&source, id, None).unwrap()).unwrap_err();
        assert_eq!(error.code(), Code::DATA_LOSS, "{id}: {error}");
    }
}
