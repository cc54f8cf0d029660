//! The worker's own work: it leases due roots, has the backend pin them, and settles what became of them.
//!
//! All of it goes on in steps. A step asks the database for the time, reads what changed about the leases, and then
//! renews leases, reports progress, settles what ended and takes new leases, all in one group. **Invariant:** nothing
//! is settled under a lease that ran out before it was renewed; one that is another's is lost and its work dropped. A
//! step that the database refuses is tried again a second later, and the fetches go on meanwhile.

mod background;
mod chores;
mod ending;
mod metrics;
mod presence;
mod slots;
mod step;
mod work;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::{Backend, FailureReason, NodeId, Phase, Policy, RootFailure};
use pinrail_ipfs::{IpfsBackend, IpfsError};
use pinrail_spec::RootKey;
use pinrail_storage::{Storage, StorageError};
use tokio::sync::{Notify, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{error, info, warn};

pub use metrics::WorkMetrics;
use work::{Ending, Work};

/// The least time between two steps, so that commits are grouped.
const PACE: Duration = Duration::from_millis(100);

/// The most time between two steps: retries fall due without anybody saying so.
const IDLE: Duration = Duration::from_secs(1);

/// The most time between two steps while nothing came of some root yet: what is new may need its slot.
const CROWDED: Duration = Duration::from_millis(250);

/// The most found roots that are made due in one commit.
const FOUND_AT_ONCE: usize = 1_000;

/// A step that takes longer than this is worth a word in the log.
const SLOW: Duration = Duration::from_secs(10);

/// A die: a fresh random number from 0 to 1 each time, handed in so that everything here can be replayed.
pub type Die = Box<dyn FnMut() -> f64 + Send>;

/// A worker with the node that it fills.
pub struct Worker {
    storage: Arc<dyn Storage>,
    backend: Arc<dyn IpfsBackend>,
    node: NodeId,
    kind: Backend,
    policy: Policy,
    die: Die,
    works: HashMap<RootKey, Work>,
    tasks: JoinSet<Ending>,
    /// Leases that were taken before there was a slot for them, as they were taken.
    waiting: VecDeque<RootKey>,
    /// How many fetches ended since leases were last taken.
    ended: usize,
    /// Rung when the database or the backend has something new.
    bell: Arc<Notify>,
    /// Roots that the backend met a peer for, as they come.
    found: mpsc::Receiver<RootKey>,
    finder: mpsc::Sender<RootKey>,
    /// Those of them that are to be made due.
    to_wake: HashSet<RootKey>,
    last_step: Instant,
    last_report: Option<Instant>,
    presence: presence::Presence,
    chores: chores::Chores,
    metrics: WorkMetrics,
    /// Whether the last step failed, so that an outage is said once and not hammered.
    failing: bool,
}

impl Worker {
    /// A worker for `node`, whose `backend`, of this kind, does what `storage` has due. Every judgement throws `die`.
    pub fn new(
        storage: Arc<dyn Storage>,
        backend: Arc<dyn IpfsBackend>,
        node: NodeId,
        kind: Backend,
        policy: Policy,
        die: Die,
    ) -> Self {
        let (finder, found) = mpsc::channel(FOUND_AT_ONCE);
        Self {
            storage,
            backend,
            node,
            kind,
            metrics: WorkMetrics::new(policy.slots),
            policy,
            die,
            works: HashMap::new(),
            tasks: JoinSet::new(),
            waiting: VecDeque::new(),
            ended: 0,
            bell: Arc::new(Notify::new()),
            found,
            finder,
            to_wake: HashSet::new(),
            last_step: Instant::now(),
            last_report: None,
            presence: presence::Presence::default(),
            chores: chores::Chores::default(),
            failing: false,
        }
    }

    /// What is counted of its work.
    pub fn metrics(&self) -> &WorkMetrics {
        &self.metrics
    }

    /// Work until `stop` resolves, then drain for at most `grace` and give back what is unfinished.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send, grace: Duration) {
        let _background = background::start(&self.storage, &self.backend, self.node, &self.bell, &self.finder);
        let mut stop = pin!(stop);
        self.try_step(true).await;
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.wait() => self.try_step(true).await,
            }
        }
        self.drain(Instant::now() + grace).await;
    }

    /// Wait until the next step is worth its commits.
    ///
    /// That is 100 ms after the last one if anything happened, sooner if half of the slots came to something and none
    /// waits for one, so that many small roots are not held up, and a second after it in any case.
    async fn wait(&mut self) {
        let mut rung = false;
        loop {
            let is_found = self.to_wake.iter().any(|root| !self.works.contains_key(root));
            let endings = || self.works.values().filter_map(|work| work.ending.as_ref());
            let done = endings().filter(|ending| !ending.is_fruitless()).count();
            let until = match endings().count() {
                _ if !self.failing && self.waiting.is_empty() && done * 2 >= self.slots() => return,
                ended if !self.failing && (rung || is_found || ended > 0) => self.last_step + PACE,
                _ if !self.failing && self.has_fruitless() => self.last_step + CROWDED,
                _ => self.last_step + IDLE,
            };
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.bell.notified(), if !rung => rung = true,
                Some(joined) = self.tasks.join_next_with_id() => self.note(joined),
            }
        }
    }

    /// Take a step, and say once when steps begin to fail and once when they work again.
    async fn try_step(&mut self, claim: bool) {
        self.last_step = Instant::now();
        let outcome = self.patient_step(claim).await;
        match &outcome {
            Ok(()) if self.failing => info!("the database answers again"),
            Err(problem) if !self.failing => warn!(%problem, "settling is put off, fetches go on"),
            _ => {}
        }
        self.failing = outcome.is_err();
        self.count_step();
    }

    /// Count the step that was just taken, and what the worker has at hand after it.
    fn count_step(&self) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.steps.observe(self.last_step.elapsed().as_secs_f64());
        self.metrics.failed_steps.inc_by(u64::from(self.failing));
        self.metrics.leases.set(count(self.works.len()));
        self.metrics.running.set(count(self.works.values().filter(|work| work.runs()).count()));
    }

    /// Take a step, however long the database takes. It is not broken off: a lease that was taken meanwhile would be
    /// held by nobody.
    async fn patient_step(&mut self, claim: bool) -> Result<(), StorageError> {
        let mut step = pin!(self.step(claim));
        if let Ok(outcome) = timeout(SLOW, &mut step).await {
            return outcome;
        }
        warn!("the database has not answered for {} seconds, fetches go on", SLOW.as_secs());
        step.await
    }

    fn slots(&self) -> usize {
        usize::try_from(self.policy.slots).unwrap_or(usize::MAX)
    }

    /// Take in how a task ended. One that was stopped ended before.
    fn note(&mut self, joined: Result<(Id, Ending), JoinError>) {
        let (id, ending) = match joined {
            Ok(ended) => ended,
            Err(problem) if problem.is_cancelled() => return,
            Err(problem) => (problem.id(), broken(&problem)),
        };
        if let Some(work) = self.works.values_mut().find(|work| work.is_done_by(id)) {
            self.ended += usize::from(work.runs());
            work.ending.get_or_insert(ending);
        }
        self.fill_slots();
    }

    /// Take in what ended by now.
    fn note_ended(&mut self) {
        while let Some(joined) = self.tasks.try_join_next_with_id() {
            self.note(joined);
        }
    }

    /// Settle what ends by `deadline`, then stop the rest and give it back as it is.
    async fn drain(&mut self, deadline: Instant) {
        self.give_back_waiting(|_| true, &Ending::ShutDown);
        while self.works.values().any(|work| work.ending.is_none()) {
            let Ok(Some(joined)) = timeout_at(deadline, self.tasks.join_next_with_id()).await else { break };
            self.note(joined);
        }
        for work in self.works.values_mut() {
            work.stop(Ending::ShutDown);
        }
        self.try_step(false).await;
        if self.works.is_empty() {
            info!("all leases are given back");
        } else {
            warn!(leases = self.works.len(), "leases that could not be given back run out by themselves");
        }
    }
}

/// What became of a task that panicked: a mistake of ours, which must not hold the root's lease for ever.
fn broken(problem: &JoinError) -> Ending {
    error!(%problem, "the work on a root broke off");
    let details = "the worker made a mistake while fetching it, its log says more".to_owned();
    let reason = FailureReason::WorkerBroke;
    Ending::Refused(IpfsError::Broken(RootFailure { phase: Phase::Checking, reason, details, missing: None }))
}
