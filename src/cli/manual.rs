//! Help and manual page: the flags as clap knows them, and what a program says besides. Layout
//! only; the words are each program's own.

use std::io::{self, Write};

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::StyledStr;
use clap::{Args, Command};
use clap_mangen::Man;
use roff::{bold, roman, Roff};

use super::habits::{self, HabitArgs};
use super::settings::{variable, Program};

/// What a program says besides its flags.
pub struct Manual {
    /// Commands, and what each does. The first ones are what a new user wants.
    pub examples: &'static [(&'static str, &'static str)],
    /// Headings, and a text of one line each paragraph.
    pub sections: &'static [(&'static str, &'static str)],
    /// What each exit code means.
    pub exit_codes: &'static [(&'static str, &'static str)],
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// What one has to know comes before the flags, which fill pages.
const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

{before-help}{all-args}{after-help}";

/// The command line of a program, with the flags that every program has.
pub fn command<P: Program>() -> Command {
    let command = P::command();
    let about = command.get_about().cloned().unwrap_or_default();
    // It would be about these flags alone.
    let command = HabitArgs::augment_args(command).about(about);
    let name = command.get_name().to_string();
    let long = format!(
        "{}{}{}",
        sections(P::MANUAL.sections),
        section("Where settings come from", &about_settings(&command)),
        exit_codes(P::MANUAL.exit_codes),
    );
    let mut command = command
        .styles(STYLES)
        .help_template(TEMPLATE)
        .before_long_help(styled(&examples(P::MANUAL.examples)))
        .after_help(format!("`{name} --help` says more, with examples."))
        .after_long_help(styled(&long));
    // Defaults and possible values are known only then.
    command.build();
    command
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
    let config = variable(command, habits::CONFIG);
    format!(
        "Each flag can also be an environment variable ({example}) or a line of a TOML file that \
         --config or {config} names. Flags come first, then the environment, then the file. An \
         empty variable counts as none; a switch is true or false, and --NAME=false turns one off \
         again; several values of one variable are a line each. Paths in a file mean the same as \
         in a flag."
    )
}

fn sections(sections: &[(&str, &str)]) -> String {
    let all = sections.iter();
    all.map(|(heading, text)| section(heading, text)).collect()
}

fn section(heading: &str, text: &str) -> String {
    format!("{}:\n{text}\n\n", header(heading))
}

/// Each on lines of its own: no terminal is too narrow for that.
fn examples(rows: &[(&str, &str)]) -> String {
    let literal = STYLES.get_literal();
    let row =
        |(command, what): &(&str, &str)| format!("  {literal}{command}{literal:#}\n      {what}\n");
    let rows: String = rows.iter().map(row).collect();
    format!("{}:\n{rows}", header("Examples"))
}

fn exit_codes(rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(code, _)| code.len()).max().unwrap_or(0);
    let row = |(code, what): &(&str, &str)| format!("  {code:width$}  {what}\n");
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
///
/// # Errors
/// Of the writer.
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
