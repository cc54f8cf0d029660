//! The storage beside the in-memory reference: random histories, the same answers.
//!
//! A history is drawn from a seed, taken step by step on a fresh storage and on the reference, and made smaller when
//! an answer differs. By default 10,000 operations are run from seed 0; `PINRAIL_MODEL_OPERATIONS` asks for more and
//! `PINRAIL_MODEL_SEED` for others, in the environment of the test binary (and so of `cargo xtask test`).
//!
//! Left out of the comparison, because it is not specified: lease tokens, which are random; the words of errors; and
//! the database's clock, which is only held to what it promises, and only where the fixture's clock is the one that
//! the storage reads ([`crate::Fixture::on_clock`]).

mod accounts;
mod alone;
mod answer;
mod at_once;
mod client;
mod nodes;
mod operation;
mod order;
mod queue;
mod requests;
mod runs;
mod seen;
mod stretches;
mod tokens;
mod values;

use crate::Fixture;
use alone::Pair;
use operation::{Crowd, History, any_crowd, any_history};
use runs::{Extent, OPERATIONS, run};
use seen::Seen;

/// Histories by one client in which every answer is the reference's; `fresh` makes the storage of each.
pub fn every_answer_is_the_references<F>(fresh: F)
where
    F: AsyncFn() -> Fixture + Sync,
{
    let (extent, seen) = (Extent::asked(), Seen::default());
    let live = async |history: &History| Pair::new(&fresh().await, &seen).live(&history.0).await;
    run(extent, any_history, |history| history.0.len(), live);
    if extent.operations >= OPERATIONS {
        seen.ensure_everything();
    }
}

/// Histories by three clients at once, whose answers the reference gives in some order of their steps.
pub fn clients_at_once_are_one_after_another<F>(fresh: F)
where
    F: AsyncFn() -> Fixture + Sync,
{
    let length =
        |crowd: &Crowd| crowd.before.0.len() + crowd.at_once.iter().map(|part| part.steps.len()).sum::<usize>();
    let Extent { operations, seed } = Extent::asked();
    let extent = Extent { operations: operations.div_ceil(4), seed };
    run(extent, any_crowd, length, async |crowd| at_once::live(&fresh().await, crowd).await);
}
