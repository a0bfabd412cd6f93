//! The exit codes of both binaries, in one place.

/// How a program ended, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for was done.
    Complete = 0,
    /// Output could not be written, or a shutdown left connections open.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The client cannot connect, or the server cannot listen.
    NoConnection = 3,
    /// A deadline or a timeout passed.
    TimedOut = 4,
    /// The call ended with another status than OK.
    Status = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> std::process::ExitCode {
        std::process::ExitCode::from(exit as u8)
    }
}
