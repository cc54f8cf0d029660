//! Tokens and pins that many look up with one query: a row that contradicts itself fails its own look-ups alone.

use futures::future::join_all;
use pinrail_domain::{AccountId, Limits, RevocationId, Scopes, TokenId, TokenRecord};
use pinrail_storage::{AccessTokens, PinRequests, StorageError};

use crate::clock::system_time;
use crate::scene::{add_account, bytes, request, settle_in};
use crate::server::PostgresDatabase;

/// A token of an account.
pub async fn add_token(storage: &dyn AccessTokens, account: AccountId, number: u64) -> TokenId {
    let id = TokenId::new(system_time(), bytes(number));
    let token = TokenRecord {
        id,
        account,
        name: "laptop".to_owned(),
        scopes: Scopes::pins(),
        expires: None,
        created: system_time(),
        key_id: 1,
        revocation_id: RevocationId::from_bytes(id.as_uuid().as_bytes().to_vec()),
        last_used: None,
        revoked: None,
        revoked_blocks: Vec::new(),
    };
    storage.add_token(&token).await.expect("the token is kept");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_account_that_cannot_be_read_fails_alone() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let mut tokens = Vec::new();
    for (number, name) in [(1, "ada"), (2, "bob")] {
        let account = add_account(&storage, name, number, Limits::STANDARD).await;
        tokens.push(add_token(&storage, account, number).await);
    }
    database.sql("UPDATE accounts SET role = 'emperor' WHERE name = 'bob'");
    let asked = tokens.iter().cycle().take(64).map(|token| storage.standing(token));
    for pair in join_all(asked).await.chunks(2) {
        let ada = pair[0].as_ref().expect("hers is read").as_ref().expect("it is known");
        assert_eq!(ada.token.id, tokens[0]);
        assert!(matches!(&pair[1], Err(StorageError::Corrupt(why)) if why.contains("emperor")), "{:?}", pair[1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_whose_root_cannot_be_read_fails_alone() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    let mut ids = Vec::new();
    for number in 0..2 {
        let added = storage.add_pin_request(&request(account, number), system_time()).await.expect("it is added");
        ids.push(added.id);
    }
    database.sql("UPDATE roots SET state = 'adrift' WHERE key = (SELECT max(key) FROM roots)");
    let asked = ids.iter().cycle().take(64).map(|id| storage.find_pin_request(&account, id, system_time()));
    for pair in join_all(asked).await.chunks(2) {
        let first = pair[0].as_ref().expect("it is read").as_ref().expect("it is known");
        assert_eq!(first.id, ids[0]);
        assert!(matches!(&pair[1], Err(StorageError::Corrupt(why)) if why.contains("state")), "{:?}", pair[1]);
    }
}
