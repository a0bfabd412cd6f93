//! Where a program's settings come from: flags, then the environment, then a file, then defaults.
//!
//! It knows the flags of a program only as clap does, so a new flag is a variable and a key of the
//! file as well, with nothing done for it here. What is set elsewhere is put in front of the
//! command line as a flag and parsed with it: so values, `requires` and `conflicts_with` mean the
//! same wherever something was written. It must not know what any setting is for.

mod environment;
mod error;
mod file;
mod show;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::exit::Exit;
use super::habits::{self, HabitArgs};
use super::manual::{self, Manual};
pub(super) use environment::variable;
pub use error::{Problem, SettingError};

/// A program with a command line.
pub trait Program: CommandFactory + FromArgMatches {
    /// What its help and its manual page say besides its flags.
    const MANUAL: Manual;
}

/// The environment of a process.
pub type Environment = BTreeMap<OsString, OsString>;

/// What came of a command line.
pub enum Invocation<P> {
    /// To be run with these.
    Run(P, Box<Settings>),
    /// To be printed, and nothing else.
    Print(Vec<u8>),
}

/// Where a setting was made, if not on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the environment variable of this name.
    Environment(String),
    /// In a file, at a line.
    File {
        /// Its path as it was given.
        path: PathBuf,
        /// From 1 on.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Environment(name) => write!(f, "the environment variable {name}"),
            Origin::File { path, line } => write!(f, "{}, line {line}", path.display()),
        }
    }
}

/// What a flag is set to elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    /// The flag's name, without the hyphens.
    flag: String,
    value: Value,
    origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// Of a switch.
    Switch(bool),
    /// One, or those of a flag that may be given several times.
    Given(Vec<OsString>),
}

/// All settings of a run, and where they come from.
pub struct Settings {
    command: Command,
    matches: ArgMatches,
    elsewhere: Vec<Setting>,
    /// Switches that `--NAME=false` turned off.
    off: Vec<String>,
    /// Variables that look like a flag's, and are none.
    ignored: Vec<String>,
    check: bool,
}

/// The settings of this process. Blocks while the file of `--config` is read. Prints and ends the
/// process where there is nothing to run: for `--help` and its like with 0, for wrong usage with 2.
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

/// The settings of a process with these arguments and this environment. Blocks while the file is
/// read.
///
/// # Errors
/// What is to be shown to the user: also for `--help` and `--version`.
pub fn read<P: Program>(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    environment: Environment,
) -> Result<Invocation<P>, Problem> {
    let command = manual::command::<P>();
    let arguments = arguments.into_iter().map(Into::into).collect();
    let (mut arguments, off) = without_switched_off(arguments, &command);
    // Only to see what is given, also where something that it requires is set elsewhere.
    let lenient = command.clone().ignore_errors(true);
    let given = lenient.try_get_matches_from(&arguments)?;
    let habits = HabitArgs::from_arg_matches(&given).map_err(|incomplete| {
        // The command line is wrong in itself.
        let strict = command.clone().try_get_matches_from(&arguments);
        strict.err().unwrap_or(incomplete)
    })?;
    if let Some(text) = habits::text(&habits, &command, &P::MANUAL)? {
        return Ok(Invocation::Print(text));
    }
    let elsewhere = elsewhere(&command, &given, &off, &environment)?;
    let flags = elsewhere.iter().flat_map(Setting::flags);
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
                check: habits.check_config,
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
    /// Only to be checked and shown: `--check-config`.
    pub fn check(&self) -> bool {
        self.check
    }

    /// `text` with where the flags that it names were set, when that was not the command line.
    pub fn attribute(&self, text: &str) -> String {
        match &notes(&self.elsewhere, text)[..] {
            [] => text.into(),
            notes => format!("{text} ({})", notes.join("; ")),
        }
    }

    /// Shows a usage error and where its flags were set, and ends the process.
    pub fn exit(&self, error: clap::Error) -> ! {
        let notes = notes(&self.elsewhere, &error.to_string());
        Problem::Usage { error, notes }.exit()
    }

    /// All settings as a file for `--config`, each with where it comes from.
    pub fn show(&self) -> String {
        show::show(self)
    }

    /// The same on standard output.
    pub fn print(&self) {
        print(self.show().as_bytes());
    }

    fn origin(&self, flag: &str) -> Option<&Setting> {
        self.elsewhere.iter().find(|setting| setting.flag == flag)
    }
}

