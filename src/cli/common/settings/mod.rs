//! Merges the sources of a program's settings: flags, then environment, then a file, then defaults.
//!
//! Settings of the environment and the file become flags in front of the command line, and clap parses
//! all of them together. So values, `requires` and `conflicts_with` mean the same in every source, and
//! a new flag needs no code here. It must not know the meaning of any setting.

mod clap_command;
mod environment;
mod error;
mod file;
mod setting;
mod show;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::process;

use clap::{ArgMatches, Command, FromArgMatches};

use self::clap_command::{matches_with, on_command_line, resolve_switches, settable};
use self::setting::{notes, Setting};
use super::exit_code::Exit;
use super::flags::{variable, CommonFlags, CONFIG};
use super::manual::{self, Manual, Program};
pub use error::{Problem, SettingError};
pub use setting::{Environment, Origin};

/// A parsed command line.
pub enum Invocation<P> {
    /// Run the program with these settings.
    Run(P, Box<Settings>),
    /// Print this text and exit.
    Print(Vec<u8>),
}

/// All settings of a run and their sources.
pub struct Settings {
    command: Command,
    matches: ArgMatches,
    /// Settings of the environment and the file that no flag overrides.
    elsewhere: Vec<Setting>,
    /// Switches that `--NAME=false` turned off.
    off: Vec<String>,
    /// Variables that look like a flag's but are not.
    ignored: Vec<String>,
    check: bool,
}

/// Reads the settings of this process. Blocks while it reads the file of `--config`. `--help` and its
/// like print their text and end the process with 0, wrong usage with 2.
pub fn parse<P: Program>() -> (P, Settings) {
    match read::<P>(std::env::args_os(), std::env::vars_os().collect()) {
        Ok(Invocation::Run(program, settings)) => (program, *settings),
        Ok(Invocation::Print(text)) => {
            print(&text);
            process::exit(Exit::Complete as i32)
        }
        Err(problem) => problem.exit(),
    }
}

/// Reads the settings of a process with these arguments and this environment. Blocks while it reads
/// the file.
///
/// # Errors
/// The text to print instead of running, also for `--help` and `--version`.
pub fn read<P: Program>(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    environment: Environment,
) -> Result<Invocation<P>, Problem> {
    let command = manual::command::<P>();
    let arguments = arguments.into_iter().map(Into::into).collect();
    let (mut arguments, off) = resolve_switches(arguments, &command);
    // Lenient: a flag on the command line may require one that is set elsewhere.
    let lenient = command.clone().ignore_errors(true);
    let given = lenient.try_get_matches_from(&arguments)?;
    let common = CommonFlags::from_arg_matches(&given).map_err(|incomplete| {
        // The command line is wrong by itself.
        let strict = command.clone().try_get_matches_from(&arguments);
        strict.err().unwrap_or(incomplete)
    })?;
    if let Some(text) = text(&common, &command, &P::MANUAL)? {
        return Ok(Invocation::Print(text));
    }
    let elsewhere = elsewhere(&command, &given, &off, &environment)?;
    let flags = elsewhere.iter().flat_map(Setting::arguments);
    let behind_name = arguments.len().min(1);
    arguments.splice(behind_name..behind_name, flags.collect::<Vec<_>>());
    let parsed = command.clone().try_get_matches_from(&arguments);
    let parsed = parsed.and_then(|matches| {
        P::from_arg_matches(&matches)
            .map_err(|error| error.format(&mut command.clone()))
            .map(|program| (program, matches))
    });
    match parsed {
        Ok((program, matches)) => {
            let settings = Settings {
                check: common.check_config,
                ignored: environment::ignored(&command, &environment),
                command,
                matches,
                elsewhere,
                off,
            };
            Ok(Invocation::Run(program, Box::new(settings)))
        }
        Err(error) => {
            let notes = notes(&elsewhere, &error.to_string());
            Err(Problem::Usage { error, notes })
        }
    }
}

impl Settings {
    /// Whether `--check-config` is given: check and print the settings, do not run.
    pub fn check(&self) -> bool {
        self.check
    }

    /// Adds to `text` the source of each flag that it names, unless that is the command line.
    pub fn attribute(&self, text: &str) -> String {
        match &notes(&self.elsewhere, text)[..] {
            [] => text.into(),
            notes => format!("{text} ({})", notes.join("; ")),
        }
    }

    /// Prints a usage error with the sources of its flags, and ends the process.
    pub fn exit(&self, error: clap::Error) -> ! {
        let notes = notes(&self.elsewhere, &error.to_string());
        Problem::Usage { error, notes }.exit()
    }

    /// All settings as a file for `--config`, with the source of each.
    pub fn show(&self) -> String {
        show::show(self)
    }

    /// Prints [`Settings::show`] on standard output.
    pub fn print(&self) {
        print(self.show().as_bytes());
    }

    fn origin(&self, flag: &str) -> Option<&Setting> {
        self.elsewhere.iter().find(|setting| setting.flag == flag)
    }
}

/// The completion script or the manual page, if a flag asks for one.
fn text(
    common: &CommonFlags,
    command: &Command,
    manual: &Manual,
) -> Result<Option<Vec<u8>>, clap::Error> {
    let mut text = Vec::new();
    if let Some(shell) = common.completions {
        let name = command.get_name().to_string();
        clap_complete::generate(shell, &mut command.clone(), name, &mut text);
    } else if common.man {
        manual::page(command, manual, &mut text)?;
    } else {
        return Ok(None);
    }
    Ok(Some(text))
}

fn print(text: &[u8]) {
    // A closed standard output has no reader, so it is no failure.
    let _ = std::io::stdout().write_all(text);
}

/// The settings of the environment and the file that the command line does not override.
fn elsewhere(
    command: &Command,
    given: &ArgMatches,
    off: &[String],
    environment: &Environment,
) -> Result<Vec<Setting>, SettingError> {
    let config = matches_with(given, CONFIG).get_one::<PathBuf>(CONFIG);
    let config = config.cloned().or_else(|| {
        let path = environment.get(OsStr::new(&variable(command, CONFIG)));
        path.filter(|path| !path.is_empty()).map(PathBuf::from)
    });
    let mut file = match config {
        Some(path) => file::read(&path, command)?,
        None => BTreeMap::new(),
    };
    let mut elsewhere = Vec::new();
    for (arg, flag) in settable(command) {
        if on_command_line(given, arg.get_id().as_str()) || off.iter().any(|name| name == flag) {
            continue;
        }
        match environment::of_flag(command, arg, flag, environment)?.or_else(|| file.remove(flag)) {
            Some(setting) => elsewhere.push(setting),
            None => continue,
        }
    }
    Ok(elsewhere)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
