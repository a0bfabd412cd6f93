//! Settings in environment variables, one for each flag. It must not know the meaning of a value.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

use super::clap_command::{is_switch, may_be_repeated, settable};
use super::error::SettingError;
use super::setting::{Environment, Origin, Setting, Value};
use crate::cli::common::flags::{variable, variable_prefix, CONFIG};

/// The setting of a flag's variable; `None` if it is unset or empty.
pub(super) fn of_flag(
    command: &Command,
    arg: &Arg,
    flag: &str,
    environment: &Environment,
) -> Result<Option<Setting>, SettingError> {
    let name = variable(command, flag);
    let Some(text) = environment.get(OsStr::new(&name)) else {
        return Ok(None);
    };
    if text.is_empty() {
        return Ok(None);
    }
    let value = if is_switch(arg) {
        Value::Switch(match text.to_str() {
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            _ => {
                let value = text.to_string_lossy().into_owned();
                return Err(SettingError::NoSwitch { name, value });
            }
        })
    } else {
        match text.to_str() {
            Some(text) if may_be_repeated(arg) => {
                let lines = text.lines().filter(|line| !line.is_empty());
                Value::Given(lines.map(OsString::from).collect())
            }
            _ => Value::Given(vec![text.clone()]),
        }
    };
    Ok(Some(Setting {
        flag: flag.into(),
        value,
        origin: Origin::Environment(name),
    }))
}

/// Variables with the program's prefix that belong to no flag. They are no error: Kubernetes makes such
/// variables for a service of that name.
pub(super) fn ignored(command: &Command, environment: &Environment) -> Vec<String> {
    let prefix = variable_prefix(command);
    let mut known: Vec<_> = settable(command)
        .map(|(_, flag)| variable(command, flag))
        .collect();
    known.push(variable(command, CONFIG));
    let names = environment.keys().filter_map(|name| name.to_str());
    names
        .filter(|name| name.starts_with(&prefix) && !known.iter().any(|known| known == name))
        .map(String::from)
        .collect()
}
