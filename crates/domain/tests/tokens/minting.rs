//! Minting, verifying and reading tokens.

use pinrail_domain::{
    KeyRing, KeyState, MintError, MintRequest, MintedToken, Minter, NameRestriction, Restrictions, Role, Scope, Scopes,
    ServiceId, SigningKey, TokenError, attenuate, inspect, may_mint, mint, verify,
};
use pinrail_spec::Timestamp;

use crate::fixture::{NOW, key, later, minted, public_key, request, service, standing_of, token, verify_here};

#[test]
fn a_minted_token_says_what_it_was_minted_with() {
    let minted = mint(&request(), &key(), [4; 32]).unwrap();
    let verified = verify_here(&minted.text).unwrap();
    assert_eq!((verified.account(), verified.id()), (request().account, request().token));
    assert_eq!(verified.scopes(), &Scopes::pins());
    assert_eq!((verified.expires(), verified.key_id()), (request().expires, 1));
    assert_eq!(verified.revocation_ids(), std::slice::from_ref(&minted.record.revocation_id));
    assert!(!verified.is_narrowed());
    assert!(minted.text.len() < 480, "{} characters", minted.text.len());
    assert!(!format!("{verified:?}").contains(&minted.text[..20]));
    assert_eq!(minted.record.scopes, Scopes::pins());
    assert_eq!((minted.record.created, minted.record.last_used, minted.record.revoked), (NOW, None, None));
}

#[test]
fn the_same_randomness_mints_the_same_token_and_other_randomness_another() {
    let text = |random| mint(&request(), &key(), random).unwrap().text;
    assert_eq!(text([4; 32]), text([4; 32]));
    assert_ne!(text([4; 32]), text([5; 32]));
}

#[test]
fn an_expiry_is_kept_at_a_whole_second() {
    let expires = Timestamp::from_millis(later(1).as_millis() + 999);
    let minted = mint(&MintRequest { expires: Some(expires), ..request() }, &key(), [4; 32]).unwrap();
    assert_eq!(minted.record.expires, Some(later(1)));
    assert_eq!(verify_here(&minted.text).unwrap().expires(), Some(later(1)));
}

#[test]
fn what_cannot_be_minted_is_said() {
    let refused = |request| mint(&request, &key(), [4; 32]).err().unwrap();
    assert_eq!(refused(MintRequest { name: String::new(), ..request() }), MintError::Name(0));
    assert_eq!(refused(MintRequest { name: "x".repeat(65), ..request() }), MintError::Name(65));
    assert_eq!(refused(MintRequest { name: "a\nb".to_owned(), ..request() }), MintError::Name(3));
    assert_eq!(refused(MintRequest { scopes: Scopes::default(), ..request() }), MintError::NoScope);
    assert_eq!(refused(MintRequest { expires: Some(NOW), ..request() }), MintError::Expired(NOW));
}

#[test]
fn only_a_key_in_the_ring_and_only_for_this_service() {
    let second = SigningKey::new(2, [12; 32]);
    let by_second = mint(&request(), &second, [4; 32]).unwrap().text;
    let impostor = mint(&request(), &SigningKey::new(1, [13; 32]), [4; 32]).unwrap().text;
    let ring = |state| KeyRing::new(&[public_key(state), second.public(NOW)]).unwrap();
    let first = |state| verify(&token(), &ring(state), service()).map(|token| token.key_id());
    assert_eq!(first(KeyState::Active), Ok(1));
    assert_eq!(first(KeyState::Retired), Ok(1));
    assert_eq!(first(KeyState::Revoked), Err(TokenError::RevokedKey));
    assert_eq!(verify(&by_second, &ring(KeyState::Active), service()).unwrap().key_id(), 2);
    assert_eq!(verify_here(&by_second).unwrap_err(), TokenError::UnknownKey);
    assert_eq!(verify_here(&impostor).unwrap_err(), TokenError::Signature);
    let other = ServiceId::new(NOW, [9; 10]);
    assert_eq!(verify(&token(), &ring(KeyState::Active), other).unwrap_err(), TokenError::OtherService);
}

#[test]
fn a_minted_token_never_outgrows_its_minter() {
    let scopes = |list: &[Scope]| list.iter().copied().collect::<Scopes>();
    let request = MintRequest { scopes: scopes(&[Scope::PinsRead, Scope::Tokens]), ..request() };
    let MintedToken { text, record } = mint(&request, &key(), [4; 32]).unwrap();
    let (minter, standing) = (verify_here(&text).unwrap(), standing_of(&record));
    let mut bounded = standing.clone();
    bounded.token.expires = Some(later(1));
    bounded.token.scopes = scopes(&[Scope::Tokens]);
    let (plain, plain_standing) = minted(&[Scope::PinsRead]);
    let read = scopes(&[Scope::PinsRead]);
    let (pinner, day) = (Role::Pinner, request.expires);
    let cases = [
        (Minter::Operator, pinner, &Scopes::pins(), None, true),
        (Minter::Operator, pinner, &scopes(&[Scope::Tokens]), None, true),
        (Minter::Operator, pinner, &scopes(&[Scope::Admin]), None, false),
        (Minter::Operator, Role::Administrator, &scopes(&[Scope::Admin]), None, true),
        (Minter::Session, pinner, &scopes(&[Scope::Tokens]), None, true),
        (Minter::Session, pinner, &scopes(&[Scope::Admin]), None, false),
        (Minter::Token(&minter, &standing), pinner, &read, day, true),
        (Minter::Token(&minter, &standing), pinner, &read, Some(later(1)), true),
        (Minter::Token(&minter, &standing), pinner, &read, Some(later(24 * 60 + 1)), false),
        (Minter::Token(&minter, &standing), pinner, &read, None, false),
        (Minter::Token(&minter, &standing), pinner, &Scopes::pins(), day, false),
        (Minter::Token(&minter, &standing), pinner, &scopes(&[Scope::PinsRead, Scope::Tokens]), day, false),
        (Minter::Token(&minter, &standing), Role::Administrator, &scopes(&[Scope::Admin]), day, false),
        (Minter::Token(&minter, &bounded), pinner, &read, Some(later(1)), false),
        (Minter::Token(&plain, &plain_standing), pinner, &read, day, false),
    ];
    for (index, (minter, role, scopes, expires, allowed)) in cases.into_iter().enumerate() {
        assert_eq!(may_mint(minter, role, scopes, expires).is_ok(), allowed, "case {index}");
    }
}

#[test]
fn a_token_can_be_read_without_a_key() {
    let restrictions = Restrictions {
        operations: Some(Scopes::from_iter([Scope::PinsRead])),
        name: Some(NameRestriction::Prefix("a\u{1b}[2J\nb".to_owned())),
        ..Restrictions::default()
    };
    let inspection = inspect(&attenuate(&token(), &restrictions, [5; 32]).unwrap()).unwrap();
    assert_eq!((inspection.service, inspection.key_id), (Some(service()), Some(1)));
    assert_eq!((inspection.account, inspection.token), (Some(request().account), Some(request().token)));
    assert_eq!((&inspection.scopes, inspection.expires), (&Scopes::pins(), request().expires));
    let statements = &inspection.blocks[1].statements;
    assert_eq!(statements[0], r#"check if operation($operation), {"pins:read"}.contains($operation)"#);
    assert!(statements.iter().all(|line| !line.contains(char::is_control)), "{statements:?}");
    assert_eq!(inspection.blocks[0].revocation_id, mint(&request(), &key(), [4; 32]).unwrap().record.revocation_id);
    assert_eq!(inspect("no token"), Err(TokenError::Malformed));
}
