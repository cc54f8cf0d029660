//! Narrowed tokens: what is left of them, and in which order that is judged.

use std::time::Duration;

use axum::http::Method;
use pinrail_domain::{NameRestriction, Restrictions, Scope, Scopes, attenuate};
use pinrail_spec::Cid;
use serde_json::{Value, json};

use super::support::{Answer, Api, Person, assert_page, cid, unique};

pub fn narrowed(person: &Person, restrictions: &Restrictions) -> Person {
    Person { token: attenuate(&person.token, restrictions, unique()).unwrap(), ..person.clone() }
}

fn left_with(scope: Scope) -> Restrictions {
    Restrictions { operations: Some(Scopes::from_iter([scope])), ..Restrictions::default() }
}

#[tokio::test]
async fn narrowed_to_one_prefix() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let name = Some(NameRestriction::Prefix("app/".to_owned()));
    let holder = narrowed(&person, &Restrictions { name, ..Restrictions::default() });
    let inside = api.add(&holder, &json!({"cid": cid(1), "name": "app/one"})).await;
    let outside = api.add(&person, &json!({"cid": cid(2), "name": "other"})).await;
    let unnamed = api.add(&person, &json!({"cid": cid(3)})).await;
    let path = |status: &Value| format!("/pins/{}", status["requestid"].as_str().unwrap());

    for pin in [json!({"cid": cid(4), "name": "other"}), json!({"cid": cid(4)})] {
        api.post(&holder, "/pins", &pin).await.failure(403, "FORBIDDEN");
    }
    // 400 before the narrowed token's 403.
    api.post(&holder, "/pins", &json!({"cid": "x", "name": "other"})).await.failure(400, "BAD_REQUEST");
    assert_eq!(api.get(&holder, &path(&inside)).await.status, 200);
    for other in [&outside, &unnamed] {
        api.get(&holder, &path(other)).await.failure(403, "FORBIDDEN");
        api.delete(&holder, &path(other)).await.failure(403, "FORBIDDEN");
        let pin = json!({"cid": cid(4), "name": "app/two"});
        api.post(&holder, &path(other), &pin).await.failure(403, "FORBIDDEN");
    }
    let away = json!({"cid": cid(4), "name": "other"});
    api.post(&holder, &path(&inside), &away).await.failure(403, "FORBIDDEN");
    // The new pin's 403 before the 404 of the old one.
    api.post(&holder, "/pins/nothing", &away).await.failure(403, "FORBIDDEN");
    api.get(&holder, "/pins/nothing").await.failure(404, "NOT_FOUND");
    let replaced = api.post(&holder, &path(&inside), &json!({"cid": cid(4), "name": "app/two"})).await;
    assert_eq!(replaced.status, 202, "{}", replaced.text());
    assert_eq!(api.delete(&holder, &path(&replaced.json())).await.status, 202);

    let details = api.get(&holder, "/pins").await.failure(403, "FORBIDDEN");
    assert!(details.contains("add the filter name="), "{details}");
    api.get(&holder, "/pins?name=app&match=partial").await.failure(403, "FORBIDDEN");
    api.get(&holder, "/pins?name=other").await.failure(403, "FORBIDDEN");
    assert_page(&api.list(&holder, "name=app/one").await, 0);
}

#[tokio::test]
async fn narrowed_to_one_cid() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let root = Cid::parse(&cid(1)).unwrap().root();
    let holder = narrowed(&person, &Restrictions { cid: Some(root), ..Restrictions::default() });
    let upper = cid(1).parse::<cid::Cid>().unwrap().to_string_of_base(multibase::Base::Base32Upper).unwrap();
    api.add(&holder, &json!({"cid": upper})).await;
    api.post(&holder, "/pins", &json!({"cid": cid(2)})).await.failure(403, "FORBIDDEN");
    let details = api.get(&holder, "/pins").await.failure(403, "FORBIDDEN");
    assert!(details.contains("add the filter cid="), "{details}");
    api.get(&holder, &format!("/pins?cid={},{}", cid(1), cid(2))).await.failure(403, "FORBIDDEN");
    assert_page(&api.list(&holder, &format!("cid={}&status=queued", cid(1))).await, 1);
}

