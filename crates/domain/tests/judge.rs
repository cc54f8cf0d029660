//! What becomes of a root after each outcome, and the bounds that always hold.

use std::time::Duration;

use pinrail_domain::{
    AccountId, DagSize, FailureReason, Lease, LeaseKey, LeaseTask, LeaseToken, Outcome, Phase, Policy, RootFailure,
    Verdict, judge,
};
use pinrail_spec::{Cid, Multiaddr, Timestamp};
use proptest::prelude::*;

const WANTED: Timestamp = Timestamp::from_millis(1_795_410_000_000);

fn lease(task: LeaseTask, attempt: u32) -> Lease {
    let cid = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").unwrap();
    Lease {
        key: LeaseKey { root: cid.root(), token: LeaseToken::new(WANTED, [1; 10]), epoch: 3 },
        task,
        account: Some(AccountId::new(WANTED, [2; 10])),
        attempt,
        wanted_since: WANTED,
        until: WANTED + Duration::from_mins(1),
    }
}

fn pin(attempt: u32) -> Lease {
    lease(LeaseTask::Pin { origins: vec![], previous: None }, attempt)
}

fn broken() -> Outcome {
    let (reason, details) = (FailureReason::Stalled, "no block came for 2 minutes".to_owned());
    Outcome::Broken(RootFailure { phase: Phase::Transferring, reason, details, missing: None })
}

fn not_provided() -> Outcome {
    let tried = "the one origin was asked, 14 connected peers were asked".to_owned();
    Outcome::NotProvided { phase: Phase::Finding, tried, missing: None }
}

fn unpinnable() -> Outcome {
    let (reason, details) = (FailureReason::UnsupportedHash, "a block is hashed with md5 (0xd5)".to_owned());
    Outcome::Unpinnable { reason, details }
}

/// What a verdict says: a word, the seconds until it is due, and the reason of a failure.
fn brief(verdict: &Verdict, now: Timestamp) -> (&'static str, u64, &'static str) {
    let (name, due, failure) = match verdict {
        Verdict::Pinned { .. } => ("pinned", now, None),
        Verdict::Released => ("released", now, None),
        Verdict::Pause { due, .. } => ("pause", *due, None),
        Verdict::Retry { due, failure } => ("retry", *due, Some(failure)),
        Verdict::Wait { due, failure } => ("wait", *due, Some(failure)),
        Verdict::Failed { failure } => ("failed", now, Some(failure)),
    };
    (name, due.since(now).as_secs(), failure.map_or("", |failure: &RootFailure| failure.reason.as_str()))
}

#[test]
fn each_outcome_has_its_verdict() {
    let size = DagSize { blocks: 3, bytes: 700 };
    let hours = |hours: u64| Duration::from_hours(hours);
    let soon = Duration::from_secs(10);
    let late = Duration::from_secs(24 * 3600 - 10);
    let cases = [
        (1, soon, Outcome::Pinned { size }, ("pinned", 0, "")),
        (1, soon, broken(), ("retry", 10, "STALLED")),
        (2, soon, broken(), ("retry", 20, "STALLED")),
        (3, soon, broken(), ("retry", 40, "STALLED")),
        (9, hours(1), broken(), ("retry", 2560, "STALLED")),
        (10, hours(1), broken(), ("retry", 3600, "STALLED")),
        (u32::MAX, hours(1), broken(), ("retry", 3600, "STALLED")),
        (30, late, broken(), ("retry", 10, "STALLED")),
        (30, hours(24), broken(), ("failed", 0, "STALLED")),
        (1, soon, not_provided(), ("wait", 300, "NO_PROVIDER_FOUND")),
        (1, hours(1) / 2, not_provided(), ("wait", 1800, "NO_PROVIDER_FOUND")),
        (1, hours(5), not_provided(), ("wait", 3600, "NO_PROVIDER_FOUND")),
        (1, late, not_provided(), ("wait", 10, "NO_PROVIDER_FOUND")),
        (1, hours(30), not_provided(), ("failed", 0, "NO_PROVIDER_FOUND")),
        (1, soon, unpinnable(), ("failed", 0, "UNSUPPORTED_HASH")),
        (1, soon, Outcome::OverQuota, ("failed", 0, "QUOTA_EXCEEDED")),
        (1, soon, Outcome::StorageFull, ("pause", 60, "")),
        (1, hours(30), Outcome::StorageFull, ("pause", 60, "")),
        (1, soon, Outcome::Interrupted, ("pause", 0, "")),
        (1, hours(30), Outcome::Interrupted, ("pause", 0, "")),
    ];
    for (index, (attempt, after, outcome, wanted)) in cases.into_iter().enumerate() {
        let now = WANTED + after;
        let verdict = judge(&pin(attempt), outcome, now, 0.0, &Policy::default());
        assert_eq!(brief(&verdict, now), wanted, "case {index}");
    }
}