impl Setting {
    fn flags(&self) -> Vec<OsString> {
        let flag = |value: &OsString| {
            let mut flag = OsString::from(format!("--{}=", self.flag));
            flag.push(value);
            flag
        };
        match &self.value {
            Value::Switch(true) => vec![format!("--{}", self.flag).into()],
            Value::Switch(false) => Vec::new(),
            Value::Given(values) => values.iter().map(flag).collect(),
        }
    }
}

fn print(text: &[u8]) {
    // Whoever reads it may have enough.
    let _ = std::io::stdout().write_all(text);
}

/// What is set elsewhere, of what is not on the command line.
fn elsewhere(
    command: &Command,
    given: &ArgMatches,
    off: &[String],
    environment: &Environment,
) -> Result<Vec<Setting>, SettingError> {
    let config = holding(given, habits::CONFIG).get_one::<PathBuf>(habits::CONFIG);
    let config = config.cloned().or_else(|| {
        let path = environment.get(OsStr::new(&variable(command, habits::CONFIG)));
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

/// What can be set elsewhere: every flag that is not about the command line itself.
fn settable(command: &Command) -> impl Iterator<Item = (&Arg, &str)> {
    command
        .get_arguments()
        .filter_map(|arg| Some((arg, arg.get_long()?)))
        .filter(|(arg, flag)| {
            use ArgAction::{Help, HelpLong, HelpShort, Version};
            let of_clap = matches!(arg.get_action(), Help | HelpShort | HelpLong | Version);
            !of_clap && !habits::FLAGS.contains(flag)
        })
}

fn is_switch(arg: &Arg) -> bool {
    !arg.get_action().takes_values()
}

fn may_be_repeated(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Also behind a subcommand.
fn on_command_line(matches: &ArgMatches, id: &str) -> bool {
    let known = matches.ids().any(|known| known == id);
    let here = known && matches.value_source(id) == Some(ValueSource::CommandLine);
    let below = matches.subcommand();
    here || below.is_some_and(|(_, matches)| on_command_line(matches, id))
}

/// The matches of the subcommand behind which a flag was given, if it was given behind one.
fn holding<'a>(matches: &'a ArgMatches, id: &str) -> &'a ArgMatches {
    match matches.subcommand() {
        Some((_, below)) if on_command_line(below, id) => holding(below, id),
        _ => matches,
    }
}

/// Takes out `--NAME=true` and `--NAME=false` of switches, for which clap has no word; the names of
/// those that are off.
fn without_switched_off(
    arguments: Vec<OsString>,
    command: &Command,
) -> (Vec<OsString>, Vec<String>) {
    let switches: Vec<_> = settable(command)
        .filter(|(arg, _)| is_switch(arg))
        .map(|(_, flag)| flag)
        .collect();
    let mut off = Vec::new();
    let mut kept = Vec::new();
    let mut arguments = arguments.into_iter();
    for argument in arguments.by_ref() {
        if argument == "--" {
            kept.push(argument);
            break;
        }
        let switch = argument.to_str().and_then(|text| {
            let (name, value) = text.strip_prefix("--")?.split_once('=')?;
            switches.contains(&name).then_some((name, value))
        });
        match switch {
            Some((name, "false")) => off.push(name.to_string()),
            Some((name, "true")) => kept.push(format!("--{name}").into()),
            _ => kept.push(argument),
        }
    }
    kept.extend(arguments);
    (kept, off)
}

/// For each flag that `text` names and that was set elsewhere, where that was.
fn notes(elsewhere: &[Setting], text: &str) -> Vec<String> {
    elsewhere
        .iter()
        .filter(|setting| names(text, &setting.flag))
        .map(|Setting { flag, origin, .. }| format!("--{flag} is set by {origin}"))
        .collect()
}

fn names(text: &str, flag: &str) -> bool {
    let flag = format!("--{flag}");
    text.match_indices(&flag).any(|(at, _)| {
        let behind = text[at + flag.len()..].chars().next();
        !behind.is_some_and(|c| c == '-' || c.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
