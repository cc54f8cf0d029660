//! Programs that run beside us: their output goes to a log file, and they never outlive us.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::command::last_lines;
use crate::signals;
use crate::stopwatch::Stopwatch;

/// How long a program may take to stop before it is killed.
const STOPPING: Duration = Duration::from_secs(20);
const BEAT: Duration = Duration::from_millis(20);

/// A running program; dropping it stops it.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program with both its streams in `log`.
    ///
    /// It gets a process group of its own: a Ctrl-C in the terminal reaches us alone, and we stop
    /// what we started in our own order.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        signals::check()?;
        let file = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.process_group(0).spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns an error with the end of its log once the program has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended: {status}\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// Waits until `ready` says so, at most for `bound`; the program's death is an error.
    pub fn wait_until(&mut self, bound: Duration, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let watch = Stopwatch::start();
        while !ready() {
            signals::check()?;
            self.check()?;
            if watch.passed(bound) {
                bail!("{}: no {what} within {} s\n{}", self.name, bound.as_secs(), self.log_tail());
            }
            thread::sleep(BEAT);
        }
        Ok(())
    }

    /// Waits until it has ended, at most for `bound`; an error unless it ended well.
    pub fn wait_success(mut self, bound: Duration) -> Result<()> {
        let watch = Stopwatch::start();
        loop {
            signals::check()?;
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "{} ended: {status}\n{}", self.name, self.log_tail());
                return Ok(());
            }
            if watch.passed(bound) {
                bail!("{} has not ended within {} s\n{}", self.name, bound.as_secs(), self.log_tail());
            }
            thread::sleep(BEAT);
        }
    }

    /// Returns all that the program has written so far.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn log_tail(&self) -> String {
        last_lines(&self.log_text(), 20)
    }

    /// Asks the program to stop, as a service manager does; returns how it ended.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.check()?;
        end_group(&mut self.child, STOPPING);
        Ok(self.child.wait()?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("{} cannot be sent a signal", self.name))
    }

    /// Ends the program with no chance to tidy up, as a power cut does.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end_group(&mut self.child, STOPPING);
    }
}

/// Ends a program and all that it started: SIGTERM, and SIGKILL for what is left after `bound`.
pub fn end_group(child: &mut Child, bound: Duration) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    let group = Pid::from_child(child);
    // An error means that the group is gone already.
    let _ = kill_process_group(group, Signal::TERM);
    let watch = Stopwatch::start();
    while matches!(child.try_wait(), Ok(None)) {
        if watch.passed(bound) {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait();
            return;
        }
        thread::sleep(BEAT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_death_is_reported_with_the_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = Running::start("it", shell("echo no such port; exit 4"), &folder.path().join("log")).unwrap();
        let error = running.wait_until(Duration::from_secs(10), "answer", || false).unwrap_err();
        assert_eq!(error.to_string(), "it ended: exit status: 4\nno such port");
    }

    #[test]
    fn a_program_that_tidies_up_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = "trap 'echo tidied; exit 0' TERM; echo up; while :; do sleep 0.05; done";
        let mut running = Running::start("it", shell(script), &log).unwrap();
        running
            .wait_until(Duration::from_secs(10), "word", || fs::read_to_string(&log).is_ok_and(|text| text == "up\n"))
            .unwrap();
        assert!(running.stop().unwrap().success());
        assert!(fs::read_to_string(&log).unwrap().ends_with("tidied\n"));
    }
}
