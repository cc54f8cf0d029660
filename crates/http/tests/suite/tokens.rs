//! Tokens: which are good, what their scopes allow, and in which order that is judged.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use pinrail_domain::{KeyState, NameRestriction, Restrictions, Scope, Scopes, SigningKey, TokenId, attenuate, mint};

use super::narrowed::narrowed;
use super::support::{Answer, Api, Person, assert_page, unique};

/// Every operation, with a body that is wrong: a token is judged before it.
const OPERATIONS: [(&str, &str); 5] =
    [("GET", "/pins?limit=0"), ("POST", "/pins"), ("GET", "/pins/1"), ("POST", "/pins/1"), ("DELETE", "/pins/1")];

async fn ask(api: &Api, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    api.call(request.body(Body::from("not json")).unwrap()).await
}

fn scopes(list: &[Scope]) -> Scopes {
    list.iter().copied().collect()
}

#[tokio::test]
async fn without_a_good_token_every_operation_is_unauthorized() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let token = &person.token;
    let elsewhere = Api::new().await.pinner().await.token;
    let middle = token.len() / 2;
    let flipped = if token.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let tampered = format!("{}{flipped}{}", &token[..middle], &token[middle + 1..]);
    let oversized = "A".repeat(5_000);
    let narrow = |text: &String| {
        let name = Some(NameRestriction::Prefix("a".to_owned()));
        attenuate(text, &Restrictions { name, ..Restrictions::default() }, unique()).unwrap_or_else(|_| text.clone())
    };
    let forged = SigningKey::new(1, unique());
    let unknown_key = SigningKey::new(99, unique());
    let signed_by = |key: &SigningKey| {
        let request = pinrail_domain::MintRequest {
            service: pinrail_domain::ServiceId::from_uuid(person.account.as_uuid()),
            account: person.account,
            token: person.id,
            name: "forged".to_owned(),
            scopes: Scopes::pins(),
            expires: None,
            created: api.clock.now(),
        };
        mint(&request, key, unique()).unwrap().text
    };
    let expired = api.token(person.account, Scopes::pins(), Some(api.clock.now() + Duration::from_secs(5))).await;
    let revoked = api.token(person.account, Scopes::pins(), None).await;
    api.storage.revoke_token(&revoked.id, api.clock.now()).await.unwrap();
    api.clock.advance(Duration::from_secs(5));
    for authorization in [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer ".into()),
        Some(token.clone()),
        Some(format!("Basic {token}")),
        Some(format!("Bearer {token}x")),
        Some("Bearer nonsense".into()),
        Some(format!("Bearer {tampered}")),
        Some(format!("Bearer {elsewhere}")),
        Some(format!("Bearer {oversized}")),
        Some(format!("Bearer {}", signed_by(&forged))),
        Some(format!("Bearer {}", signed_by(&unknown_key))),
        Some(format!("Bearer {}", signed_by(&api.key))),
        Some(format!("Bearer {}", expired.token)),
        Some(format!("Bearer {}", revoked.token)),
        Some(format!("Bearer {}", narrow(&revoked.token))),
    ] {
        for (method, path) in OPERATIONS {
            let refused = ask(&api, method, path, authorization.as_deref()).await;
            refused.failure(401, "UNAUTHORIZED");
            assert_eq!(refused.headers["www-authenticate"], "Bearer");
        }
    }
    assert_page(&api.list(&person, "").await, 0);
}

