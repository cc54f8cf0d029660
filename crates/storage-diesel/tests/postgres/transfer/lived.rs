//! A database that has seen everything that is kept.

use std::time::Duration;

use pinrail_domain::{
    Access, AccountId, FailureReason, KeyState, Limits, NewPinRequest, NodeId, Phase, Progress, PublicKeyRecord,
    RequestId, RevocationId, RootFailure, Scopes, TokenId, TokenRecord, Verdict,
};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::{NewAccount, NodeRegistration, ProgressReport, Settlement, Storage};

use crate::clock::system_time;
use crate::scene::{bytes, request, settle_in};

const ORIGIN: &str = "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";

/// Who and what is in it.
pub struct Lived {
    pub account: AccountId,
    pub node: NodeId,
    /// A request whose root is whole.
    pub pinned: RequestId,
    /// A request that is still worked on.
    pub leased: RequestId,
    /// A token that counts.
    pub token: TokenId,
}

/// Let two accounts, two nodes, two keys and two tokens do all that leaves a row behind.
pub async fn live_in(storage: &dyn Storage) -> Lived {
    let now = system_time();
    let (account, node) = settle_in(storage, Limits::UNLIMITED).await;
    let other = add_other_account(storage, now).await;
    let token = add_keys_and_tokens(storage, account, now).await;
    add_other_node(storage, node, now).await;

    let mut requests = Vec::new();
    for number in 0..9 {
        let added = storage.add_pin_request(&rich(account, number), now).await.expect("it is added");
        requests.push(added.id);
    }
    storage.add_pin_request(&shared(other, now), now).await.expect("the same root in another account");
    let first = lease(storage, node, 6).await;
    let report = ProgressReport { lease: first[5].clone(), progress: Progress { blocks: 3, bytes: 700 } };
    storage.report_progress(&[report]).await.expect("progress is noted");
    let failure = RootFailure {
        phase: Phase::Finding,
        reason: FailureReason::NoProviderFound,
        details: "nobody has it".into(),
        missing: None,
    };
    let verdicts = [
        whole(11),
        whole(13),
        whole(17),
        Verdict::Failed { failure: failure.clone() },
        Verdict::Wait { due: now + Duration::from_mins(9), failure },
    ];
    let settlements = first.iter().zip(verdicts).map(|(lease, verdict)| Settlement { lease: lease.clone(), verdict });
    let settled = storage.settle(&settlements.collect::<Vec<_>>(), now).await.expect("leases are settled");
    assert!(settled.iter().all(Result::is_ok), "{settled:?}");

    // The second one is held by what replaces it, the third one is released.
    let replaced = storage.replace_pin_request(&requests[1], &rich(account, 20), now).await;
    assert!(replaced.expect("it is replaced").is_some());
    assert!(storage.remove_pin_request(&account, &requests[2], now).await.expect("it is removed"));
    Lived { account, node, pinned: requests[0], leased: requests[5], token }
}

/// Take due roots, in the order of their age.
pub async fn lease(storage: &dyn Storage, node: NodeId, limit: usize) -> Vec<pinrail_domain::LeaseKey> {
    let now = system_time();
    let leases = storage.lease_due(&node, now, now + Duration::from_hours(1), limit, 64).await.expect("leases");
    leases.into_iter().map(|lease| lease.key).collect()
}

/// The verdict on a DAG of this many bytes.
pub fn whole(bytes: u64) -> Verdict {
    Verdict::Pinned { size: pinrail_domain::DagSize { blocks: 1, bytes } }
}

/// A request with everything that one can have.
fn rich(account: AccountId, number: u64) -> NewPinRequest {
    let mut request = request(account, number);
    request.pin.name = (number != 3).then(|| format!("Straße № {number} 'ΌΔΟΣ' \"\\\n"));
    request.pin.origins = vec![Multiaddr::parse(ORIGIN).expect("a multiaddr")];
    request.pin.meta = [("app".to_owned(), "x".repeat(600)), (format!("ключ {number}"), String::new())].into();
    request
}

fn shared(account: AccountId, now: Timestamp) -> NewPinRequest {
    NewPinRequest { id: RequestId::new(now, bytes(900)), ..request(account, 0) }
}

async fn add_other_account(storage: &dyn Storage, now: Timestamp) -> AccountId {
    let id = AccountId::new(now, bytes(3));
    let email = Some("zoe@example.net".to_owned());
    let role = pinrail_domain::Role::Administrator;
    let new = NewAccount { id, name: "Zoë".to_owned(), email, role, limits: Limits::STANDARD };
    storage.add_account(&new, now).await.expect("the account is added");
    let access = Access { since: now, by: "operator".to_owned(), until: Some(now + Duration::from_hours(9)) };
    storage.set_access(&id, Some(&access), None, now).await.expect("access is granted");
    storage.set_blocked(&id, Some("unpaid since März"), now).await.expect("the account is blocked");
    storage.set_blocked(&id, None, now).await.expect("the account is unblocked");
    id
}

async fn add_keys_and_tokens(storage: &dyn Storage, account: AccountId, now: Timestamp) -> TokenId {
    for id in [1, 2] {
        let public_key = vec![u8::try_from(id).expect("a small number"); 32];
        let key = PublicKeyRecord { id, public_key, state: KeyState::Active, created: now };
        storage.add_key(&key).await.expect("the key is added");
    }
    storage.set_key_state(1, KeyState::Revoked, now).await.expect("the key is revoked");
    let token = |number: u64| TokenRecord {
        id: TokenId::new(now, bytes(number)),
        account,
        name: format!("token {number}"),
        scopes: Scopes::pins(),
        expires: (number == 7).then(|| Timestamp::from_millis(2_000_000_000_000)),
        created: now,
        key_id: 2,
        revocation_id: RevocationId::from_bytes(vec![u8::try_from(number).expect("a small number"); 64]),
        last_used: None,
        revoked: None,
        revoked_blocks: Vec::new(),
    };
    for number in [7, 8] {
        storage.add_token(&token(number)).await.expect("the token is added");
    }
    storage.revoke_token(&token(8).id, now).await.expect("the token is revoked");
    let block = RevocationId::from_bytes(vec![9; 64]);
    storage.revoke_block(&token(7).id, &block, now).await.expect("what was narrowed is revoked");
    storage.touch_tokens(&[(token(7).id, now)]).await.expect("it was used");
    token(7).id
}

async fn add_other_node(storage: &dyn Storage, node: NodeId, now: Timestamp) {
    let addresses = vec![Multiaddr::parse(ORIGIN).expect("a multiaddr")];
    let kind = pinrail_domain::Backend::Kubo;
    let id = NodeId::new(now, bytes(44));
    let other = NodeRegistration { id, backend: kind, peer_id: "other".to_owned(), addresses };
    storage.register_node(&other, now).await.expect("the node is registered");
    storage.retire_node(&id, now).await.expect("the node is retired");
    assert_ne!(id, node);
}
