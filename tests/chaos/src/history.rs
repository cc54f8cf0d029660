//! What happened: every request with its answer and every fault as lines of JSON, and what must not be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pinrail_testbed::signals;
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::{Value, json};

/// The breaches that are kept: what follows the first ones is mostly their consequence.
const KEPT: usize = 12;

/// The history of one run.
pub struct History {
    bound: Duration,
    state: Mutex<State>,
}

struct State {
    watch: Stopwatch,
    file: File,
    breaches: Vec<String>,
    counts: BTreeMap<String, u64>,
}

impl History {
    /// A history that begins now, is written to `path`, and whose faults end after `bound`.
    pub fn begin(path: &Path, bound: Duration) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let (breaches, counts) = (Vec::new(), BTreeMap::new());
        let state = Mutex::new(State { watch: Stopwatch::start(), file, breaches, counts });
        Ok(Self { bound, state })
    }

    /// Have its time begin now: what was done until now was no part of it.
    pub fn begin_anew(&self) {
        self.state().watch = Stopwatch::start();
    }

    /// Write down what `who` did and saw.
    pub fn note(&self, who: &str, what: &Value) {
        let line = json!({ "at": self.millis(), "who": who, "what": what });
        // A history that cannot be written is no reason to end what it tells of.
        let _ = writeln!(self.state().file, "{line}");
    }

    /// Something that must not be.
    pub fn breach(&self, who: &str, text: &str) {
        self.note(who, &json!({ "breach": text }));
        let line = format!("at {} ms, {who}: {text}", self.millis());
        let mut state = self.state();
        if state.breaches.len() < KEPT {
            state.breaches.push(line);
        }
    }

    /// Count something for the end.
    pub fn count(&self, what: &str) {
        *self.state().counts.entry(what.to_owned()).or_default() += 1;
    }

    /// Whether the clients and the faults are to end: the time is over, or more would tell no more.
    pub fn is_over(&self) -> bool {
        let state = self.state();
        state.watch.passed(self.bound) || signals::stopping() || !state.breaches.is_empty()
    }

    pub fn breaches(&self) -> Vec<String> {
        self.state().breaches.clone()
    }

    /// An error unless each of these was counted so often.
    pub fn reaches(&self, floors: &[(&str, u64)]) -> Result<()> {
        for (what, floor) in floors {
            let count = self.state().counts.get(*what).copied().unwrap_or_default();
            ensure!(count >= *floor, "only {count} {what}, wanted {floor} at the least");
        }
        Ok(())
    }

    /// What was counted, in a line.
    pub fn sums(&self) -> String {
        let state = self.state();
        let sums: Vec<String> = state.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        sums.join(", ")
    }

    fn millis(&self) -> u128 {
        self.state().watch.elapsed().as_millis()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
