//! The exit codes of both binaries.

/// The exit code of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The program did what it was asked to do.
    Complete = 0,
    /// The output could not be written, or connections were still open after a shutdown.
    Failed = 1,
    /// The command line or a file that it names is wrong.
    Usage = 2,
    /// The client cannot connect, or the server cannot listen.
    NoConnection = 3,
    /// A deadline or a timeout passed.
    TimedOut = 4,
    /// A call ended with another status than OK.
    Status = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> std::process::ExitCode {
        std::process::ExitCode::from(exit as u8)
    }
}
