//! The errors of the client's commands, and how they print text. It must not know the commands.

use std::io::{self, Write};

use crate::engine::ReceiveError;

/// Why a command failed.
pub(super) enum CommandError {
    /// The call failed.
    Call(ReceiveError),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl From<ReceiveError> for CommandError {
    fn from(error: ReceiveError) -> CommandError {
        CommandError::Call(error)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> CommandError {
        CommandError::Output(error)
    }
}

/// Prints text of a server on a line. Control characters become spaces, so that a server cannot drive
/// the terminal.
pub(super) fn print(out: &mut impl Write, text: &str) -> io::Result<()> {
    let control = |c: char| c.is_control() && c != '\n';
    writeln!(out, "{}", text.replace(control, " "))?;
    out.flush()
}
