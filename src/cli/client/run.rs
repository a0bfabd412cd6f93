//! Runs a [`Plan`]: dispatches to the fetch or to a command, which know nothing of each other.

use std::sync::Arc;

use super::plan::Plan;
use super::terminal::Terminal;
use super::{command, fetch};
use crate::cli::common::Exit;

/// Runs `plan`; responses go to standard output, failures and warnings to standard error. Blocks until
/// every id is fetched, or until standard output is closed: calls that are still open then end with
/// the process.
pub fn run(plan: Plan) -> Exit {
    let terminal = Arc::new(match plan.command {
        Some(_) => Terminal::without_counter(),
        None => Terminal::stderr(plan.quiet, plan.ids.len()),
    });
    for warning in &plan.warnings {
        terminal.warning(warning);
    }
    match plan.command {
        Some(command) => command::run(&command, plan.config, &terminal),
        None => fetch::run(plan, &terminal),
    }
}
