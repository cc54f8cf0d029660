//! The audit log: each step of an operator is in it, and nothing else.

use pinrail_domain::{Access, AccountId, KeyState, PublicKeyRecord, RevocationId, Scopes, TokenId, TokenRecord};
use pinrail_storage::{AuditEntry, AuditFilter};

use crate::Fixture;

const EVERYTHING: AuditFilter = AuditFilter { account: None, since: None, limit: 100 };

fn token(fixture: &Fixture, account: AccountId) -> TokenRecord {
    TokenRecord {
        id: TokenId::new(fixture.now(), fixture.unique()),
        account,
        name: "laptop".to_owned(),
        scopes: Scopes::pins(),
        expires: None,
        created: fixture.now(),
        key_id: 1,
        revocation_id: RevocationId::from_bytes(vec![1; 64]),
        last_used: None,
        revoked: None,
        revoked_blocks: Vec::new(),
    }
}

async fn list(fixture: &Fixture, filter: &AuditFilter) -> Vec<AuditEntry> {
    fixture.storage.list_audit_log(filter).await.expect("the log is read")
}

/// What an operator does is noted in its order, with when, what and on what; what changed nothing is not.
pub async fn what_an_operator_does_is_noted(fixture: &Fixture) {
    let storage = &fixture.storage;
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let before = list(fixture, &EVERYTHING).await.len();
    let begun = fixture.advance_secs(1);
    let key = PublicKeyRecord { id: 1, public_key: vec![1; 32], state: KeyState::Active, created: begun };
    storage.add_key(&key).await.unwrap();
    let laptop = token(fixture, ada);
    storage.add_token(&laptop).await.unwrap();
    storage.add_token(&laptop).await.unwrap_err();
    let access = Access { since: begun, by: "operator".to_owned(), until: None };
    storage.set_access(&ada, Some(&access), None, begun).await.unwrap();
    storage.set_access(&ada, None, None, begun).await.unwrap();
    fixture.block(&ada, Some("spam")).await;
    fixture.block(&ada, None).await;
    let block = RevocationId::from_bytes(vec![2; 64]);
    for _ in 0..2 {
        storage.revoke_block(&laptop.id, &block, begun).await.unwrap();
        storage.revoke_token(&laptop.id, begun).await.unwrap();
    }
    storage.set_key_state(1, KeyState::Revoked, begun).await.unwrap();
    storage.set_key_state(9, KeyState::Revoked, begun).await.unwrap_err();
    storage.retire_node(&node, begun).await.unwrap();
    storage.note("backup", "/backup/pinrail.tar", begun).await.unwrap();

    let mut entries = list(fixture, &EVERYTHING).await;
    entries.truncate(entries.len() - before);
    entries.reverse();
    assert!(entries.iter().all(|entry| entry.at == begun && !entry.actor.is_empty()), "{entries:?}");
    let (id, node) = (laptop.id.to_string(), node.to_string());
    let wanted = [
        ("key add", "1", None),
        ("token mint", &*id, Some(ada)),
        ("access grant", "ada", Some(ada)),
        ("access withdraw", "ada", Some(ada)),
        ("account block", "ada", Some(ada)),
        ("account unblock", "ada", Some(ada)),
        ("token revoke-narrowed", &*id, Some(ada)),
        ("token revoke", &*id, Some(ada)),
        ("key revoke", "1", None),
        ("node retire", &*node, None),
        ("backup", "/backup/pinrail.tar", None),
    ];
    let found = entries.iter().map(|entry| (&*entry.action, &*entry.subject, entry.account));
    assert_eq!(found.collect::<Vec<_>>(), wanted);
}

/// Entries are listed newest first, of one account, from a time on, as many as are asked for.
pub async fn the_audit_log_is_filtered(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let later = fixture.advance_secs(1);
    fixture.block(&ada, Some("spam")).await;
    fixture.block(&bob, Some("spam")).await;
    let words = |filter: AuditFilter| async move {
        let entries = list(fixture, &filter).await;
        entries.into_iter().map(|entry| format!("{} {}", entry.action, entry.subject)).collect::<Vec<_>>()
    };
    let of_ada = AuditFilter { account: Some(ada), ..EVERYTHING };
    assert_eq!(words(of_ada.clone()).await.first().map(String::as_str), Some("account block ada"));
    assert!(words(of_ada.clone()).await.iter().all(|line| line.ends_with(" ada")));
    assert_eq!(words(AuditFilter { since: Some(later), ..of_ada }).await, ["account block ada"]);
    let newest = AuditFilter { limit: 1, ..EVERYTHING };
    assert_eq!(words(newest).await, ["account block bob"]);
    let nobody = fixture.new_account("nobody", pinrail_domain::Limits::STANDARD).id;
    assert_eq!(words(AuditFilter { account: Some(nobody), ..EVERYTHING }).await, [""; 0]);
}