#[tokio::test]
async fn narrowed_to_reading_and_to_an_hour() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let hour = api.clock.now() + Duration::from_hours(1);
    let restrictions = Restrictions { expires: Some(hour), ..left_with(Scope::PinsRead) };
    let reader = narrowed(&person, &restrictions);
    assert_eq!(api.get(&reader, "/pins").await.status, 200);
    api.post(&reader, "/pins", &json!({"cid": cid(1)})).await.failure(403, "FORBIDDEN");
    let added = api.add(&person, &json!({"cid": cid(1)})).await;
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    api.delete(&reader, &path).await.failure(403, "FORBIDDEN");
    assert_eq!(api.get(&reader, &path).await.status, 200);
    api.clock.advance(Duration::from_hours(1));
    // The token is good, it only does not allow this any more: a minted one that expired is 401.
    api.get(&reader, "/pins").await.failure(403, "FORBIDDEN");
}

#[tokio::test]
async fn narrowed_too_often() {
    let api = Api::new().await;
    let mut holder = api.pinner().await;
    let reads = Restrictions { operations: Some(Scopes::pins()), ..Restrictions::default() };
    for _ in 0..4 {
        holder = narrowed(&holder, &reads);
        assert_eq!(api.get(&holder, "/pins").await.status, 200);
    }
    // The fifth cannot be made; cutting or doubling the text makes no token either.
    assert!(attenuate(&holder.token, &reads, unique()).is_err());
    for text in [holder.token[..holder.token.len() - 8].to_owned(), holder.token.repeat(2)] {
        api.get(&Person { token: text, ..holder.clone() }, "/pins").await.failure(401, "UNAUTHORIZED");
    }
}

/// What every token here is asked to do with an id that its account does not have.
async fn ask_each(api: &Api, holder: &Person, id: &str) -> [Answer; 3] {
    let (path, pin) = (format!("/pins/{id}"), json!({"cid": cid(9), "name": "app/two"}).to_string());
    let read = api.get(holder, &path).await;
    let replaced = api.send(holder, Method::POST, &path, pin).await;
    [read, replaced, api.delete(holder, &path).await]
}

#[tokio::test]
async fn what_a_token_does_not_allow_is_refused_before_an_id_is_unknown() {
    let api = Api::new().await;
    let (person, owner) = (api.pinner().await, api.pinner().await);
    let foreign = api.add(&owner, &json!({"cid": cid(1), "name": "app/one"})).await;
    let foreign = foreign["requestid"].as_str().unwrap();
    let name = Some(NameRestriction::Prefix("app/".to_owned()));
    let named = Restrictions { name, ..Restrictions::default() };
    let one_cid = Restrictions { cid: Some(Cid::parse(&cid(9)).unwrap().root()), ..Restrictions::default() };
    let ended = Restrictions { expires: Some(api.clock.now()), ..Restrictions::default() };
    for (restrictions, wanted) in [
        (left_with(Scope::PinsRead), [404, 403, 403]),
        (left_with(Scope::PinsWrite), [403, 403, 403]),
        (left_with(Scope::PinsDelete), [403, 403, 404]),
        (Restrictions { name: named.name.clone(), ..left_with(Scope::PinsRead) }, [404, 403, 403]),
        (named, [404, 404, 404]),
        (one_cid, [404, 404, 404]),
        (ended, [403, 403, 403]),
    ] {
        let holder = narrowed(&person, &restrictions);
        let told = ask_each(&api, &holder, foreign).await;
        assert_eq!(told.clone().map(|answer| answer.status.as_u16()), wanted, "{restrictions:?}");
        for unknown in ["0190d9a4-7c5e-7cc3-98c4-dc0c0c07398f", "nothing", "%ff"] {
            assert_eq!(ask_each(&api, &holder, unknown).await, told, "{unknown}: {restrictions:?}");
        }
    }
}
