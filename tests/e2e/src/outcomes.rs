//! Checks that one run makes in an order of its own, each of which is a test.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use pinrail_testbed::node::script::Check;

/// The outcomes of a run. The first test that asks has it run, with all of its checks.
#[derive(Debug, Default)]
pub struct Outcomes(OnceLock<Result<Vec<Check>, String>>);

impl Outcomes {
    /// Returns outcomes that nobody asked for yet.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Returns the outcome of the check called `name`; an error if the run makes others than `wanted`.
    pub fn of(&self, name: &str, wanted: &[&str], run: impl FnOnce() -> Result<Vec<Check>>) -> Result<()> {
        let run = || {
            let checks = run().map_err(|error| format!("{error:#}"))?;
            let made: Vec<&str> = checks.iter().map(|(name, _)| name.as_str()).collect();
            if made == wanted { Ok(checks) } else { Err(format!("the checks are {made:#?}, the tests {wanted:#?}")) }
        };
        let checks = self.0.get_or_init(run).as_ref().map_err(|error| anyhow!("{error}"))?;
        let error = checks.iter().find(|(check, _)| check == name).and_then(|(_, error)| error.as_ref());
        error.map_or(Ok(()), |error| Err(anyhow!("{error}")))
    }
}

/// Declares one test for each check of a run, in the order of the run.
#[macro_export]
macro_rules! tests_of_a_run {
    ($run:expr; $($test:ident: $check:expr,)+) => {
        static OUTCOMES: $crate::Outcomes = $crate::Outcomes::new();
        const CHECKS: &[&str] = &[$($check),+];
        $(
            #[test]
            fn $test() -> anyhow::Result<()> {
                OUTCOMES.of($check, CHECKS, $run)
            }
        )+
    };
}
