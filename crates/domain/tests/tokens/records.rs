//! A token against its record: a key alone mints nothing, and a narrowed token is revoked alone.

use biscuit_auth::builder::BlockBuilder;
use biscuit_auth::{Algorithm, KeyPair, UnverifiedBiscuit};
use pinrail_domain::{
    Act, KeyRing, KeyState, MintRequest, Refusal, Restrictions, RevocationId, Scope, Scopes, SigningKey, Standing,
    TokenError, VerifiedToken, attenuate, authorize_scope, inspect, mint, verify,
};

use crate::fixture::{NOW, key, later, public_key, request, service, standing, token, verify_here};

fn refusal(token: &VerifiedToken, standing: &Standing) -> Option<Refusal> {
    authorize_scope(token, standing, Act::Read, NOW).err()
}

#[test]
fn a_stolen_key_alone_mints_nothing() {
    // With the key and the id of a token, but not its text.
    let forged = MintRequest { scopes: Scope::ALL.into_iter().collect(), expires: None, ..request() };
    let forged = verify_here(&mint(&forged, &key(), [5; 32]).unwrap().text).unwrap();
    assert_eq!(refusal(&forged, &standing()), Some(Refusal::unknown_token()));
    // The same statements with another secret are another token too.
    let copy = verify_here(&mint(&request(), &key(), [5; 32]).unwrap().text).unwrap();
    assert_eq!(refusal(&copy, &standing()), Some(Refusal::unknown_token()));
}

#[test]
fn a_token_of_another_key_than_its_record_names_is_refused() {
    let other = SigningKey::new(2, [12; 32]);
    let keys = [public_key(KeyState::Active), other.public(NOW)];
    let ring = KeyRing::new(&keys).unwrap();
    let forged = mint(&request(), &other, [4; 32]).unwrap();
    let forged_token = verify(&forged.text, &ring, service()).unwrap();
    assert_eq!(refusal(&forged_token, &standing()), Some(Refusal::unknown_token()));
    let mut half = standing();
    half.token.revocation_id = forged.record.revocation_id;
    assert_eq!(refusal(&forged_token, &half), Some(Refusal::unknown_token()));
}

#[test]
fn the_record_is_an_upper_bound() {
    let token = verify_here(&token()).unwrap();
    let mut read_only = standing();
    read_only.token.scopes = Scopes::from_iter([Scope::PinsRead]);
    assert_eq!(refusal(&token, &read_only), None);
    assert!(matches!(authorize_scope(&token, &read_only, Act::Add, NOW), Err(Refusal::Forbidden(_))));
    let mut shorter = standing();
    shorter.token.expires = Some(later(1));
    assert_eq!(authorize_scope(&token, &shorter, Act::Read, NOW), Ok(()));
    let late = authorize_scope(&token, &shorter, Act::Read, later(1));
    assert_eq!(late, Err(Refusal::Unauthorized("the token has expired, mint a new one".to_owned())));
}

#[test]
fn a_narrowed_token_is_revoked_with_what_was_narrowed_from_it_and_nothing_else() {
    let hour = Restrictions { expires: Some(later(60)), ..Restrictions::default() };
    let narrow = |text: &str, random| attenuate(text, &hour, random).unwrap();
    let leaked = narrow(&token(), [5; 32]);
    let (child, sibling) = (narrow(&leaked, [6; 32]), narrow(&token(), [7; 32]));
    let block = inspect(&leaked).unwrap().blocks.pop().unwrap().revocation_id;
    let mut revoked = standing();
    revoked.token.revoked_blocks = vec![RevocationId::from_bytes(vec![0; 64]), block];
    for (text, is_revoked) in [(&token(), false), (&leaked, true), (&child, true), (&sibling, false)] {
        let found = refusal(&verify_here(text).unwrap(), &revoked);
        assert_eq!(found, is_revoked.then(|| Refusal::Unauthorized("the token was revoked".to_owned())));
    }
}

#[test]
fn a_block_has_one_revocation_id_because_it_is_signed_with_ed25519() {
    let block = || BlockBuilder::new().code("check if operation(\"pins:read\")").unwrap();
    let append = |text: &str, next: &KeyPair| {
        let token = UnverifiedBiscuit::from_base64(text).unwrap();
        token.append_with_keypair(next, block()).unwrap().to_base64().unwrap()
    };
    let ecdsa = KeyPair::from_bytes(&[9; 32], Algorithm::Secp256r1.into()).unwrap();
    let once = append(&token(), &ecdsa);
    assert!(verify_here(&once).is_ok(), "no block is signed with it yet");
    assert_eq!(
        verify_here(&append(&once, &KeyPair::from_bytes(&[10; 32], Algorithm::Ed25519.into()).unwrap())).unwrap_err(),
        TokenError::Algorithm
    );
}
