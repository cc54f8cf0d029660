//! The filters of a list, each alone and together.

use pinrail_domain::AccountId;
use pinrail_spec::{Match, PinFilter, Status};

use crate::Fixture;
use crate::fixture::SLOTS;
use crate::samples::{
    by_name, cid, everything, failed, in_status, meta, named, parsed, pin_of, pinned, with_meta, with_origins,
};

/// Four requests of an account, one in each status, named so.
async fn one_of_each(fixture: &Fixture) -> AccountId {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    for (number, name) in [(1, "pinned"), (2, "failed"), (3, "pinning")] {
        fixture.advance_secs(1);
        fixture.add_pin(&ada, named(number, name)).await;
    }
    for lease in fixture.lease(&node, SLOTS).await {
        match &lease.key.root {
            root if *root == cid(1).root() => fixture.settle(&lease, pinned(10)).await,
            root if *root == cid(2).root() => fixture.settle(&lease, failed()).await,
            _ => {}
        }
    }
    fixture.advance_secs(1);
    fixture.add_pin(&ada, named(4, "queued")).await;
    ada
}

async fn assert_names(fixture: &Fixture, account: &AccountId, filter: &PinFilter, wanted: &[&str]) {
    let mut names = fixture.names(account, filter).await;
    names.sort();
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    assert_eq!(names, wanted, "{filter:?}");
}

/// One status or several, each request under its own and no other.
pub async fn statuses_filter(fixture: &Fixture) {
    use Status::{Failed, Pinned, Pinning, Queued};
    let ada = one_of_each(fixture).await;
    for (statuses, wanted) in [
        (&[Queued][..], &["queued"][..]),
        (&[Pinning], &["pinning"]),
        (&[Pinned], &["pinned"]),
        (&[Failed], &["failed"]),
        (&[Queued, Pinning], &["queued", "pinning"]),
        (&[Failed, Pinned, Failed], &["failed", "pinned"]),
        (&Status::ALL, &["failed", "pinned", "pinning", "queued"]),
    ] {
        assert_names(fixture, &ada, &in_status(statuses), wanted).await;
    }
    for request in fixture.list(&ada, &everything()).await.requests {
        assert_eq!(Some(request.status.as_str()), request.pin.name.as_deref());
    }
}

/// The newest first, and no other account's.
pub async fn the_newest_come_first(fixture: &Fixture) {
    let ada = one_of_each(fixture).await;
    let bob = fixture.account("bob").await;
    fixture.add_pin(&bob, named(1, "bob's")).await;
    assert_eq!(fixture.names(&ada, &everything()).await, ["queued", "pinning", "failed", "pinned"]);
    assert_eq!(fixture.names(&bob, &everything()).await, ["bob's"]);
}

/// CIDs match by codec and multihash, whatever their version and base; a codec that is never pinned matches nothing.
pub async fn cids_match_by_codec_and_multihash(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    fixture.node(1).await;
    let v0 = parsed("QmYjtig7VJQ6XsnUjqqJvj7QaMcCAwtrgNdahSiFofrE7o");
    let v1 = parsed(&v0.to_v1_base32());
    let mut raw = v0.root();
    raw.codec = 0x55;
    let mut never = v0.root();
    never.codec = 0x78;
    for (cid, name) in [(v0.clone(), "v0"), (v1.clone(), "v1"), (cid(1), "one"), (cid(2), "two")] {
        let pin = pinrail_spec::Pin { name: Some(name.to_owned()), ..pin_of(cid) };
        fixture.add_pin(&ada, pin).await;
    }
    fixture.add_pin(&bob, named(3, "bob's")).await;
    for (roots, wanted) in [
        (vec![v0.root()], &["v0", "v1"][..]),
        (vec![v1.root()], &["v0", "v1"]),
        (vec![raw.clone()], &[]),
        (vec![never], &[]),
        (vec![cid(3).root()], &[]),
        (vec![cid(2).root(), raw, cid(1).root(), cid(2).root()], &["one", "two"]),
        ((0..100).map(|number| cid(number).root()).collect(), &["one", "two"]),
    ] {
        assert_names(fixture, &ada, &PinFilter { roots, ..everything() }, wanted).await;
    }
}

