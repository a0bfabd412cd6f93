//! Questions about a program's flags and about parsed arguments that clap does not answer directly.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::common::flags::FLAGS;

/// The flags that a variable or a file can set: all but clap's own and the common ones.
pub(super) fn settable(command: &Command) -> impl Iterator<Item = (&Arg, &str)> {
    command
        .get_arguments()
        .filter_map(|arg| Some((arg, arg.get_long()?)))
        .filter(|(arg, flag)| {
            use ArgAction::{Help, HelpLong, HelpShort, Version};
            let of_clap = matches!(arg.get_action(), Help | HelpShort | HelpLong | Version);
            !of_clap && !FLAGS.contains(flag)
        })
}

pub(super) fn is_switch(arg: &Arg) -> bool {
    !arg.get_action().takes_values()
}

pub(super) fn may_be_repeated(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Whether a flag is on the command line, before or behind a subcommand.
pub(super) fn on_command_line(matches: &ArgMatches, id: &str) -> bool {
    let known = matches.ids().any(|known| known == id);
    let here = known && matches.value_source(id) == Some(ValueSource::CommandLine);
    let below = matches.subcommand();
    here || below.is_some_and(|(_, matches)| on_command_line(matches, id))
}

/// The matches that hold a flag: those of the subcommand behind which it was given, or the program's.
pub(super) fn matches_with<'a>(matches: &'a ArgMatches, id: &str) -> &'a ArgMatches {
    match matches.subcommand() {
        Some((_, below)) if on_command_line(below, id) => matches_with(below, id),
        _ => matches,
    }
}

/// Resolves `--NAME=true` and `--NAME=false` of switches, which clap does not accept. Returns the
/// other arguments, and the names of the switches that are off.
pub(super) fn resolve_switches(
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
