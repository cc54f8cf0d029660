//! Several api and several worker processes on one PostgreSQL, as on machines of their own: one after another, what one
//! of each cannot show.

mod machines;
mod steps;

use anyhow::Result;
use pinrail_e2e::{tests_of_a_run, turn};
use pinrail_testbed::node::script::Check;

use machines::Machines;

type Step = fn(&mut Machines) -> Result<()>;

/// Declares a test for each step; all are run in this order, on the same machines.
macro_rules! tests_of_steps {
    ($($step:ident,)+) => {
        const STEPS: &[(&str, Step)] = &[$((stringify!($step), steps::$step)),+];
        tests_of_a_run! { run; $($step: stringify!($step),)+ }
    };
}

tests_of_steps! {
    an_api_waits_for_its_schema_and_of_two_that_migrate_at_once_one_makes_it,
    a_token_of_one_machine_counts_on_all_until_it_or_its_key_is_revoked,
    the_node_is_chosen_at_post_and_its_addresses_are_the_delegates,
    what_one_worker_holds_the_other_fetches_from_it,
    what_a_dead_worker_has_not_finished_another_one_does,
    what_a_retired_node_held_is_fetched_from_it_by_others,
    an_api_whose_clock_is_an_hour_ahead_makes_nobody_wait,
    todays_programs_run_on_a_schema_one_step_ahead,
    no_root_was_done_by_two_at_one_time,
}

fn run() -> Result<Vec<Check>> {
    let _turn = turn()?;
    let mut machines = Machines::set_up()?;
    let error = |step: Step, machines: &mut Machines| step(machines).err().map(|error| format!("{error:#}"));
    Ok(STEPS.iter().map(|(name, step)| ((*name).to_owned(), error(*step, &mut machines))).collect())
}