#[test]
fn a_root_with_origins_is_searched_for_more_often() {
    let origin = Multiaddr::parse("/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp");
    let lease = lease(LeaseTask::Pin { origins: vec![origin.unwrap()], previous: None }, 1);
    for (age, pause) in [(10, 30), (100, 100), (1_000, 1_000), (10_000, 3_600)] {
        let now = WANTED + Duration::from_secs(age);
        let verdict = judge(&lease, not_provided(), now, 0.0, &Policy::default());
        assert_eq!(brief(&verdict, now), ("wait", pause, "NO_PROVIDER_FOUND"), "after {age} seconds");
    }
}

#[test]
fn a_release_is_tried_until_it_is_done() {
    let now = WANTED + Duration::from_hours(100);
    let release = |outcome| {
        let verdict = judge(&lease(LeaseTask::Release, 30), outcome, now, 0.0, &Policy::default());
        let (name, seconds, _) = brief(&verdict, now);
        (name, seconds)
    };
    assert_eq!(release(Outcome::Released), ("released", 0));
    assert_eq!(release(broken()), ("retry", 3600));
    assert_eq!(release(unpinnable()), ("retry", 3600));
    assert_eq!(release(Outcome::Interrupted), ("pause", 0));
}

#[test]
fn a_failure_says_what_happened_and_what_to_do() {
    let details = |outcome, after| match judge(&pin(1), outcome, WANTED + after, 0.0, &Policy::default()) {
        Verdict::Failed { failure } | Verdict::Wait { failure, .. } => failure.details,
        other => panic!("{other:?}"),
    };
    let day = Duration::from_hours(24);
    assert_eq!(
        details(broken(), day),
        "no block came for 2 minutes; given up after 24 hours, pin it again to have it tried afresh"
    );
    let searched = details(not_provided(), Duration::ZERO);
    let wanted = "was found: the one origin was asked, 14 connected peers were asked; keep a node that has it online";
    assert!(searched.contains(wanted), "{searched}");
    assert!(details(unpinnable(), Duration::ZERO).contains("trying again changes nothing"));
    assert!(details(Outcome::OverQuota, Duration::ZERO).contains("ask for a higher limit"));
}

#[test]
fn a_search_fails_in_the_phase_where_it_ended() {
    for phase in [Phase::Finding, Phase::Connecting] {
        let outcome =
            Outcome::NotProvided { phase, tried: "the one origin could not be reached".to_owned(), missing: None };
        match judge(&pin(1), outcome, WANTED, 0.0, &Policy::default()) {
            Verdict::Wait { failure, .. } => assert_eq!(failure.phase, phase),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn settings_are_seconds_with_a_default_for_each() {
    let policy = serde_json::from_str::<Policy>(r#"{"first_retry": 0.25, "total": 60}"#).unwrap();
    let short = Policy { first_retry: Duration::from_millis(250), total: Duration::from_mins(1), ..Policy::default() };
    assert_eq!(policy, short);
    assert_eq!(serde_json::from_value::<Policy>(serde_json::to_value(&policy).unwrap()).unwrap(), policy);
    for wrong in [r#"{"lease": -1}"#, r#"{"leas": 1}"#, r#"{"lease": "1 min"}"#, r#"{"lease": 1e300}"#] {
        assert!(serde_json::from_str::<Policy>(wrong).is_err(), "{wrong}");
    }
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(broken()),
        Just(not_provided()),
        Just(unpinnable()),
        Just(Outcome::StorageFull),
        Just(Outcome::Interrupted),
        Just(Outcome::OverQuota),
    ]
}

proptest! {
    #[test]
    fn no_retry_and_no_wait_is_due_after_the_limit(
        outcome in outcomes(),
        attempt in any::<u32>(),
        after in 0..200_000_000_u64,
        jitter in proptest::num::f64::ANY,
        first_retry in 0..100_000_u64,
        max_retry in 0..100_000_u64,
        rotation in 0..100_000_u64,
        total in 0..200_000_u64,
    ) {
        let policy = Policy {
            first_retry: Duration::from_secs(first_retry),
            max_retry: Duration::from_secs(max_retry),
            rotation: Duration::from_secs(rotation),
            total: Duration::from_secs(total),
            ..Policy::default()
        };
        let now = WANTED + Duration::from_millis(after);
        let limit = WANTED + policy.total;
        let is_content = matches!(outcome, Outcome::Unpinnable { .. } | Outcome::OverQuota);
        match judge(&pin(attempt), outcome, now, jitter, &policy) {
            Verdict::Retry { due, .. } | Verdict::Wait { due, .. } => prop_assert!(now <= due && due <= limit),
            Verdict::Pause { due, .. } => prop_assert!(now <= due),
            Verdict::Failed { .. } => prop_assert!(is_content || now >= limit),
            verdict => prop_assert!(false, "{verdict:?}"),
        }
    }

    #[test]
    fn jitter_shortens_by_a_fifth_at_most(attempt in 1..12_u32, jitter in 0.0..1.0) {
        let due = |jitter| match judge(&pin(attempt), broken(), WANTED, jitter, &Policy::default()) {
            Verdict::Retry { due, .. } => due.since(WANTED).as_secs_f64(),
            other => panic!("{other:?}"),
        };
        let (full, shortened) = (due(0.0), due(jitter));
        prop_assert!(shortened <= full && shortened >= full * 0.8 - 0.001);
    }
}
