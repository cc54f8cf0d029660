//! Pin requests that come at the same time, added in one transaction: a commit costs a sync of the disk, whatever it
//! holds.
//!
//! One group is added after another: an account's requests never wait for the account's lock, and all find the rows of
//! the nodes that they choose free. While a group is being written, the next one gathers.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use pinrail_domain::{NewPinRequest, PinRequest};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;

use super::Conn;
use super::batcher::Batcher;
use super::pool::{Access, Pool};
use super::queries::pin_requests;
use crate::error::{TxError, TxResult};

/// How long a group waits for those whom the last one has answered: less than a sync of most disks.
const PATIENCE: Duration = Duration::from_millis(1);

type Outcome = Result<PinRequest, StorageError>;
type Group = Arc<[(NewPinRequest, Timestamp)]>;

/// What adds requests.
pub(super) struct PinBatcher(Batcher<(NewPinRequest, Timestamp), PinRequest>);

impl PinBatcher {
    /// Begin to add.
    pub(super) fn start(pool: &Arc<Pool>) -> Self {
        let pool = Arc::clone(pool);
        Self(Batcher::start(1, PATIENCE, move |group| {
            let pool = Arc::clone(&pool);
            async move { add_group(&pool, Arc::from(group)).await }
        }))
    }

    /// Add a request with the next group, and answer when that is on the disk.
    pub(super) async fn add(&self, request: NewPinRequest, now: Timestamp) -> Outcome {
        self.0.ask((request, now)).await
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
