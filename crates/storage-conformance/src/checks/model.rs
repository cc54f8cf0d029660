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
mod tokens;
mod values;

use crate::Fixture;
use alone::Pair;
use operation::{Crowd, any_crowd, any_history};
use runs::{Extent, run};

/// Histories by one client in which every answer is the reference's; `fresh` makes the storage of each.
pub fn every_answer_is_the_references<F>(fresh: F)
where
    F: AsyncFn() -> Fixture + Sync,
{
    run(
        Extent::asked(),
        any_history,
        |history| history.0.len(),
        async |history| Pair::new(&fresh().await).live(&history.0).await,
    );
}

/// Histories by three clients at once, whose answers the reference gives in some order of their steps.
pub fn clients_at_once_are_one_after_another<F>(fresh: F)
where
    F: AsyncFn() -> Fixture + Sync,
{
    let length = |crowd: &Crowd| crowd.before.0.len() + crowd.at_once.iter().map(Vec::len).sum::<usize>();
    let Extent { operations, seed } = Extent::asked();
    let extent = Extent { operations: operations.div_ceil(4), seed };
    run(extent, any_crowd, length, async |crowd| at_once::live(&fresh().await, crowd).await);
}
