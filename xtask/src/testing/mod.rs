//! `cargo xtask test`: every part that has to hold, in order, with one line at the end.

mod cargo_output;
mod e2e;
mod part;
mod parts;
mod report;
mod space;

use anyhow::{Result, bail};
use clap::Args;
use pinrail_testbed::environment::Environment;

use crate::progress::Step;
use crate::tools;
use part::{Context, Part};
use report::Report;

#[derive(Args)]
pub struct Options {
    /// Run this part alone; may be given several times.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,

    /// Name the parts and what each does.
    #[arg(long)]
    list: bool,

    #[command(flatten)]
    histories: Histories,
}

/// Which random histories a storage is compared with the in-memory reference in.
#[derive(Args, Clone, Default)]
pub struct Histories {
    /// How many operations are run in random histories, on each database.
    #[arg(long, value_name = "N")]
    model_operations: Option<u64>,

    /// The seed of the first random history, 0 unless given.
    #[arg(long, value_name = "N")]
    model_seed: Option<u64>,
}

impl Histories {
    /// What the histories' checks are told.
    fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let told = [("PINRAIL_MODEL_OPERATIONS", self.model_operations), ("PINRAIL_MODEL_SEED", self.model_seed)];
        told.into_iter().filter_map(|(name, value)| Some((name, value?.to_string())))
    }
}

pub fn run(environment: &Environment, options: &Options) -> Result<()> {
    let parts = chosen(&options.only)?;
    if options.list {
        for part in parts {
            println!("{:<12} {}", part.name, part.about);
        }
        return Ok(());
    }
    let context = Context::new(environment, &options.histories);
    space::tell_if_short();
    tools::begin(environment, &parts.iter().map(|part| part.name).collect::<Vec<_>>());
    let mut report = Report::new(environment.ci);
    for part in parts {
        pinrail_testbed::signals::check()?;
        let step = Step::start(part.name);
        let tally = part.run(&context, &step);
        step.done(&tally.summary());
        report.add(part.name, tally);
    }
    report.finish()
}

fn chosen(names: &[String]) -> Result<Vec<&'static Part>> {
    for name in names {
        if !parts::ALL.iter().any(|part| part.name == name) {
            let known: Vec<&str> = parts::ALL.iter().map(|part| part.name).collect();
            bail!("there is no part `{name}`, wanted one of {}", known.join(", "));
        }
    }
    let wanted = |part: &&Part| names.is_empty() || names.iter().any(|name| name == part.name);
    Ok(parts::ALL.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_by_name_in_their_own_order() {
        let names = |list: &[&str]| -> Vec<String> { list.iter().map(|name| (*name).to_owned()).collect() };
        let chosen_names =
            |list: &[&str]| -> Vec<&str> { chosen(&names(list)).unwrap().iter().map(|part| part.name).collect() };
        assert_eq!(chosen_names(&["tidy", "fmt"]), ["fmt", "tidy"]);
        assert_eq!(chosen_names(&[]).len(), parts::ALL.len());
        let error = chosen(&names(&["nothing"])).err().unwrap().to_string();
        assert!(error.starts_with("there is no part `nothing`, wanted one of fmt, "), "{error}");
    }
}
