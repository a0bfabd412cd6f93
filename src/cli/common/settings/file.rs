//! The file of `--config`: TOML whose keys are the long names of flags. Errors name file, line and key.
//! It must not know the meaning of a value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use clap::{Arg, Command};
use toml::de::{DeTable, DeValue};
use toml::Spanned;

use super::clap_command::{is_switch, may_be_repeated, settable};
use super::error::SettingError;
use super::setting::{Origin, Setting, Value};
use crate::cli::common::flags::FLAGS;
use crate::read_file;

/// Largest file in bytes. The limit ends the read of a wrong path, such as that of a device.
const MAX_BYTES: u64 = 1 << 20;

/// Similarity, from 0 to 1, from which on a flag is suggested for an unknown key.
const MIN_SIMILARITY: f64 = 0.7;

/// Reads the settings in the file at `path`, by flag. Blocks while it reads. The file may be a pipe,
/// such as `<(command)` in a shell: see [`read_file`].
pub(super) fn read(
    path: &Path,
    command: &Command,
) -> Result<BTreeMap<String, Setting>, SettingError> {
    let text = text(path).map_err(|reason| SettingError::Unreadable {
        path: path.into(),
        reason,
    })?;
    let line_of = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
    let table = DeTable::parse(&text).map_err(|error| SettingError::NotToml {
        path: path.into(),
        line: line_of(error.span().map_or(0, |span| span.start)),
        reason: error.message().into(),
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    // The error is that of the first mistake in the file.
    entries.sort_by_key(|(key, _)| key.span().start);
    let settings = entries.into_iter().map(|(key, value)| {
        let key_line = line_of(key.span().start);
        let key = key.get_ref().as_ref();
        let known = settable(command).find(|(_, flag)| *flag == key);
        let (arg, flag) = known.ok_or_else(|| SettingError::UnknownKey {
            path: path.into(),
            line: key_line,
            key: key.into(),
            hint: hint(key, command),
        })?;
        let value = of_flag(arg, value).map_err(|wrong| SettingError::WrongType {
            path: path.into(),
            line: line_of(wrong.at),
            key: key.into(),
            found: wrong.found,
            wanted: wrong.wanted,
        })?;
        let setting = Setting {
            flag: flag.into(),
            value,
            origin: Origin::File {
                path: path.into(),
                line: key_line,
            },
        };
        Ok((flag.to_string(), setting))
    });
    settings.collect()
}

fn text(path: &Path) -> io::Result<String> {
    let bytes = read_file::read(path, MAX_BYTES)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not a UTF-8 text file"))
}

fn hint(key: &str, command: &Command) -> String {
    if FLAGS.contains(&key) {
        return ": only the command line can set it".into();
    }
    let similarity = |flag: &str| strsim::jaro(flag, &key.replace('_', "-"));
    let closest = settable(command)
        .map(|(_, flag)| flag)
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
        .filter(|flag| similarity(flag) >= MIN_SIMILARITY);
    match closest {
        Some(flag) => format!("; did you mean `{flag}`?"),
        None => ": a setting has the long name of a flag".into(),
    }
}

struct Wrong {
    at: usize,
    found: &'static str,
    wanted: &'static str,
}

fn of_flag(arg: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Value, Wrong> {
    let one = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Ok(OsString::from(text.as_ref())),
        DeValue::Integer(number) => Ok(number.to_string().into()),
        DeValue::Float(number) => Ok(number.to_string().into()),
        other => Err(Wrong {
            at: value.span().start,
            found: kind(other),
            wanted: match may_be_repeated(arg) {
                true => "a string, a number, or an array of these",
                false => "a string or a number",
            },
        }),
    };
    match value.get_ref() {
        DeValue::Boolean(on) if is_switch(arg) => Ok(Value::Switch(*on)),
        other if is_switch(arg) => Err(Wrong {
            at: value.span().start,
            found: kind(other),
            wanted: "true or false",
        }),
        DeValue::Array(values) if may_be_repeated(arg) => {
            let values: Result<_, _> = values.iter().map(one).collect();
            Ok(Value::Given(values?))
        }
        _ => Ok(Value::Given(vec![one(value)?])),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
