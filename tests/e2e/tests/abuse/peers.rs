//! Peers that do the node harm: the example `hostile_peer` in a process of its own.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pinrail_testbed::child::Running;
use pinrail_testbed::command::program;
use pinrail_testbed::programs::{self, HOSTILE_PEER};
use pinrail_testbed::signals;
use pinrail_testbed::stopwatch::Stopwatch;
use serde::Deserialize;

use super::target::Target;

/// How long peers may take to begin.
const BEGINNING: Duration = Duration::from_mins(1);
const BEAT: Duration = Duration::from_millis(50);

/// Peers of one process; dropping it ends them.
pub struct Peers(Running);

/// What peers that are dialled print first.
#[derive(Debug, Deserialize)]
pub struct Announcement {
    /// What they provide.
    #[serde(default)]
    pub cid: String,
    pub addresses: Vec<String>,
}

impl Peers {
    /// Start peers that attack the target's node.
    pub fn attack(target: &Target, name: &str, arguments: &[&str]) -> Result<Self> {
        Self::start(target, name, &[arguments, &["--to", &target.instance.ports.multiaddr()]].concat())
    }

    /// Start peers that are to be dialled.
    pub fn listen(target: &Target, name: &str, arguments: &[&str]) -> Result<(Self, Announcement)> {
        let mut peers = Self::start(target, name, arguments)?;
        let mut announcement = None;
        let log = target.instance.logs().join(format!("{name}.log"));
        peers.0.wait_until(BEGINNING, "address", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            announcement = text.lines().find_map(|line| serde_json::from_str(line).ok());
            announcement.is_some()
        })?;
        Ok((peers, announcement.context("no address was printed")?))
    }

    fn start(target: &Target, name: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = program(programs::for_tests()?.example(HOSTILE_PEER)?, target.folder());
        command.args(arguments).env("TMPDIR", target.folder().join("temporary"));
        Ok(Self(Running::start(name, command, &target.instance.logs().join(format!("{name}.log")))?))
    }

    /// Wait until `count` of them attack or were refused.
    pub fn wait_for(&mut self, count: usize) -> Result<()> {
        self.wait_until("attack", |peers| peers.count("attacking") + peers.count("closed") >= count)
    }

    /// Wait until they are asked for something.
    pub fn wait_asked(&mut self) -> Result<()> {
        self.wait_until("question", |peers| peers.count("asked") > 0)
    }

    fn wait_until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) -> Result<()> {
        let watch = Stopwatch::start();
        while !reached(self) {
            signals::check()?;
            self.0.check()?;
            ensure!(!watch.passed(BEGINNING), "no {what} within {} s", BEGINNING.as_secs());
            thread::sleep(BEAT);
        }
        Ok(())
    }

    /// How many lines are this word, or begin with it and a blank.
    pub fn count(&self, word: &str) -> usize {
        self.lines(word).len()
    }

    /// What follows a word in every line that begins with it.
    pub fn lines(&self, word: &str) -> Vec<String> {
        let text = self.0.log_text();
        let rest = |line: &str| Some(line.strip_prefix(word)?.trim().to_owned());
        text.lines().filter_map(rest).collect()
    }

    /// An error if they are gone.
    pub fn check(&mut self) -> Result<()> {
        self.0.check()
    }
}
