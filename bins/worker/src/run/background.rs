//! What goes on beside the steps: listening for changes and for found roots, and giving disk space back.

use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::{NodeId, chain};
use pinrail_ipfs::IpfsBackend;
use pinrail_spec::RootKey;
use pinrail_storage::{RootQueue, Storage};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{info, warn};

/// How long after an error, or after collection found nothing, it is tried again.
const REST: Duration = Duration::from_secs(5);

/// Waiting roots in one page.
const BATCH: usize = 1_000;

/// Start them; they end when what is returned is dropped. Roots that a peer turned out to have go to `found`.
pub fn start(
    storage: &Arc<dyn Storage>,
    backend: &Arc<dyn IpfsBackend>,
    node: NodeId,
    bell: &Arc<Notify>,
    found: &mpsc::Sender<RootKey>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(listen(Arc::clone(storage) as Arc<dyn RootQueue>, Arc::clone(bell)));
    tasks.spawn(pass_found(Arc::clone(backend), found.clone(), Arc::clone(bell)));
    tasks.spawn(look_for_waiting(Arc::clone(storage) as Arc<dyn RootQueue>, Arc::clone(backend), node));
    tasks.spawn(collect(Arc::clone(backend)));
    tasks
}

/// Ring whenever another process may have changed something.
async fn listen(storage: Arc<dyn RootQueue>, bell: Arc<Notify>) {
    loop {
        match storage.changed().await {
            Ok(()) => bell.notify_one(),
            Err(_) => sleep(REST).await,
        }
    }
}

/// Pass on which roots the backend met a peer for; the next step makes them due.
async fn pass_found(backend: Arc<dyn IpfsBackend>, found: mpsc::Sender<RootKey>, bell: Arc<Notify>) {
    while found.send(backend.next_found().await).await.is_ok() {
        bell.notify_one();
    }
}

/// After a start, go on asking for the roots that were waiting.
async fn look_for_waiting(storage: Arc<dyn RootQueue>, backend: Arc<dyn IpfsBackend>, node: NodeId) {
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
                warn!(problem = chain(&problem), "disk space is not given back");
                sleep(REST).await;
            }
        }
    }
}
