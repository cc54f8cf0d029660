//! What goes on beside the steps: listening for changes and for found roots, and giving disk space back.

use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::NodeId;
use pinrail_ipfs::IpfsBackend;
use pinrail_spec::RootKey;
use pinrail_storage::{Storage, StorageError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

/// How long after an error, or after collection found nothing, it is tried again.
const REST: Duration = Duration::from_secs(5);

/// How long found roots are gathered, so that a peer which has thousands causes few commits.
const GATHER: Duration = Duration::from_millis(100);

/// The most found roots in one commit, and waiting roots in one page.
const BATCH: usize = 1_000;

/// Start them; they end when what is returned is dropped.
pub fn start(
    storage: &Arc<dyn Storage>,
    backend: &Arc<dyn IpfsBackend>,
    node: NodeId,
    bell: &Arc<Notify>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(listen(Arc::clone(storage), Arc::clone(bell)));
    tasks.spawn(wake_found(Arc::clone(storage), Arc::clone(backend), node, Arc::clone(bell)));
    tasks.spawn(look_for_waiting(Arc::clone(storage), Arc::clone(backend), node));
    tasks.spawn(collect(Arc::clone(backend)));
    tasks
}

/// Ring whenever another process may have changed something.
async fn listen(storage: Arc<dyn Storage>, bell: Arc<Notify>) {
    loop {
        match storage.changed().await {
            Ok(()) => bell.notify_one(),
            Err(_) => sleep(REST).await,
        }
    }
}

/// Make roots due as soon as the backend met a peer that has them.
async fn wake_found(storage: Arc<dyn Storage>, backend: Arc<dyn IpfsBackend>, node: NodeId, bell: Arc<Notify>) {
    loop {
        let found = gather(&*backend).await;
        while let Err(problem) = wake(&*storage, &node, &found).await {
            warn!(%problem, "found roots are not woken yet");
            sleep(REST).await;
        }
        bell.notify_one();
    }
}

async fn gather(backend: &dyn IpfsBackend) -> Vec<RootKey> {
    let mut found = vec![backend.next_found().await];
    let end = Instant::now() + GATHER;
    while found.len() < BATCH
        && let Ok(root) = timeout_at(end, backend.next_found()).await
    {
        found.push(root);
    }
    found
}

async fn wake(storage: &dyn Storage, node: &NodeId, roots: &[RootKey]) -> Result<(), StorageError> {
    storage.wake(node, roots, storage.now().await?).await
}

/// After a start, go on asking for the roots that were waiting.
async fn look_for_waiting(storage: Arc<dyn Storage>, backend: Arc<dyn IpfsBackend>, node: NodeId) {
    let mut last = None;
    let mut waiting = 0;
    loop {
        match storage.list_waiting(&node, last.as_ref(), BATCH).await {
            Ok(roots) if roots.is_empty() => break,
            Ok(roots) => {
                waiting += roots.len();
                backend.look_for(&roots).await;
                last = roots.into_iter().next_back();
            }
            Err(_) => sleep(REST).await,
        }
    }
    if waiting > 0 {
        info!(waiting, "asking for the roots that no peer had");
    }
}

/// Give disk space back, a bounded step at a time.
async fn collect(backend: Arc<dyn IpfsBackend>) {
    loop {
        match backend.collect().await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => sleep(REST).await,
            Err(problem) => {
                warn!(%problem, "disk space is not given back");
                sleep(REST).await;
            }
        }
    }
}
