//! Pins, and lists of many shapes that find them.

use pinrail_domain::{AccountId, Backend, Limits, NewPinRequest, NodeId, RequestId, Role, TokenId};
use pinrail_spec::{Cid, Match, Multiaddr, NameFilter, Pin, PinFilter, Status, Timestamp};
use pinrail_storage::{NewAccount, NodeRegistration, Storage};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// The pairs of meta of each pin here.
const PAIRS: usize = 16;

pub(crate) fn account(number: u8) -> AccountId {
    AccountId::new(NOW, [number; 10])
}

fn pairs(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).map(|number| (format!("k{number}"), "v".to_owned()))
}

pub(crate) fn everything() -> PinFilter {
    let statuses = Status::ALL.to_vec();
    PinFilter { roots: Vec::new(), name: None, statuses, before: None, after: None, meta: [].into(), limit: 1 }
}

/// An account with some pins of the same name and meta.
pub(crate) async fn fill(storage: &dyn Storage, account: AccountId) {
    let new =
        NewAccount { id: account, name: "ada".to_owned(), email: None, role: Role::Pinner, limits: Limits::UNLIMITED };
    storage.add_account(&new, NOW).await.expect("the account is added");
    let peer = "/ip4/203.0.113.1/tcp/4401/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";
    let addresses = vec![Multiaddr::parse(peer).expect("a multiaddr")];
    let id = NodeId::new(NOW, [1; 10]);
    let node = NodeRegistration { id, backend: Backend::Embedded, peer_id: "peer".to_owned(), addresses };
    storage.register_node(&node, NOW).await.expect("the node is registered");
    for number in 0..3 {
        let cid = Cid::parse(&format!("f01551220{:064x}", 1)).expect("a CID");
        let pin = Pin { cid, name: Some("name".to_owned()), origins: Vec::new(), meta: pairs(PAIRS).collect() };
        let (id, token) = (RequestId::new(NOW, [number; 10]), TokenId::new(NOW, [1; 10]));
        storage.add_pin_request(&NewPinRequest { id, account, token, pin }, NOW).await.expect("it is added");
    }
}

/// Filters that all pins match, each of another shape.
pub(crate) fn shapes_of_lists() -> impl Iterator<Item = PinFilter> {
    let root = Cid::parse(&format!("f01551220{:064x}", 1)).expect("a CID").root();
    let names = [None, Some(Match::Exact), Some(Match::Iexact), Some(Match::Partial), Some(Match::Ipartial)];
    let (first, last) = (Timestamp::from_millis(1), Timestamp::from_millis(i64::MAX));
    let times = [(None, None), (Some(last), None), (None, Some(first)), (Some(last), Some(first))];
    let of = move |count: usize| {
        let root = root.clone();
        names.into_iter().flat_map(move |name| {
            let root = root.clone();
            times.into_iter().flat_map(move |(before, after)| {
                let root = root.clone();
                (1..=Status::ALL.len()).flat_map(move |statuses| {
                    [Vec::new(), vec![root.clone()]].map(|roots| PinFilter {
                        roots,
                        name: name.map(|matching| NameFilter { text: "name".to_owned(), matching }),
                        statuses: Status::ALL[..statuses].to_vec(),
                        before,
                        after,
                        meta: pairs(count).collect(),
                        limit: 1,
                    })
                })
            })
        })
    };
    // A third of them: the number has no divisor in common with those of statuses and roots.
    (0..=PAIRS).flat_map(of).step_by(3)
}
