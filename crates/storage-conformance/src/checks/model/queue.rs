//! Operations of workers: leases taken, renewed, reported on and settled; roots that wait.

use std::time::Duration;

use pinrail_domain::{Lease, LeaseKey, LeaseTask, Progress, Verdict};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{ProgressReport, Settlement, Storage};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_oneof};
use proptest::sample::select;

use super::answer::{Answer, Outcome, Refusal, Taken};
use super::client::{Client, Moments, Pick, any_pick};
use super::nodes::{any_node, node_id};
use super::values::{any_cid, any_time};
use crate::MemoryStorage;
use crate::fixture::LEASE;
use crate::memory::Wanted;
use crate::samples::{failed, pinned, retry, wait};

#[derive(Debug, Clone)]
pub enum QueueOperation {
    Lease { node: u8, limit: usize, slots: usize },
    Renew { leases: Vec<Pick> },
    News { leases: Vec<Pick> },
    Report { reports: Vec<(Pick, Progress)> },
    Settle { settlements: Vec<Ruling> },
    CopyStatuses,
    ExpireHolds,
    Wake { node: u8, roots: Vec<RootKey> },
    Waiting { node: u8, after: Option<RootKey>, limit: usize },
}

/// What a client settles a lease with.
#[derive(Debug, Clone)]
pub struct Ruling {
    lease: Pick,
    word: Word,
    after: Duration,
    bytes: u64,
    /// How far the epoch that is shown lies beside the lease's own.
    beside: i8,
}

/// A verdict without its details.
#[derive(Debug, Clone, Copy)]
pub enum Word {
    /// Whatever fits the task best: pinned, or released.
    Done,
    Pinned,
    Retry,
    Wait,
    Pause,
    Failed,
    Released,
}

/// The work of workers.
pub fn any_queue_operation() -> BoxedStrategy<QueueOperation> {
    use QueueOperation::{CopyStatuses, ExpireHolds, Lease, News, Renew, Report, Settle, Waiting, Wake};
    let few_leases = || vec(any_pick(), 1..3);
    let roots = || any_cid().prop_map(|cid| cid.root());
    let progress = (any_pick(), 0..4_u64, 0..60_u64);
    let reports = progress.prop_map(|(lease, blocks, bytes)| (lease, Progress { blocks, bytes }));
    prop_oneof![
        8 => (any_node(), 0..5_usize, 0..7_usize).prop_map(|(node, limit, slots)| Lease { node, limit, slots }),
        2 => few_leases().prop_map(|leases| Renew { leases }),
        2 => few_leases().prop_map(|leases| News { leases }),
        3 => vec(reports, 1..3).prop_map(|reports| Report { reports }),
        12 => vec(any_ruling(), 1..3).prop_map(|settlements| Settle { settlements }),
        1 => Just(CopyStatuses),
        1 => Just(ExpireHolds),
        2 => (any_node(), vec(roots(), 1..6)).prop_map(|(node, roots)| Wake { node, roots }),
        1 => (any_node(), option::weighted(0.3, roots()), select(vec![1, 1_000]))
            .prop_map(|(node, after, limit)| Waiting { node, after, limit }),
    ]
    .boxed()
}

fn any_ruling() -> impl Strategy<Value = Ruling> {
    use Word::{Done, Failed, Pause, Pinned, Released, Retry, Wait};
    let words = vec![Done, Done, Done, Done, Pinned, Retry, Retry, Wait, Wait, Pause, Failed, Failed, Released];
    let beside = prop_oneof![30 => Just(0_i8), 1 => Just(-1), 1 => Just(1)];
    (any_pick(), select(words), any_time(), 0..60_u64, beside).prop_map(|(lease, word, after, bytes, beside)| Ruling {
        lease,
        word,
        after,
        bytes,
        beside,
    })
}

/// The operations by which a node's worker gives up everything that nobody wants.
pub fn release_all(node: u8) -> [QueueOperation; 2] {
    let rulings = (0..16).map(|back| Ruling::plain(Pick::Young(back), Word::Released));
    [QueueOperation::Lease { node, limit: 0, slots: 64 }, QueueOperation::Settle { settlements: rulings.collect() }]
}

