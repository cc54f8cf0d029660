//! The life of a root, fair turns, admission and the choice of a node, as tables and as properties.
//!
//! They say what the contracts of `RootQueue` and `PinRequests` in `pinrail-storage` promise, whatever the code does.

mod admission;
mod fair_queue;
mod lease;
mod nodes;
mod sequences;
mod settle;
mod unwant;
mod want;

use std::time::Duration;

use pinrail_domain::{DagSize, FailureReason, LeaseRecord, LeaseToken, Phase, RootFailure, RootRecord, RootState};
use pinrail_spec::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_795_410_000_000);
const EARLIER: Timestamp = Timestamp::from_millis(NOW.as_millis() - 60_000);
const LATER: Timestamp = Timestamp::from_millis(NOW.as_millis() + 60_000);
const EPOCH: u64 = 7;
const SIZE: DagSize = DagSize { blocks: 3, bytes: 700 };
const STATES: [RootState; 5] =
    [RootState::Queued, RootState::Pinning, RootState::Pinned, RootState::Failed, RootState::Releasing];

/// A root with one request, or none if it is releasing, that is due later and was tried as often as its state says.
fn root(state: RootState) -> RootRecord {
    let requests = u64::from(state != RootState::Releasing);
    let was_tried = matches!(state, RootState::Pinning | RootState::Failed);
    RootRecord {
        state,
        requests,
        refs: requests,
        epoch: EPOCH,
        due: LATER,
        wanted_since: EARLIER,
        attempts: if was_tried { 3 } else { 0 },
        retry: was_tried,
        waiting: false,
        paused: false,
        lease: None,
        size: (state == RootState::Pinned).then_some(SIZE),
        failure: was_tried.then(|| failure(FailureReason::Stalled)),
    }
}

/// The same, with holds alone.
fn held(state: RootState) -> RootRecord {
    RootRecord { requests: 0, refs: 1, ..root(state) }
}

/// The same, leased until this time.
fn leased(state: RootState, until: Timestamp) -> RootRecord {
    RootRecord { lease: Some(LeaseRecord { token: token(1), until }), ..root(state) }
}

/// A root that begins a new life now, of whose fields nothing is left but the time that it was wanted.
fn anew(state: RootState, before: &RootRecord) -> RootRecord {
    RootRecord {
        state,
        epoch: before.epoch + 1,
        due: NOW,
        attempts: 0,
        retry: false,
        waiting: false,
        paused: false,
        lease: None,
        size: None,
        failure: None,
        ..before.clone()
    }
}

fn token(number: u8) -> LeaseToken {
    LeaseToken::new(NOW, [number; 10])
}

fn failure(reason: FailureReason) -> RootFailure {
    let details = "no block came for 2 minutes".to_owned();
    RootFailure { phase: Phase::Transferring, reason, details, missing: None }
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}
