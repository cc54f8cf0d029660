//! Scopes and the account's standing, judged in order.

use pinrail_domain::{
    AccountId, Act, MintRequest, MintedToken, Minter, NoAccess, Operation, Refusal, Restrictions, Role, Scope, Scopes,
    Standing, TokenId, attenuate, authorize, authorize_scope, may_mint, mint,
};
use pinrail_spec::{Reason, Timestamp};

use crate::fixture::{NOW, key, later, minted, request, standing, standing_of, token, verify_here};

#[test]
fn scope_and_standing_are_judged_in_order() {
    let (full, good) = minted(&Scope::ALL);
    let (reader, reading) = minted(&[Scope::PinsRead]);
    let spam = || Some("spam".to_owned());
    let stranger = Standing { account: AccountId::new(NOW, [8; 10]), ..good.clone() };
    let mut other_token = good.clone();
    other_token.token.id = TokenId::new(NOW, [8; 10]);
    let mut revoked = Standing { blocked: spam(), ..good.clone() };
    revoked.token.revoked = Some(NOW);
    let key_revoked = Standing { key_revoked: true, ..good.clone() };
    let blocked = Standing { blocked: spam(), access: None, ..good.clone() };
    let new = Standing { access: None, ..good.clone() };
    let mut ended = good.clone();
    ended.access.as_mut().unwrap().until = Some(NOW);
    let administrator = Standing { role: Role::Administrator, ..good.clone() };
    let reading_blocked = Standing { blocked: spam(), ..reading.clone() };
    let reading_administrator = Standing { role: Role::Administrator, ..reading.clone() };
    let cases = [
        (&full, &good, Act::Read, None),
        (&full, &good, Act::Add, None),
        (&full, &good, Act::Replace, None),
        (&full, &good, Act::Delete, None),
        (&full, &good, Act::ManageTokens, None),
        (&full, &good, Act::Administer, Some(Reason::Forbidden)),
        (&full, &administrator, Act::Administer, None),
        (&full, &stranger, Act::Read, Some(Reason::Unauthorized)),
        (&full, &other_token, Act::Read, Some(Reason::Unauthorized)),
        (&full, &revoked, Act::Read, Some(Reason::Unauthorized)),
        (&full, &revoked, Act::Add, Some(Reason::Unauthorized)),
        (&full, &key_revoked, Act::Read, Some(Reason::Unauthorized)),
        (&reader, &reading, Act::Read, None),
        (&reader, &reading, Act::Add, Some(Reason::Forbidden)),
        (&reader, &reading_blocked, Act::Add, Some(Reason::Forbidden)),
        (&reader, &reading_administrator, Act::Administer, Some(Reason::Forbidden)),
        (&full, &blocked, Act::Read, None),
        (&full, &blocked, Act::Add, Some(Reason::AccountBlocked)),
        (&full, &blocked, Act::Delete, Some(Reason::AccountBlocked)),
        (&full, &blocked, Act::ManageTokens, Some(Reason::AccountBlocked)),
        (&full, &new, Act::Read, None),
        (&full, &new, Act::Delete, None),
        (&full, &new, Act::ManageTokens, None),
        (&full, &new, Act::Add, Some(Reason::PinningAccessRequired)),
        (&full, &new, Act::Replace, Some(Reason::PinningAccessRequired)),
        (&full, &ended, Act::Add, Some(Reason::PinningAccessRequired)),
    ];
    for (index, (token, standing, act, wanted)) in cases.into_iter().enumerate() {
        let found = authorize_scope(token, standing, act, NOW).err().map(|refusal| refusal.reason());
        assert_eq!(found, wanted, "case {index}: {act:?}");
    }
}

#[test]
fn replacing_takes_the_right_to_delete() {
    let (writer, standing) = minted(&[Scope::PinsWrite]);
    assert_eq!(authorize_scope(&writer, &standing, Act::Add, NOW), Ok(()));
    let refusal = authorize_scope(&writer, &standing, Act::Replace, NOW).unwrap_err();
    assert_eq!(refusal.to_string(), "this takes the scope pins:delete, which the token does not have");
}

#[test]
fn a_token_ends_at_its_expiry() {
    let token = verify_here(&token()).unwrap();
    let at = |now| authorize_scope(&token, &standing(), Act::Read, now);
    assert_eq!(at(Timestamp::from_millis(later(24 * 60).as_millis() - 1)), Ok(()));
    assert_eq!(at(later(24 * 60)).unwrap_err().reason(), Reason::Unauthorized);
}

#[test]
fn a_missing_access_names_the_place_to_ask() {
    let ask_at = "https://pins.example/access";
    for (why, said) in [
        (NoAccess::NotYet, "has no pinning access yet"),
        (NoAccess::Ended(NOW), "ended at 2026-11-23T05:00:00.000Z"),
        (NoAccess::Withdrawn(NOW), "was withdrawn at 2026-11-23T05:00:00.000Z"),
    ] {
        let failure = Refusal::PinningAccessRequired(why).failure(ask_at).error;
        assert_eq!(failure.reason, "PINNING_ACCESS_REQUIRED");
        let details = failure.details.unwrap();
        assert!(details.contains(ask_at) && details.contains(said), "{details}");
    }
}

#[test]
fn a_refusal_tells_a_withdrawn_access_from_one_that_never_was() {
    let why = |standing: &Standing| {
        let token = verify_here(&token()).unwrap();
        authorize_scope(&token, standing, Act::Add, NOW).unwrap_err()
    };
    let never = Standing { access: None, ..standing() };
    assert_eq!(why(&never), Refusal::PinningAccessRequired(NoAccess::NotYet));
    let withdrawn = Standing { access_withdrawn: Some(later(-1)), ..never };
    assert_eq!(why(&withdrawn), Refusal::PinningAccessRequired(NoAccess::Withdrawn(later(-1))));
    let mut ended = Standing { access_withdrawn: Some(later(-9)), ..standing() };
    ended.access.as_mut().unwrap().until = Some(later(-2));
    assert_eq!(why(&ended), Refusal::PinningAccessRequired(NoAccess::Ended(later(-2))));
}

#[test]
fn a_narrowed_token_neither_mints_nor_administers() {
    let request = MintRequest { scopes: Scope::ALL.into_iter().collect(), ..request() };
    let MintedToken { text, record } = mint(&request, &key(), [4; 32]).unwrap();
    let restrictions = Restrictions { expires: Some(later(60)), ..Restrictions::default() };
    let narrowed = verify_here(&attenuate(&text, &restrictions, [5; 32]).unwrap()).unwrap();
    let administrator = Standing { role: Role::Administrator, ..standing_of(&record) };
    for (act, operation) in [(Act::ManageTokens, Operation::ManageTokens), (Act::Administer, Operation::Administer)] {
        assert_eq!(authorize_scope(&narrowed, &administrator, act, NOW).unwrap_err().reason(), Reason::Forbidden);
        assert!(authorize(&narrowed, &administrator, &operation, NOW).is_err());
        assert_eq!(authorize(&verify_here(&text).unwrap(), &administrator, &operation, NOW), Ok(()));
    }
    assert!(
        may_mint(Minter::Token(&narrowed, &administrator), Role::Pinner, &Scopes::pins(), request.expires).is_err()
    );
}
