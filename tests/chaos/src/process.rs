//! A process that is killed, paused and started again, with a log for each of its lives.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pinrail_testbed::child::Running;
use pinrail_testbed::instance::client::is_ready;
use rustix::process::Signal;

/// How to start it.
type Start = Box<dyn Fn() -> Command + Send>;

/// One process of the service.
pub struct Process {
    name: String,
    logs: PathBuf,
    start: Start,
    /// Its port with `/health/ready`.
    health: u16,
    lives: u32,
    running: Option<Running>,
}

impl Process {
    pub fn new(name: &str, logs: &Path, health: u16, start: impl Fn() -> Command + Send + 'static) -> Self {
        let (name, logs, start) = (name.to_owned(), logs.to_owned(), Box::new(start));
        Self { name, logs, start, health, lives: 0, running: None }
    }

    /// Start it, and do not wait for it: it is to be hurt while it starts too.
    pub fn start(&mut self) -> Result<()> {
        self.lives += 1;
        self.running = Some(Running::start(&self.name, (self.start)(), &self.log())?);
        Ok(())
    }

    /// The log of its last life.
    pub fn log(&self) -> PathBuf {
        self.logs.join(format!("{}.{:03}.log", self.name, self.lives))
    }

    /// An error if it ended by itself, which no fault of others may make it do.
    pub fn check(&mut self) -> Result<()> {
        self.running.as_mut().map_or(Ok(()), Running::check)
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.check()?;
        self.running.take().map_or(Ok(()), Running::kill)
    }

    /// Stop it where it stands.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Tell it to stop, and see that it does so well and in time.
    pub fn end(&mut self) -> Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        // Before its first word it does not listen for signals yet, and has nothing to give back.
        let had_begun = !running.log_text().is_empty();
        let status = running.stop()?;
        let ended_well = status.success() || (!had_begun && status.signal() == Some(Signal::TERM.as_raw()));
        ensure!(ended_well, "{} was told to stop and ended with {status}", self.name);
        Ok(())
    }

    /// Wait until it is ready.
    pub fn wait_until_ready(&mut self, bound: Duration) -> Result<()> {
        let health = format!("http://127.0.0.1:{}/health/ready", self.health);
        let running = self.running.as_mut().with_context(|| format!("{} does not run", self.name))?;
        running.wait_until(bound, "readiness", || is_ready(&health))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.running.as_ref().map_or(Ok(()), |running| running.signal(signal))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be paused, and would not hear that it is to stop.
        if let Some(running) = self.running.take() {
            let _ = running.kill();
        }
    }
}
