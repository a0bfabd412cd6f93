//! Settings from files and the environment, completion scripts, manual pages and help. Unit tests
//! of `cli::settings` cover which source takes precedence.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::process::{Ended, Process};
use crate::common::server::server;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use rstest::rstest;
use tempfile::TempDir;

const SERVER: &str = env!("CARGO_BIN_EXE_server");
const CLIENT: &str = env!("CARGO_BIN_EXE_client");

/// Converts flags to a file for `--config`.
fn as_toml(flags: &[String]) -> String {
    let mut text = String::new();
    let mut flags = flags.iter().peekable();
    while let Some(flag) = flags.next() {
        let key = flag.strip_prefix("--").unwrap();
        match flags.next_if(|next| !next.starts_with("--")) {
            Some(value) => text += &format!("{key} = {}\n", toml::Value::from(value.as_str())),
            None => text += &format!("{key} = true\n"),
        }
    }
    text
}

fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

fn run(program: &str, arguments: &[&str]) -> Ended {
    Process::start(program, arguments).end()
}

/// Runs a program with these environment variables, in the syntax of `env`.
fn run_in(environment: &[&str], program: &str, arguments: &[&str]) -> Ended {
    run("env", &[environment, &[program], arguments].concat())
}

#[rstest]
fn files_configure_server_and_client(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let directory = tempfile::tempdir().unwrap();
    let setup = transport.set_up();
    let of_server = as_toml(&setup.server_flags());
    let of_server =
        "listen = \"127.0.0.1:0\"\nstep = \"0s\"\nresponses = 2\n".to_string() + &of_server;
    let of_server = file(&directory, "server.toml", &of_server);
    let server = server(["--config", &of_server]);
    let listening = server.line();
    let address = listening.strip_prefix("listening on ").unwrap();
    let of_client = as_toml(&setup.client_flags());
    let of_client = format!("addr = \"{address}\"\nformat = \"text\"\nid = [3]\n{of_client}");
    let of_client = file(&directory, "client.toml", &of_client);
    let ended = run(CLIENT, &["--config", &of_client]);
    assert_eq!(
        ended.output,
        ["Request #0 For Id:3", "Request #1 For Id:3"],
        "{ended:?}"
    );
    let variables = ["FANSTREAM_CLIENT_ID=4", "FANSTREAM_CLIENT_TAKE=2"];
    let ended = run_in(&variables, CLIENT, &["--config", &of_client, "--take", "1"]);
    assert_eq!(ended.output, ["Request #0 For Id:4"], "{ended:?}");
}

#[test]
fn a_wrong_setting_is_wrong_usage() {
    let directory = tempfile::tempdir().unwrap();
    for program in [SERVER, CLIENT] {
        for (text, said) in [
            ("\nnone = 1\n", "odd.toml, line 2: `none` is not a setting"),
            ("tls = ", "odd.toml, line 1: "),
            (
                "\n\ntoken-file = true\n",
                "odd.toml, line 3: `token-file` is true or false",
            ),
            ("\ntoken-file = \"/no/such\"\n", "odd.toml, line 2"),
        ] {
            let path = file(&directory, "odd.toml", text);
            let ended = run(program, &["--config", &path, "--check-config"]);
            let errors = ended.errors.join("\n");
            assert_eq!(ended.code, Some(2), "{errors}");
            assert!(errors.contains(said), "{errors}");
            assert!(ended.output.is_empty(), "{ended:?}");
        }
        let ended = run(program, &["--config", "/no/such"]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.errors[0].contains("--config: cannot read `/no/such`"));
    }
}

#[test]
fn an_unusable_file_is_reported_with_its_setting() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(
        &directory,
        "server.toml",
        "listen = \"127.0.0.1:0\"\ntoken-file = \"/no/such\"\n",
    );
    let ended = run(SERVER, &["--config", &path]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let said = format!("(--token-file is set by {path}, line 2)");
    assert!(ended.errors[0].contains(&said), "{ended:?}");
}

#[rstest]
fn check_config_prints_a_file_that_can_be_read_back(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let directory = tempfile::tempdir().unwrap();
    let setup = transport.set_up();
    for (program, flags, sure) in [
        (SERVER, setup.server_flags(), "step = \"1s\"  # default"),
        (
            CLIENT,
            setup.client_flags(),
            "take = 3  # environment: FANSTREAM_CLIENT_TAKE",
        ),
    ] {
        let path = file(&directory, "first.toml", &as_toml(&flags));
        let variables = ["FANSTREAM_CLIENT_TAKE=3"];
        let check = ["--check-config", "--config", &path];
        let shown = run_in(&variables, program, &check);
        assert_eq!(
            (shown.code, &shown.errors[..]),
            (Some(0), &[][..]),
            "{shown:?}"
        );
        assert!(shown.output.iter().any(|line| line == sure), "{shown:?}");
        let again = file(&directory, "second.toml", &shown.output.join("\n"));
        let again = run(program, &["--check-config", "--config", &again]);
        let settings = |ended: &Ended| -> Vec<String> {
            let lines = ended.output.iter();
            lines
                .map(|line| line.split("  # ").next().unwrap().into())
                .collect()
        };
        assert_eq!(settings(&again), settings(&shown));
    }
}

#[test]
fn check_config_finds_the_errors_of_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let nonsense = file(&directory, "nonsense.pem", "no certificate");
    for (flags, said) in [
        (
            &["--tls-cert", &nonsense, "--tls-key", &nonsense][..],
            "--tls-cert: ",
        ),
        (&["--listen", "no-such-host.invalid:1"], "cannot resolve"),
        (
            &["--listen", "unix:/no/such/directory/socket"],
            "No such file",
        ),
        (&["--grace", "soon"], "--grace"),
    ] {
        let ended = run(SERVER, &[&["--check-config"], flags].concat());
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.errors.concat().contains(said), "{ended:?}");
        assert!(ended.output.is_empty(), "{ended:?}");
    }
}

