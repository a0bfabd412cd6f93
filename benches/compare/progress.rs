//! The progress bar. Without a terminal it prints a line at the start of each part.

use std::io::{stderr, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress {
    bar: ProgressBar,
    part: String,
}

impl Progress {
    /// A bar with `steps` steps.
    pub fn new(steps: usize) -> Progress {
        let bar = ProgressBar::new(steps as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {pos}/{len} · {eta} left\n{msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Progress {
            bar,
            part: String::new(),
        }
    }

    /// The current part of the run, and its current step.
    pub fn step(&mut self, part: &str, step: &str) {
        self.bar.set_message(format!("{part}: {step}"));
        if !stderr().is_terminal() && self.part != part {
            eprintln!(
                "{part} ({} of {})",
                self.bar.position(),
                self.bar.length().unwrap_or(0)
            );
        }
        self.part = part.into();
    }

    pub fn done(&self) {
        self.bar.inc(1);
    }

    pub fn say(&self, text: &str) {
        match stderr().is_terminal() {
            true => self.bar.println(text),
            false => eprintln!("{text}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
