//! Access tokens and the key ring: what is revoked is revoked at once.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::future::{join, join_all};
use pinrail_domain::{Access, AccountId, KeyState, PublicKeyRecord, RevocationId, Scope, Scopes, TokenId, TokenRecord};
use pinrail_storage::StorageError;

use crate::Fixture;

fn token(fixture: &Fixture, account: &AccountId, name: &str) -> TokenRecord {
    let id = TokenId::new(fixture.now(), fixture.unique());
    TokenRecord {
        id,
        account: *account,
        name: name.to_owned(),
        scopes: Scopes::pins(),
        expires: None,
        created: fixture.now(),
        key_id: 1,
        revocation_id: RevocationId::from_bytes(id.as_uuid().as_bytes().to_vec()),
        last_used: None,
        revoked: None,
        revoked_blocks: Vec::new(),
    }
}

async fn add(fixture: &Fixture, token: &TokenRecord) {
    fixture.storage.add_token(token).await.expect("the token is kept");
}

fn key(fixture: &Fixture, id: u32, state: KeyState) -> PublicKeyRecord {
    PublicKeyRecord { id, public_key: vec![u8::try_from(id).unwrap(); 32], state, created: fixture.now() }
}

async fn key_states(fixture: &Fixture) -> Vec<(u32, KeyState)> {
    let keys = fixture.storage.list_keys().await.unwrap();
    keys.into_iter().map(|key| (key.id, key.state)).collect()
}

async fn is_revoked(fixture: &Fixture, id: &TokenId) -> bool {
    fixture.storage.standing(id).await.unwrap().expect("the token is known").is_revoked()
}

/// A record comes back as it was kept, whatever its parts.
pub async fn a_record_comes_back_whole(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let plain = token(fixture, &ada, "laptop");
    let full = TokenRecord {
        scopes: [Scope::PinsRead, Scope::Tokens, Scope::Admin].into_iter().collect(),
        expires: Some(fixture.now() + std::time::Duration::from_hours(1)),
        key_id: u32::MAX,
        revocation_id: RevocationId::from_bytes((0..64).collect()),
        last_used: Some(fixture.now().next()),
        ..token(fixture, &ada, "naïve ß")
    };
    for record in [&plain, &full] {
        add(fixture, record).await;
        assert_eq!(fixture.storage.find_token(&record.id).await.unwrap().as_ref(), Some(record));
    }
    let unknown = token(fixture, &ada, "never kept").id;
    assert_eq!(fixture.storage.find_token(&unknown).await.unwrap(), None);
    assert_eq!(fixture.storage.standing(&unknown).await.unwrap(), None);
}

/// A token belongs to an account that is there, and its id is taken once.
pub async fn a_token_has_an_account(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let nobody = fixture.new_account("nobody", pinrail_domain::Limits::STANDARD).id;
    let outcome = fixture.storage.add_token(&token(fixture, &nobody, "orphan")).await;
    assert!(matches!(outcome, Err(StorageError::Missing(_))), "{outcome:?}");

    let first = token(fixture, &ada, "first");
    add(fixture, &first).await;
    let outcome = fixture.storage.add_token(&TokenRecord { name: "second".to_owned(), ..first.clone() }).await;
    assert!(matches!(outcome, Err(StorageError::Conflict(_))), "{outcome:?}");
    assert_eq!(fixture.storage.find_token(&first.id).await.unwrap(), Some(first));
}

/// Tokens are listed newest first, revoked ones too, those of the account alone.
pub async fn tokens_are_listed_newest_first(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    for name in ["first", "second", "third"] {
        fixture.advance_secs(1);
        add(fixture, &token(fixture, &ada, name)).await;
        add(fixture, &token(fixture, &bob, "bob's")).await;
    }
    let listed = fixture.storage.list_tokens(&ada).await.unwrap();
    fixture.storage.revoke_token(&listed[1].id, fixture.now()).await.unwrap();
    let listed = fixture.storage.list_tokens(&ada).await.unwrap();
    let names = listed.iter().map(|token| (token.name.as_str(), token.revoked.is_some()));
    assert_eq!(names.collect::<Vec<_>>(), [("third", false), ("second", true), ("first", false)]);
}

