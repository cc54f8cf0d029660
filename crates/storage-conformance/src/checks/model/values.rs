//! What operations are about, drawn so that they meet: few names, few CIDs, few moments.

use std::collections::BTreeMap;
use std::time::Duration;

use pinrail_domain::Limits;
use pinrail_spec::{Cid, Match, Multiaddr, NameFilter, Pin, PinFilter, Status};
use proptest::collection::{btree_map, vec};
use proptest::option::{self, weighted};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select, subsequence};

use crate::samples::{address, parsed};

/// CIDs of a few roots: raw and dag-pb, the latter in both versions, and two that hold their whole content.
pub fn any_cid() -> BoxedStrategy<Cid> {
    let raw = (0..8_u64).prop_map(|number| parsed(&format!("f01551220{number:064x}")));
    let file = (0..3_u64).prop_map(|number| parsed(&format!("f01701220{number:064x}")));
    let file_v0 = (0..3_u64).prop_map(|number| {
        let later = parsed(&format!("f01701220{number:064x}"));
        parsed(&cid::Cid::new_v0(*later.inner().hash()).expect("SHA-256 has a version 0").to_string())
    });
    let whole = select(vec![parsed("bafkqaaa"), parsed("f01550003616263")]);
    prop_oneof![8 => raw, 2 => file, 2 => file_v0, 1 => whole].boxed()
}

/// A pin with all or nothing of what a pin may have.
pub fn any_pin() -> impl Strategy<Value = Pin> {
    let origins = prop_oneof![2 => Just(Vec::new()), 1 => vec(any_address(), 1..4), 1 => vec(any_address(), 20)];
    (any_cid(), weighted(0.6, any_name()), origins, any_meta()).prop_map(|(cid, name, origins, meta)| Pin {
        cid,
        name,
        origins,
        meta,
    })
}

/// An address out of more than a lease may carry.
fn any_address() -> impl Strategy<Value = Multiaddr> {
    (1..100_u32).prop_map(address)
}

/// One to six addresses of a node.
pub fn any_addresses() -> impl Strategy<Value = Vec<Multiaddr>> {
    vec(any_address(), 1..7)
}

/// Names that differ by case, by folding, or by what databases take for a pattern.
fn any_name() -> impl Strategy<Value = String> {
    select(vec![
        "a",
        "A",
        "ab",
        "Straße",
        "STRASSE%",
        "stra_e",
        "ΣΊΣΥΦΟΣ",
        "σίσυφος",
        "İ",
        "i\u{307}",
        " ",
        "\\%'\"",
        "%",
    ])
    .prop_map(str::to_owned)
}

fn any_meta() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop_oneof![2 => Just(BTreeMap::new()), 3 => any_pairs(1..3)]
}

fn any_pairs(sizes: std::ops::Range<usize>) -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(select(vec!["k", "l", "K"]), select(vec!["1", "2", ""]), sizes)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// Where one request ends a list: at its `created`, or a millisecond beside it.
pub type Bound = (Index, i64);

/// A filter without its bounds in time.
pub fn any_filter() -> impl Strategy<Value = PinFilter> {
    let limit = prop_oneof![Just(1_000), 1..6_u16];
    let roots = prop_oneof![2 => Just(Vec::new()), 1 => vec(any_cid().prop_map(|cid| cid.root()), 1..4)];
    let statuses = prop_oneof![Just(Status::ALL.to_vec()), subsequence(Status::ALL.to_vec(), 1..4)];
    let meta = prop_oneof![2 => Just(BTreeMap::new()), 1 => any_pairs(1..3)];
    (roots, weighted(0.4, any_name_filter()), statuses, meta, limit).prop_map(|(roots, name, statuses, meta, limit)| {
        PinFilter { roots, name, statuses, before: None, after: None, meta, limit }
    })
}

fn any_name_filter() -> impl Strategy<Value = NameFilter> {
    let part = select(vec!["s", "SS", "ß", "_", "ς", "", "b"]).prop_map(str::to_owned);
    let matching = select(vec![Match::Exact, Match::Iexact, Match::Partial, Match::Ipartial]);
    (prop_oneof![any_name(), part], matching).prop_map(|(text, matching)| NameFilter { text, matching })
}

/// Bounds of a list: none, one, or both, now and then the wrong way round.
pub fn any_bound() -> impl Strategy<Value = Option<Bound>> {
    weighted(0.3, (any::<Index>(), -1..2_i64))
}

/// Limits that a few pins reach.
pub fn any_limits() -> impl Strategy<Value = Limits> {
    let few = || option::of(0..10_u64);
    let tight = (few(), few(), option::of(0..10_000_u64));
    let tight = tight.prop_map(|(requests, queued_roots, bytes)| Limits { requests, queued_roots, bytes });
    prop_oneof![2 => Just(Limits::UNLIMITED), 1 => tight]
}

/// A time to let pass: mostly short, now and then just before, at or after what the storage counts by.
pub fn any_time() -> impl Strategy<Value = Duration> {
    let short = select(vec![0, 1, 5, 1_000, 5_000, 20_000, 60_000]);
    let long = select(vec![59_999, 90_000, 299_999, 300_000, 3_600_000, 86_399_999, 86_400_000]);
    prop_oneof![4 => short, 1 => long].prop_map(Duration::from_millis)
}
