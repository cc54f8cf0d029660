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
use tokio::sync::{mpsc, oneshot};

use super::pool::{Access, Pool};
use super::{Conn, requests};
use crate::error::{Failed, Step};

/// Requests that go into one transaction at most: what waits longest should not wait for hundreds.
const GROUPED_AT_MOST: usize = 128;

/// Groups that are added at one time: while one is being written, the other is on its way to the disk. More of them
/// would be smaller, and all would wait for the row of the node that they choose.
const LANES: usize = 2;

/// A request that waits to be added.
struct Add {
    request: NewPinRequest,
    now: Timestamp,
    reply: oneshot::Sender<Outcome>,
}

type Outcome = Result<PinRequest, StorageError>;
type Group = Arc<[(NewPinRequest, Timestamp)]>;

/// What adds requests.
pub(super) struct Adder {
    lanes: [mpsc::UnboundedSender<Add>; LANES],
}

impl Adder {
    /// Start the lanes; they end when this is dropped and all that waits is added.
    pub(super) fn start(pool: &Arc<Pool>) -> Self {
        let start = |_| {
            let (lane, waiting) = mpsc::unbounded_channel();
            tokio::spawn(add_groups(Arc::clone(pool), waiting));
            lane
        };
        Self { lanes: std::array::from_fn(start) }
    }

    /// Add a request with the next group of its lane, and answer when that is on the disk.
    pub(super) async fn add(&self, request: NewPinRequest, now: Timestamp) -> Outcome {
        let mut hasher = DefaultHasher::new();
        request.account.hash(&mut hasher);
        let lane = usize::from(hasher.finish().to_le_bytes()[0]) % LANES;
        let (reply, answer) = oneshot::channel();
        let stopped = || StorageError::Unavailable("the storage is closed".to_owned());
        self.lanes[lane].send(Add { request, now, reply }).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

async fn add_groups(pool: Arc<Pool>, mut waiting: mpsc::UnboundedReceiver<Add>) {
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, GROUPED_AT_MOST).await > 0 {
        // Whoever was told meanwhile that it takes too long may ask again: it is not to be added twice.
        group.retain(|add: &Add| !add.reply.is_closed());
        let (asked, replies): (Vec<_>, Vec<_>) = group.drain(..).map(|add| ((add.request, add.now), add.reply)).unzip();
        if replies.is_empty() {
            continue;
        }
        let outcomes = add_group(&pool, Arc::from(asked)).await;
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Nobody waits any more when the caller was cancelled; the request is added all the same.
            drop(reply.send(outcome));
        }
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

async fn add_together(conn: &mut Conn, group: &[(NewPinRequest, Timestamp)]) -> Step<Vec<Outcome>> {
    requests::add_pin_requests(conn, &borrowed(group)).await
}

async fn add_each(conn: &mut Conn, group: &[(NewPinRequest, Timestamp)]) -> Step<Vec<Outcome>> {
    requests::lock(conn, &borrowed(group)).await?;
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
async fn add_one(conn: &mut Conn, request: &NewPinRequest, now: Timestamp) -> Step<Outcome> {
    conn.batch_execute("SAVEPOINT one").await?;
    let outcome = requests::add_pin_request(conn, request, now).await;
    match &outcome {
        Ok(_) => conn.batch_execute("RELEASE SAVEPOINT one").await?,
        Err(_) => conn.undo("ROLLBACK TO SAVEPOINT one").await?,
    }
    kept(outcome)
}

/// Our own refusals are an answer; what the database refuses is for the transaction as a whole.
fn kept(outcome: Step<PinRequest>) -> Step<Outcome> {
    match outcome {
        Ok(request) => Ok(Ok(request)),
        Err(Failed::Refused(refused)) => Ok(Err(refused)),
        Err(failed) => Err(failed),
    }
}