/// A token is revoked once, at once, and keeps the date; an unknown one is not.
pub async fn a_token_is_revoked_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let (lost, kept) = (token(fixture, &ada, "lost"), token(fixture, &ada, "kept"));
    add(fixture, &lost).await;
    add(fixture, &kept).await;
    assert!(!is_revoked(fixture, &lost.id).await);

    let revoked = fixture.now();
    assert!(fixture.storage.revoke_token(&lost.id, revoked).await.unwrap());
    assert!(is_revoked(fixture, &lost.id).await);
    assert!(!is_revoked(fixture, &kept.id).await);
    assert!(!fixture.storage.revoke_token(&lost.id, fixture.advance_secs(1)).await.unwrap());
    let record = fixture.storage.find_token(&lost.id).await.unwrap().unwrap();
    assert_eq!(record.revoked, Some(revoked));

    let unknown = token(fixture, &ada, "never kept").id;
    assert!(!fixture.storage.revoke_token(&unknown, fixture.now()).await.unwrap());
}

/// Who asks how a token stands is told of that token, however many ask at the same time.
pub async fn each_token_stands_for_itself(fixture: &Fixture) {
    let accounts = [fixture.account("ada").await, fixture.account("bob").await];
    let mut tokens: Vec<_> = (0..20).map(|number| token(fixture, &accounts[number % 2], "one of many")).collect();
    for token in &tokens {
        add(fixture, token).await;
    }
    fixture.storage.revoke_token(&tokens[7].id, fixture.now()).await.unwrap();
    tokens.push(token(fixture, &accounts[0], "never kept"));
    let asked = tokens.iter().cycle().take(400).map(|token| fixture.storage.standing(&token.id));
    for (number, standing) in join_all(asked).await.into_iter().enumerate().map(|(at, told)| (at % 21, told.unwrap())) {
        let told = standing.map(|standing| (standing.token.id, standing.account, standing.is_revoked()));
        let token = &tokens[number];
        assert_eq!(told, (number < 20).then_some((token.id, token.account, number == 7)), "token {number}");
    }
}

