//! Narrowing a token, and what it then allows.

use std::collections::BTreeMap;

use pinrail_domain::{
    Act, AttenuateError, NameRestriction, Operation, Restrictions, Scope, Scopes, Subject, TokenError, VerifiedToken,
    attenuate, authorize,
};
use pinrail_spec::{Cid, Match, NameFilter, PinFilter, Reason, RootKey, Status};

use crate::fixture::{NOW, later, standing, token, verify_here};

const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
const CID_V0: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";

fn cid(text: &str) -> Cid {
    Cid::parse(text).unwrap()
}

fn narrowed(restrictions: &Restrictions) -> VerifiedToken {
    verify_here(&attenuate(&token(), restrictions, [5; 32]).unwrap()).unwrap()
}

/// What people narrow tokens to: read only, one prefix, one name, one CID, one hour.
#[test]
fn a_narrowed_token_allows_what_is_left() {
    let backup = cid(CID);
    let other = cid(CID_V0);
    let named = Subject { name: Some("backup/monday"), cid: &backup };
    let stranger = Subject { name: Some("photos"), cid: &other };
    let nameless = Subject { name: None, cid: &other };
    let (root, other_root) = (backup.root(), other.root());
    let list = |name, root| Operation::List { name, root };
    let read_only = Restrictions { operations: Some(Scopes::from_iter([Scope::PinsRead])), ..Restrictions::default() };
    let prefix = Restrictions { name: Some(NameRestriction::Prefix("backup/".to_owned())), ..Restrictions::default() };
    let exact = Restrictions { name: Some(NameRestriction::Exact("backup/monday".to_owned())), ..prefix.clone() };
    let one_cid = Restrictions { cid: Some(root.clone()), ..Restrictions::default() };
    let v0 = Restrictions { cid: Some(other_root.clone()), ..Restrictions::default() };
    let hour = Restrictions { expires: Some(later(60)), ..Restrictions::default() };
    let past = Restrictions { expires: Some(NOW), ..Restrictions::default() };
    let reads_prefix = Restrictions { name: prefix.name.clone(), ..read_only.clone() };
    let past_cid = Restrictions { cid: one_cid.cid.clone(), ..past.clone() };
    let cases = [
        (&read_only, Operation::Read(stranger), true),
        (&read_only, list(None, None), true),
        (&read_only, Operation::Add(named), false),
        (&read_only, Operation::Delete(named), false),
        (&prefix, Operation::Read(named), true),
        (&prefix, Operation::Add(named), true),
        (&prefix, Operation::Delete(named), true),
        (&prefix, Operation::Read(stranger), false),
        (&prefix, Operation::Read(nameless), false),
        (&prefix, Operation::Replace { old: named, new: named }, true),
        (&prefix, Operation::Replace { old: stranger, new: named }, false),
        (&prefix, Operation::Replace { old: named, new: stranger }, false),
        (&prefix, list(Some("backup/monday"), None), true),
        (&prefix, list(Some("photos"), None), false),
        (&prefix, list(None, Some(&root)), false),
        (&prefix, list(None, None), false),
        (&exact, Operation::Read(named), true),
        (&exact, list(Some("backup/monday"), Some(&root)), true),
        (&exact, list(Some("backup/"), None), false),
        (&one_cid, Operation::Read(named), true),
        (&one_cid, Operation::Read(stranger), false),
        (&one_cid, list(None, Some(&root)), true),
        (&one_cid, list(None, Some(&other_root)), false),
        (&one_cid, list(Some("backup/monday"), None), false),
        (&v0, Operation::Add(stranger), true),
        (&v0, list(None, Some(&other_root)), true),
        (&hour, Operation::Add(stranger), true),
        (&hour, list(None, None), true),
        (&past, Operation::Read(named), false),
        (&read_only, Operation::Absent(Act::Read), true),
        (&read_only, Operation::Absent(Act::Delete), false),
        (&read_only, Operation::Absent(Act::Replace), false),
        (&prefix, Operation::Absent(Act::Delete), true),
        (&past, Operation::Absent(Act::Read), false),
        (&reads_prefix, Operation::Absent(Act::Read), true),
        (&reads_prefix, Operation::Absent(Act::Delete), false),
        (&past_cid, Operation::Absent(Act::Read), false),
    ];
    for (index, (restrictions, operation, allowed)) in cases.into_iter().enumerate() {
        let found = authorize(&narrowed(restrictions), &standing(), &operation, NOW);
        assert_eq!(found.is_ok(), allowed, "case {index}: {operation:?}: {found:?}");
        assert!(found.err().is_none_or(|refusal| refusal.reason() == Reason::Forbidden), "case {index}");
    }
}

