//! What a long step shows: a spinner with its newest line on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use pinrail_testbed::command::{Finished, run_each};
use pinrail_testbed::stopwatch::Stopwatch;

/// The column in which results stand.
const WIDTH: usize = 16;
/// How often a plain log is told that a step still runs.
const STILL: Duration = Duration::from_secs(20);

/// A step that is under way.
pub struct Step {
    name: String,
    started: Stopwatch,
    shown: Shown,
}

enum Shown {
    Spinner(ProgressBar),
    /// Lines, and when the last one was written.
    Lines(Mutex<Stopwatch>),
    Nothing,
}

impl Step {
    pub fn start(name: &str) -> Self {
        let shown = if std::io::stdout().is_terminal() {
            Shown::Spinner(spinner(name))
        } else {
            println!("{name} …");
            Shown::Lines(Mutex::new(Stopwatch::start()))
        };
        Self::new(name, shown)
    }

    /// A step in the background.
    pub fn silent() -> Self {
        Self::new("", Shown::Nothing)
    }

    fn new(name: &str, shown: Shown) -> Self {
        Self { name: name.to_owned(), started: Stopwatch::start(), shown }
    }

    /// Show how far the step is.
    pub fn detail(&self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        match &self.shown {
            Shown::Spinner(bar) => bar.set_message(text.to_owned()),
            Shown::Lines(told) => {
                let mut told = told.lock().expect("no thread panics while it prints");
                if told.passed(STILL) {
                    println!("{} … {} s: {text}", self.name, self.started.elapsed().as_secs());
                    *told = Stopwatch::start();
                }
            }
            Shown::Nothing => {}
        }
    }

    /// Runs a command to its end while the step shows its newest line.
    pub fn run(&self, command: Command) -> Result<Finished> {
        run_each(command, |line| self.detail(line))
    }

    /// End the step with a line that stays.
    pub fn done(self, result: &str) {
        if let Shown::Spinner(bar) = &self.shown {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        println!("{:<WIDTH$} {result} ({seconds:.1} s)", self.name);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Shown::Spinner(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn spinner(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}")
        .expect("the template is well formed");
    let bar = ProgressBar::new_spinner().with_style(style).with_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
