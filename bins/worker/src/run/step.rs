//! One step: renew, report, settle, read, claim, and the chores beside them.

use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::{Lease, LeaseKey, LeaseNews, LeaseTask, Verdict};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{ProgressReport, Settlement, StorageError};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Worker;
use super::ending::judge_ending;
use super::work::{Ending, Work};

/// How often progress is told: it reaches readers within two seconds.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How often outlived holds are looked for, and copies of statuses that another worker left behind.
const CHORES_EVERY: Duration = Duration::from_secs(30);

/// The most batches of status copies in one step, so that a root with many requests does not hold up the others.
const COPIES_AT_ONCE: usize = 8;

/// What is to be done beside the leases.
#[derive(Debug, Default)]
pub struct Chores {
    done: Option<Instant>,
    copies_left: bool,
}

impl Worker {
    /// Take one step at the database's time; takes no new leases unless `claim`.
    ///
    /// On an error the rest of the step is left for the next one: what ended stays until it is settled.
    pub(super) async fn step(&mut self, claim: bool) -> Result<(), StorageError> {
        let now = self.storage.now().await?;
        self.be_present(now).await?;
        self.note_ended();
        self.renew(now).await?;
        self.read_news().await?;
        self.exchange(now, claim).await?;
        self.do_chores(now).await
    }

    /// Renew the leases that are past half of their time; those that are lost are dropped.
    async fn renew(&mut self, now: Timestamp) -> Result<(), StorageError> {
        let half = self.policy.lease / 2;
        let old = self.works.values().filter(|work| work.lease.until.since(now) <= half);
        let keys = old.map(|work| work.lease.key.clone()).collect::<Vec<_>>();
        if keys.is_empty() {
            return Ok(());
        }
        let until = now + self.policy.lease;
        for (key, stands) in keys.iter().zip(self.storage.renew(&keys, until).await?) {
            match self.works.get_mut(&key.root) {
                Some(work) if stands => work.lease.until = until,
                _ => self.lose(&key.root).await,
            }
        }
        Ok(())
    }

    /// Read what a worker has to know of its leases: origins, cancellation, a spent quota.
    async fn read_news(&mut self) -> Result<(), StorageError> {
        let keys = self.lease_keys();
        if keys.is_empty() {
            return Ok(());
        }
        for (key, news) in keys.iter().zip(self.storage.read_leases(&keys).await?) {
            match (news, self.works.get_mut(&key.root)) {
                (LeaseNews::Wanted { origins }, Some(work)) => work.set_origins(origins),
                (LeaseNews::OverQuota, Some(work)) => work.stop(Ending::OverQuota),
                _ => self.lose(&key.root).await,
            }
        }
        Ok(())
    }

    /// Report, settle and claim. All three are asked at once, in this order, so that they share a commit.
    async fn exchange(&mut self, now: Timestamp, claim: bool) -> Result<(), StorageError> {
        let (settlements, reports) = (self.settlements(now).await, self.reports());
        let is_pin = |work: &&Work| work.ending.is_none() && work.lease.task != LeaseTask::Release;
        let slots = self.slots();
        let free = slots.saturating_sub(self.works.values().filter(is_pin).count());
        let (storage, node, until) = (Arc::clone(&self.storage), self.node, now + self.policy.lease);
        let (reported, settled, leased) = tokio::join!(
            async { if reports.is_empty() { Ok(()) } else { storage.report_progress(&reports).await } },
            async { if settlements.is_empty() { Ok(Vec::new()) } else { storage.settle(&settlements, now).await } },
            async { if claim { storage.lease_due(&node, now, until, free, slots).await } else { Ok(Vec::new()) } },
        );
        let settled = match settled {
            Ok(results) => self.finish_all(settlements, results).await,
            Err(problem) => Err(problem),
        };
        // Whatever else went wrong: a lease that was taken is held.
        let leased = match leased {
            Ok(leases) => {
                self.begin_all(leases).await;
                Ok(())
            }
            Err(problem) => Err(problem),
        };
        if reported.is_ok() {
            self.note_reported(&reports);
        }
        reported.and(settled).and(leased)
    }

    /// How far fetches have come: once a second, and at once for one that ended without being pinned.
    fn reports(&mut self) -> Vec<ProgressReport> {
        let all = self.last_report.is_none_or(|last| last.elapsed() >= REPORT_EVERY);
        if all {
            self.last_report = Some(Instant::now());
        }
        let is_due = |work: &&Work| match work.ending {
            None => all,
            Some(Ending::Pinned(_) | Ending::Released) => false,
            Some(_) => true,
        };
        let report = |work: &Work| Some(ProgressReport { lease: work.lease.key.clone(), progress: work.news()? });
        self.works.values().filter(is_due).filter_map(report).collect()
    }

