//! Programs that are run to their end, with their output kept for the case that they fail.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::child::end_group;
use crate::environment::{Environment, root};
use crate::signals;
use crate::stopwatch::Stopwatch;

/// How often a wait looks whether it should stop.
const BEAT: Duration = Duration::from_millis(50);
/// How long the last lines of a program that has ended may be under way.
const LINGERING: Duration = Duration::from_secs(2);

/// The end of a program: its status and its output.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// Both streams in the order of their writing.
    pub output: String,
}

impl Finished {
    /// Returns the output, or an error that shows the end of the output unless the program succeeded.
    pub fn success(self, what: &str) -> Result<String> {
        if !self.status.success() {
            bail!("{what}: {}\n{}", self.status, last_lines(&self.output, 60));
        }
        Ok(self.output)
    }
}

/// The variables by which cargo tells a program about its own package. Handed on, they would make cargo run others'
/// build scripts again, and build all that depends on them.
const OF_THE_CALLER: [&str; 9] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// Returns a cargo command at the root of the repository.
pub fn cargo<I, S>(environment: &Environment, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(&environment.cargo);
    command.current_dir(root()).args(arguments).env("CARGO_TERM_COLOR", "never");
    if environment.ci {
        // Nothing is built a second time there, so what would speed that up only fills the disk.
        command.env("CARGO_INCREMENTAL", "0");
    }
    for name in OF_THE_CALLER {
        command.env_remove(name);
    }
    command
}

/// Returns a command that runs in a folder.
pub fn program(path: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(path);
    command.current_dir(folder);
    command
}

/// Runs to the end; every line goes to `each` as it comes.
///
/// Both streams share a pipe, so that an error stands where it happened. The program has a process
/// group of its own, which is ended as a whole when somebody asks us to stop.
pub fn run_each(mut command: Command, mut each: impl FnMut(&str)) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
    // The command holds the pipe's writing ends: the reader would never see the end.
    drop(command);

    let (lines, received) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if lines.send(line).is_err() {
                break;
            }
        }
    });

    let mut output = String::new();
    let mut ended: Option<Stopwatch> = None;
    loop {
        match received.recv_timeout(BEAT) {
            Ok(line) => {
                each(&line);
                output.push_str(&line);
                output.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // What it started may keep the pipe open after the program itself has ended.
                if ended.is_some_and(|ended| ended.passed(LINGERING)) {
                    break;
                }
                if ended.is_none() && child.try_wait()?.is_some() {
                    ended = Some(Stopwatch::start());
                }
            }
        }
        stop_if_asked(&mut child)?;
    }
    Ok(Finished { status: child.wait()?, output })
}

/// Runs to the end without a word.
pub fn run(command: Command) -> Result<Finished> {
    run_each(command, |_| ())
}

fn stop_if_asked(child: &mut Child) -> Result<()> {
    if signals::stopping() {
        end_group(child, Duration::from_secs(5));
    }
    signals::check()
}

/// Returns the last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_kept_and_a_failure_shows_them() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let finished = run(command).unwrap();
        assert_eq!(finished.output, "one\ntwo\n");
        let error = finished.success("the shell").unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("one\ntwo"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "no-such-program cannot be started");
    }

    #[test]
    fn only_the_last_lines_are_shown() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
