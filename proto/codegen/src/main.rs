//! The command line of `fanstream-build`: arguments in, exit code out. Everything else is in the
//! library.

use std::path::Path;
use std::process::ExitCode;
use std::{env, io};

use fanstream_build::c_core::patch;

const HELP: &str = "\
Has a package that uses fanstream compile the gRPC C-core with fanstream's patches

Usage: fanstream-build patch [DIRECTORY]

`patch` writes the patches to .cargo/fanstream of the package, or of its workspace,
and sets CMAKE_TOOLCHAIN_FILE in .cargo/config.toml. Run it again after an update of
fanstream. DIRECTORY is the package's directory, by default the working directory.

Options:
  -h, --help     Print help
  -V, --version  Print version
";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_str()).collect();
    match words[..] {
        [Some("-h" | "--help")] => say(HELP),
        [Some("-V" | "--version")] => {
            say(concat!("fanstream-build ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        [Some("patch")] => run(Path::new(".")),
        [Some("patch"), _] if !is_flag(words[1]) => run(Path::new(&arguments[1])),
        _ => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
    }
}

fn is_flag(word: Option<&str>) -> bool {
    word.is_some_and(|word| word.starts_with('-'))
}

fn run(directory: &Path) -> ExitCode {
    match patch(directory) {
        Ok(patched) => say(&patched.to_string()),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> ExitCode {
    use io::Write;

    // A closed standard output has no reader, so it is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
