//! Which pin requests fit an account's limits.

use std::collections::BTreeMap;

use pinrail_domain::{Admission, BLOCK_OVERHEAD, Claims, DagSize, Limits, RootRecord, RootState, Usage, carried_bytes};
use pinrail_spec::{Cid, Pin};

use super::root;

const LIMITS: Limits = Limits { requests: Some(10), queued_roots: Some(5), bytes: Some(10_000) };
const ROOM: Usage = Usage { requests: 9, queued_roots: 4, bytes: 9_000 };
const NONE: Claims = Claims { requests: 0, holds: 0 };
const ONE: Claims = Claims { requests: 1, holds: 0 };
const HELD: Claims = Claims { requests: 0, holds: 1 };

fn pin(cid: &str, name: Option<&str>) -> Pin {
    let cid = Cid::parse(cid).expect("a CID");
    Pin { cid, name: name.map(str::to_owned), origins: Vec::new(), meta: BTreeMap::new() }
}

fn hashed() -> Pin {
    pin("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", None)
}

fn inline() -> Pin {
    pin("f01550003616263", None)
}

/// Which limit of an account that uses so much refuses a pin, if any does.
fn refused_by(pin: &Pin, usage: Usage, root: Option<&RootRecord>, claims: Claims) -> Option<&'static str> {
    let asked = Admission { pin, usage, root, claims, replaces_same_root: false };
    assert_eq!(Limits::UNLIMITED.admit_pin(&asked), Ok(()));
    LIMITS.admit_pin(&asked).err().map(|over| over.what)
}

#[test]
fn a_root_that_is_to_be_fetched_needs_a_request_a_place_and_room() {
    let (no_request, no_place) = (Usage { requests: 10, ..ROOM }, Usage { queued_roots: 5, ..ROOM });
    let no_room = Usage { bytes: 10_000, ..ROOM };
    let unwanted = RootRecord { refs: 1, requests: 0, ..root(RootState::Queued) };
    let (failed, releasing) = (root(RootState::Failed), root(RootState::Releasing));
    for (root, claims) in [
        (None, NONE),
        (Some(&root(RootState::Queued)), NONE),
        (Some(&root(RootState::Pinning)), NONE),
        (Some(&unwanted), HELD),
        (Some(&failed), ONE),
        (Some(&releasing), NONE),
    ] {
        assert_eq!(refused_by(&hashed(), ROOM, root, claims), None, "{root:?}");
        assert_eq!(refused_by(&hashed(), no_request, root, claims), Some("pin requests"), "{root:?}");
        assert_eq!(refused_by(&hashed(), no_place, root, claims), Some("queued roots"), "{root:?}");
        assert_eq!(refused_by(&hashed(), no_room, root, claims), Some("bytes"), "{root:?}");
    }
}

#[test]
fn a_root_that_the_account_waits_for_needs_a_request_alone() {
    let full = Usage { requests: 9, queued_roots: 5, bytes: 20_000 };
    for state in [RootState::Queued, RootState::Pinning] {
        assert_eq!(refused_by(&hashed(), full, Some(&root(state)), ONE), None, "{state:?}");
        let spent = Usage { requests: 10, ..full };
        assert_eq!(refused_by(&hashed(), spent, Some(&root(state)), ONE), Some("pin requests"), "{state:?}");
    }
}

#[test]
fn a_pinned_root_needs_room_for_its_size_unless_the_account_has_it() {
    let size = DagSize { blocks: 1, bytes: 1_000 };
    let pinned = RootRecord { size: Some(size), ..root(RootState::Pinned) };
    let left = 10_000 - 1_000 - BLOCK_OVERHEAD;
    let using = |bytes| Usage { requests: 9, queued_roots: 5, bytes };
    for (usage, claims, refused) in [
        (using(left), NONE, None),
        (using(left + 1), NONE, Some("bytes")),
        (using(20_000), ONE, None),
        (using(20_000), HELD, None),
        (Usage { requests: 10, ..using(0) }, NONE, Some("pin requests")),
    ] {
        assert_eq!(refused_by(&hashed(), usage, Some(&pinned), claims), refused, "{usage:?} {claims:?}");
    }
}

#[test]
fn a_cid_that_holds_it_whole_counts_its_digest_and_queues_nothing() {
    let left = 10_000 - 3 - BLOCK_OVERHEAD;
    let using = |bytes| Usage { requests: 9, queued_roots: 5, bytes };
    let queued = root(RootState::Queued);
    for root in [None, Some(&queued)] {
        assert_eq!(refused_by(&inline(), using(left), root, NONE), None, "{root:?}");
        assert_eq!(refused_by(&inline(), using(left + 1), root, NONE), Some("bytes"), "{root:?}");
        assert_eq!(refused_by(&inline(), using(20_000), root, ONE), None, "{root:?}");
    }
}

#[test]
fn what_a_request_carries_needs_room_whatever_its_root() {
    let named = pin(hashed().cid.as_str(), Some("a name"));
    assert_eq!(carried_bytes(&named), 6);
    let pinned = root(RootState::Pinned);
    let queued = root(RootState::Queued);
    let using = |bytes| Usage { bytes, ..ROOM };
    for root in [&pinned, &queued] {
        assert_eq!(refused_by(&named, using(9_994), Some(root), ONE), None, "{root:?}");
        assert_eq!(refused_by(&named, using(9_995), Some(root), ONE), Some("bytes"), "{root:?}");
        assert_eq!(refused_by(&hashed(), using(20_000), Some(root), ONE), None, "nothing more always fits");
    }
}

#[test]
fn requests_for_one_root_are_limited_first() {
    let queued = root(RootState::Queued);
    let nothing = Limits { requests: Some(0), queued_roots: Some(0), bytes: Some(0) };
    let what = |limits: Limits, requests, replaces_same_root| {
        let claims = Claims { requests, holds: 0 };
        let pin = hashed();
        let asked = Admission { pin: &pin, usage: Usage::default(), root: Some(&queued), claims, replaces_same_root };
        limits.admit_pin(&asked).err().map(|over| over.what)
    };
    let most = Limits::REQUESTS_PER_ROOT;
    assert_eq!(what(Limits::UNLIMITED, most - 1, false), None);
    assert_eq!(what(Limits::UNLIMITED, most, false), Some("pin requests for this CID"), "whatever the limits");
    assert_eq!(what(Limits::UNLIMITED, most, true), None, "the one that is replaced is gone");
    assert_eq!(what(nothing, most, false), Some("pin requests for this CID"));
    assert_eq!(what(nothing, most - 1, false), Some("pin requests"));
}

#[test]
fn a_replaced_request_is_gone_from_what_is_used() {
    let usage = Usage { requests: 3, queued_roots: 2, bytes: 100 };
    assert_eq!(usage.without_request(30, true), Usage { requests: 2, queued_roots: 1, bytes: 70 });
    assert_eq!(usage.without_request(0, false), Usage { requests: 2, queued_roots: 2, bytes: 100 });
    assert_eq!(Usage::default().without_request(1, true), Usage::default());
}
