//! What the owner of a pin request reads of it.

use std::collections::BTreeMap;

use pinrail_domain::{
    AccountId, DagSize, FailureReason, Missing, Phase, PinRequest, Progress, QueuePosition, RequestId, RootFailure,
    RootState, RootView, status_of,
};
use pinrail_spec::{Cid, Multiaddr, Pin, Status, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_795_410_000_000);
const DELEGATE: &str = "/ip4/203.0.113.7/tcp/4401/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5";

fn root(state: RootState) -> RootView {
    RootView {
        state,
        attempts: 0,
        progress: Progress::default(),
        size: None,
        failure: None,
        due: None,
        waiting: false,
        node_silent: false,
        paused: false,
    }
}

fn request(root: RootView) -> PinRequest {
    let cid = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").unwrap();
    PinRequest {
        id: RequestId::new(NOW, [1; 10]),
        account: AccountId::new(NOW, [2; 10]),
        created: NOW,
        pin: Pin { cid, name: Some("photos".to_owned()), origins: vec![], meta: BTreeMap::new() },
        status: root.state.status().unwrap(),
        root,
        delegates: vec![Multiaddr::parse(DELEGATE).unwrap()],
        queue_position: None,
        held_until: None,
        as_of: NOW,
    }
}

fn failure() -> RootFailure {
    RootFailure {
        phase: Phase::Finding,
        reason: FailureReason::NoProviderFound,
        details: "no peer that has it was found".to_owned(),
        missing: None,
    }
}

fn info(request: &PinRequest) -> Vec<(String, String)> {
    status_of(request).info.into_iter().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_request_is_echoed_and_the_delegates_are_text() {
    let request = request(root(RootState::Queued));
    let status = status_of(&request);
    assert_eq!(status.requestid, request.id.to_string());
    assert_eq!((status.status, status.created), (Status::Queued, NOW));
    assert_eq!(status.pin, request.pin);
    assert_eq!(status.delegates, [DELEGATE]);
}

#[test]
fn a_queued_one_says_its_place() {
    let mut queued = request(root(RootState::Queued));
    assert_eq!(info(&queued), pairs(&[("status_details", "waiting for a worker")]));
    queued.queue_position = Some(QueuePosition::At(7));
    let details = "waiting for a worker, number 7 in the queue of this account";
    assert_eq!(info(&queued), pairs(&[("queue_position", "7"), ("status_details", details)]));
    queued.queue_position = Some(QueuePosition::Beyond);
    assert_eq!(info(&queued)[0].1, "1000+");
}

#[test]
fn a_fetch_says_what_came_and_what_went_wrong() {
    let progress = Progress { blocks: 12, bytes: 3 << 20 };
    let mut view = RootView { attempts: 2, progress, ..root(RootState::Pinning) };
    let received = [("attempts", "2"), ("blocks", "12"), ("bytes_received", "3145728")];
    let details = "being fetched; received 3.0 MiB in 12 blocks";
    assert_eq!(info(&request(view.clone())), pairs(&[&received[..], &[("status_details", details)]].concat()));
    view.failure = Some(failure());
    view.due = Some(NOW + std::time::Duration::from_secs(40));
    let details = "the last attempt failed while finding a provider, trying again in 40 s: no peer that has it was \
                   found; received 3.0 MiB in 12 blocks";
    let failed = [("failure_reason", "NO_PROVIDER_FOUND"), ("status_details", details)];
    assert_eq!(info(&request(view.clone())), pairs(&[&received[..], &failed].concat()));
    view.waiting = true;
    view.due = Some(NOW + std::time::Duration::from_mins(50));
    let details = &info(&request(view))[4].1;
    assert!(details.starts_with("waiting for a peer that has it, trying again in 50 min: no peer"), "{details}");
}

#[test]
fn what_is_missing_is_named() {
    let block = "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi".to_owned();
    for (more, peers, told) in [
        (0, 0, "is missing, and no peer was there to ask"),
        (0, 1, "is missing, one peer was asked for it"),
        (7, 12, "and 7 more are missing, 12 peers were asked for it"),
    ] {
        let missing = Some(Missing { block: block.clone(), more, peers });
        for state in [RootState::Pinning, RootState::Failed] {
            let failure = Some(RootFailure { missing: missing.clone(), ..failure() });
            let info = status_of(&request(RootView { failure, waiting: true, ..root(state) })).info;
            let keys = ["missing_block", "missing_blocks", "missing_asked_peers"].map(|key| info[key].clone());
            assert_eq!(keys, [block.clone(), (more + 1).to_string(), peers.to_string()]);
            let details = &info["status_details"];
            assert!(details.contains(&format!("block {block} {told}; no peer that has it was found")), "{details}");
        }
    }
}

#[test]
fn a_pinned_one_says_its_size_and_nothing_of_the_way_there() {
    let size = Some(DagSize { blocks: 1, bytes: 1023 });
    let view = RootView { attempts: 3, size, failure: Some(failure()), ..root(RootState::Pinned) };
    let wanted = |details| pairs(&[("blocks", "1"), ("dag_size", "1023"), ("status_details", details)]);
    assert_eq!(info(&request(view.clone())), wanted("whole and durable, 1023 bytes in 1 block"));
    let silent = RootView { node_silent: true, ..view };
    assert!(info(&request(silent))[2].1.ends_with("so it is not served at present"));
}

#[test]
fn a_failed_one_says_the_phase_and_why() {
    let view = RootView { attempts: 5, failure: Some(failure()), ..root(RootState::Failed) };
    let details = "failed while finding a provider after 5 attempts: no peer that has it was found";
    let wanted = [("attempts", "5"), ("failure_reason", "NO_PROVIDER_FOUND"), ("status_details", details)];
    assert_eq!(info(&request(view)), pairs(&wanted));
}

#[test]
fn a_failed_replacement_says_until_when_the_old_content_is_kept() {
    let view = RootView { attempts: 1, failure: Some(failure()), ..root(RootState::Failed) };
    let failed = PinRequest { held_until: Some(NOW + std::time::Duration::from_hours(24)), ..request(view) };
    let details = "failed while finding a provider after 1 attempt: no peer that has it was found; the content that it \
                   was to replace is kept until 2026-11-24T05:00:00.000Z, pin that again to keep it for longer";
    assert_eq!(info(&failed)[2], ("status_details".to_owned(), details.to_owned()));
}

#[test]
fn the_node_s_own_troubles_are_said() {
    for state in [RootState::Queued, RootState::Pinning] {
        let paused = info(&request(RootView { paused: true, ..root(state) }));
        assert!(paused[0].1.contains("storage of its IPFS node is full"), "{paused:?}");
        let silent = info(&request(RootView { node_silent: true, ..root(state) }));
        assert!(silent[0].1.contains("not been heard of"), "{silent:?}");
    }
}