#[test]
fn check_config_binds_no_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(SERVER, &["--check-config", "--listen", &address]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

// --- Completion, manual pages and help ----------------------------------------------------------

/// Bash's completions of `line`.
fn completed(script: &Path, program: &str, line: &[&str]) -> Vec<String> {
    let words: Vec<_> = line.iter().map(|word| format!("'{word}'")).collect();
    // Calls the function registered with `complete`, as bash does.
    let call = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; \
         run=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
         $run {program} \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.join(" "),
        line.len() - 1,
    );
    let ended = run("bash", &["--norc", "-c", &call]);
    assert_eq!(
        (ended.code, &ended.errors[..]),
        (Some(0), &[][..]),
        "{ended:?}"
    );
    ended.output
}

#[test]
fn bash_completes_flags_and_values() {
    let directory = tempfile::tempdir().unwrap();
    for (binary, program, flag, values) in [
        (
            SERVER,
            "server",
            ["--tls-c", "--tls-cert"],
            ["--log-format", "tutorial"],
        ),
        (
            CLIENT,
            "client",
            ["--first", "--first-timeout"],
            ["--format", "tutorial"],
        ),
    ] {
        let script = run(binary, &["--completions", "bash"]).output.join("\n");
        let script = file(&directory, program, &script);
        let script = Path::new(&script);
        let flags = completed(script, program, &[program, flag[0]]);
        assert!(flags.iter().any(|offered| offered == flag[1]), "{flags:?}");
        assert!(
            flags.iter().all(|offered| offered.starts_with(flag[0])),
            "{flags:?}"
        );
        let offered = completed(script, program, &[program, values[0], ""]);
        assert!(
            offered.iter().any(|offered| offered == values[1]),
            "{offered:?}"
        );
    }
}

#[rstest]
#[case("bash", "complete -F")]
#[case("zsh", "#compdef")]
#[case("fish", "complete -c")]
#[case("powershell", "Register-ArgumentCompleter")]
#[case("elvish", "edit:completion")]
fn every_shell_has_a_completion_script(#[case] shell: &str, #[case] its: &str) {
    for program in [SERVER, CLIENT] {
        let ended = run(program, &["--completions", shell]);
        assert_eq!(
            (ended.code, &ended.errors[..]),
            (Some(0), &[][..]),
            "{ended:?}"
        );
        let script = ended.output.join("\n");
        assert!(
            script.contains("check-config") && script.contains(its),
            "{script}"
        );
    }
}

#[test]
fn manual_pages_are_well_formed() {
    let directory = tempfile::tempdir().unwrap();
    for program in [SERVER, CLIENT] {
        let page = run(program, &["--man"]).output.join("\n") + "\n";
        for part in [
            ".TH",
            "SYNOPSIS",
            "EXAMPLES",
            "ENVIRONMENT",
            "EXIT STATUS",
            "check",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        if Command::new("groff").arg("--version").output().is_err() {
            eprintln!("groff is missing: the page is not checked");
            continue;
        }
        let page = file(&directory, "page.1", &page);
        let arguments = ["-man", "-Kutf8", "-Tutf8", "-ww", "-z", &page];
        let read = run("groff", &arguments);
        assert_eq!(
            (read.code, &read.errors[..]),
            (Some(0), &[][..]),
            "{read:?}"
        );
    }
}

#[test]
fn help_begins_with_the_purpose() {
    for program in [SERVER, CLIENT] {
        let help = run(program, &["--help"]).output.join("\n");
        let at = |part: &str| help.find(part).unwrap_or_else(|| panic!("{part}: {help}"));
        assert!(at("Usage:") < at("Examples:") && at("Examples:") < at("Options:"));
        assert!(at("Sources of settings:") < at("Exit codes:"));
        assert!(help.contains("250ms"), "{help}");
        let short = run(program, &["-h"]).output;
        assert!(short.len() < 120, "{}", short.len());
        assert!(short.last().unwrap().contains("--help"), "{short:?}");
    }
}

#[test]
fn a_fifo_without_a_writer_is_wrong_usage() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap()
        .success());
    let fifo = fifo.to_str().unwrap();
    for program in [SERVER, CLIENT] {
        let ended = run(program, &["--config", fifo]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let error = ended.errors.concat();
        assert!(error.contains("--config: cannot read `"), "{error}");
        assert!(error.contains("nobody writes to this FIFO"), "{error}");
    }
}

#[test]
fn the_file_may_be_a_pipe() {
    let script = r#"echo "$1" | "$0" --config /dev/stdin --check-config"#;
    for (program, setting) in [(SERVER, "step = '7s'"), (CLIENT, "id = 7")] {
        let ended = run("sh", &["-c", script, program, setting]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let shown = ended.output.join("\n");
        assert!(shown.contains("file: /dev/stdin, line 1"), "{shown}");
    }
}

#[test]
fn the_version_says_whether_the_c_core_is_patched() {
    for (program, name) in [(SERVER, "server"), (CLIENT, "client")] {
        let own = format!("{name} {}", env!("CARGO_PKG_VERSION"));
        let c_core = format!("{own} (gRPC C-core 1.56.2, patched)");
        assert_eq!(run(program, &["--version"]).output, [c_core]);
        assert_eq!(run(program, &["-V"]).output, [own]);
    }
}
