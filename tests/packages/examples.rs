//! Each example runs to its end and prints the expected output.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::common::process::Process;
use rstest::rstest;

const EXAMPLES: [&str; 11] = [
    "blob_chunks",
    "callbacks",
    "command_output",
    "database_rows",
    "drain",
    "file_lines",
    "follow_file",
    "hello_stream",
    "publish_subscribe",
    "resume",
    "tls_and_tokens",
];

/// The directory of the example programs. `cargo test --test packages` does not build them.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let mut build = crate::cargo();
        // As in scripts/test: with other packages, cargo may choose other features and compile
        // again.
        build.args(["build", "--quiet", "--locked", "--workspace"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        build.args(EXAMPLES.iter().flat_map(|name| ["--example", name]));
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.unwrap().success());
        // This program is in `deps`, beside the examples' directory.
        let this = env::current_exe().unwrap();
        this.ancestors().nth(2).unwrap().join("examples")
    })
}

fn output(example: &str) -> Vec<String> {
    output_of(example, &[])
}

fn output_of(example: &str, arguments: &[&str]) -> Vec<String> {
    let program = programs().join(example);
    let ended = Process::start(program.to_str().unwrap(), arguments).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.errors, [""; 0], "{ended:?}");
    ended.output
}

#[rstest]
#[case::blob_chunks("blob_chunks", "checksum is right: true")]
#[case::callbacks("callbacks", "20 °C|20.5 °C|21 °C|the library no longer calls back")]
#[case::command_output("command_output", "started|signal: 9 (SIGKILL)")]
#[case::database_rows("database_rows", DATABASE_ROWS)]
#[case::follow_file("follow_file", FOLLOW_FILE)]
#[case::hello_stream(
    "hello_stream",
    "Hello world, number 1|Hello world, number 2|Hello world, number 3"
)]
#[case::resume("resume", RESUME)]
#[case::tls_and_tokens("tls_and_tokens", TLS_AND_TOKENS)]
fn it_prints(#[case] example: &str, #[case] lines: &str) {
    assert_eq!(output(example), lines.split('|').collect::<Vec<_>>());
}

const DATABASE_ROWS: &str =
    r#"name: "Ada" years: 36|name: "Edsger" years: 72|name: "Grace" years: 85"#;

const FOLLOW_FILE: &str = "500 clients have read: started|500 clients have read: working|\
    500 clients have read: done|0 streams failed|0 streams aborted";

const RESUME: &str = "opened at 1|1|2|3|4|opened at 1|5|6|7|8|opened at 5|9|10";

const TLS_AND_TOKENS: &str = "Hello, in private|\
    UNAUTHENTICATED: a token is needed: send the header `authorization: Bearer TOKEN`";

#[test]
fn file_lines_prints_a_file_and_a_status() {
    let output = output("file_lines");
    assert_eq!(output[0], "Cargo.toml: [package]");
    assert!(
        output[3].starts_with("missing.txt: NOT_FOUND: "),
        "{output:?}"
    );
    assert_eq!(output.len(), 4, "{output:?}");
}

#[test]
fn drain_prints_its_position() {
    let output = output("drain");
    assert_eq!(output[0], "started at 0");
    assert!(
        output[1].starts_with("the server drains; go on from "),
        "{output:?}"
    );
    assert_eq!(output[2..], ["0 streams aborted"]);
}

/// With ten thousand it takes too long for a test.
#[test]
fn publish_subscribe_prints_what_became_of_slow_readers() {
    assert_eq!(
        output_of("publish_subscribe", &["400"]),
        [
            "396 subscribers have read 24 items",
            "4 have read nothing",
            "2 of them miss some and read the last",
            "2 of them end with RESOURCE_EXHAUSTED",
            "0 streams aborted",
        ]
    );
}
