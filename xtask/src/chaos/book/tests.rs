//! Tests that the book sees what is lost, what came back, and what is half done.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Book, Item, Place};
use crate::chaos::filter::Filter;

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

fn asked(book: &mut Book, number: u32) -> Place {
    book.ask("bafkqaaa", &format!("name-{number}"), BTreeMap::new()).0
}

fn added(book: &mut Book, number: u32) -> Place {
    let place = asked(book, number);
    book.added(place, "", &answer(number, "queued")).unwrap();
    place
}

fn walk(book: &mut Book, numbers: &[u32]) -> Result<(), String> {
    let begun = book.now();
    let items: Vec<Item> = numbers.iter().map(|number| item(*number, "queued")).collect();
    book.check_walk(begun, &items)
}

#[test]
fn what_was_answered_must_be_listed() {
    let mut book = Book::default();
    added(&mut book, 1);
    added(&mut book, 2);
    assert_eq!(walk(&mut book, &[2, 1]), Ok(()));
    assert!(walk(&mut book, &[2]).unwrap_err().starts_with("lost: name-1"));
    let begun = book.now();
    added(&mut book, 3);
    // It came while the walk was under way.
    let items = [item(2, "queued"), item(1, "queued")];
    assert_eq!(book.check_walk(begun, &items), Ok(()));
}

#[test]
fn what_was_deleted_must_not_come_back() {
    let mut book = Book::default();
    let place = added(&mut book, 1);
    book.leave(place);
    // Its answer is not there yet, so both are right.
    assert_eq!(walk(&mut book, &[1]), Ok(()));
    book.gone(place);
    assert_eq!(walk(&mut book, &[]), Ok(()));
    assert!(walk(&mut book, &[1]).unwrap_err().starts_with("came back: name-1"));
    let begun = book.now();
    assert!(book.check_one(place, begun, Some(&item(1, "queued"))).is_err());
}

#[test]
fn a_doubt_is_settled_by_the_first_list_and_holds() {
    let mut book = Book::default();
    asked(&mut book, 1);
    let deleted = added(&mut book, 2);
    book.leave(deleted);
    assert_eq!(walk(&mut book, &[1]), Ok(()));
    assert!(walk(&mut book, &[]).unwrap_err().starts_with("lost: name-1"));
    assert!(walk(&mut book, &[2, 1]).unwrap_err().starts_with("came back: name-2"));
}

#[test]
fn an_answer_that_comes_after_a_list_and_a_delete_brings_nothing_back() {
    let mut book = Book::default();
    let place = asked(&mut book, 1);
    assert_eq!(walk(&mut book, &[1]), Ok(()));
    book.leave(place);
    book.gone(place);
    book.added(place, "", &answer(1, "queued")).unwrap();
    assert_eq!(walk(&mut book, &[]), Ok(()));
}

#[test]
fn half_a_replace_is_seen() {
    for (listed, holds) in [(&[2_u32][..], true), (&[1][..], true), (&[2, 1][..], false), (&[][..], false)] {
        let mut book = Book::default();
        let old = added(&mut book, 1);
        let new = asked(&mut book, 2);
        book.replace(old, new, false);
        let result = walk(&mut book, listed).and_then(|()| book.close());
        assert_eq!(result.is_ok(), holds, "{listed:?}: {result:?}");
    }
}

#[test]
fn a_replace_that_another_answer_proves_must_have_come() {
    for (listed, holds) in [(&[2_u32][..], true), (&[][..], false)] {
        let mut book = Book::default();
        let old = added(&mut book, 1);
        let new = asked(&mut book, 2);
        book.replace(old, new, true);
        book.surely_replaced(new);
        book.gone(old);
        let result = walk(&mut book, listed).and_then(|()| book.close());
        assert_eq!(result.is_ok(), holds, "{listed:?}: {result:?}");
    }
}

#[test]
fn a_filtered_list_has_what_it_must_and_nothing_else() {
    let mut book = Book::default();
    added(&mut book, 1);
    let pinned = added(&mut book, 2);
    let asked = book.now();
    assert_eq!(book.check_one(pinned, asked, Some(&item(2, "pinned"))), Ok(()));
    let mut check = |filter: Filter, items: &[Item]| {
        let begun = book.now();
        book.check_filtered(begun, &filter, items).map_err(|text| text.split(": ").nth(1).unwrap_or(&text).to_owned())
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
    let mut book = Book::default();
    added(&mut book, 1);
    added(&mut book, 2);
    assert!(walk(&mut book, &[1, 2]).unwrap_err().contains("is listed before"));
    assert!(walk(&mut book, &[3, 2, 1]).unwrap_err().starts_with("a stranger"));
    let refused = asked(&mut book, 4);
    book.refused(refused);
    assert!(walk(&mut book, &[4, 2, 1]).unwrap_err().contains("was refused"));
}

#[test]
fn what_was_pinned_stays_pinned() {
    let mut book = Book::default();
    let place = added(&mut book, 1);
    let asked = book.now();
    assert_eq!(book.check_one(place, asked, Some(&item(1, "pinned"))), Ok(()));
    let asked = book.now();
    assert!(book.check_one(place, asked, Some(&item(1, "pinning"))).unwrap_err().contains("was pinned"));
}

#[test]
fn an_answer_out_of_order_is_seen() {
    let mut book = Book::default();
    added(&mut book, 5);
    let (place, floor) = book.ask("bafkqaaa", "name-4", BTreeMap::new());
    assert!(book.added(place, &floor, &answer(4, "queued")).unwrap_err().contains("created"));
}
