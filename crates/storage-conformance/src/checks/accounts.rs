//! Accounts: unique names, access, limits and blocks.

use pinrail_domain::{Access, Limits, Role, Usage};
use pinrail_storage::{NewAccount, StorageError};

use crate::Fixture;

/// An account comes back as it was added, without access and with nothing in use, by its id and by its name.
pub async fn an_account_is_found_by_id_and_by_name(fixture: &Fixture) {
    let new = NewAccount {
        email: Some("ada@example.org".to_owned()),
        role: Role::Administrator,
        ..fixture.new_account("ada", Limits::STANDARD)
    };
    let added = fixture.storage.add_account(&new, fixture.now()).await.unwrap();
    assert_eq!((added.id, added.name.as_str(), added.email.as_deref()), (new.id, "ada", Some("ada@example.org")));
    assert_eq!((added.role, added.limits, added.usage), (Role::Administrator, Limits::STANDARD, Usage::default()));
    assert_eq!((&added.blocked, &added.access, added.created), (&None, &None, fixture.now()));

    assert_eq!(fixture.storage.find_account(&new.id).await.unwrap().as_ref(), Some(&added));
    assert_eq!(fixture.storage.find_account_by_name("ada").await.unwrap().as_ref(), Some(&added));
    assert_eq!(fixture.storage.find_account_by_name("Ada").await.unwrap(), None);
    let unknown = fixture.new_account("x", Limits::STANDARD).id;
    assert_eq!(fixture.storage.find_account(&unknown).await.unwrap(), None);
}

/// A name is taken once, and so is an id; names differ by their bytes.
pub async fn a_name_is_taken_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let again = fixture.new_account("ada", Limits::STANDARD);
    let outcome = fixture.storage.add_account(&again, fixture.now()).await;
    assert!(matches!(outcome, Err(StorageError::Conflict(_))), "{outcome:?}");
    let same_id = NewAccount { id: ada, ..fixture.new_account("bob", Limits::STANDARD) };
    let outcome = fixture.storage.add_account(&same_id, fixture.now()).await;
    assert!(matches!(outcome, Err(StorageError::Conflict(_))), "{outcome:?}");
    assert_eq!(fixture.storage.find_account_by_name("bob").await.unwrap(), None);
    fixture.account("ADA").await;
}

/// Accounts are listed in the order of the bytes of their names, page after page.
pub async fn accounts_are_listed_by_name(fixture: &Fixture) {
    for name in ["émile", "anna", "Zoe", "anna2", "bob"] {
        fixture.account(name).await;
    }
    let mut names = Vec::new();
    let mut after = None::<String>;
    loop {
        let page = fixture.storage.list_accounts(after.as_deref(), 2).await.unwrap();
        assert!(page.len() <= 2, "a page is as long as was asked");
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        names.extend(page.into_iter().map(|account| account.name));
    }
    assert_eq!(names, ["Zoe", "anna", "anna2", "bob", "émile"]);
}

/// Access is granted and withdrawn, limits change only with it, and both are read at once.
pub async fn access_is_granted_and_withdrawn(fixture: &Fixture) {
    let ada = fixture.account_with("ada", Limits::STANDARD).await;
    let until = fixture.now() + std::time::Duration::from_hours(1);
    let access = Access { since: fixture.now(), by: "operator".to_owned(), until: Some(until) };
    let limits = Limits { requests: Some(7), queued_roots: None, bytes: Some(1 << 50) };

    let granted = fixture.storage.set_access(&ada, Some(&access), Some(&limits), fixture.now()).await.unwrap();
    assert_eq!((granted.access.as_ref(), granted.limits), (Some(&access), limits));
    assert!(granted.may_pin(fixture.now()) && !granted.may_pin(until));
    assert_eq!(fixture.find_account(&ada).await, granted);

    let withdrawn = fixture.storage.set_access(&ada, None, None, fixture.now()).await.unwrap();
    assert_eq!((withdrawn.access.as_ref(), withdrawn.limits), (None, limits));
    assert_eq!(fixture.find_account(&ada).await, withdrawn);

    let unknown = fixture.new_account("x", Limits::STANDARD).id;
    let outcome = fixture.storage.set_access(&unknown, Some(&access), None, fixture.now()).await;
    assert!(matches!(outcome, Err(StorageError::Missing(_))), "{outcome:?}");
}

/// A block has a reason, which a further block changes; unblocking takes it away.
pub async fn a_block_has_a_reason(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    for reason in [Some("spam"), Some("more spam"), None, None] {
        let account = fixture.storage.set_blocked(&ada, reason, fixture.now()).await.unwrap();
        assert_eq!(account.blocked.as_deref(), reason);
        assert_eq!(fixture.find_account(&ada).await, account);
    }
    let unknown = fixture.new_account("x", Limits::STANDARD).id;
    let outcome = fixture.storage.set_blocked(&unknown, Some("spam"), fixture.now()).await;
    assert!(matches!(outcome, Err(StorageError::Missing(_))), "{outcome:?}");
}

/// The service's id stays, the clock does not run backwards, and a healthy storage is ready.
pub async fn the_service_is_one(fixture: &Fixture) {
    let id = fixture.storage.service_id().await.unwrap();
    assert_eq!(fixture.storage.service_id().await.unwrap(), id);
    let now = fixture.storage.now().await.unwrap();
    assert!(fixture.storage.now().await.unwrap() >= now);
    fixture.storage.ready().await.unwrap();
}
