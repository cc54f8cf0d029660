//! Small values that the checks are made of.

use std::collections::BTreeMap;

use pinrail_domain::{Backend, DagSize, FailureReason, Missing, NodeId, Phase, RootFailure, Verdict};
use pinrail_spec::{Cid, Match, Multiaddr, NameFilter, Pin, PinFilter, Status, Timestamp};
use pinrail_storage::NodeRegistration;
use uuid::Uuid;

/// The peer id of every sample address.
pub const PEER: &str = "12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";

/// The CID (raw, SHA-256) whose digest is `number`.
pub fn cid(number: u64) -> Cid {
    parsed(&format!("f01551220{number:064x}"))
}

/// The CID that `text` is.
pub fn parsed(text: &str) -> Cid {
    Cid::parse(text).expect("a sample is a CID that can be pinned")
}

/// A pin of the CID number `number` and nothing more.
pub fn pin(number: u64) -> Pin {
    pin_of(cid(number))
}

/// A pin of `cid` and nothing more.
pub fn pin_of(cid: Cid) -> Pin {
    Pin { cid, name: None, origins: Vec::new(), meta: BTreeMap::new() }
}

/// A pin with a name.
pub fn named(number: u64, name: &str) -> Pin {
    Pin { name: Some(name.to_owned()), ..pin(number) }
}

/// A pin with pairs of meta.
pub fn with_meta(number: u64, pairs: &[(&str, &str)]) -> Pin {
    Pin { meta: meta(pairs), ..pin(number) }
}

/// A pin with origins at these ports.
pub fn with_origins(number: u64, ports: impl IntoIterator<Item = u32>) -> Pin {
    Pin { origins: ports.into_iter().map(address).collect(), ..pin(number) }
}

/// An address that differs by `port`.
pub fn address(port: u32) -> Multiaddr {
    Multiaddr::parse(&format!("/ip4/203.0.113.142/tcp/{port}/p2p/{PEER}")).expect("a sample is an address")
}

/// The node with this number; a greater number is a greater id, and another address.
pub fn registration(number: u8) -> NodeRegistration {
    NodeRegistration {
        id: NodeId::from_uuid(Uuid::from_u128(u128::from(number))),
        backend: Backend::Embedded,
        peer_id: format!("peer {number}"),
        addresses: vec![address(u32::from(number))],
    }
}

/// Pairs as a map.
pub fn meta(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The filter that leaves nothing out, up to 1,000.
pub fn everything() -> PinFilter {
    PinFilter {
        roots: Vec::new(),
        name: None,
        statuses: Status::ALL.to_vec(),
        before: None,
        after: None,
        meta: BTreeMap::new(),
        limit: 1000,
    }
}

/// Those that stand so.
pub fn in_status(statuses: &[Status]) -> PinFilter {
    PinFilter { statuses: statuses.to_vec(), ..everything() }
}

/// Those named so.
pub fn by_name(text: &str, matching: Match) -> PinFilter {
    PinFilter { name: Some(NameFilter { text: text.to_owned(), matching }), ..everything() }
}

/// Those created before.
pub fn before(moment: Timestamp) -> PinFilter {
    PinFilter { before: Some(moment), ..everything() }
}

/// Those created after.
pub fn after(moment: Timestamp) -> PinFilter {
    PinFilter { after: Some(moment), ..everything() }
}

/// A failure of an attempt.
pub fn failure(reason: FailureReason) -> RootFailure {
    let missing = Some(Missing {
        block: "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi".to_owned(),
        more: 2,
        peers: 3,
    });
    RootFailure { phase: Phase::Transferring, reason, details: "the peer went away".to_owned(), missing }
}

/// The verdict on a whole DAG of `bytes`.
pub fn pinned(bytes: u64) -> Verdict {
    Verdict::Pinned { size: DagSize { blocks: 1, bytes } }
}

/// What roots of one block each, with so much content, count for in an account's bytes.
pub fn counted(contents: &[u64]) -> u64 {
    contents.iter().map(|bytes| DagSize { blocks: 1, bytes: *bytes }.counted_bytes()).sum()
}

/// The verdict on a root that is given up.
pub fn failed() -> Verdict {
    Verdict::Failed { failure: failure(FailureReason::MalformedBlock) }
}

/// The verdict that asks for another attempt.
pub fn retry(due: Timestamp) -> Verdict {
    Verdict::Retry { due, failure: failure(FailureReason::Stalled) }
}

/// The verdict on a root that nobody connected has.
pub fn wait(due: Timestamp) -> Verdict {
    Verdict::Wait { due, failure: failure(FailureReason::NoProviderFound) }
}
