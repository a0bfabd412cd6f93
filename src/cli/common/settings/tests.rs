//! Tests of the sources' order and of the messages, with a small program. `tests/programs` covers the
//! real ones.

use std::fs;

use clap::Parser;
use tempfile::TempDir;

use super::clap_command::settable;
use super::*;
use crate::cli::common::flags::FLAGS;

#[derive(Debug, Parser, PartialEq)]
#[command(name = "server", version)]
struct Args {
    #[arg(long, default_value = "here")]
    listen: String,
    #[arg(long, default_value_t = 5)]
    max_things: u32,
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
    #[arg(long)]
    wait: bool,
    #[arg(short = 'H', long)]
    header: Vec<String>,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        examples: &[("server", "this")],
        sections: &[],
        exit_codes: &[],
    };
}

/// A file for `--config`, in a directory of its own.
fn file(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().into();
    (directory, path)
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter();
    variables.map(|(k, v)| (k.into(), v.into())).collect()
}

fn run(flags: &[&str], variables: &[(&str, &str)]) -> Result<(Args, Settings), Problem> {
    let arguments = [&["server"], flags].concat();
    match read::<Args>(arguments, environment(variables))? {
        Invocation::Run(args, settings) => Ok((args, *settings)),
        Invocation::Print(text) => panic!("{}", String::from_utf8_lossy(&text)),
    }
}

#[track_caller]
fn args(flags: &[&str], variables: &[(&str, &str)]) -> Args {
    match run(flags, variables) {
        Ok((args, _)) => args,
        Err(problem) => panic!("{problem:?}"),
    }
}

/// The whole error for a file with `text`, as it is printed.
#[track_caller]
fn wrong(text: &str, flags: &[&str], variables: &[(&str, &str)]) -> String {
    let (directory, path) = file(text);
    let flags = [&["--config", path.as_str()], flags].concat();
    let said = match run(&flags, variables) {
        Ok((args, _)) => panic!("{args:?}"),
        Err(Problem::Setting(error)) => error.to_string(),
        Err(Problem::Usage { error, notes }) => format!("{error}{}", notes.join("\n")),
    };
    let directory = directory.path().to_str().unwrap();
    said.replace(&format!("{directory}/"), "")
}

#[test]
fn a_flag_then_the_environment_then_the_file_then_the_default() {
    let (_directory, path) = file("listen = \"file\"\nmax-things = 7\n");
    let config = ["--config", path.as_str()];
    let variable = ("FANSTREAM_SERVER_LISTEN", "environment");
    let listen = |flags: &[&str], variables: &[(&str, &str)]| args(flags, variables).listen;
    assert_eq!(listen(&[], &[]), "here");
    assert_eq!(listen(&config, &[]), "file");
    assert_eq!(listen(&config, &[variable]), "environment");
    let flags = [&config[..], &["--listen", "flag"]].concat();
    assert_eq!(listen(&flags, &[variable]), "flag");
    let behind = [&["--listen", "flag"], &config[..]].concat();
    assert_eq!(listen(&behind, &[variable]), "flag");
    assert_eq!(args(&flags, &[variable]).max_things, 7);
}

#[test]
fn the_environment_can_name_the_file() {
    let (_directory, path) = file("listen = \"file\"\n");
    let of_file = ("FANSTREAM_SERVER_CONFIG", path.as_str());
    assert_eq!(args(&[], &[of_file]).listen, "file");
    let (_other, flag) = file("listen = \"other\"\n");
    assert_eq!(args(&["--config", &flag], &[of_file]).listen, "other");
    assert_eq!(args(&[], &[("FANSTREAM_SERVER_CONFIG", "")]).listen, "here");
}

#[test]
fn an_empty_variable_is_none() {
    let (_directory, path) = file("listen = \"file\"\n");
    let empty = ("FANSTREAM_SERVER_LISTEN", "");
    assert_eq!(args(&["--config", &path], &[empty]).listen, "file");
}

#[test]
fn a_required_flag_may_have_any_source() {
    let (_directory, path) = file("cert = \"c\"\n");
    let config = ["--config", path.as_str()];
    let key = ("FANSTREAM_SERVER_KEY", "k");
    let of_environment = args(&config, &[key]);
    assert_eq!(of_environment.cert, Some("c".into()));
    assert_eq!(of_environment.key, Some("k".into()));
    let flags = [&config[..], &["--key", "flag"]].concat();
    assert_eq!(args(&flags, &[]).key, Some("flag".into()));
    let said = wrong("\ncert = \"c\"\n", &[], &[]);
    assert!(said.contains("--key <KEY>"), "{said}");
    assert!(
        said.contains("--cert is set by server.toml, line 2"),
        "{said}"
    );
    let said = wrong("", &[], &[key]);
    let note = "--key is set by the environment variable FANSTREAM_SERVER_KEY";
    assert!(said.contains(note), "{said}");
}

