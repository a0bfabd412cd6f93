//! Standard output of the `client` binary: the exact formats, each response printed on arrival.

use crate::common::process::{Process, TEST_TIMEOUT};
use crate::common::stub::{Call, Stub};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use crossbeam_channel::bounded;
use rstest::rstest;

fn start(stub: &Stub, arguments: &[&str]) -> Process {
    let arguments = arguments.iter().map(|argument| argument.to_string());
    let all = stub.client_flags().into_iter().chain(arguments);
    Process::start(env!("CARGO_BIN_EXE_client"), all)
}

/// The output of a client that succeeds.
#[track_caller]
fn output(stub: &Stub, arguments: &[&str]) -> Vec<String> {
    let ended = start(stub, arguments).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.errors, [""; 0], "{ended:?}");
    ended.output
}

/// The tutorial's responses, without delays.
fn tutorial(transport: Transport) -> Stub {
    Stub::start(transport, |mut call| {
        for k in 0..5 {
            call.respond(&format!("Request #{k} For Id:{}", call.id));
        }
        call.end();
    })
}

#[rstest]
fn tutorial_lines(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let lines = output(&tutorial(transport), &[]);
    let stamp = "2020/11/10 22:26:11 ";
    for line in &lines {
        let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(shape(&line[..stamp.len()]), shape(stamp), "{line}");
    }
    let texts: Vec<_> = lines.iter().map(|line| &line[stamp.len()..]).collect();
    assert_eq!(
        texts,
        [
            "Resp received: Request #0 For Id:1",
            "Resp received: Request #1 For Id:1",
            "Resp received: Request #2 For Id:1",
            "Resp received: Request #3 For Id:1",
            "Resp received: Request #4 For Id:1",
            "finished",
        ]
    );
}

#[rstest]
fn text_lines(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let lines = output(&tutorial(transport), &["--format", "text", "--take", "2"]);
    assert_eq!(lines, ["Request #0 For Id:1", "Request #1 For Id:1"]);
}

#[rstest]
fn json_lines(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |mut call| {
        call.respond("quote \" newline \n ä");
        call.respond("");
        call.end();
    });
    let lines = output(&stub, &["--format", "json", "--id", "-7"]);
    let wanted = [r#""quote \" newline \n ä""#, r#""""#];
    assert_eq!(lines.len(), wanted.len());
    for (sequence, (line, result)) in lines.iter().zip(wanted).enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let elapsed = value["elapsed_ms"].as_f64().unwrap();
        let exact = format!(
            r#"{{"id":-7,"sequence":{sequence},"elapsed_ms":{elapsed},"result":{result}}}"#
        );
        assert_eq!(line, &exact);
        assert_eq!((elapsed * 1e3).round() / 1e3, elapsed, "to the microsecond");
    }
}

#[rstest]
fn quiet_is_a_summary_in_text(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    for format in ["tutorial", "text"] {
        let lines = output(&tutorial(transport), &["--quiet", "--format", format]);
        assert_eq!(lines.len(), 1);
        let start = "5 responses, 95 bytes, first after ";
        assert!(lines[0].starts_with(start), "{lines:?}");
        assert!(
            lines[0].contains(" ms, in ") && lines[0].ends_with(" s"),
            "{lines:?}"
        );
    }
}

#[rstest]
fn quiet_is_a_summary_in_json(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let lines = output(
        &tutorial(transport),
        &["--quiet", "--format", "json", "--id", "1,1,1"],
    );
    assert_eq!(lines.len(), 1);
    let value: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let number = |field: &str| value[field].as_f64().unwrap();
    assert_eq!((number("responses"), number("bytes")), (15.0, 285.0));
    assert!(number("first_ms") <= number("duration_ms"));
    let start = r#"{"responses":15,"bytes":285,"first_ms":"#;
    assert!(lines[0].starts_with(start), "{lines:?}");
    assert!(lines[0].ends_with(r#","status":"OK"}"#), "{lines:?}");
}

#[rstest]
fn a_response_is_printed_before_the_next_one_arrives(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (next, turn) = bounded::<()>(0);
    let stub = Stub::start(transport, move |mut call| {
        for k in 0..3 {
            call.respond(&k.to_string());
            turn.recv_timeout(TEST_TIMEOUT).unwrap();
        }
        call.end();
    });
    let client = start(&stub, &["--format", "text"]);
    for k in 0..3 {
        assert_eq!(client.line(), k.to_string());
        next.send_timeout((), TEST_TIMEOUT).unwrap();
    }
    assert_eq!(client.end().code, Some(0));
}

#[rstest]
fn every_response_of_a_burst_is_printed(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |mut call| {
        for k in 0..20_000 {
            call.respond(&k.to_string());
        }
        call.end();
    });
    let lines = output(&stub, &["--format", "text"]);
    assert!(lines
        .iter()
        .map(|line| line.parse())
        .eq((0..20_000).map(Ok::<i32, _>)));
}

#[rstest]
fn large_responses_are_printed_completely(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |mut call| {
        call.respond(&"x".repeat(8 << 20));
        call.end();
    });
    let lines = output(
        &stub,
        &["--format", "text", "--max-response-bytes", "16MiB"],
    );
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [8 << 20]);
}

/// `client | head -1`: the client exits successfully and prints no error.
fn assert_success_after_one_line(transport: Transport, arguments: &[&str]) {
    let (over, seen) = bounded(2);
    let stub = Stub::start(transport, move |mut call| {
        while call.respond("more") {}
        let _ = over.send(()); // one is enough
    });
    let mut client = start(&stub, arguments);
    assert_eq!(client.line(), "more");
    client.close_output();
    let ended = client.end();
    assert_eq!((ended.code, ended.errors), (Some(0), vec![]));
    seen.recv_timeout(TEST_TIMEOUT).unwrap();
}

#[rstest]
fn a_closed_pipe_is_a_success(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    assert_success_after_one_line(transport, &["--format", "text"]);
}

#[rstest]
fn a_closed_pipe_ends_all_calls(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let quiet_one = |mut call: Call| {
        if call.id == 2 {
            return call.wait_until_over();
        }
        while call.respond("more") {}
    };
    let stub = Stub::start(transport, quiet_one);
    let mut client = start(&stub, &["--format", "text", "--id", "1,2"]);
    assert_eq!(client.line(), "more");
    client.close_output();
    let ended = client.end();
    assert_eq!((ended.code, ended.errors), (Some(0), vec![]));
}

#[rstest]
fn a_failed_write_is_a_failure(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = tutorial(transport);
    let script = r#"exec "$0" "$@" >/dev/full"#;
    let client = env!("CARGO_BIN_EXE_client");
    let arguments = ["-c", script, client].map(String::from).into_iter();
    let arguments = arguments.chain(stub.client_flags());
    let ended = Process::start("sh", arguments).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let error = "client: cannot write to standard output: No space left on device";
    assert!(ended.errors[0].starts_with(error), "{ended:?}");
}
