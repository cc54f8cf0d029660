//! cargo-deny: nothing banned, nothing from elsewhere, no licence that was not agreed to.

use anyhow::Result;
use pinrail_testbed::command::{program, run};
use pinrail_testbed::environment::root;

use crate::progress::Step;
use crate::testing::part::{Context, Part, Run, Tally};
use crate::tools::cargo_tools::CARGO_DENY;

pub const DENY: Part = Part {
    name: "deny",
    about: "banned packages, sources and licences of all that we build from",
    run: Run::Own(deny),
};

fn deny(context: &Context, step: &Step) -> Result<Tally> {
    let path = CARGO_DENY.path(&context.environment, step)?;
    let mut tally = Tally::default();
    for check in ["bans", "sources", "licenses"] {
        let mut command = program(&path, root());
        command.args(["--locked", "--color", "never", "--log-level", "error", "check", check]);
        let result = run(command)?.success(&format!("cargo deny check {check}"));
        tally.check(check, result.map(drop));
    }
    Ok(tally)
}
