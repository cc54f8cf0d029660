//! From how a backend ended its work to the outcome that `domain` judges.

use pinrail_domain::{DagSize, Lease, Missing, Outcome, Phase, Policy, Verdict, judge};
use pinrail_ipfs::{IpfsError, Stage};
use pinrail_spec::Timestamp;

use super::work::Ending;

/// What becomes of the root under `lease`, whose work ended so; `None` when a newer lease has it and nothing is ours
/// to settle.
pub fn judge_ending(ending: &Ending, lease: &Lease, now: Timestamp, jitter: f64, policy: &Policy) -> Option<Verdict> {
    Some(judge(lease, outcome(ending)?, now, jitter, policy))
}

fn outcome(ending: &Ending) -> Option<Outcome> {
    Some(match ending {
        Ending::Pinned(pinned) => Outcome::Pinned { size: DagSize { blocks: pinned.blocks, bytes: pinned.bytes } },
        Ending::Released => Outcome::Released,
        Ending::OverQuota => Outcome::OverQuota,
        Ending::ShutDown | Ending::NotBegun => Outcome::Interrupted,
        Ending::Displaced => Outcome::NotProvided {
            phase: Phase::Finding,
            tried: "nothing came before another root needed its place".to_owned(),
            missing: None,
        },
        Ending::Refused(error) => return refusal(error),
    })
}

fn refusal(error: &IpfsError) -> Option<Outcome> {
    Some(match error {
        IpfsError::NotProvided { stage, tried, missing } => {
            Outcome::NotProvided { phase: phase(*stage), tried: tried.clone(), missing: missing.as_deref().map(told) }
        }
        IpfsError::Interrupted { stage, reason, details, missing } => Outcome::Broken {
            phase: phase(*stage),
            reason: (*reason).to_owned(),
            details: details.clone(),
            missing: missing.as_deref().map(told),
        },
        IpfsError::Unpinnable { reason, details } => {
            Outcome::Unpinnable { reason: (*reason).to_owned(), details: details.clone() }
        }
        IpfsError::StorageFull => Outcome::StorageFull,
        IpfsError::Unavailable { stage, .. } => Outcome::Broken {
            phase: phase(*stage),
            reason: "BACKEND_UNAVAILABLE".to_owned(),
            details: "the IPFS node that was to fetch it does not work, its operator is told".to_owned(),
            missing: None,
        },
        IpfsError::StaleEpoch => return None,
    })
}

fn told(missing: &pinrail_ipfs::Missing) -> Missing {
    Missing { block: missing.block.to_string(), more: missing.more.into(), peers: missing.peers.into() }
}

const fn phase(stage: Stage) -> Phase {
    match stage {
        Stage::Finding => Phase::Finding,
        Stage::Connecting => Phase::Connecting,
        Stage::Transferring => Phase::Transferring,
        Stage::Checking => Phase::Checking,
        Stage::Storing => Phase::Storing,
    }
}
