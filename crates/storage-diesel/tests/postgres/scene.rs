//! What most tests begin with: an account, a node, requests for roots of their own.

use std::time::{SystemTime, UNIX_EPOCH};

use pinrail_domain::{AccountId, Backend, Limits, NewPinRequest, NodeId, RequestId, Role, TokenId};
use pinrail_spec::{Cid, Multiaddr, Pin, PinFilter, Status, Timestamp};
use pinrail_storage::{NewAccount, NodeRegistration, Storage};

const PEER: &str = "/ip4/203.0.113.1/tcp/4401/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";

/// The system's time.
#[expect(clippy::disallowed_methods, reason = "a test composes the storage, so it gives it the system's clock")]
pub fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("it is earlier than the end of time"))
}

pub fn bytes(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// A request for a root of its own.
pub fn request(account: AccountId, number: u64) -> NewPinRequest {
    let cid = Cid::parse(&format!("f01551220{number:064x}")).expect("a CID in base16");
    NewPinRequest {
        id: RequestId::new(system_time(), bytes(number)),
        account,
        token: TokenId::new(system_time(), bytes(1)),
        pin: Pin { cid, name: Some(format!("pin {number}")), origins: Vec::new(), meta: [].into() },
    }
}

pub fn everything() -> PinFilter {
    PinFilter {
        roots: Vec::new(),
        name: None,
        statuses: Status::ALL.to_vec(),
        before: None,
        after: None,
        meta: [].into(),
        limit: 10,
    }
}

/// An account and a node.
pub async fn settle_in(storage: &dyn Storage, limits: Limits) -> (AccountId, NodeId) {
    let now = system_time();
    let (account, node) = (AccountId::new(now, bytes(1)), NodeId::new(now, bytes(2)));
    let new = NewAccount { id: account, name: "ada".to_owned(), email: None, role: Role::Pinner, limits };
    storage.add_account(&new, now).await.expect("the account is added");
    let addresses = vec![Multiaddr::parse(PEER).expect("a multiaddr")];
    let node_registration =
        NodeRegistration { id: node, backend: Backend::Embedded, peer_id: "peer".to_owned(), addresses };
    storage.register_node(&node_registration, now).await.expect("the node is registered");
    (account, node)
}
