//! The flags that every program has: about its settings, and about itself. What they print is made
//! from the program's own flags, so it is never behind them.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::manual::{self, Manual};

/// The name of the flag that names a file.
pub(super) const CONFIG: &str = "config";

/// These flags, which are for the command line alone.
pub(super) const FLAGS: [&str; 4] = [CONFIG, "check-config", "completions", "man"];

/// About the program and its settings.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Settings")]
pub struct HabitArgs {
    /// Take settings from this file, where no flag and no variable has them (TOML)
    ///
    /// Keys are the long names of flags: `step = "250ms"`; `true` or `false` for switches; an array
    /// where a flag may be given several times.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Check all settings and the files that they name, show them as TOML, and end
    ///
    /// Ends with 0 when all is well, and with 2 and a message when it is not. Each setting is shown
    /// with where it comes from, as a file that --config takes.
    #[arg(long)]
    pub check_config: bool,

    /// Print a script that has SHELL complete these flags
    #[arg(long, value_name = "SHELL", value_enum, conflicts_with = "man")]
    pub completions: Option<Shell>,

    /// Print the manual page
    #[arg(long)]
    pub man: bool,
}

/// What is to be printed instead of anything else, if they ask for that.
///
/// # Errors
/// When the page cannot be made.
pub(super) fn text(
    habits: &HabitArgs,
    command: &Command,
    manual: &Manual,
) -> Result<Option<Vec<u8>>, clap::Error> {
    let mut text = Vec::new();
    if let Some(shell) = habits.completions {
        let name = command.get_name().to_string();
        clap_complete::generate(shell, &mut command.clone(), name, &mut text);
    } else if habits.man {
        manual::page(command, manual, &mut text)?;
    } else {
        return Ok(None);
    }
    Ok(Some(text))
}
