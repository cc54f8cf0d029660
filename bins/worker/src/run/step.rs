//! One step: read what changed, then renew, report, settle and claim, with the chores beside them.

use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::{Lease, LeaseKey, LeaseNews, Verdict};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{ProgressReport, Settlement, StorageError};
use tokio::time::Instant;
use tracing::{Span, debug, info, warn};

use super::chores::do_chores;
use super::ending::judge_ending;
use super::work::{Ending, Work};
use super::{FOUND_AT_ONCE, Worker};

/// How often progress is told: it reaches readers within two seconds.
const REPORT_EVERY: Duration = Duration::from_secs(1);

impl Worker {
    /// Take one step at the database's time; takes no new leases unless `claim`.
    ///
    /// On an error the rest of the step is left for the next one: what ended stays until it is settled.
    pub(super) async fn step(&mut self, claim: bool) -> Result<(), StorageError> {
        let now = self.storage.now().await?;
        self.be_present(now).await?;
        self.note_ended();
        self.works.values_mut().for_each(Work::note_progress);
        self.give_back_late();
        self.read_news().await?;
        self.exchange(now, claim).await
    }

    /// Read what a worker has to know of its leases: origins, cancellation, a spent quota.
    async fn read_news(&mut self) -> Result<(), StorageError> {
        // Of what ended, settling tells whether the lease still stood.
        let keys = self.lease_keys(|work| work.ending.is_none());
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

    /// Renew, report, settle and claim, and the chores. All are asked at once, so that they share a commit where the
    /// database has one writer. Where it has many they come in any order, so no lease is renewed and settled at once:
    /// one that ran out is renewed now, and its work settled with the next step.
    async fn exchange(&mut self, now: Timestamp, claim: bool) -> Result<(), StorageError> {
        let (half, until) = (self.policy.lease / 2, now + self.policy.lease);
        let goes_on = |work: &Work| work.ending.is_none() || work.has_run_out(now);
        let old = self.lease_keys(|work| work.lease.until.since(now) <= half && goes_on(work));
        let (settlements, reports) = (self.settlements(now).await, self.reports());
        let is_pin = |work: &&Work| work.ending.is_none() && !work.is_release();
        let capacity = self.capacity();
        let free = capacity.saturating_sub(self.works.values().filter(is_pin).count());
        let (chores, found) = (self.chores.due(), self.found());
        let (storage, node) = (Arc::clone(&self.storage), self.node);
        let (woken, renewed, reported, settled, claimed, done) = tokio::join!(
            unless(found.is_empty(), storage.wake(&node, &found, now)),
            unless(old.is_empty(), storage.renew(&old, until)),
            unless(reports.is_empty(), storage.report_progress(&reports)),
            unless(settlements.is_empty(), storage.settle(&settlements, now)),
            unless(!claim, storage.lease_due(&node, now, until, free, capacity)),
            do_chores(&*storage, chores, now),
        );
        // What was done is noted, whatever else went wrong: a lease that was taken is held.
        let woken = woken.map(|()| self.note_woken(&found));
        let renewed = self.note_renewed(&old, until, renewed).await;
        let reported = self.note_reported(&reports, reported);
        let done = done.map(|copies_left| self.chores.note(chores, copies_left));
        let settled = self.note_settled(settlements, settled, now).await;
        let claimed = self.note_claimed(claimed).await;
        woken.and(renewed).and(reported).and(settled).and(claimed).and(done)
    }

    /// The found roots that can be made due. One that is still worked on cannot before it is settled, if it comes to
    /// nothing: the peer may have connected right after the work ended.
    fn found(&mut self) -> Vec<RootKey> {
        while self.to_wake.len() < FOUND_AT_ONCE
            && let Ok(root) = self.found.try_recv()
        {
            self.to_wake.insert(root);
        }
        self.to_wake.iter().filter(|root| !self.works.contains_key(*root)).cloned().collect()
    }

    fn note_woken(&mut self, found: &[RootKey]) {
        for root in found {
            self.to_wake.remove(root);
        }
        if !found.is_empty() {
            // They may have become due after this step took its leases.
            self.bell.notify_one();
        }
    }

    /// Note which leases go on; work under one that is lost is dropped.
    async fn note_renewed(
        &mut self,
        leases: &[LeaseKey],
        until: Timestamp,
        renewed: Result<Vec<bool>, StorageError>,
    ) -> Result<(), StorageError> {
        for (key, stands) in leases.iter().zip(renewed?) {
            match self.works.get_mut(&key.root) {
                Some(work) if stands => work.lease.until = until,
                _ => self.lose(&key.root).await,
            }
        }
        Ok(())
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

    fn note_reported(
        &mut self,
        reports: &[ProgressReport],
        reported: Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        reported?;
        for report in reports {
            if let Some(work) = self.works.get_mut(&report.lease.root) {
                work.reported = report.progress;
            }
        }
        Ok(())
    }

    /// What is to be said of everything that ended under a lease that has not run out.
    async fn settlements(&mut self, now: Timestamp) -> Vec<Settlement> {
        let mut settlements = Vec::new();
        let mut stale = Vec::new();
        for (root, work) in &self.works {
            let Some(ended) = work.ending.as_ref().filter(|_| !work.has_run_out(now)) else { continue };
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
    async fn note_settled(
        &mut self,
        settlements: Vec<Settlement>,
        settled: Result<Vec<Result<(), StorageError>>, StorageError>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        if !settlements.is_empty() {
            self.chores.expect_copies();
        }
        let mut outage = Ok(());
        for (settlement, result) in settlements.into_iter().zip(settled?) {
            match result {
                Err(problem @ StorageError::Unavailable(_)) => outage = Err(problem),
                result => self.finish(settlement, result, now).await,
            }
        }
        outage
    }

    /// Let go of a work that was settled, or that storage will not have settled.
    async fn finish(&mut self, settlement: Settlement, result: Result<(), StorageError>, now: Timestamp) {
        let root = settlement.lease.root;
        match result {
            Ok(()) => self.tell(&root, &settlement.verdict, now),
            // The answer to an earlier try may have been lost, and then the root waits, and is to be found.
            Err(StorageError::LeaseLost) if matches!(settlement.verdict, Verdict::Wait { .. }) => {}
            Err(StorageError::LeaseLost) => return self.lose(&root).await,
            Err(problem) => {
                let span = self.works.get(&root).map_or_else(Span::none, |work| work.span.clone());
                span.in_scope(|| warn!(%problem, "could not be settled, its lease is left to run out"));
                return self.lose(&root).await;
            }
        }
        if let Some(work) = self.works.remove(&root) {
            if matches!(work.ending, Some(Ending::Displaced)) {
                self.backend.look_for(std::slice::from_ref(&root)).await;
            }
            work.end().await;
        }
        if matches!(settlement.verdict, Verdict::Failed { .. }) {
            self.backend.forget(&[root]).await;
        }
    }

    /// Begin the work on new leases.
    async fn note_claimed(&mut self, claimed: Result<Vec<Lease>, StorageError>) -> Result<(), StorageError> {
        for lease in claimed? {
            let root = lease.key.root.clone();
            let mut work = Work::new(lease, self.policy.max_root());
            let releases = work.is_release();
            work.span.in_scope(|| debug!(attempt = work.lease.attempt, releases, "leased"));
            self.lose(&root).await;
            if work.is_release() {
                work.begin(&self.backend, &mut self.tasks);
            } else {
                self.waiting.push_back(root.clone());
            }
            self.works.insert(root, work);
        }
        self.ended = 0;
        self.fill_slots();
        Ok(())
    }

    /// Drop the work on a root whose lease is lost; it is asked for no longer.
    async fn lose(&mut self, root: &RootKey) {
        if let Some(work) = self.works.remove(root) {
            self.metrics.lost.inc();
            work.span.in_scope(|| debug!("the lease is lost, its work is dropped"));
            work.end().await;
            self.backend.forget(std::slice::from_ref(root)).await;
        }
    }

    /// Count what became of a root, and say it in the log.
    fn tell(&self, root: &RootKey, verdict: &Verdict, now: Timestamp) {
        let Some(work) = self.works.get(root) else { return };
        let since_wanted = now.since(work.lease.wanted_since);
        self.metrics.note(verdict, since_wanted.as_secs_f64());
        work.span.in_scope(|| tell(verdict, since_wanted));
    }

    fn lease_keys(&self, which: impl Fn(&Work) -> bool) -> Vec<LeaseKey> {
        self.works.values().filter(|work| which(work)).map(|work| work.lease.key.clone()).collect()
    }
}

/// The answer, or nothing at all when there is nothing to ask.
async fn unless<T: Default>(
    nothing: bool,
    asked: impl Future<Output = Result<T, StorageError>>,
) -> Result<T, StorageError> {
    if nothing { Ok(T::default()) } else { asked.await }
}

/// Say in the log what became of a root, so long after it was wanted.
fn tell(verdict: &Verdict, since_wanted: Duration) {
    let seconds = since_wanted.as_secs_f64();
    match verdict {
        Verdict::Pinned { size } => info!(blocks = size.blocks, bytes = size.bytes, seconds, "pinned"),
        Verdict::Released => info!("released"),
        Verdict::Failed { failure } => {
            info!(reason = failure.reason.as_str(), phase = %failure.phase, seconds, "failed");
        }
        Verdict::Retry { due, failure } => debug!(%due, reason = failure.reason.as_str(), "is tried again"),
        Verdict::Wait { due, .. } => debug!(%due, "waits for a peer that has it"),
        Verdict::Pause { due, storage_full } => debug!(%due, storage_full, "pauses"),
    }
}
