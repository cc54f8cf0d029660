//! The storage beside the in-memory reference: the same steps, the same answers.

mod life;
mod step;

use std::sync::Arc;

use crate::dice::Dice;
use crate::{Fixture, MemoryStorage, TestClock};
use life::Life;
use step::Step;

/// How many steps each life has.
const STEPS: usize = 1_200;

/// A life of requests, leases, verdicts, blocks, limits and silent nodes, in which every answer is the reference's.
pub async fn every_answer_is_the_references(fixture: &Fixture) {
    live(fixture, 0, STEPS).await;
}

/// Another such life.
pub async fn every_answer_is_the_references_again(fixture: &Fixture) {
    live(fixture, 1, STEPS).await;
}

/// A third one.
pub async fn every_answer_is_the_references_at_last(fixture: &Fixture) {
    live(fixture, 2, STEPS).await;
}

async fn live(fixture: &Fixture, number: u64, steps: usize) {
    let clock = Arc::new(TestClock::at(fixture.now()));
    let reference = Fixture::new(Arc::new(MemoryStorage::with_clock(&clock)));
    let mut dice = Dice::new(number);
    let (mut life, mut model) = (Life::begin(fixture).await, Life::begin(&reference).await);
    let mut past = Vec::new();
    for position in 0..steps {
        let step = Step::any(&mut dice);
        past.push(format!("{position}: {step:?}"));
        let (answer, wanted) = (life.take(&step).await, model.take(&step).await);
        let recent = &past[past.len().saturating_sub(8)..];
        assert_eq!(answer, wanted, "the answer and the reference's, after {recent:#?}");
    }
    life.assert_eventful();
}
