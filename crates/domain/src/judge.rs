//! What becomes of a root after an attempt: the worker reports an outcome, and it is judged here.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use pinrail_spec::Timestamp;

use crate::{DagSize, FailureReason, Lease, LeaseTask, Missing, Phase, RootFailure, Verdict};

/// How patient a worker is. In settings every duration is a number of seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How long a lease lasts; it is renewed at half time.
    #[serde(with = "seconds")]
    pub lease: Duration,
    /// How long after a failed first attempt the second begins; doubled with each further one.
    #[serde(with = "seconds")]
    pub first_retry: Duration,
    /// The longest time between two attempts.
    #[serde(with = "seconds")]
    pub max_retry: Duration,
    /// How long a root that nobody has is tried before it fails, counted from when it was last wanted afresh.
    #[serde(with = "seconds")]
    pub total: Duration,
    /// The shortest time between two searches for a root that no peer had, ten times as long if it has no origins; it
    /// grows with the root's age.
    #[serde(with = "seconds")]
    pub rotation: Duration,
    /// How long a fetch may go without a block before the attempt ends.
    #[serde(with = "seconds")]
    pub stall: Duration,
    /// How long a fetch pauses when the node's disk is full.
    #[serde(with = "seconds")]
    pub pause: Duration,
    /// The largest DAG, in bytes.
    pub max_root_bytes: u64,
    /// The most blocks of a DAG.
    pub max_root_blocks: u64,
    /// How many roots one worker works on at once.
    pub slots: u32,
}

/// A root without origins is searched for so much more seldom: the watch asks everybody who connects, and there is
/// nobody else to dial.
const WITHOUT_ORIGINS: u32 = 10;

impl Default for Policy {
    fn default() -> Self {
        Self {
            lease: Duration::from_mins(1),
            first_retry: Duration::from_secs(10),
            max_retry: Duration::from_hours(1),
            total: Duration::from_hours(24),
            rotation: Duration::from_secs(30),
            stall: Duration::from_mins(2),
            pause: Duration::from_mins(1),
            max_root_bytes: 32 << 30,
            max_root_blocks: 4 << 20,
            slots: 64,
        }
    }
}

impl Policy {
    /// The largest DAG.
    pub const fn max_root(&self) -> DagSize {
        DagSize { blocks: self.max_root_blocks, bytes: self.max_root_bytes }
    }
}

/// How an attempt ended, as the worker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The whole DAG is there, durably.
    Pinned {
        /// Its size.
        size: DagSize,
    },
    /// No reachable peer has the root.
    NotProvided {
        /// Whether it was a matter of finding or of reaching a peer.
        phase: Phase,
        /// What was tried, in numbers and without addresses, such as `the one origin was asked, 14 connected peers were asked`.
        tried: String,
        /// What nobody has although the root was found.
        missing: Option<Missing>,
    },
    /// The attempt broke off: a stall, lost peers, a backend that does not answer.
    Broken(RootFailure),
    /// The content cannot be pinned, whoever has it: an unknown hash, a malformed block, over the size limit.
    Unpinnable {
        /// The kind, such as [`FailureReason::UnsupportedHash`].
        reason: FailureReason,
        /// What is wrong with it, one sentence.
        details: String,
    },
    /// The node has no room for it.
    StorageFull,
    /// The worker is going down.
    Interrupted,
    /// Every account that wants it has used up its bytes.
    OverQuota,
    /// It was unpinned.
    Released,
}

/// Judge how an attempt ended at `now`. `jitter`, 0 to 1, shortens a wait by up to a fifth, so that what failed
/// together does not come back together.
///
/// Before the total time limit a root fails only for its content or the accounts' quota; after it, for whatever the
/// last attempt failed with. No retry and no wait is due after that limit. A full disk and a shutdown are not the
/// root's fault and never fail it, and an unpin is retried until it is done.
pub fn judge(lease: &Lease, outcome: Outcome, now: Timestamp, jitter: f64, policy: &Policy) -> Verdict {
    let patience = Patience { lease, now, jitter, policy };
    match outcome {
        Outcome::Pinned { size } => Verdict::Pinned { size },
        Outcome::Released => Verdict::Released,
        Outcome::Interrupted => Verdict::Pause { due: now, storage_full: false },
        Outcome::StorageFull => Verdict::Pause { due: now + policy.pause, storage_full: true },
        Outcome::NotProvided { phase, tried, missing } => patience.wait(not_provided(phase, &tried, missing)),
        Outcome::Broken(failure) => patience.retry(failure),
        Outcome::Unpinnable { reason, details } => patience.give_up(unpinnable(reason, &details)),
        Outcome::OverQuota => patience.give_up(over_quota()),
    }
}