#[test]
fn every_block_narrows_further_and_none_widens() {
    let read = Restrictions { operations: Some(Scopes::from_iter([Scope::PinsRead])), ..Restrictions::default() };
    let all = Restrictions { operations: Some(Scope::ALL.into_iter().collect()), ..Restrictions::default() };
    let once = attenuate(&token(), &read, [5; 32]).unwrap();
    let verified = verify_here(&attenuate(&once, &all, [6; 32]).unwrap()).unwrap();
    assert_eq!(verified.revocation_ids().len(), 3);
    assert_eq!(verified.revocation_ids()[0], verify_here(&token()).unwrap().revocation_ids()[0]);
    assert_eq!(verified.revocation_ids()[..2], verify_here(&once).unwrap().revocation_ids()[..]);
    let pin = cid(CID);
    let subject = Subject { name: None, cid: &pin };
    assert_eq!(authorize(&verified, &standing(), &Operation::Read(subject), NOW), Ok(()));
    assert!(authorize(&verified, &standing(), &Operation::Add(subject), NOW).is_err());
}

#[test]
fn a_list_that_is_too_wide_is_told_which_filter_to_add() {
    let name_and_cid = Restrictions {
        name: Some(NameRestriction::Prefix("backup/".to_owned())),
        cid: Some(cid(CID).root()),
        ..Restrictions::default()
    };
    let token = narrowed(&name_and_cid);
    let list = |filter: &PinFilter| authorize(&token, &standing(), &Operation::list(filter), NOW);
    let name = |matching| Some(NameFilter { text: "backup/monday".to_owned(), matching });
    let roots = |texts: &[&str]| texts.iter().map(|text| cid(text).root()).collect::<Vec<RootKey>>();
    assert_eq!(list(&filter(name(Match::Exact), roots(&[CID]))), Ok(()));
    let cases = [
        (filter(None, vec![]), ", add the filters name=… (exact) and cid=… (a single one): check if pin_name("),
        (filter(name(Match::Partial), roots(&[CID])), ", add the filter name=… (exact): "),
        (filter(name(Match::Iexact), roots(&[CID])), ", add the filter name=… (exact): "),
        (filter(name(Match::Exact), roots(&[CID, CID_V0])), ", add the filter cid=… (a single one): "),
        (filter(name(Match::Exact), roots(&[CID_V0])), "does not allow this: check if pin_cid("),
    ];
    for (filter, wanted) in cases {
        let refusal = list(&filter).unwrap_err();
        assert_eq!(refusal.reason(), Reason::Forbidden);
        assert!(refusal.to_string().contains(wanted), "{refusal}");
    }
}

#[test]
fn no_filter_is_named_where_none_would_help() {
    let name = Some(NameRestriction::Prefix("backup/".to_owned()));
    let deletes = Some(Scopes::from_iter([Scope::PinsDelete]));
    let token = narrowed(&Restrictions { operations: deletes, name, ..Restrictions::default() });
    let list = Operation::List { name: None, root: None };
    let refusal = authorize(&token, &standing(), &list, NOW).unwrap_err().to_string();
    assert!(refusal.contains("does not allow this: check if operation("), "{refusal}");
}

fn filter(name: Option<NameFilter>, roots: Vec<RootKey>) -> PinFilter {
    let statuses = vec![Status::Pinned];
    PinFilter { roots, name, statuses, before: None, after: None, meta: BTreeMap::new(), limit: 10 }
}

#[test]
fn what_cannot_be_narrowed_is_said() {
    let nothing = Restrictions::default();
    let hour = Restrictions { expires: Some(later(60)), ..Restrictions::default() };
    let none = Restrictions { operations: Some(Scopes::default()), ..Restrictions::default() };
    let long = Restrictions { name: Some(NameRestriction::Exact("x".repeat(4096))), ..Restrictions::default() };
    assert_eq!(attenuate(&token(), &nothing, [5; 32]), Err(AttenuateError::Nothing));
    assert_eq!(attenuate(&token(), &none, [5; 32]), Err(AttenuateError::NoOperation));
    assert_eq!(attenuate("no token", &hour, [5; 32]), Err(TokenError::Malformed.into()));
    assert!(matches!(attenuate(&token(), &long, [5; 32]), Err(AttenuateError::Token(TokenError::TooLong(_)))));
    let four = (0..4).fold(token(), |text, _| attenuate(&text, &hour, [5; 32]).unwrap());
    assert!(verify_here(&four).unwrap().is_narrowed());
    assert_eq!(attenuate(&four, &hour, [5; 32]), Err(TokenError::TooManyBlocks(6).into()));
}