impl QueueOperation {
    pub async fn take(&self, client: &mut Client, storage: &dyn Storage, moments: Moments) -> Outcome {
        let now = moments.stored;
        match self {
            Self::Lease { node, limit, slots } => {
                let leases = storage.lease_due(&node_id(*node), now, now + LEASE, *limit, *slots).await?;
                Ok(Answer::Leases(client.take(leases)))
            }
            Self::Renew { leases } => {
                Ok(Answer::Standings(storage.renew(&client.lease_keys(leases), now + LEASE).await?))
            }
            Self::News { leases } => Ok(Answer::News(storage.read_leases(&client.lease_keys(leases)).await?)),
            Self::Report { reports } => {
                let report = |(pick, progress): &(Pick, Progress)| {
                    Some(ProgressReport { lease: client.lease(*pick)?.key.clone(), progress: *progress })
                };
                let reports = reports.iter().filter_map(report).collect::<Vec<_>>();
                storage.report_progress(&reports).await?;
                Ok(Answer::Done)
            }
            Self::Settle { settlements } => {
                let settlements = settlements.iter().filter_map(|ruling| ruling.settlement(client, now));
                let outcomes = storage.settle(&settlements.collect::<Vec<_>>(), now).await?;
                Ok(Answer::Settled(outcomes.into_iter().map(|outcome| outcome.map_err(Refusal::from)).collect()))
            }
            Self::CopyStatuses => Ok(Answer::Flag(storage.copy_statuses().await?)),
            Self::ExpireHolds => Ok(Answer::Count(storage.expire_holds(now).await?)),
            Self::Wake { node, roots } => {
                storage.wake(&node_id(*node), roots, now).await?;
                Ok(Answer::Done)
            }
            Self::Waiting { node, after, limit } => {
                Ok(Answer::Roots(storage.list_waiting(&node_id(*node), after.as_ref(), *limit).await?))
            }
        }
    }
}

impl QueueOperation {
    /// Have the reference take the leases that another storage gave; `None` if it may not, if with `all` there were
    /// more to take, or if this is no lease.
    pub fn lease_these(
        &self,
        given: &[Taken],
        all: bool,
        client: &mut Client,
        reference: &MemoryStorage,
        moments: Moments,
    ) -> Option<Vec<Taken>> {
        let Self::Lease { node, limit, slots } = *self else { return None };
        let now = moments.stored;
        let wanted = Wanted { node: node_id(node), now, until: now + LEASE, limit, slots };
        let roots = given.iter().map(|lease| (lease.root.clone(), lease.account)).collect::<Vec<_>>();
        Some(client.take(reference.lease_these(wanted, &roots, all)?))
    }
}

impl Ruling {
    /// One that names its lease rightly, over nothing received and with nothing put off.
    pub const fn plain(lease: Pick, word: Word) -> Self {
        Self { lease, word, after: Duration::ZERO, bytes: 0, beside: 0 }
    }

    fn settlement(&self, client: &Client, now: Timestamp) -> Option<Settlement> {
        let lease = client.lease(self.lease)?;
        let key = LeaseKey { epoch: lease.key.epoch.saturating_add_signed(self.beside.into()), ..lease.key.clone() };
        Some(Settlement { lease: key, verdict: self.verdict(lease, now) })
    }

    fn verdict(&self, lease: &Lease, now: Timestamp) -> Verdict {
        let due = now + self.after;
        match self.word {
            Word::Done if lease.task == LeaseTask::Release => Verdict::Released,
            Word::Done | Word::Pinned => pinned(self.bytes),
            Word::Retry => retry(due),
            Word::Wait => wait(due),
            Word::Pause => Verdict::Pause { due, storage_full: self.bytes.is_multiple_of(2) },
            Word::Failed => failed(),
            Word::Released => Verdict::Released,
        }
    }
}