#[tokio::test]
async fn bearer_counts_in_any_case() {
    let api = Api::new().await;
    let person = api.pinner().await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer "] {
        let authorization = format!("{scheme} {}", person.token);
        assert_eq!(ask(&api, "GET", "/pins", Some(&authorization)).await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn two_authorization_headers_are_none() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let bearer = format!("Bearer {}", person.token);
    let request = Request::get("/pins").header("authorization", &bearer).header("authorization", &bearer);
    api.call(request.body(Body::empty()).unwrap()).await.failure(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_without_the_scope_is_forbidden_before_the_request_is_read() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let all = [Scope::PinsRead, Scope::PinsWrite, Scope::PinsDelete];
    for missing in all {
        let rest = all.into_iter().filter(|scope| *scope != missing).collect::<Vec<_>>();
        let limited = api.token(person.account, scopes(&rest), None).await;
        for (method, path) in OPERATIONS {
            let needs: &[Scope] = match (method, path) {
                ("GET", _) => &[Scope::PinsRead],
                ("POST", "/pins") => &[Scope::PinsWrite],
                ("POST", _) => &[Scope::PinsWrite, Scope::PinsDelete],
                _ => &[Scope::PinsDelete],
            };
            let answer = ask(&api, method, path, Some(&format!("Bearer {}", limited.token))).await;
            if needs.contains(&missing) {
                let details = answer.failure(403, "FORBIDDEN");
                assert!(details.contains(missing.as_str()), "{details}");
            } else {
                assert!([400, 404].contains(&answer.status.as_u16()), "{method} {path}: {}", answer.text());
            }
        }
    }
}

#[tokio::test]
async fn revoking_counts_at_once_for_a_token_and_all_that_was_narrowed_from_it() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let reads = Restrictions { operations: Some(scopes(&[Scope::PinsRead])), ..Restrictions::default() };
    let reader = narrowed(&person, &reads);
    for holder in [&person, &reader] {
        assert_eq!(api.get(holder, "/pins").await.status, 200);
    }
    api.storage.revoke_token(&person.id, api.clock.now()).await.unwrap();
    for holder in [&person, &reader] {
        let details = api.get(holder, "/pins").await.failure(401, "UNAUTHORIZED");
        assert!(details.contains("revoked"), "{details}");
    }
}

#[tokio::test]
async fn a_new_key_is_known_when_its_first_token_comes() {
    let mut api = Api::new().await;
    let person = api.pinner().await;
    assert_eq!(api.get(&person, "/pins").await.status, 200);
    api.key = SigningKey::new(2, unique()).into();
    api.storage.add_key(&api.key.public(api.clock.now())).await.unwrap();
    let newer = api.token(person.account, Scopes::pins(), None).await;
    assert_eq!(api.get(&newer, "/pins").await.status, 200);
    assert_eq!(api.get(&person, "/pins").await.status, 200, "a retired key still verifies");
    api.storage.set_key_state(1, KeyState::Revoked, api.clock.now()).await.unwrap();
    api.get(&person, "/pins").await.failure(401, "UNAUTHORIZED");
    assert_eq!(api.get(&newer, "/pins").await.status, 200);
}

#[tokio::test]
async fn a_token_expires_when_its_time_comes_though_it_was_verified_before() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let short = api.token(person.account, Scopes::pins(), Some(api.clock.now() + Duration::from_mins(1))).await;
    assert_eq!(api.get(&short, "/pins").await.status, 200);
    api.clock.advance(Duration::from_mins(1));
    api.get(&short, "/pins").await.failure(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_that_was_never_stored_is_not_known() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let request = pinrail_domain::MintRequest {
        service: api.storage.service_id().await.unwrap(),
        account: person.account,
        token: TokenId::new(api.clock.now(), unique()),
        name: "lost".to_owned(),
        scopes: Scopes::pins(),
        expires: None,
        created: api.clock.now(),
    };
    let lost = Person { token: mint(&request, &api.key, unique()).unwrap().text, ..person };
    api.get(&lost, "/pins").await.failure(401, "UNAUTHORIZED");
}

/// A token of the account with the id of another one, signed with `key`.
async fn forged(api: &Api, person: &Person, id: TokenId, key: &SigningKey) -> Person {
    let request = pinrail_domain::MintRequest {
        service: api.storage.service_id().await.unwrap(),
        account: person.account,
        token: id,
        name: "forged".to_owned(),
        scopes: Scopes::pins(),
        expires: None,
        created: api.clock.now(),
    };
    Person { id, token: mint(&request, key, unique()).unwrap().text, ..*person }
}

#[tokio::test]
async fn a_key_alone_forges_no_token_and_a_revoked_one_none_of_another_key() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let reader = api.token(person.account, scopes(&[Scope::PinsRead]), None).await;
    assert_eq!(api.get(&reader, "/pins").await.status, 200);
    let wider = forged(&api, &person, reader.id, &api.key).await;
    let unknown = forged(&api, &person, TokenId::new(api.clock.now(), unique()), &api.key).await;
    let answer = api.get(&wider, "/pins").await;
    answer.failure(401, "UNAUTHORIZED");
    assert_eq!(api.get(&unknown, "/pins").await, answer, "nobody learns which ids there are");

    let new = SigningKey::new(2, unique());
    api.storage.add_key(&new.public(api.clock.now())).await.unwrap();
    let mut later = api.another_process().await;
    later.key = new.into();
    let newer = later.token(person.account, scopes(&[Scope::PinsRead]), None).await;
    assert_eq!(api.get(&newer, "/pins").await.status, 200);
    let stolen = forged(&api, &person, newer.id, &api.key).await;
    for process in [&api, &later] {
        process.get(&stolen, "/pins").await.failure(401, "UNAUTHORIZED");
    }
    api.storage.set_key_state(1, KeyState::Revoked, api.clock.now()).await.unwrap();
    for process in [&api, &later] {
        process.get(&stolen, "/pins").await.failure(401, "UNAUTHORIZED");
        process.get(&reader, "/pins").await.failure(401, "UNAUTHORIZED");
        assert_eq!(process.get(&newer, "/pins").await.status, 200);
    }
}

#[tokio::test]
async fn a_narrowed_token_is_revoked_alone() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let reads = Restrictions { operations: Some(scopes(&[Scope::PinsRead])), ..Restrictions::default() };
    let (leaked, other) = (narrowed(&person, &reads), narrowed(&person, &reads));
    let child = narrowed(&leaked, &reads);
    let there = api.another_process().await;
    let status = async |holder| {
        let [here, there] = [&api, &there].map(|process| process.get(holder, "/pins"));
        (here.await.status.as_u16(), there.await.status.as_u16())
    };
    assert_eq!((status(&leaked).await, status(&child).await), ((200, 200), (200, 200)));
    let block = pinrail_domain::inspect(&leaked.token).unwrap().blocks.pop().unwrap().revocation_id;
    assert!(api.storage.revoke_block(&person.id, &block, api.clock.now()).await.unwrap());
    assert_eq!((status(&leaked).await, status(&child).await), ((401, 401), (401, 401)));
    assert_eq!((status(&other).await, status(&person).await), ((200, 200), (200, 200)));
}

#[tokio::test]
async fn the_last_use_is_noted() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let used = async || api.storage.find_token(&person.id).await.unwrap().unwrap().last_used;
    assert_eq!(used().await, None);
    api.send(&person, Method::GET, "/pins", "").await;
    let first = api.clock.now();
    api.state.flush().await;
    assert_eq!(used().await, Some(first));
    api.clock.advance(Duration::from_secs(1));
    api.send(&person, Method::GET, "/pins", "").await;
    api.state.flush().await;
    assert_eq!(used().await, Some(first), "once a minute is enough");
}
