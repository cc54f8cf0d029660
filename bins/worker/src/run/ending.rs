//! From how a backend ended its work to the outcome that `domain` judges.

use pinrail_domain::{FailureReason, Lease, Outcome, Phase, Policy, RootFailure, Verdict, judge};
use pinrail_ipfs::IpfsError;
use pinrail_spec::Timestamp;

use super::work::Ending;

/// What becomes of the root under `lease`, whose work ended so; `None` when a newer lease has it and nothing is ours
/// to settle.
pub fn judge_ending(ending: &Ending, lease: &Lease, now: Timestamp, jitter: f64, policy: &Policy) -> Option<Verdict> {
    Some(judge(lease, outcome(ending)?, now, jitter, policy))
}

fn outcome(ending: &Ending) -> Option<Outcome> {
    Some(match ending {
        Ending::Pinned(size) => Outcome::Pinned { size: *size },
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
    Some(match error.clone() {
        IpfsError::NotProvided { phase, tried, missing } => Outcome::NotProvided { phase, tried, missing },
        IpfsError::Broken(failure) => Outcome::Broken(failure),
        IpfsError::Unpinnable { reason, details } => Outcome::Unpinnable { reason, details },
        IpfsError::StorageFull => Outcome::StorageFull,
        IpfsError::Unavailable { phase, .. } => Outcome::Broken(RootFailure {
            phase,
            reason: FailureReason::BackendUnavailable,
            details: "the IPFS node that was to fetch it does not work, its operator is told".to_owned(),
            missing: None,
        }),
        IpfsError::StaleEpoch => return None,
    })
}