#[test]
fn switches() {
    let (_directory, path) = file("wait = true\n");
    let config = ["--config", path.as_str()];
    let off = ("FANSTREAM_SERVER_WAIT", "false");
    let on = ("FANSTREAM_SERVER_WAIT", "1");
    assert!(args(&config, &[]).wait);
    assert!(args(&[], &[on]).wait);
    assert!(!args(&config, &[off]).wait);
    assert!(args(&["--wait"], &[off]).wait);
    assert!(args(&["--wait=true"], &[off]).wait);
    let flags = [&config[..], &["--wait=false"]].concat();
    assert!(!args(&flags, &[on]).wait);
    let said = wrong("", &[], &[("FANSTREAM_SERVER_WAIT", "maybe")]);
    assert_eq!(
        said,
        "FANSTREAM_SERVER_WAIT: `maybe` is neither true nor false"
    );
}

#[test]
fn several_values() {
    let (_directory, path) = file("header = [\"a: 1\", 2]\n");
    let config = ["--config", path.as_str()];
    assert_eq!(args(&config, &[]).header, ["a: 1", "2"]);
    let lines = ("FANSTREAM_SERVER_HEADER", "b: 1\nc: 2\n");
    assert_eq!(args(&config, &[lines]).header, ["b: 1", "c: 2"]);
    let flags = [&config[..], &["-H", "only"]].concat();
    assert_eq!(args(&flags, &[lines]).header, ["only"]);
}

#[test]
fn values_may_have_any_characters() {
    let odd = "--listen=x \" ' # = ,";
    let (_directory, path) = file(&format!("listen = {}\n", toml::Value::from(odd)));
    assert_eq!(args(&["--config", &path], &[]).listen, odd);
    let (_directory, path) = file("listen = \"\"\n");
    assert_eq!(args(&["--config", &path], &[]).listen, "");
}

#[test]
fn an_error_in_a_file_names_file_line_and_key() {
    for (text, said) in [
        ("\nlisten = \"a", "server.toml, line 2: "),
        ("listen = 1\nlisten = 2", "server.toml, line 2: duplicate key"),
        (
            "listen = \"a\"\nlissten = \"b\"",
            "server.toml, line 2: `lissten` is not a setting; did you mean `listen`?",
        ),
        (
            "max_things = 1",
            "server.toml, line 1: `max_things` is not a setting; did you mean `max-things`?",
        ),
        (
            "[server]\nlisten = \"a\"",
            "server.toml, line 1: `server` is not a setting",
        ),
        (
            "config = \"other\"",
            "server.toml, line 1: `config` is not a setting: only the command line can set it",
        ),
        ("help = true", "server.toml, line 1: `help` is not a setting"),
        (
            "\n\nlisten = [\"a\"]",
            "server.toml, line 3: `listen` is an array, but must be a string or a number",
        ),
        (
            "listen = true",
            "server.toml, line 1: `listen` is true or false, but must be a string or a number",
        ),
        (
            "listen = 2020-11-10",
            "server.toml, line 1: `listen` is a date or a time, but must be a string or a number",
        ),
        (
            "wait = \"yes\"",
            "server.toml, line 1: `wait` is a string, but must be true or false",
        ),
        (
            "header = [\n \"a\",\n false ]",
            "server.toml, line 3: `header` is true or false, but must be a string, a number, or an array",
        ),
    ] {
        let is = wrong(text, &[], &[]);
        assert!(is.starts_with(said), "{is}");
    }
}

