//! Parts of the command line that both programs have. They must not know either program.

mod checks;
mod exit_code;
mod flags;
mod keepalive;
mod manual;
mod settings;
pub(super) mod units;

pub use exit_code::Exit;
pub use flags::CommonFlags;
pub use manual::{Manual, Program};
pub use settings::{parse, read, Environment, Invocation, Origin, Problem, SettingError, Settings};

pub(super) use checks::{needs, readable_secrets};
pub(super) use keepalive::keepalive;
