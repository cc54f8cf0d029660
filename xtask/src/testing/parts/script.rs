//! A script of Node whose lines are checks: `{"name", "error"?}` each, and `{"end": true}` at last.

use std::process::Command;

use anyhow::{Result, anyhow, bail};
use serde::Deserialize;

use crate::command::run_each;
use crate::progress::Step;
use crate::testing::part::Tally;

/// A line of the script.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Check { name: String, error: Option<String> },
    End { end: bool },
}

/// Run it and count its checks; one that ends before its last line is an error.
pub fn run(command: Command, step: &Step) -> Result<Tally> {
    let mut checks = Checks::default();
    let finished = run_each(command, |line| checks.take(line, step))?;
    if !checks.ended {
        bail!("the script ended early: {}\n{}", finished.status, finished.output);
    }
    Ok(checks.tally)
}

#[derive(Default)]
struct Checks {
    tally: Tally,
    ended: bool,
}

impl Checks {
    fn take(&mut self, line: &str, step: &Step) {
        match serde_json::from_str(line) {
            Ok(Line::Check { name, error }) => {
                step.detail(&name);
                self.tally.check(&name, error.map_or(Ok(()), |error| Err(anyhow!(error))));
            }
            Ok(Line::End { end }) => self.ended = end,
            // Warnings of Node.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_check_and_the_last_one_is_the_end() {
        let step = Step::silent();
        let mut checks = Checks::default();
        for line in ["(node:1) Warning", r#"{"name":"a"}"#, r#"{"name":"b","error":"no block"}"#] {
            checks.take(line, &step);
        }
        assert_eq!(checks.tally.passed, 1);
        assert_eq!(checks.tally.failed, [("b".to_owned(), "no block".to_owned())]);
        assert!(!checks.ended);
        checks.take(r#"{"end":true}"#, &step);
        assert!(checks.ended);
    }
}