fn not_provided(phase: Phase, tried: &str, missing: Option<Missing>) -> RootFailure {
    let what = if missing.is_some() { "the rest of it" } else { "it" };
    RootFailure {
        phase,
        reason: FailureReason::NoProviderFound,
        details: format!(
            "no peer that has {what} was found: {tried}; keep a node that has it online and connect it to the \
             delegates, or name it in origins"
        ),
        missing,
    }
}

fn unpinnable(reason: FailureReason, details: &str) -> RootFailure {
    let details = format!("{details}; that is in the content, so trying again changes nothing");
    RootFailure { phase: Phase::Checking, reason, details, missing: None }
}

fn over_quota() -> RootFailure {
    RootFailure {
        phase: Phase::Transferring,
        reason: FailureReason::QuotaExceeded,
        details: "the account's bytes are used up; delete some pins or ask for a higher limit, then pin it again"
            .to_owned(),
        missing: None,
    }
}

/// One attempt against the policy.
struct Patience<'a> {
    lease: &'a Lease,
    now: Timestamp,
    jitter: f64,
    policy: &'a Policy,
}

impl Patience<'_> {
    fn is_release(&self) -> bool {
        matches!(self.lease.task, LeaseTask::Release)
    }

    fn give_up(&self, failure: RootFailure) -> Verdict {
        if self.is_release() { self.retry(failure) } else { Verdict::Failed { failure } }
    }

    fn retry(&self, failure: RootFailure) -> Verdict {
        let doublings = self.lease.attempt.saturating_sub(1).min(20);
        let pause = self.policy.first_retry.saturating_mul(1 << doublings).min(self.policy.max_retry);
        match self.due_after(pause) {
            Some(due) => Verdict::Retry { due, failure },
            None => self.too_late(failure),
        }
    }

    /// A root that nobody has waits about as long again as it has waited, so that a hundred thousand such roots do
    /// not take the slots of those that somebody has. One that a peer turns out to have is due at once.
    fn wait(&self, failure: RootFailure) -> Verdict {
        let age = self.now.since(self.lease.wanted_since);
        let dials = matches!(&self.lease.task, LeaseTask::Pin { origins, .. } if !origins.is_empty());
        let longest = self.policy.max_retry.max(self.policy.rotation);
        let shortest = self.policy.rotation.saturating_mul(if dials { 1 } else { WITHOUT_ORIGINS }).min(longest);
        let pause = age.clamp(shortest, longest);
        match self.due_after(pause) {
            Some(due) => Verdict::Wait { due, failure },
            None => self.too_late(failure),
        }
    }

    fn too_late(&self, failure: RootFailure) -> Verdict {
        let limit = self.policy.total.as_secs();
        let limit = if limit >= 7200 { format!("{} hours", limit / 3600) } else { format!("{limit} seconds") };
        let details = format!("{}; given up after {limit}, pin it again to have it tried afresh", failure.details);
        Verdict::Failed { failure: RootFailure { details, ..failure } }
    }

    /// The moment after `pause`, at the latest the total time limit; `None` once that has passed.
    fn due_after(&self, pause: Duration) -> Option<Timestamp> {
        let jitter = if self.jitter.is_nan() { 0.0 } else { self.jitter.clamp(0.0, 1.0) };
        let due = self.now + pause.mul_f64(1.0 - 0.2 * jitter);
        if self.is_release() {
            return Some(due);
        }
        let limit = self.lease.wanted_since + self.policy.total;
        (self.now < limit).then(|| due.min(limit))
    }
}

/// Durations as numbers of seconds, fractions allowed.
mod seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    /// A hundred years: what is longer is a slip, and arithmetic with it would overflow.
    const LONGEST: Duration = Duration::from_hours(24 * 36_525);

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        let duration = Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= LONGEST);
        duration
            .ok_or_else(|| serde::de::Error::custom(format!("{seconds} seconds, wanted 0 to {}", LONGEST.as_secs())))
    }
}
