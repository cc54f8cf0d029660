//! One leased root being worked on: the task that does it, what it is told meanwhile, and how it ended.

use std::convert::Infallible;
use std::sync::Arc;

use pinrail_domain::{Lease, LeaseTask, Progress};
use pinrail_ipfs::{IpfsBackend, IpfsError, PinJob, Pinned};
use pinrail_spec::{Multiaddr, RootKey};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinSet};

/// How the work on a root ended.
#[derive(Debug)]
pub enum Ending {
    /// The whole DAG is kept durably.
    Pinned(Pinned),
    /// It is kept no longer.
    Released,
    /// The backend could not do it.
    Refused(IpfsError),
    /// Every account that wants it has used up its bytes, so it was stopped.
    OverQuota,
    /// The worker goes down, so it was stopped.
    ShutDown,
}

/// A root that this worker holds a lease of.
#[derive(Debug)]
pub struct Work {
    /// The lease.
    pub lease: Lease,
    /// How it ended, once it did: it waits to be settled then.
    pub ending: Option<Ending>,
    /// What the storage was last told of it.
    pub reported: Progress,
    task: AbortHandle,
    gone: oneshot::Receiver<Infallible>,
    origins: watch::Sender<Vec<Multiaddr>>,
    progress: watch::Receiver<Pinned>,
}

impl Work {
    /// Begin working on `lease` in a task of `tasks`.
    pub fn begin(lease: Lease, max_bytes: u64, backend: &Arc<dyn IpfsBackend>, tasks: &mut JoinSet<Ending>) -> Self {
        let (here, gone) = oneshot::channel();
        let (origins, job_origins) = watch::channel(match &lease.task {
            LeaseTask::Pin { origins, .. } => origins.clone(),
            LeaseTask::Release => Vec::new(),
        });
        let (job_progress, progress) = watch::channel(Pinned::default());
        let job = PinJob {
            root: lease.key.root.clone(),
            epoch: lease.key.epoch,
            origins: job_origins,
            previous: match &lease.task {
                LeaseTask::Pin { previous, .. } => previous.clone(),
                LeaseTask::Release => None,
            },
            max_bytes,
            progress: job_progress,
        };
        let releases = lease.task == LeaseTask::Release;
        let backend = Arc::clone(backend);
        let task = tasks.spawn(async move {
            let _here = here;
            if releases { release(&*backend, &job.root, job.epoch).await } else { pin(&*backend, job).await }
        });
        Self { lease, ending: None, reported: Progress::default(), task, gone, origins, progress }
    }

    /// Whether `task` is the one that does this work.
    pub fn is_done_by(&self, task: Id) -> bool {
        self.task.id() == task
    }

    /// Stop the task. What it has received stays with the backend for a later attempt.
    pub fn stop(&mut self, ending: Ending) {
        self.task.abort();
        self.ending.get_or_insert(ending);
    }

    /// Stop the task and wait until it is gone: calls for one root are made one after another.
    pub async fn end(self) {
        self.task.abort();
        // Nothing is ever sent: the task lets go of its half when it ends.
        let _ = self.gone.await;
    }

    /// Tell the task where the root may be found now.
    pub fn set_origins(&self, origins: Vec<Multiaddr>) {
        self.origins.send_if_modified(|known| {
            let differ = *known != origins;
            *known = origins;
            differ
        });
    }

    /// What has been received, if that is not what the storage was last told.
    pub fn news(&self) -> Option<Progress> {
        let Pinned { blocks, bytes } = *self.progress.borrow();
        let progress = Progress { blocks, bytes };
        (progress != self.reported).then_some(progress)
    }
}

async fn pin(backend: &dyn IpfsBackend, job: PinJob) -> Ending {
    backend.pin(job).await.map_or_else(Ending::Refused, Ending::Pinned)
}

async fn release(backend: &dyn IpfsBackend, root: &RootKey, epoch: u64) -> Ending {
    backend.forget(std::slice::from_ref(root)).await;
    backend.unpin(root, epoch).await.map_or_else(Ending::Refused, |()| Ending::Released)
}
