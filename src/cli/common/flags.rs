//! The flags that both programs have, and the environment variable of each flag. It must not know what
//! the flags do.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

/// The flag that names a settings file.
pub(super) const CONFIG: &str = "config";

/// The common flags, which no file and no variable can set. ([`CONFIG`] has a variable.)
pub(super) const FLAGS: [&str; 4] = [CONFIG, "check-config", "completions", "man"];

/// Settings, shell completions and the manual page.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Settings")]
pub struct CommonFlags {
    /// Read settings from this TOML file; flags and environment variables override it
    ///
    /// Keys are the long names of flags: `step = "250ms"`, `true` or `false` for a switch, an array
    /// for a flag that may be repeated.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Check all settings and the files that they name, print them as TOML, and exit
    ///
    /// Exits with 0 if all settings are valid, else with 2 and a message. The output is a file for
    /// --config, with the source of each setting.
    #[arg(long)]
    pub check_config: bool,

    /// Print a completion script for SHELL, and exit
    #[arg(long, value_name = "SHELL", value_enum, conflicts_with = "man")]
    pub completions: Option<Shell>,

    /// Print the manual page, and exit
    #[arg(long)]
    pub man: bool,
}

/// The environment variable of a flag: `FANSTREAM_SERVER_TLS_CERT` for the server's `tls-cert`.
pub(super) fn variable(command: &Command, flag: &str) -> String {
    variable_prefix(command) + &flag.to_uppercase().replace('-', "_")
}

/// The beginning of a program's environment variables.
pub(super) fn variable_prefix(command: &Command) -> String {
    format!("FANSTREAM_{}_", command.get_name().to_uppercase())
}
