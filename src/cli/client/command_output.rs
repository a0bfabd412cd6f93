//! The standard output of a command: a server's text in lines. It must not know the commands.

use std::borrow::Cow;
use std::io::{self, IsTerminal, StdoutLock, Write};

use super::visible;

/// Lines to a writer, each at once.
pub(super) struct CommandOutput<W> {
    writer: W,
    /// A terminal gets escapes for what would drive it; a pipe or a file gets the text unchanged.
    is_terminal: bool,
}

impl CommandOutput<StdoutLock<'static>> {
    /// Standard output, locked.
    pub(super) fn stdout() -> CommandOutput<StdoutLock<'static>> {
        let writer = io::stdout().lock();
        CommandOutput {
            is_terminal: writer.is_terminal(),
            writer,
        }
    }
}

impl<W: Write> CommandOutput<W> {
    /// Prints text and ends the line.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        let text = match self.is_terminal {
            true => visible::lines(text),
            false => Cow::Borrowed(text),
        };
        writeln!(self.writer, "{text}")?;
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_escapes() {
        let printed = |is_terminal| {
            let mut output = CommandOutput {
                writer: Vec::new(),
                is_terminal,
            };
            output.print("a\tb\n\u{1b}[2J").unwrap();
            String::from_utf8(output.writer).unwrap()
        };
        assert_eq!(printed(true), "a\tb\n\\u{1b}[2J\n");
        assert_eq!(printed(false), "a\tb\n\u{1b}[2J\n");
    }
}
