//! The layout of help and manual page: a program's flags, and its [`Manual`]. It must not know any
//! program's text.

use std::io::{self, Write};

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::StyledStr;
use clap::{Args, Command, CommandFactory, FromArgMatches};
use clap_mangen::Man;
use roff::{bold, roman, Roff};

use super::flags::{variable, CommonFlags, CONFIG};
use crate::c_core;

/// A program with a command line.
pub trait Program: CommandFactory + FromArgMatches {
    /// The text of its help and its manual page beside the flags.
    const MANUAL: Manual;
}

/// The text of help and manual page beside the flags.
pub struct Manual {
    /// Commands and their effect; the most common ones first.
    pub examples: &'static [(&'static str, &'static str)],
    /// Headings and texts; each line of a text is a paragraph.
    pub sections: &'static [(&'static str, &'static str)],
    /// Exit codes and their meaning.
    pub exit_codes: &'static [(&'static str, &'static str)],
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Usage and examples come before the flags, which fill pages.
const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

{before-help}{all-args}{after-help}";

/// The command line of a program, with the common flags.
pub(super) fn command<P: Program>() -> Command {
    let command = P::command();
    let about = command.get_about().cloned().unwrap_or_default();
    // `augment_args` replaces the description of the program.
    let command = CommonFlags::augment_args(command).about(about);
    let name = command.get_name().to_string();
    let long = format!(
        "{}{}{}",
        sections(P::MANUAL.sections),
        section("Sources of settings", &about_settings(&command)),
        exit_codes(P::MANUAL.exit_codes),
    );
    let mut command = command
        .long_version(version())
        .styles(STYLES)
        .help_template(TEMPLATE)
        .before_long_help(styled(&examples(P::MANUAL.examples)))
        .after_help(format!("`{name} --help` has examples and details."))
        .after_long_help(styled(&long));
    // Only a built command knows its defaults and possible values.
    command.build();
    command
}

/// The text of `--version`; `-V` has the first word.
fn version() -> String {
    let patched = match c_core::is_patched() {
        true => "patched",
        false => "without patches",
    };
    let (own, c_core) = (env!("CARGO_PKG_VERSION"), c_core::VERSION);
    format!("{own} (gRPC C-core {c_core}, {patched})")
}

fn about_settings(command: &Command) -> String {
    let example = variable(command, "log-level");
    let example = match command
        .get_arguments()
        .any(|a| a.get_long() == Some("log-level"))
    {
        true => format!("{example} for --log-level"),
        false => format!(
            "{} for --connect-timeout",
            variable(command, "connect-timeout")
        ),
    };
    let config = variable(command, CONFIG);
    format!(
        "Each flag can also be set by an environment variable ({example}) or by a TOML file that \
         --config or {config} names. A flag overrides its variable, and a variable overrides the \
         file. An empty variable is ignored. A switch is true or false; --NAME=false turns one \
         off. A variable has one value a line. Relative paths in a file start in the working \
         directory, as in a flag."
    )
}

fn sections(sections: &[(&str, &str)]) -> String {
    let all = sections.iter();
    all.map(|(heading, text)| section(heading, text)).collect()
}

fn section(heading: &str, text: &str) -> String {
    format!("{}:\n{text}\n\n", header(heading))
}

/// Each example has two lines, which fit a narrow terminal.
fn examples(rows: &[(&str, &str)]) -> String {
    let literal = STYLES.get_literal();
    let row =
        |(command, text): &(&str, &str)| format!("  {literal}{command}{literal:#}\n      {text}\n");
    let rows: String = rows.iter().map(row).collect();
    format!("{}:\n{rows}", header("Examples"))
}

fn exit_codes(rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(code, _)| code.len()).max().unwrap_or(0);
    let row = |(code, text): &(&str, &str)| format!("  {code:width$}  {text}\n");
    let rows: String = rows.iter().map(row).collect();
    format!("{}:\n{rows}", header("Exit codes"))
}

fn header(text: &str) -> String {
    let style = STYLES.get_header();
    format!("{style}{text}{style:#}")
}

fn styled(text: &str) -> StyledStr {
    text.trim_end().to_string().into()
}

/// Writes the manual page.
pub(super) fn page(command: &Command, manual: &Manual, out: &mut impl Write) -> io::Result<()> {
    let version = command.get_version().unwrap_or_default();
    let man = Man::new(command.clone())
        .source(format!("fanstream {version}"))
        .manual("fanstream");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    let mut page = Roff::new();
    page.control("SH", ["EXAMPLES"]);
    terms(&mut page, manual.examples);
    page.to_writer(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    let mut page = Roff::new();
    for (heading, text) in manual.sections {
        page.control("SH", [heading.to_uppercase().as_str()]);
        paragraphs(&mut page, text);
    }
    page.control("SH", ["ENVIRONMENT"]);
    paragraphs(&mut page, &about_settings(command));
    page.control("SH", ["EXIT STATUS"]);
    terms(&mut page, manual.exit_codes);
    page.to_writer(out)
}

fn terms(page: &mut Roff, rows: &[(&str, &str)]) {
    for (term, text) in rows {
        page.control("TP", []);
        page.text([bold(*term)]);
        page.text([roman(*text)]);
    }
}

fn paragraphs(page: &mut Roff, text: &str) {
    for (number, paragraph) in text.lines().enumerate() {
        if number > 0 {
            page.control("PP", []);
        }
        page.text([roman(paragraph)]);
    }
}
