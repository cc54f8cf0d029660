//! A service of somebody else that checks Pinrail's tokens: it names pinrail-domain and nothing more.

use pinrail_domain::spec::{Reason, Timestamp};
use pinrail_domain::{
    Access, AccountId, Act, KeyRing, MintRequest, Role, Scopes, ServiceId, SigningKey, Standing, TokenId, authorize_scope,
    mint, verify,
};

#[test]
fn a_token_is_verified_and_a_strangers_is_not() {
    let now = Timestamp::parse_floor("2026-11-23T05:00:00Z").unwrap();
    let service = ServiceId::new(now, [1; 10]);
    let (account, token) = (AccountId::new(now, [2; 10]), TokenId::new(now, [3; 10]));
    let key = SigningKey::new(1, [4; 32]);
    let request =
        MintRequest { service, account, token, name: "laptop".into(), scopes: Scopes::pins(), expires: None, created: now };
    let minted = mint(&request, &key, [5; 32]).unwrap();
    let text = minted.text;

    let ring = KeyRing::new(&[key.public(now)]).unwrap();
    let verified = verify(&text, &ring, service).unwrap();
    assert_eq!(verified.account(), account);

    let access = Some(Access { since: now, by: "operator".into(), until: None });
    let standing = Standing {
        account,
        role: Role::Pinner,
        blocked: None,
        access,
        access_withdrawn: None,
        token: minted.record,
        key_revoked: false,
    };
    authorize_scope(&verified, &standing, Act::Add, now).unwrap();
    let refusal = authorize_scope(&verified, &Standing { access: None, ..standing.clone() }, Act::Add, now).unwrap_err();
    assert_eq!(refusal.reason(), Reason::PinningAccessRequired);

    let stolen = mint(&request, &key, [8; 32]).unwrap().text;
    let forged = verify(&stolen, &ring, service).unwrap();
    assert!(authorize_scope(&forged, &standing, Act::Add, now).is_err(), "the key alone mints nothing");

    let other_service = ServiceId::new(now, [6; 10]);
    assert!(verify(&text, &ring, other_service).is_err());
    let strangers = KeyRing::new(&[SigningKey::new(1, [7; 32]).public(now)]).unwrap();
    assert!(verify(&text, &strangers, service).is_err());
}
