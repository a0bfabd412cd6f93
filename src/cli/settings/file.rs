//! The file of `--config`: TOML whose keys are the long names of flags. Reading it, and saying
//! where in it something is wrong; what a value means is the flag's own business.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use clap::{Arg, Command};
use toml::de::{DeTable, DeValue};
use toml::Spanned;

use super::{is_switch, may_be_repeated, settable, Origin, Setting, SettingError, Value};
use crate::cli::habits;

/// More than any such file has; it keeps a wrong path, such as that of a device, from being read
/// for ever.
const LARGEST: u64 = 1 << 20;

/// How like a key a flag must be to be suggested, from 0 to 1.
const LIKE: f64 = 0.7;

/// The settings in the file at `path`, by flag. Blocks while it is read.
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
    // The first mistake is the one to tell.
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
    let mut text = String::new();
    // One byte more tells a file that is too large from one that just fits.
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

fn hint(key: &str, command: &Command) -> String {
    if habits::FLAGS.contains(&key) {
        return ": it is for the command line alone".into();
    }
    let likeness = |flag: &str| strsim::jaro(flag, &key.replace('_', "-"));
    let like = settable(command)
        .map(|(_, flag)| flag)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|flag| likeness(flag) >= LIKE);
    match like {
        Some(flag) => format!("; did you mean `{flag}`?"),
        None => ": settings have the long names of flags".into(),
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
                true => "a text, a number, or an array of these",
                false => "a text or a number",
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
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
