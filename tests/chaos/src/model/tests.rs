//! Tests that the model sees what is lost, what came back, and what is half done.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Item, Model, Place};
use crate::filter::Filter;

fn answer(number: u32, status: &str) -> Value {
    json!({
        "requestid": format!("id-{number}"),
        "created": format!("2026-01-01T00:00:00.{number:03}Z"),
        "status": status,
        "delegates": ["/ip4/127.0.0.1/tcp/1/p2p/x"],
        "pin": { "cid": "bafkqaaa", "name": format!("name-{number}") },
    })
}

fn item(number: u32, status: &str) -> Item {
    Item::read(&answer(number, status)).unwrap()
}

fn asked(model: &mut Model, number: u32) -> Place {
    model.ask("bafkqaaa", &format!("name-{number}"), BTreeMap::new()).0
}

fn added(model: &mut Model, number: u32) -> Place {
    let place = asked(model, number);
    model.added(place, "", &answer(number, "queued")).unwrap();
    place
}

fn walk(model: &mut Model, numbers: &[u32]) -> Result<(), String> {
    let begun = model.now();
    let items: Vec<Item> = numbers.iter().map(|number| item(*number, "queued")).collect();
    model.check_walk(begun, &items)
}

#[test]
fn what_was_answered_must_be_listed() {
    let mut model = Model::default();
    added(&mut model, 1);
    added(&mut model, 2);
    assert_eq!(walk(&mut model, &[2, 1]), Ok(()));
    assert!(walk(&mut model, &[2]).unwrap_err().starts_with("lost: name-1"));
    let begun = model.now();
    added(&mut model, 3);
    // It came while the walk was under way.
    let items = [item(2, "queued"), item(1, "queued")];
    assert_eq!(model.check_walk(begun, &items), Ok(()));
}

#[test]
fn what_was_deleted_must_not_come_back() {
    let mut model = Model::default();
    let place = added(&mut model, 1);
    model.leave(place);
    // Its answer is not there yet, so both are right.
    assert_eq!(walk(&mut model, &[1]), Ok(()));
    model.gone(place);
    assert_eq!(walk(&mut model, &[]), Ok(()));
    assert!(walk(&mut model, &[1]).unwrap_err().starts_with("came back: name-1"));
    let begun = model.now();
    assert!(model.check_one(place, begun, Some(&item(1, "queued"))).is_err());
}

#[test]
fn a_doubt_is_settled_by_the_first_list_and_holds() {
    let mut model = Model::default();
    asked(&mut model, 1);
    let deleted = added(&mut model, 2);
    model.leave(deleted);
    assert_eq!(walk(&mut model, &[1]), Ok(()));
    assert!(walk(&mut model, &[]).unwrap_err().starts_with("lost: name-1"));
    assert!(walk(&mut model, &[2, 1]).unwrap_err().starts_with("came back: name-2"));
}

#[test]
fn an_answer_that_comes_after_a_list_and_a_delete_brings_nothing_back() {
    let mut model = Model::default();
    let place = asked(&mut model, 1);
    assert_eq!(walk(&mut model, &[1]), Ok(()));
    model.leave(place);
    model.gone(place);
    model.added(place, "", &answer(1, "queued")).unwrap();
    assert_eq!(walk(&mut model, &[]), Ok(()));
}

#[test]
fn half_a_replace_is_seen() {
    for (listed, holds) in [(&[2_u32][..], true), (&[1][..], true), (&[2, 1][..], false), (&[][..], false)] {
        let mut model = Model::default();
        let old = added(&mut model, 1);
        let new = asked(&mut model, 2);
        model.replace(old, new, false);
        let result = walk(&mut model, listed).and_then(|()| model.close());
        assert_eq!(result.is_ok(), holds, "{listed:?}: {result:?}");
    }
}

#[test]
fn a_replace_that_another_answer_proves_must_have_come() {
    for (listed, holds) in [(&[2_u32][..], true), (&[][..], false)] {
        let mut model = Model::default();
        let old = added(&mut model, 1);
        let new = asked(&mut model, 2);
        model.replace(old, new, true);
        model.surely_replaced(new);
        model.gone(old);
        let result = walk(&mut model, listed).and_then(|()| model.close());
        assert_eq!(result.is_ok(), holds, "{listed:?}: {result:?}");
    }
}

#[test]
fn a_filtered_list_has_what_it_must_and_nothing_else() {
    let mut model = Model::default();
    added(&mut model, 1);
    let pinned = added(&mut model, 2);
    let asked = model.now();
    assert_eq!(model.check_one(pinned, asked, Some(&item(2, "pinned"))), Ok(()));
    let mut check = |filter: Filter, items: &[Item]| {
        let begun = model.now();
        model.check_filtered(begun, &filter, items).map_err(|text| text.split(": ").nth(1).unwrap_or(&text).to_owned())
    };
    let root = || Filter::Root(["bafkqaaa".to_owned(), "f01550000".to_owned()]);
    assert_eq!(check(root(), &[item(2, "pinned"), item(1, "queued")]), Ok(()));
    assert_eq!(check(root(), &[item(2, "pinned")]), Err("lost".to_owned()));
    assert_eq!(check(Filter::Exact("name-1".to_owned()), &[item(1, "queued")]), Ok(()));
    assert_eq!(check(Filter::Iexact("NAME-1".to_owned()), &[]), Err("lost".to_owned()));
    assert!(check(Filter::Partial("me-1".to_owned()), &[item(2, "pinned")]).is_err());
    assert_eq!(check(Filter::Status("pinned"), &[item(2, "pinned")]), Ok(()));
    assert_eq!(check(Filter::Status("pinned"), &[]), Err("lost".to_owned()));
    assert_eq!(check(Filter::Status("queued"), &[]), Ok(()));
    assert!(check(Filter::Kind("1".to_owned()), &[item(1, "queued")]).is_err());
}

#[test]
fn strangers_and_disorder_are_seen() {
    let mut model = Model::default();
    added(&mut model, 1);
    added(&mut model, 2);
    assert!(walk(&mut model, &[1, 2]).unwrap_err().contains("is listed before"));
    assert!(walk(&mut model, &[3, 2, 1]).unwrap_err().starts_with("a stranger"));
    let refused = asked(&mut model, 4);
    model.refused(refused);
    assert!(walk(&mut model, &[4, 2, 1]).unwrap_err().contains("was refused"));
}

#[test]
fn what_was_pinned_stays_pinned() {
    let mut model = Model::default();
    let place = added(&mut model, 1);
    let asked = model.now();
    assert_eq!(model.check_one(place, asked, Some(&item(1, "pinned"))), Ok(()));
    let asked = model.now();
    assert!(model.check_one(place, asked, Some(&item(1, "pinning"))).unwrap_err().contains("was pinned"));
}

#[test]
fn an_answer_out_of_order_is_seen() {
    let mut model = Model::default();
    added(&mut model, 5);
    let (place, floor) = model.ask("bafkqaaa", "name-4", BTreeMap::new());
    assert!(model.added(place, &floor, &answer(4, "queued")).unwrap_err().contains("created"));
}