    fn note_reported(&mut self, reports: &[ProgressReport]) {
        for report in reports {
            if let Some(work) = self.works.get_mut(&report.lease.root) {
                work.reported = report.progress;
            }
        }
    }

    /// What is to be said of everything that ended.
    async fn settlements(&mut self, now: Timestamp) -> Vec<Settlement> {
        let mut settlements = Vec::new();
        let mut stale = Vec::new();
        for (root, work) in &self.works {
            let Some(ended) = &work.ending else { continue };
            match judge_ending(ended, &work.lease, now, (self.die)(), &self.policy) {
                Some(verdict) => settlements.push(Settlement { lease: work.lease.key.clone(), verdict }),
                None => stale.push(root.clone()),
            }
        }
        for root in stale {
            self.lose(&root).await;
        }
        settlements
    }

    /// Let go of what was settled; what met an outage stays, to be settled again.
    async fn finish_all(
        &mut self,
        settlements: Vec<Settlement>,
        results: Vec<Result<(), StorageError>>,
    ) -> Result<(), StorageError> {
        self.chores.copies_left |= !settlements.is_empty();
        let mut outage = Ok(());
        for (settlement, result) in settlements.into_iter().zip(results) {
            match result {
                Err(problem @ StorageError::Unavailable(_)) => outage = Err(problem),
                result => self.finish(settlement, result).await,
            }
        }
        outage
    }

    /// Let go of a work that was settled, or that storage will not have settled.
    async fn finish(&mut self, settlement: Settlement, result: Result<(), StorageError>) {
        let root = settlement.lease.root;
        match result {
            Ok(()) => tell(&root, &settlement.verdict),
            Err(StorageError::LeaseLost) => return self.lose(&root).await,
            Err(problem) => {
                warn!(%root, %problem, "could not be settled, its lease is left to run out");
                return self.lose(&root).await;
            }
        }
        if let Some(work) = self.works.remove(&root) {
            work.end().await;
        }
        if matches!(settlement.verdict, Verdict::Failed { .. }) {
            self.backend.forget(&[root]).await;
        }
    }

    /// Begin the work on new leases.
    async fn begin_all(&mut self, leases: Vec<Lease>) {
        for lease in leases {
            let root = lease.key.root.clone();
            debug!(%root, attempt = lease.attempt, releases = (lease.task == LeaseTask::Release), "leased");
            self.lose(&root).await;
            let work = Work::begin(lease, self.policy.max_root_bytes, &self.backend, &mut self.tasks);
            self.works.insert(root, work);
        }
    }

    /// Drop the work on a root whose lease is lost; it is asked for no longer.
    async fn lose(&mut self, root: &RootKey) {
        if let Some(work) = self.works.remove(root) {
            debug!(%root, "the lease is lost, its work is dropped");
            work.end().await;
            self.backend.forget(std::slice::from_ref(root)).await;
        }
    }

    /// Carry settled statuses on to further requests, and end holds that outlived their time.
    async fn do_chores(&mut self, now: Timestamp) -> Result<(), StorageError> {
        if self.chores.done.is_none_or(|done| done.elapsed() >= CHORES_EVERY) {
            let ended = self.storage.expire_holds(now).await?;
            if ended > 0 {
                info!(ended, "holds of replaced requests outlived their time");
            }
            self.chores = Chores { done: Some(Instant::now()), copies_left: true };
        }
        for _ in 0..COPIES_AT_ONCE {
            if !self.chores.copies_left {
                break;
            }
            self.chores.copies_left = self.storage.copy_statuses().await?;
        }
        Ok(())
    }

    fn lease_keys(&self) -> Vec<LeaseKey> {
        self.works.values().map(|work| work.lease.key.clone()).collect()
    }
}

/// Say in the log what became of a root.
fn tell(root: &RootKey, verdict: &Verdict) {
    match verdict {
        Verdict::Pinned { size } => info!(%root, blocks = size.blocks, bytes = size.bytes, "pinned"),
        Verdict::Released => info!(%root, "released"),
        Verdict::Failed { failure } => info!(%root, reason = failure.reason, phase = %failure.phase, "failed"),
        Verdict::Retry { due, failure } => debug!(%root, %due, reason = failure.reason, "is tried again"),
        Verdict::Wait { due, .. } => debug!(%root, %due, "waits for a peer that has it"),
        Verdict::Pause { due, storage_full } => debug!(%root, %due, storage_full, "pauses"),
    }
}