/// A revocation holds for whoever asks once it is answered, whatever else is being asked.
pub async fn a_revocation_holds_at_once_for_all(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let lost = token(fixture, &ada, "lost");
    add(fixture, &lost).await;
    let (revoked, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let ask = || async {
        loop {
            let is_answered = revoked.load(Ordering::SeqCst);
            let told = is_revoked(fixture, &lost.id).await;
            assert!(told || !is_answered, "it was revoked before this was asked");
            asked.fetch_add(1, Ordering::SeqCst);
            if told {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let revoke = async {
        while asked.load(Ordering::SeqCst) < 100 {
            tokio::task::yield_now().await;
        }
        assert!(fixture.storage.revoke_token(&lost.id, fixture.now()).await.unwrap());
        revoked.store(true, Ordering::SeqCst);
    };
    join(revoke, join_all((0..16).map(|_| ask()))).await;
}

/// What a request is judged by is never older than the last change of the account.
pub async fn standing_follows_the_account_at_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let laptop = token(fixture, &ada, "laptop");
    add(fixture, &laptop).await;
    let standing = || async { fixture.storage.standing(&laptop.id).await.unwrap().unwrap() };

    let first = standing().await;
    assert_eq!((first.account, &first.token, first.is_revoked()), (ada, &laptop, false));
    assert_eq!((first.role, first.access, first.blocked), (pinrail_domain::Role::Pinner, None, None));
    assert_eq!(first.access_withdrawn, None);

    let access = Access { since: fixture.now(), by: "operator".to_owned(), until: None };
    fixture.storage.set_access(&ada, Some(&access), None, fixture.now()).await.unwrap();
    assert_eq!(standing().await.access.as_ref(), Some(&access));
    let withdrawn = fixture.advance_secs(1);
    fixture.storage.set_access(&ada, None, None, withdrawn).await.unwrap();
    assert_eq!((standing().await.access, standing().await.access_withdrawn), (None, Some(withdrawn)));
    fixture.storage.set_access(&ada, None, None, fixture.advance_secs(1)).await.unwrap();
    assert_eq!(standing().await.access_withdrawn, Some(withdrawn), "there was nothing left to withdraw");
    fixture.storage.set_access(&ada, Some(&access), None, fixture.now()).await.unwrap();
    assert_eq!((standing().await.access, standing().await.access_withdrawn), (Some(access), None));
    fixture.block(&ada, Some("spam")).await;
    assert_eq!(standing().await.blocked.as_deref(), Some("spam"));
    fixture.block(&ada, None).await;
    assert_eq!(standing().await.blocked, None);
}

/// A narrowed token is revoked by its last block, at once, and the token that it was narrowed from is not.
pub async fn a_block_is_revoked_alone(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let (laptop, phone) = (token(fixture, &ada, "laptop"), token(fixture, &ada, "phone"));
    add(fixture, &laptop).await;
    add(fixture, &phone).await;
    let block = |number| RevocationId::from_bytes(vec![number; 64]);
    let id = laptop.id;
    let revoke = |number| async move { fixture.storage.revoke_block(&id, &block(number), fixture.now()).await };
    assert_eq!((revoke(1).await, revoke(2).await, revoke(1).await), (Ok(true), Ok(true), Ok(false)));
    let standing = fixture.storage.standing(&laptop.id).await.unwrap().unwrap();
    assert_eq!((standing.token.revoked_blocks.clone(), standing.is_revoked()), (vec![block(1), block(2)], false));
    assert_eq!(fixture.storage.find_token(&laptop.id).await.unwrap(), Some(standing.token));
    assert_eq!(fixture.storage.find_token(&phone.id).await.unwrap(), Some(phone));
    let unknown = token(fixture, &ada, "never kept").id;
    let outcome = fixture.storage.revoke_block(&unknown, &block(1), fixture.now()).await;
    assert!(matches!(outcome, Err(StorageError::Missing(_))), "{outcome:?}");
}

/// With a key, every token that it signed is revoked, and no other.
pub async fn a_revoked_key_revokes_its_tokens(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.storage.add_key(&key(fixture, 1, KeyState::Active)).await.unwrap();
    fixture.storage.add_key(&key(fixture, 2, KeyState::Active)).await.unwrap();
    let (old, new) = (token(fixture, &ada, "old"), TokenRecord { key_id: 2, ..token(fixture, &ada, "new") });
    add(fixture, &old).await;
    add(fixture, &new).await;
    assert!(!is_revoked(fixture, &old.id).await, "a retired key still verifies");

    fixture.storage.set_key_state(1, KeyState::Revoked, fixture.now()).await.unwrap();
    assert!(is_revoked(fixture, &old.id).await);
    assert!(!is_revoked(fixture, &new.id).await);
}

/// The last use is the latest that was told, in whatever order.
pub async fn the_last_use_is_the_latest(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let (laptop, phone) = (token(fixture, &ada, "laptop"), token(fixture, &ada, "phone"));
    add(fixture, &laptop).await;
    add(fixture, &phone).await;
    let (early, late) = (fixture.now(), fixture.advance_secs(60));
    let unknown = token(fixture, &ada, "never kept").id;
    fixture.storage.touch_tokens(&[(laptop.id, late), (unknown, late)]).await.unwrap();
    fixture.storage.touch_tokens(&[(laptop.id, early)]).await.unwrap();
    fixture.storage.touch_tokens(&[]).await.unwrap();
    let last_used = |id| async move { fixture.storage.find_token(&id).await.unwrap().unwrap().last_used };
    assert_eq!((last_used(laptop.id).await, last_used(phone.id).await), (Some(late), None));
}

/// One key signs at a time; the ring is listed newest first.
pub async fn one_key_is_active(fixture: &Fixture) {
    use KeyState::{Active, Retired, Revoked};
    for id in [7, 3, 5] {
        fixture.advance_secs(1);
        fixture.storage.add_key(&key(fixture, id, KeyState::Active)).await.unwrap();
    }
    assert_eq!(key_states(fixture).await, [(5, Active), (3, Retired), (7, Retired)]);
    assert_eq!(fixture.storage.list_keys().await.unwrap()[2].public_key, [7; 32]);

    fixture.storage.set_key_state(3, Revoked, fixture.now()).await.unwrap();
    fixture.storage.set_key_state(7, Active, fixture.now()).await.unwrap();
    assert_eq!(key_states(fixture).await, [(5, Retired), (3, Revoked), (7, Active)]);

    fixture.advance_secs(1);
    fixture.storage.add_key(&key(fixture, 9, Retired)).await.unwrap();
    assert_eq!(key_states(fixture).await, [(9, Retired), (5, Retired), (3, Revoked), (7, Active)]);

    let outcome = fixture.storage.add_key(&key(fixture, 7, Retired)).await;
    assert!(matches!(outcome, Err(StorageError::Conflict(_))), "{outcome:?}");
    let outcome = fixture.storage.set_key_state(1, Active, fixture.now()).await;
    assert!(matches!(outcome, Err(StorageError::Missing(_))), "{outcome:?}");
    assert_eq!(key_states(fixture).await[3], (7, Active), "a refused change changes nothing");
}
