//! A history by one client: every answer is the reference's, and what has to hold between answers holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::Usage;
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::Storage;

use super::accounts::AccountOperation;
use super::answer::{Answer, Outcome};
use super::client::{Client, Moments, Pick};
use super::nodes::NodeOperation;
use super::operation::{ClockOperation, Operation};
use super::queue::{QueueOperation, release_all};
use super::requests::RequestOperation;
use super::seen::Seen;
use crate::{Fixture, MemoryStorage};

/// How long a verdict takes to be settled at least.
const A_COMMIT: Duration = Duration::from_millis(1);
/// After how many operations the counters are held against what they count.
const RECOUNT_AFTER: usize = 40;

/// A storage and the reference, asked for the same by the same client.
pub struct Pair<'fixture> {
    fixture: &'fixture Fixture,
    seen: &'fixture Seen,
    reference: Arc<MemoryStorage>,
    client: Client,
    reference_client: Client,
    /// The greatest moment that any step went by.
    latest: Timestamp,
    /// The greatest moment that an acknowledged step had the storage store.
    stored: Timestamp,
    /// The epoch of the last lease on each root.
    epochs: BTreeMap<RootKey, u64>,
}

impl<'fixture> Pair<'fixture> {
    /// Both empty; what their answers tell is noted in `seen`.
    pub fn new(fixture: &'fixture Fixture, seen: &'fixture Seen) -> Self {
        Self {
            fixture,
            seen,
            reference: Arc::new(MemoryStorage::with_clock(fixture.clock())),
            client: Client::default(),
            reference_client: Client::default(),
            latest: fixture.now(),
            stored: Timestamp::from_millis(0),
            epochs: BTreeMap::new(),
        }
    }

    /// Take all steps, then remove everything and see it gone; what was not as it should be.
    pub async fn live(mut self, operations: &[Operation]) -> Result<(), String> {
        for (number, operation) in operations.iter().enumerate() {
            self.step(operation).await.map_err(|wrong| format!("step {number}, {operation:?}: {wrong}"))?;
            if (number + 1).is_multiple_of(RECOUNT_AFTER) {
                self.fixture.recount().await.map_err(|wrong| format!("after step {number}: {wrong}"))?;
            }
        }
        self.end().await.map_err(|wrong| format!("when everything is removed in the end: {wrong}"))
    }

    /// Take one step on both sides.
    pub async fn step(&mut self, operation: &Operation) -> Result<(), String> {
        if let Operation::Clock(clock) = operation {
            return self.turn(clock).await;
        }
        if let Operation::Queue(QueueOperation::Settle { .. }) = operation {
            self.fixture.advance(A_COMMIT);
        }
        let moments = self.moments();
        let answer = operation.take(&mut self.client, self.fixture.storage.as_ref(), moments).await;
        let wanted = operation.take(&mut self.reference_client, self.reference.as_ref(), moments).await;
        if answer != wanted {
            return Err(format!("the answer is not the reference's:\n{answer:?}\n{wanted:?}"));
        }
        if let Ok(answer) = &answer {
            self.stored = self.stored.max(operation.stores(answer, moments).unwrap_or(self.stored));
        }
        self.seen.note(&answer);
        self.check_epochs(&answer)
    }

    /// The moments that the next step goes by.
    pub fn moments(&mut self) -> Moments {
        let now = self.fixture.now();
        self.latest = self.latest.max(now);
        Moments { now, stored: self.latest }
    }

    /// The two sides and what the client learned of each, for several to go on with.
    pub fn into_parts(self) -> (Arc<MemoryStorage>, Client, Client) {
        (self.reference, self.client, self.reference_client)
    }

    async fn turn(&mut self, clock: &ClockOperation) -> Result<(), String> {
        match clock {
            ClockOperation::Advance(by) => drop(self.fixture.advance(*by)),
            ClockOperation::PutBack(by) => self.fixture.clock().put_back(*by),
            ClockOperation::Read => {
                let moments = self.moments();
                check_clock(self.reference.as_ref(), self.stored, moments).await?;
                if self.fixture.is_on_clock() {
                    check_clock(self.fixture.storage.as_ref(), self.stored, moments).await?;
                }
            }
        }
        Ok(())
    }

    /// Each lease of a root has a greater epoch than the one before, also when the root's row went in between and the
    /// clock was put back.
    fn check_epochs(&mut self, answer: &Outcome) -> Result<(), String> {
        let Ok(Answer::Leases(leases)) = answer else { return Ok(()) };
        for lease in leases {
            let before = self.epochs.insert(lease.root.clone(), lease.epoch);
            if before.is_some_and(|before| lease.epoch <= before) {
                return Err(format!("the epoch was {before:?} in the lease before this one: {lease:?}"));
            }
        }
        Ok(())
    }

    /// Remove all requests and release their roots; then nobody uses anything and every counter is right.
    async fn end(&mut self) -> Result<(), String> {
        for back in 0..u8::try_from(self.client.requests.len()).unwrap_or(u8::MAX) {
            self.step(&Operation::Request(RequestOperation::Remove { request: Pick::Young(back), by: None })).await?;
        }
        for node in 1..=4 {
            self.step(&Operation::Node(NodeOperation::Beat { node })).await?;
            for operation in release_all(node) {
                self.step(&Operation::Queue(operation)).await?;
            }
        }
        self.step(&Operation::Account(AccountOperation::List { after: None, limit: u16::MAX })).await?;
        for account in &self.client.accounts {
            let account = self.fixture.find_account(account).await;
            if account.usage != Usage::default() {
                return Err(format!("all requests are removed, and there is {account:?}"));
            }
        }
        self.fixture.recount().await
    }
}

/// The database's clock is never below what was stored, nor below the machine's.
async fn check_clock(storage: &dyn Storage, stored: Timestamp, moments: Moments) -> Result<(), String> {
    let shown = storage.now().await.map_err(|error| error.to_string())?;
    let least = stored.max(moments.now);
    if shown < least || shown > moments.stored {
        return Err(format!("the database's clock shows {shown}, wanted {least} to {}", moments.stored));
    }
    Ok(())
}
