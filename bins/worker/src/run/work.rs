//! One leased root being worked on: the task that does it, what it is told meanwhile, and how it ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::{DagSize, Lease, LeaseTask, chain};
use pinrail_ipfs::{IpfsBackend, IpfsError, PinJob};
use pinrail_spec::{Multiaddr, RootKey, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, info_span, warn};

/// How long a fetch that has received something may stand still before others may have its slot.
const STANDSTILL: Duration = Duration::from_secs(5);

/// How the work on a root ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// The whole DAG is kept durably.
    Pinned(DagSize),
    /// It is kept no longer.
    Released,
    /// The backend could not do it.
    Refused(IpfsError),
    /// Every account that wants it has used up its bytes, so it was stopped.
    OverQuota,
    /// The worker goes down, so it was stopped.
    ShutDown,
    /// No slot became free for it in time, so it goes back to the queue.
    NotBegun,
    /// Nothing came, and another root had its slot.
    Displaced,
}

impl Ending {
    /// Whether nobody was found who has it.
    pub const fn is_fruitless(&self) -> bool {
        matches!(self, Self::Refused(IpfsError::NotProvided { .. }) | Self::Displaced)
    }
}

/// A root that this worker holds a lease of.
pub struct Work {
    /// The lease.
    pub lease: Lease,
    /// When it was taken.
    pub taken: Instant,
    /// How it ended, once it did: it waits to be settled then.
    pub ending: Option<Ending>,
    /// Whose fields all lines of the log about it carry.
    pub span: Span,
    /// What the storage was last told of it.
    pub reported: DagSize,
    /// What is to be done, until that is begun.
    job: Option<PinJob>,
    doing: Option<Doing>,
    origins: watch::Sender<Vec<Multiaddr>>,
    progress: watch::Receiver<DagSize>,
    /// When it was begun, or something last came, and what had come by then.
    moved: Instant,
    received: DagSize,
}

/// The task that does a work.
struct Doing {
    task: AbortHandle,
    gone: oneshot::Receiver<Infallible>,
}

impl Work {
    /// The work on a lease that was just taken, of a DAG of this size at most; it waits until it is begun.
    pub fn new(lease: Lease, most: DagSize) -> Self {
        let (origins, job_origins) = watch::channel(match &lease.task {
            LeaseTask::Pin { origins, .. } => origins.clone(),
            LeaseTask::Release => Vec::new(),
        });
        let (job_progress, progress) = watch::channel(DagSize::default());
        let job = PinJob {
            root: lease.key.root.clone(),
            account: lease.account.map(|account| account.as_uuid().as_u128()),
            epoch: lease.key.epoch,
            origins: job_origins,
            previous: match &lease.task {
                LeaseTask::Pin { previous, .. } => previous.clone(),
                LeaseTask::Release => None,
            },
            max_bytes: most.bytes,
            max_blocks: most.blocks,
            progress: job_progress,
        };
        let key = &lease.key;
        let span = info_span!("work", root = %key.root, lease = %key.token, epoch = key.epoch);
        Self {
            span,
            lease,
            taken: Instant::now(),
            ending: None,
            reported: DagSize::default(),
            job: Some(job),
            doing: None,
            origins,
            progress,
            moved: Instant::now(),
            received: DagSize::default(),
        }
    }

    /// Begin it in a task of `tasks`, unless it was begun before.
    pub fn begin(&mut self, backend: &Arc<dyn IpfsBackend>, tasks: &mut JoinSet<Ending>) {
        let Some(job) = self.job.take() else { return };
        let (here, gone) = oneshot::channel();
        let releases = self.is_release();
        let backend = Arc::clone(backend);
        let work = async move {
            let _here = here;
            debug!("begun");
            if releases { release(&*backend, &job.root, job.epoch).await } else { pin(&*backend, job).await }
        };
        let task = tasks.spawn(work.instrument(self.span.clone()));
        self.doing = Some(Doing { task, gone });
        self.moved = Instant::now();
    }

    /// Whether it unpins.
    pub fn is_release(&self) -> bool {
        self.lease.task == LeaseTask::Release
    }

    /// Whether its lease ran out, so that another worker may have taken it over.
    pub fn has_run_out(&self, now: Timestamp) -> bool {
        self.lease.until <= now
    }

    /// Whether it waits for a slot.
    pub const fn waits(&self) -> bool {
        self.job.is_some() && self.ending.is_none()
    }

    /// Whether it takes up a slot.
    pub fn runs(&self) -> bool {
        self.doing.is_some() && self.ending.is_none() && !self.is_release()
    }

    /// When it was begun, or something last came.
    pub const fn moved(&self) -> Instant {
        self.moved
    }

    /// Take down whether anything came since the last time.
    pub fn note_progress(&mut self) {
        let received = *self.progress.borrow();
        if received != self.received {
            (self.moved, self.received) = (Instant::now(), received);
        }
    }

    /// Whether it takes up a slot and nothing came for as long as `patience`, or for five seconds if something did before.
    pub fn is_fruitless(&self, patience: Duration) -> bool {
        let patience = if self.received == DagSize::default() { patience } else { patience.max(STANDSTILL) };
        self.runs() && self.moved.elapsed() >= patience
    }

    /// Whether `task` is the one that does this work.
    pub fn is_done_by(&self, task: Id) -> bool {
        self.doing.as_ref().is_some_and(|doing| doing.task.id() == task)
    }

    /// Stop the task. What it has received stays with the backend for a later attempt.
    pub fn stop(&mut self, ending: Ending) {
        if let Some(doing) = &self.doing {
            doing.task.abort();
        }
        self.ending.get_or_insert(ending);
    }

    /// Stop the task and wait until it is gone: calls for one root are made one after another.
    pub async fn end(self) {
        let Some(doing) = self.doing else { return };
        doing.task.abort();
        // Nothing is ever sent: the task lets go of its half when it ends.
        let _ = doing.gone.await;
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
    pub fn news(&self) -> Option<DagSize> {
        let progress = *self.progress.borrow();
        (progress != self.reported).then_some(progress)
    }
}

async fn pin(backend: &dyn IpfsBackend, job: PinJob) -> Ending {
    backend.pin(job).await.map_or_else(refused, Ending::Pinned)
}

async fn release(backend: &dyn IpfsBackend, root: &RootKey, epoch: u64) -> Ending {
    backend.forget(std::slice::from_ref(root)).await;
    backend.unpin(root, epoch).await.map_or_else(refused, |()| Ending::Released)
}

/// The end of a work that the backend could not do; the operator is told of a backend that does not work.
fn refused(error: IpfsError) -> Ending {
    if matches!(error, IpfsError::Unavailable { .. }) {
        warn!(error = chain(&error), "the IPFS backend does not work");
    }
    Ending::Refused(error)
}
