//! What most tests begin with: an account, a node, requests for roots of their own.

use std::ops::Range;
use std::time::Duration;

use futures::future::join_all;
use pinrail_domain::{
    AccountId, Backend, DagSize, Lease, Limits, NewPinRequest, NodeId, RequestId, Role, RootState, TokenId, Verdict,
};
use pinrail_spec::{Cid, Multiaddr, Pin, PinFilter, Status};
use pinrail_storage::{NewAccount, NodeRegistration, Settlement, Storage};

use crate::clock::system_time;

const PEER: &str = "/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";

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

/// An account.
pub async fn add_account(storage: &dyn Storage, name: &str, number: u64, limits: Limits) -> AccountId {
    let id = AccountId::new(system_time(), bytes(number));
    let new = NewAccount { id, name: name.to_owned(), email: None, role: Role::Pinner, limits };
    storage.add_account(&new, system_time()).await.expect("the account is added");
    id
}

/// An account and a node.
pub async fn settle_in(storage: &dyn Storage, limits: Limits) -> (AccountId, NodeId) {
    let now = system_time();
    let account = add_account(storage, "ada", 1, limits).await;
    let node = registration(2, "/ip4/203.0.113.1/tcp/4401");
    storage.register_node(&node, now).await.expect("the node is registered");
    (account, node.id)
}

/// A node with one address; of two that are made in one millisecond the greater number is the greater id.
pub fn registration(number: u64, address: &str) -> NodeRegistration {
    let address = Multiaddr::parse(&format!("{address}{PEER}")).expect("a multiaddr");
    let id = NodeId::new(system_time(), bytes(number));
    NodeRegistration { id, backend: Backend::Embedded, peer_id: "peer".to_owned(), addresses: vec![address] }
}

/// The settlement of a lease whose root is whole.
fn pinned(lease: &Lease) -> Settlement {
    Settlement { lease: lease.key.clone(), verdict: Verdict::Pinned { size: DagSize { blocks: 1, bytes: 5 } } }
}

/// Have one process add 200 requests while another does what is due, until all of them are pinned.
pub async fn add_while_working(api: &dyn Storage, worker: &dyn Storage) {
    let (account, node) = settle_in(api, Limits::UNLIMITED).await;
    add_and_pin(api, worker, &[account], node, 0..200).await;
    let page = api.list_pin_requests(&account, &everything(), system_time()).await.expect("a page");
    assert_eq!((page.count, page.requests[0].root.state), (200, RootState::Pinned));
}

/// Have one process add requests with these numbers, by turns in these accounts, while another does what is due, until
/// as many are pinned.
pub async fn add_and_pin(
    api: &dyn Storage,
    worker: &dyn Storage,
    accounts: &[AccountId],
    node: NodeId,
    numbers: Range<u64>,
) {
    let many = numbers.clone().count();
    let adding = join_all(numbers.zip(accounts.iter().cycle()).map(|(number, account)| {
        let request = request(*account, number);
        async move { api.add_pin_request(&request, system_time()).await.expect("it is added") }
    }));
    let working = async {
        let mut done = 0;
        while done < many {
            let now = system_time();
            let leases = worker.lease_due(&node, now, now + Duration::from_mins(1), 16, 1_000).await.expect("leases");
            let settlements = leases.iter().map(pinned).collect::<Vec<_>>();
            let outcomes = worker.settle(&settlements, now).await.expect("they are settled");
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
            done += outcomes.len();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(adding, working);
}
