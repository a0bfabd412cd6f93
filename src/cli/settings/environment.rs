//! Settings in environment variables, one for each flag. Their names and their values; what a value
//! means is the flag's own business.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

use super::{
    is_switch, may_be_repeated, settable, Environment, Origin, Setting, SettingError, Value,
};
use crate::cli::habits;

/// `FANSTREAM_SERVER_TLS_CERT` for the server's `tls-cert`.
pub(in crate::cli) fn variable(command: &Command, flag: &str) -> String {
    prefix(command) + &flag.to_uppercase().replace('-', "_")
}

fn prefix(command: &Command) -> String {
    format!("FANSTREAM_{}_", command.get_name().to_uppercase())
}

/// An empty variable is as none.
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

/// Others name variables so too (Kubernetes does for a service of that name), so these are no error.
pub(super) fn ignored(command: &Command, environment: &Environment) -> Vec<String> {
    let prefix = prefix(command);
    let mut known: Vec<_> = settable(command)
        .map(|(_, flag)| variable(command, flag))
        .collect();
    known.push(variable(command, habits::CONFIG));
    let names = environment.keys().filter_map(|name| name.to_str());
    names
        .filter(|name| name.starts_with(&prefix) && !known.iter().any(|known| known == name))
        .map(String::from)
        .collect()
}
