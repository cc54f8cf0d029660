//! What the run says at its end: each failure, each skip with its reason, and one line of sums.

use anyhow::{Result, bail};

use super::part::Tally;

/// The sums so far.
#[derive(Debug, Default)]
pub struct Report {
    /// On a build server nothing may be skipped.
    strict: bool,
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    pub fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    /// Add a part; its failures are shown at once, since the rest may take a while.
    pub fn add(&mut self, part: &str, tally: Tally) {
        self.passed += tally.passed;
        for (name, text) in tally.failed {
            println!("--- {part}: {name}\n{text}\n---");
            self.failed.push(format!("{part}: {name}"));
        }
        for (name, reason) in tally.skipped {
            self.skipped.push(format!("{part}: {name}: {reason}"));
        }
    }

    /// Print the end of the run; an error unless all that had to hold does.
    pub fn finish(self) -> Result<()> {
        for name in &self.failed {
            println!("failed: {name}");
        }
        for skip in &self.skipped {
            println!("skipped: {skip}");
        }
        println!("{}", self.sums());
        if self.strict && !self.skipped.is_empty() {
            bail!("CI is true, so nothing may be skipped");
        }
        if !self.failed.is_empty() {
            bail!("not everything holds");
        }
        Ok(())
    }

    fn sums(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally { passed: 3, failed: Vec::new(), skipped: vec![("all of it".to_owned(), "there is no Go".to_owned())] }
    }

    #[test]
    fn sums_count_every_part() {
        let mut report = Report::default();
        report.add("kubo", tally());
        report.add("fmt", anyhow::anyhow!("a line is too long").into());
        assert_eq!(report.sums(), "3 passed, 1 failed, 1 skipped");
        assert!(report.finish().is_err());
    }

    #[test]
    fn a_skip_fails_only_where_nothing_may_be_skipped() {
        for strict in [false, true] {
            let mut report = Report::new(strict);
            report.add("kubo", tally());
            assert_eq!(report.finish().is_err(), strict);
        }
    }
}
