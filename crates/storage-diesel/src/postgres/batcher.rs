//! What is asked at the same time, answered by one transaction: on the way to the server and back, and on the disk, a
//! group costs hardly more than one.

use std::sync::Arc;
use std::time::Duration;

use pinrail_storage::StorageError;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

/// Questions that are answered together at most: what waits longest should not wait for hundreds.
const GROUPED_AT_MOST: usize = 128;

type Outcome<A> = Result<A, StorageError>;
type Waiting<Q, A> = (Q, oneshot::Sender<Outcome<A>>);

/// Answers one group of questions after another: while a group is being answered, the next one gathers.
pub(super) struct Batcher<Q, A>(mpsc::UnboundedSender<Waiting<Q, A>>);

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// A lane on which `at_once` groups are on their way at one time. `answer` says what becomes of each question of a
    /// group, in their order. A group waits up to `patience` for those whom the last one has just answered, who mostly
    /// ask again: without them it would be half as large. The lane ends when this is dropped and all is answered.
    pub(super) fn start<F>(
        at_once: usize,
        patience: Duration,
        answer: impl Fn(Vec<Q>) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Vec<Outcome<A>>> + Send + 'static,
    {
        let (lane, waiting) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..at_once {
            tokio::spawn(answer_groups(Arc::clone(&waiting), patience, answer.clone()));
        }
        Self(lane)
    }

    /// Ask with the next group, and wait for what becomes of it.
    pub(super) async fn ask(&self, question: Q) -> Outcome<A> {
        let (reply, answer) = oneshot::channel();
        let stopped = || StorageError::Unavailable("the storage is closed".to_owned());
        self.0.send((question, reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

async fn answer_groups<Q, A, F>(
    waiting: Arc<Mutex<mpsc::UnboundedReceiver<Waiting<Q, A>>>>,
    patience: Duration,
    answer: impl Fn(Vec<Q>) -> F,
) where
    F: Future<Output = Vec<Outcome<A>>>,
{
    let mut group = Vec::new();
    let mut answered = 0;
    while gather(&mut *waiting.lock().await, &mut group, answered, patience).await {
        // Whoever was told meanwhile that it takes too long may ask again: nothing is to be done twice.
        group.retain(|(_, reply)| !reply.is_closed());
        let (questions, replies): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        answered = replies.len();
        if replies.is_empty() {
            continue;
        }
        for (reply, outcome) in replies.into_iter().zip(answer(questions).await) {
            // Nobody waits any more when the caller was cancelled; what was done stays done.
            drop(reply.send(outcome));
        }
    }
}

/// Take what waits, and what comes within `patience` of as many as were just `answered`. Whether there is any; there will
/// be none when the lane's other end is gone.
async fn gather<T>(
    waiting: &mut mpsc::UnboundedReceiver<T>,
    group: &mut Vec<T>,
    answered: usize,
    patience: Duration,
) -> bool {
    let expected = (waiting.len() + answered).min(GROUPED_AT_MOST);
    let come_back =
        async { while group.len() < expected && waiting.recv_many(group, expected - group.len()).await > 0 {} };
    // Those who do not come back are not waited for again: the next group expects as many as this one has.
    let _all_came = timeout(patience, come_back).await;
    !group.is_empty() || waiting.recv_many(group, GROUPED_AT_MOST).await > 0
}
