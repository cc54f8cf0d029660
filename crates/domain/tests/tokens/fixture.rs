//! A service with one key and one account, for the tests of tokens.

use pinrail_domain::{
    Access, AccountId, KeyRing, KeyState, MintRequest, PublicKeyRecord, Role, Scope, Scopes, ServiceId, SigningKey,
    Standing, TokenError, TokenId, TokenRecord, VerifiedToken, mint, verify,
};
use pinrail_spec::Timestamp;

/// 2026-11-23T05:00:00Z.
pub const NOW: Timestamp = Timestamp::from_millis(1_795_410_000_000);

/// `minutes` after [`NOW`].
#[must_use]
pub fn later(minutes: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + minutes * 60_000)
}

/// The service that accepts the tokens of these tests.
#[must_use]
pub fn service() -> ServiceId {
    ServiceId::new(NOW, [1; 10])
}

/// The key that signs them.
#[must_use]
pub fn key() -> SigningKey {
    SigningKey::new(1, [11; 32])
}

/// Its public half.
#[must_use]
pub fn public_key(state: KeyState) -> PublicKeyRecord {
    PublicKeyRecord { state, ..key().public(NOW) }
}

/// A token for reading, writing and deleting pins that ends a day from [`NOW`].
#[must_use]
pub fn request() -> MintRequest {
    MintRequest {
        service: service(),
        account: AccountId::new(NOW, [2; 10]),
        token: TokenId::new(NOW, [3; 10]),
        name: "laptop".to_owned(),
        scopes: Scopes::pins(),
        expires: Some(later(24 * 60)),
        created: NOW,
    }
}

/// The text of [`request`], signed with [`key`].
#[must_use]
pub fn token() -> String {
    mint(&request(), &key(), [4; 32]).expect("the request is in order").text
}

/// Verify as the service of these tests does.
pub fn verify_here(text: &str) -> Result<VerifiedToken, TokenError> {
    let ring = KeyRing::new(&[public_key(KeyState::Active)]).expect("the key is a key");
    verify(text, &ring, service())
}

/// An account with access for as long as it likes, not blocked, and a token that was not revoked.
#[must_use]
pub fn standing() -> Standing {
    Standing {
        account: request().account,
        role: Role::Pinner,
        blocked: None,
        access: Some(Access { since: NOW, by: "operator".to_owned(), until: None }),
        access_withdrawn: None,
        token: mint(&request(), &key(), [4; 32]).expect("the request is in order").record,
        key_revoked: false,
    }
}

/// The same account with the record of another token of it.
#[must_use]
pub fn standing_of(record: &TokenRecord) -> Standing {
    Standing { token: record.clone(), ..standing() }
}

/// A token with these scopes that never expires, and how it stands.
#[must_use]
pub fn minted(scopes: &[Scope]) -> (VerifiedToken, Standing) {
    let request = MintRequest { scopes: scopes.iter().copied().collect(), expires: None, ..request() };
    let minted = mint(&request, &key(), [4; 32]).expect("the request is in order");
    (verify_here(&minted.text).expect("it was just minted"), standing_of(&minted.record))
}