#[test]
fn a_wrong_value_names_its_source() {
    let said = wrong("\nmax-things = -1", &[], &[]);
    assert!(
        said.contains("'-1'") && said.contains("--max-things"),
        "{said}"
    );
    let note = "--max-things is set by server.toml, line 2";
    assert!(said.ends_with(note), "{said}");
    let said = wrong("", &[], &[("FANSTREAM_SERVER_MAX_THINGS", "x")]);
    let note = "set by the environment variable FANSTREAM_SERVER_MAX_THINGS";
    assert!(said.ends_with(note), "{said}");
    // The flag's own mistake is not the file's.
    let said = wrong("max-things = 3", &["--max-things=y"], &[]);
    assert!(
        said.contains("'y'") && !said.contains("server.toml"),
        "{said}"
    );
    let said = wrong("max-things = 3", &["--wait=maybe"], &[]);
    assert!(said.contains("--wait"), "{said}");
    // An unrelated mistake is not the file's either.
    let said = wrong("max-things = 3", &["--no-such", "--max-things=4"], &[]);
    assert!(said.contains("--no-such"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read() {
    let error = run(&["--config", "/no/such"], &[]).map(|_| ()).unwrap_err();
    let Problem::Setting(error) = error else {
        panic!("{error:?}")
    };
    let said = error.to_string();
    assert!(
        said.starts_with("--config: cannot read `/no/such`: No such"),
        "{said}"
    );
    let error = run(&["--config", "/dev/zero"], &[])
        .map(|_| ())
        .unwrap_err();
    assert!(format!("{error:?}").contains("Unreadable"), "{error:?}");
}

#[test]
fn help_and_completions_need_no_file() {
    let broken = ("FANSTREAM_SERVER_CONFIG", "/no/such");
    for flag in ["--help", "-h", "--version"] {
        let error = run(&[flag], &[broken]).map(|_| ()).unwrap_err();
        let Problem::Usage { error, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(error.exit_code(), 0);
    }
    for flags in [["--completions", "bash"], ["--man", "--wait"]] {
        let arguments = [&["server"], &flags[..]].concat();
        let text = read::<Args>(arguments, environment(&[broken])).unwrap();
        assert!(matches!(text, Invocation::Print(text) if !text.is_empty()));
    }
}

#[test]
fn shown_settings_are_a_file_for_the_same_settings() {
    let (_directory, path) =
        file("header = [\"authorization: secret\"]\nwait = true\ncert = \"c\\\"\"\n");
    let flags = ["--config", path.as_str(), "--max-things=6"];
    let variables = [
        ("FANSTREAM_SERVER_KEY", "k"),
        ("FANSTREAM_SERVER_PORT", "tcp://10.0.0.1:1"),
    ];
    let (args, settings) = run(&flags, &variables).unwrap();
    let shown = settings.show();
    for line in [
        "listen = \"here\"  # default".into(),
        "max-things = 6  # flag".into(),
        format!("cert = 'c\"'  # file: {path}, line 3"),
        "key = \"k\"  # environment: FANSTREAM_SERVER_KEY".into(),
        format!("wait = true  # file: {path}, line 2"),
        format!("# header is set, but not shown  # file: {path}, line 1"),
        "# Ignored, not the variable of a setting: FANSTREAM_SERVER_PORT".into(),
    ] {
        assert!(shown.lines().any(|is| is == line), "{line}\n{shown}");
    }
    assert!(!shown.contains("secret"));
    let (_again, path) = file(&shown);
    let again = self::args(&["--config", &path], &[]);
    let header = Vec::new();
    assert_eq!(again, Args { header, ..args });
}

#[derive(Debug, Parser)]
#[command(name = "client", version)]
struct WithSubcommands {
    #[arg(long, global = true, default_value = "here")]
    addr: String,
    #[arg(long)]
    take: Option<u32>,
    #[command(subcommand)]
    command: Option<Subcommand>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Asks how it is
    Health {
        /// Goes on asking
        #[arg(long)]
        watch: bool,
    },
}

impl Program for WithSubcommands {
    const MANUAL: Manual = Args::MANUAL;
}

#[test]
fn subcommands_have_the_settings_of_global_flags() {
    let (_directory, path) = file("addr = \"file\"\ntake = 3\n");
    let run = |arguments: &[&str]| {
        let arguments = [&["client"], arguments].concat();
        match read::<WithSubcommands>(arguments, Environment::new()) {
            Ok(Invocation::Run(args, settings)) => (args, settings.show()),
            _ => panic!("not run"),
        }
    };
    let (args, shown) = run(&["--config", &path, "health", "--watch"]);
    let Some(Subcommand::Health { watch }) = args.command else {
        panic!("{args:?}")
    };
    assert_eq!(
        (args.addr.as_str(), args.take, watch),
        ("file", Some(3), true)
    );
    assert!(shown.contains("addr = \"file\"  # file: "), "{shown}");
    for flags in [["health", "--addr", "flag"], ["--addr", "flag", "health"]] {
        let (args, shown) = run(&[&["--config", path.as_str()], &flags[..]].concat());
        assert_eq!(args.addr, "flag");
        assert!(shown.contains("addr = \"flag\"  # flag"), "{shown}");
    }
    let (args, _) = run(&["health", "--config", &path]);
    assert_eq!(args.addr, "file");
    let page = read::<WithSubcommands>(["client", "--man"], Environment::new());
    let Ok(Invocation::Print(page)) = page else {
        panic!("no page")
    };
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("Asks how it is"), "{page}");
}

#[test]
fn every_flag_of_the_programs_can_be_set_elsewhere() {
    use crate::cli::{client::ClientArgs, server::ServerArgs};
    for command in [
        manual::command::<ServerArgs>(),
        manual::command::<ClientArgs>(),
    ] {
        let flags: Vec<_> = settable(&command).map(|(_, flag)| flag).collect();
        let all = command.get_arguments().count();
        // All but help and version, and the four common flags.
        assert_eq!(flags.len() + 2 + FLAGS.len(), all, "{flags:?}");
    }
}
