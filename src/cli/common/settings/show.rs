//! Writes the effective settings as a file for `--config`. It must not change them.

use std::fmt::Write;

use clap::parser::ValueSource;
use clap::Arg;

use super::clap_command::{is_switch, matches_with, may_be_repeated, settable};
use super::{Origin, Setting, Settings};

/// All settings, grouped as in the help. An unset flag is a comment, and so is a header, which may be
/// a secret.
pub(super) fn show(settings: &Settings) -> String {
    let name = settings.command.get_name();
    let mut text = format!("# The settings of {name}, for --config.\n");
    let mut headings: Vec<_> = Vec::new();
    for (arg, _) in settable(&settings.command) {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    for heading in headings {
        let _ = writeln!(text, "\n# {}", heading.unwrap_or("Options"));
        for (arg, flag) in settable(&settings.command) {
            if arg.get_help_heading() == heading {
                let _ = writeln!(text, "{}", line(settings, arg, flag));
            }
        }
    }
    for name in &settings.ignored {
        let _ = writeln!(text, "\n# Ignored, not the variable of a setting: {name}");
    }
    text
}

fn line(settings: &Settings, arg: &Arg, flag: &str) -> String {
    let matches = matches_with(&settings.matches, arg.get_id().as_str());
    let raw = matches.get_raw(arg.get_id().as_str());
    let values: Vec<_> = raw
        .into_iter()
        .flatten()
        .map(|v| v.to_string_lossy())
        .collect();
    let from = match matches.value_source(arg.get_id().as_str()) {
        _ if settings.off.iter().any(|name| name == flag) => "flag".into(),
        Some(ValueSource::DefaultValue) | None => match settings.origin(flag) {
            // The setting turned a switch off.
            Some(setting) => from(setting),
            None => "default".into(),
        },
        Some(_) => settings.origin(flag).map_or("flag".into(), from),
    };
    if is_switch(arg) {
        let on = matches.get_flag(arg.get_id().as_str());
        return format!("{flag} = {on}  # {from}");
    }
    if values.is_empty() {
        return format!("# {flag} is not set");
    }
    if flag.ends_with("header") {
        return format!("# {flag} is set, but not shown  # {from}");
    }
    let values: Vec<_> = values.iter().map(|value| toml(value)).collect();
    match may_be_repeated(arg) {
        true => format!("{flag} = [{}]  # {from}", values.join(", ")),
        false => format!("{flag} = {}  # {from}", values.join("")),
    }
}

fn from(setting: &Setting) -> String {
    match &setting.origin {
        Origin::Environment(name) => format!("environment: {name}"),
        Origin::File { path, line } => format!("file: {}, line {line}", path.display()),
    }
}

/// An integer as a number, anything else as a string.
fn toml(value: &str) -> String {
    match value.parse::<i64>() {
        Ok(number) if number.to_string() == value => value.into(),
        _ => toml::Value::from(value).to_string(),
    }
}