/// The four matches of a name; `%`, `_` and `\` mean themselves, case is folded, not lowered.
pub async fn names_match_in_four_ways(fixture: &Fixture) {
    use Match::{Exact, Iexact, Ipartial, Partial};
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    fixture.add(&ada, 1).await;
    let names = [
        "ReportDoc.pdf",
        "reportdoc.pdf",
        "100%",
        "100x",
        "a_b",
        "axb",
        r"a\b",
        "Straße",
        "STRASSE",
        "ΟΔΟΣ.txt",
        "οδος.txt",
        "οδοσ",
        "*",
        " pad ",
        "'; --",
        "ﬁn",
        "FIN",
    ];
    for (number, name) in (0..).zip(names) {
        fixture.add_pin(&ada, named(number, name)).await;
    }
    for (text, matching, wanted) in [
        ("ReportDoc.pdf", Exact, &["ReportDoc.pdf"][..]),
        ("REPORTDOC.PDF", Exact, &[]),
        ("REPORTDOC.PDF", Iexact, &["ReportDoc.pdf", "reportdoc.pdf"]),
        ("Report", Exact, &[]),
        ("Report", Iexact, &[]),
        ("Doc", Partial, &["ReportDoc.pdf"]),
        ("DOC", Partial, &[]),
        ("DOC", Ipartial, &["ReportDoc.pdf", "reportdoc.pdf"]),
        ("100%", Exact, &["100%"]),
        ("100%", Iexact, &["100%"]),
        ("0%", Partial, &["100%"]),
        ("%", Ipartial, &["100%"]),
        ("a_b", Iexact, &["a_b"]),
        ("_", Partial, &["a_b"]),
        ("_", Ipartial, &["a_b"]),
        (r"\", Partial, &[r"a\b"]),
        (r"\", Ipartial, &[r"a\b"]),
        ("*", Partial, &["*"]),
        ("'; --", Exact, &["'; --"]),
        ("pad", Exact, &[]),
        (" pad ", Exact, &[" pad "]),
        ("straße", Iexact, &["Straße", "STRASSE"]),
        ("strasse", Iexact, &["Straße", "STRASSE"]),
        ("SS", Ipartial, &["Straße", "STRASSE"]),
        ("ß", Partial, &["Straße"]),
        ("ΟΔΟΣ", Partial, &["ΟΔΟΣ.txt"]),
        ("ΟΔΟΣ", Ipartial, &["ΟΔΟΣ.txt", "οδος.txt", "οδοσ"]),
        ("οδος", Iexact, &["οδοσ"]),
        ("fin", Iexact, &["ﬁn", "FIN"]),
        ("nowhere", Ipartial, &[]),
    ] {
        assert_names(fixture, &ada, &by_name(text, matching), wanted).await;
    }
}

/// All pairs of meta have to be there, in one request, the key and the value exactly.
pub async fn all_pairs_of_meta_match(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    fixture.node(1).await;
    for number in 0..30 {
        let name = format!("common {number}");
        let pin = with_meta(number, &[("app_id", "58bb"), ("number", &number.to_string())]);
        fixture.add_pin(&ada, pinrail_spec::Pin { name: Some(name), ..pin }).await;
    }
    let rare = with_meta(30, &[("app_id", "58bb"), ("region", "europe"), ("vendor_policy", "1")]);
    fixture.add_pin(&ada, pinrail_spec::Pin { name: Some("rare".to_owned()), ..rare }).await;
    let other = with_meta(31, &[("app_id", "58aa"), ("Region", "europe"), ("europe", "region"), ("%", "_")]);
    fixture.add_pin(&ada, pinrail_spec::Pin { name: Some("other".to_owned()), ..other }).await;
    fixture.add_pin(&bob, with_meta(30, &[("app_id", "58bb"), ("region", "europe")])).await;

    for (pairs, wanted) in [
        (&[("app_id", "58bb"), ("region", "europe")][..], &["rare"][..]),
        (&[("region", "europe")], &["rare"]),
        (&[("Region", "europe")], &["other"]),
        (&[("app_id", "58aa"), ("region", "europe")], &[]),
        (&[("app_id", "58bb"), ("number", "7")], &["common 7"]),
        (&[("number", "7"), ("region", "europe")], &[]),
        (&[("app_id", "58BB")], &[]),
        (&[("app_id", "58b")], &[]),
        (&[("%", "_")], &["other"]),
        (&[("%", "%")], &[]),
        (&[("app_id", "")], &[]),
        (&[("absent", "1")], &[]),
    ] {
        assert_names(fixture, &ada, &PinFilter { meta: meta(pairs), ..everything() }, wanted).await;
    }
    let common = PinFilter { meta: meta(&[("app_id", "58bb")]), ..everything() };
    assert_eq!(fixture.list(&ada, &common).await.count, 31);
}

/// What is removed or replaced is found by none of its parts any more, and what it left out is gone.
pub async fn what_is_gone_matches_nothing(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let full = |number| pinrail_spec::Pin { name: Some("old".to_owned()), ..with_meta(number, &[("k", "v")]) };
    let (removed, replaced) = (fixture.add_pin(&ada, full(1)).await, fixture.add_pin(&ada, full(2)).await);
    assert!(fixture.remove(&ada, &removed.id).await);
    fixture.replace(&ada, &replaced.id, with_origins(2, [7])).await;
    for filter in [
        by_name("old", Match::Exact),
        by_name("OLD", Match::Iexact),
        by_name("o", Match::Partial),
        by_name("O", Match::Ipartial),
        PinFilter { meta: meta(&[("k", "v")]), ..everything() },
        PinFilter { roots: vec![cid(1).root()], ..everything() },
    ] {
        assert_names(fixture, &ada, &filter, &[]).await;
    }
    assert_eq!(fixture.list(&ada, &everything()).await.count, 1);
}

/// Every part of a filter has to match, in the page and in the count.
pub async fn filters_combine(fixture: &Fixture) {
    let ada = one_of_each(fixture).await;
    let all = fixture.list(&ada, &everything()).await.requests;
    let (queued, pinned) = (all[0].created, all[3].created);
    let between = PinFilter { before: Some(queued), after: Some(pinned), ..everything() };
    assert_names(fixture, &ada, &between, &["failed", "pinning"]).await;
    let by_part = PinFilter { before: Some(queued), after: Some(pinned), ..by_name("pinn", Match::Partial) };
    assert_names(fixture, &ada, &by_part, &["pinning"]).await;
    let by_cid = PinFilter { roots: vec![cid(2).root(), cid(1).root()], ..in_status(&[Status::Pinned]) };
    assert_names(fixture, &ada, &by_cid, &["pinned"]).await;
    let contradicting = PinFilter { roots: vec![cid(2).root()], ..in_status(&[Status::Pinned]) };
    assert_names(fixture, &ada, &contradicting, &[]).await;
}
