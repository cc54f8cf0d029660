//! What a reader is told of a pin request: the specification's `PinStatus`, with `info` for people.

use std::collections::BTreeMap;

use pinrail_spec::{PinStatus, Status, Timestamp};

use crate::{DagSize, PinRequest, Progress, QueuePosition, RootFailure, RootView, format_size};

/// Describe `request` to its owner, at the moment when it stood so.
///
/// `info` holds strings only, since one value of another type makes a whole page unreadable for Go clients, and tells
/// nothing of other accounts: no origins, no other requests for the same root. Its keys:
/// - `status_details`: a sentence for people, always there;
/// - `dag_size`: bytes of the whole DAG, once known;
/// - `blocks`: distinct blocks, received so far or of the whole DAG;
/// - `bytes_received`: bytes received so far, during a fetch;
/// - `queue_position`: the place in the account's own queue, `1000+` beyond what is counted;
/// - `attempts`: attempts so far, from the first on;
/// - `failure_reason`: the kind of the last failure, such as `NO_PROVIDER_FOUND`;
/// - `missing_block`, `missing_blocks`, `missing_asked_peers`: the CID of a block that the last attempt asked for in
///   vain, how many such blocks are known, and how many peers were asked for the one.
pub fn status_of(request: &PinRequest) -> PinStatus {
    PinStatus {
        requestid: request.id.to_string(),
        status: request.status,
        created: request.created,
        pin: request.pin.clone(),
        delegates: request.delegates.iter().map(ToString::to_string).collect(),
        info: info(request),
    }
}

fn info(request: &PinRequest) -> BTreeMap<String, String> {
    let root = &request.root;
    let mut info = BTreeMap::new();
    let mut put = |key: &str, value: String| info.insert(key.to_owned(), value);
    put("status_details", details(request));
    if request.status == Status::Pinned {
        if let Some(size) = root.size {
            put("dag_size", size.bytes.to_string());
            put("blocks", size.blocks.to_string());
        }
        return info;
    }
    if root.attempts > 0 {
        put("attempts", root.attempts.to_string());
    }
    if let Some(size) = root.size {
        put("dag_size", size.bytes.to_string());
    }
    if root.progress != Progress::default() {
        put("blocks", root.progress.blocks.to_string());
        put("bytes_received", root.progress.bytes.to_string());
    }
    if let Some(position) = request.queue_position {
        put("queue_position", position.to_string());
    }
    if let Some(failure) = &root.failure {
        put("failure_reason", failure.reason.as_str().to_owned());
        if let Some(missing) = &failure.missing {
            put("missing_block", missing.block.clone());
            put("missing_blocks", missing.more.saturating_add(1).to_string());
            put("missing_asked_peers", missing.peers.to_string());
        }
    }
    info
}

fn details(request: &PinRequest) -> String {
    let root = &request.root;
    match request.status {
        Status::Queued => queued(request),
        Status::Pinning => pinning(root, request.as_of),
        Status::Pinned => pinned(root),
        Status::Failed => failed(root) + &kept(request),
    }
}

fn queued(request: &PinRequest) -> String {
    let root = &request.root;
    if root.node_silent {
        return "waiting for its IPFS node, which has not been heard of for a while".to_owned();
    }
    if root.paused {
        return STORAGE_FULL.to_owned();
    }
    match request.queue_position {
        Some(position) => format!("waiting for a worker, number {position} in the queue of this account"),
        None => "waiting for a worker".to_owned(),
    }
}

const STORAGE_FULL: &str = "the storage of its IPFS node is full; it goes on by itself when there is room again";

fn pinning(root: &RootView, now: Timestamp) -> String {
    if root.node_silent {
        return "its IPFS node has not been heard of for a while; another one goes on if it stays away".to_owned();
    }
    if root.paused {
        return STORAGE_FULL.to_owned();
    }
    let received = received(root.progress);
    let next = root.due.map(|due| next_try(due, now)).unwrap_or_default();
    match (&root.failure, root.waiting) {
        (Some(failure), true) => format!("waiting for a peer that has it{next}: {}{received}", told(failure)),
        (None, true) => format!("waiting for a peer that has it{next}{received}"),
        (Some(failure), false) => {
            format!("the last attempt failed while {}{next}: {}{received}", failure.phase, told(failure))
        }
        (None, false) => format!("being fetched{received}"),
    }
}

fn told(failure: &RootFailure) -> String {
    match &failure.missing {
        Some(missing) => format!("{missing}; {}", failure.details),
        None => failure.details.clone(),
    }
}

fn next_try(due: Timestamp, now: Timestamp) -> String {
    match due.since(now).as_secs() {
        0 => ", trying again now".to_owned(),
        seconds @ 1..120 => format!(", trying again in {seconds} s"),
        seconds => format!(", trying again in {} min", seconds / 60),
    }
}

fn received(progress: Progress) -> String {
    if progress == Progress::default() {
        return String::new();
    }
    format!("; received {}", amount(progress.blocks, progress.bytes))
}

fn pinned(root: &RootView) -> String {
    let whole = match root.size {
        Some(DagSize { blocks, bytes }) => format!("whole and durable, {}", amount(blocks, bytes)),
        None => "whole and durable".to_owned(),
    };
    if root.node_silent {
        return format!("{whole}; its IPFS node has not been heard of for a while, so it is not served at present");
    }
    whole
}

fn failed(root: &RootView) -> String {
    match &root.failure {
        Some(failure) => {
            let attempts = if root.attempts == 1 { "attempt" } else { "attempts" };
            format!("failed while {} after {} {attempts}: {}", failure.phase, root.attempts, told(failure))
        }
        None => "failed; pin it again to have it tried afresh".to_owned(),
    }
}

/// What became of the content of the request that this one replaced.
fn kept(request: &PinRequest) -> String {
    let Some(until) = request.held_until else { return String::new() };
    format!("; the content that it was to replace is kept until {until}, pin that again to keep it for longer")
}

fn amount(blocks: u64, bytes: u64) -> String {
    let unit = if blocks == 1 { "block" } else { "blocks" };
    format!("{} in {blocks} {unit}", format_size(bytes))
}

impl std::fmt::Display for QueuePosition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(position) => position.fmt(formatter),
            Self::Beyond => formatter.write_str("1000+"),
        }
    }
}
