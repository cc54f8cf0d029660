//! Pin requests that come at the same time, added in one transaction: a commit costs a sync of the disk, whatever it
//! holds.
//!
//! Each lane adds one group after another. An account's requests always take the same lane, so they never wait for
//! the account's lock, which one group holds until it is on the disk, while the next one gathers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use diesel_async::SimpleAsyncConnection;
use pinrail_domain::{NewPinRequest, PinRequest};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;

use super::Conn;
use super::batcher::Batcher;
use super::pool::{Access, Pool};
use super::queries::pin_requests;
use crate::error::{TxError, TxResult};

/// Groups that are added at one time: while one is being written, the other is on its way to the disk. More of them
/// would be smaller, and all would wait for the row of the node that they choose.
const LANES: usize = 2;

type Outcome = Result<PinRequest, StorageError>;
type Group = Arc<[(NewPinRequest, Timestamp)]>;

/// What adds requests.
pub(super) struct PinBatcher {
    lanes: [Batcher<(NewPinRequest, Timestamp), PinRequest>; LANES],
}

impl PinBatcher {
    /// Begin to add.
    pub(super) fn start(pool: &Arc<Pool>) -> Self {
        let start = |_| {
            let pool = Arc::clone(pool);
            Batcher::start(1, move |group| {
                let pool = Arc::clone(&pool);
                async move { add_group(&pool, Arc::from(group)).await }
            })
        };
        Self { lanes: std::array::from_fn(start) }
    }

    /// Add a request with the next group of its lane, and answer when that is on the disk.
    pub(super) async fn add(&self, request: NewPinRequest, now: Timestamp) -> Outcome {
        let mut hasher = DefaultHasher::new();
        request.account.hash(&mut hasher);
        let lane = usize::from(hasher.finish().to_le_bytes()[0]) % LANES;
        self.lanes[lane].ask((request, now)).await
    }
}

/// Add a group in one transaction; what became of each, in the same order.
async fn add_group(pool: &Pool, group: Group) -> Vec<Outcome> {
    let together = Arc::clone(&group);
    let added = pool.run(Access::Write, move |conn| Box::pin(async move { add_together(conn, &together).await })).await;
    let added = match added {
        // One of them fails the step, an id that is taken for instance: the others are not to suffer.
        Err(StorageError::Conflict(_) | StorageError::Corrupt(_)) if group.len() > 1 => {
            let each = Arc::clone(&group);
            pool.run(Access::Write, move |conn| Box::pin(async move { add_each(conn, &each).await })).await
        }
        added => added,
    };
    added.unwrap_or_else(|error| vec![Err(error); group.len()])
}

async fn add_together(conn: &mut Conn, group: &[(NewPinRequest, Timestamp)]) -> TxResult<Vec<Outcome>> {
    pin_requests::add_pin_requests(conn, &borrowed(group)).await
}

async fn add_each(conn: &mut Conn, group: &[(NewPinRequest, Timestamp)]) -> TxResult<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(group.len());
    for (request, now) in group {
        outcomes.push(add_one(conn, request, *now).await?);
    }
    Ok(outcomes)
}

fn borrowed(group: &[(NewPinRequest, Timestamp)]) -> Vec<(&NewPinRequest, Timestamp)> {
    group.iter().map(|(request, now)| (request, *now)).collect()
}

/// Add one of several; it fails alone.
async fn add_one(conn: &mut Conn, request: &NewPinRequest, now: Timestamp) -> TxResult<Outcome> {
    conn.batch_execute("SAVEPOINT one").await?;
    let outcome = pin_requests::add_pin_request(conn, request, now).await;
    match &outcome {
        Ok(_) => conn.batch_execute("RELEASE SAVEPOINT one").await?,
        Err(_) => conn.batch_execute("ROLLBACK TO SAVEPOINT one").await?,
    }
    kept(outcome)
}

/// Our own refusals are an answer, and so is that an id is taken; what else the database refuses is for the transaction
/// as a whole.
fn kept(outcome: TxResult<PinRequest>) -> TxResult<Outcome> {
    match outcome {
        Ok(request) => Ok(Ok(request)),
        Err(TxError::Refused(refused)) => Ok(Err(refused)),
        Err(failed) if failed.is_taken() => Ok(Err(failed.into())),
        Err(failed) => Err(failed),
    }
}
