//! The errors of the client's commands. It must not know the commands.

use std::io;

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
