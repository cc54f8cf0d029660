//! A root's life: begun, fetched, finished, failed, released, and the epochs that guard it.
use cid::multihash::Multihash;
use pinrail_block_store::{Adopt, NodeKey, NodeLinks, StoreError};
use pinrail_domain::DagSize;
use tokio::sync::mpsc;

use crate::dag::{
    DAG_PB, Fixture, RAW, assert_stale, block, collect_all, has, leaf, parent, pin, put, put_of, put_one, read_as,
};

#[test]
fn a_fetch_learns_what_is_missing_and_finishes_when_nothing_is() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (a, b) = (leaf("a"), leaf("b"));
    let root = parent("root", &[&a, &b, &a]);
    store.begin(root.key, 1).expect("it begins");
    assert_eq!(store.links(&root.key).expect("it answers"), None);

    let committed = put_one(store, root.key, 1, &root);
    committed.result.expect("it is committed");
    assert_eq!(committed.missing, [a.key, b.key]);
    assert_eq!(committed.size as usize, root.bytes.len());
    let holes = store.finish(root.key, 1).expect_err("it has holes");
    assert!(matches!(&holes, StoreError::Holes(holes) if *holes == [a.key, b.key]), "{holes}");

    put_one(store, root.key, 1, &a).result.expect("it is committed");
    let walk = store.walk(&root.key, 10).expect("it walks");
    assert_eq!(walk.holes, [b.key]);
    assert_eq!(walk.totals.blocks, 2);

    put_one(store, root.key, 1, &b).result.expect("it is committed");
    let totals = store.finish(root.key, 1).expect("it is whole");
    let bytes = (root.bytes.len() + 2) as u64;
    assert_eq!(totals, DagSize { blocks: 3, bytes });
    let links = NodeLinks { links: vec![a.key, b.key], size: committed.size };
    assert_eq!(store.links(&root.key).expect("it answers"), Some(links));
    let state = store.root_state(&root.key).expect("it answers").expect("it is held");
    assert_eq!((state.epoch, state.pinned, state.totals), (1, true, totals));
    for block in [&root, &a, &b] {
        assert!(has(store, block));
    }
}

#[test]
fn blocks_of_one_batch_are_not_missing_to_each_other() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let children: Vec<_> = (0..500).map(|n| leaf(&format!("leaf {n}"))).collect();
    let root = parent("root", &children.iter().collect::<Vec<_>>());
    store.begin(root.key, 1).expect("it begins");
    let mut all = vec![&root];
    all.extend(&children);
    let committed = put(store, root.key, 1, &all);
    assert_eq!(committed.len(), 501);
    // Whatever was missing when the root was committed was committed after it.
    let after: Vec<_> = committed[1..].iter().map(|committed| committed.key).collect();
    assert!(committed[0].missing.iter().all(|missing| after.contains(missing)));
    assert_eq!(store.finish(root.key, 1).expect("it is whole").blocks, 501);
}

#[test]
fn the_same_bytes_read_as_another_codec_have_their_own_links() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let child = leaf("child");
    let node = parent("node", &[&child]);
    let raw = read_as(&node, RAW, &[]);
    pin(store, 1, &[&raw]);
    assert_eq!(store.links(&node.key).expect("it answers"), None);

    store.begin(node.key, 1).expect("it begins");
    assert!(matches!(store.finish(node.key, 1), Err(StoreError::Holes(_))));
    let (done, mut answers) = mpsc::unbounded_channel();
    let adopt = Adopt { root: node.key, epoch: 1, key: node.key, links: node.links.clone(), done: done.clone() };
    store.adopt(adopt);
    let committed = answers.blocking_recv().expect("it answers");
    committed.result.expect("the bytes are there");
    assert_eq!(committed.missing, [child.key]);
    assert_eq!(committed.size as usize, node.bytes.len());
    assert!(matches!(store.finish(node.key, 1), Err(StoreError::Holes(_))));
    put_one(store, node.key, 1, &child).result.expect("it is committed");
    assert_eq!(store.finish(node.key, 1).expect("it is whole").blocks, 2);

    // Each reading keeps the bytes for itself.
    store.release(raw.key, 2).expect("it is released");
    collect_all(store, 0);
    assert!(has(store, &node));
    assert_eq!(store.links(&raw.key).expect("it answers"), None);
    store.release(node.key, 2).expect("it is released");
    collect_all(store, 0);
    assert!(!has(store, &node) && !has(store, &child));

    store.begin(node.key, 3).expect("it begins");
    store.adopt(Adopt { root: node.key, epoch: 3, key: node.key, links: Vec::new(), done });
    let committed = answers.blocking_recv().expect("it answers");
    assert!(matches!(committed.result, Err(StoreError::Absent)));
}

#[test]
fn a_put_of_bytes_that_are_there_writes_no_second_copy() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let big = block(DAG_PB, vec![7; 200_000], &[]);
    pin(store, 1, &[&big]);
    let used = store.space().expect("it answers").used;
    pin(store, 1, &[&read_as(&big, RAW, &[])]);
    let grown = store.space().expect("it answers").used - used;
    assert!(grown < 1000, "{grown}");
}

#[test]
fn identity_blocks_come_from_their_keys() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let key = |codec, digest: &[u8]| NodeKey { codec, multihash: Multihash::wrap(0, digest).expect("it fits") };
    let hello = key(RAW, b"hello");
    assert_eq!(store.read(&hello.multihash).expect("it reads").as_deref(), Some(&b"hello"[..]));
    assert_eq!(store.size(&hello.multihash).expect("it answers"), Some(5));
    store.begin(hello, 1).expect("it begins");
    assert_eq!(store.finish(hello, 1).expect("it is whole"), DagSize::default());
    store.release(hello, 2).expect("it is released");

    // One with links is a node like any other, but for its bytes.
    let child = leaf("child");
    let mut root = parent("root", &[&child]);
    root.links.push(hello);
    let mut inner = block(0x71, b"inner".to_vec(), &[&root]);
    inner.key = key(0x71, b"inner");
    store.begin(inner.key, 1).expect("it begins");
    let committed = put_one(store, inner.key, 1, &inner);
    assert_eq!(committed.missing, [root.key]);
    let committed = put_one(store, inner.key, 1, &root);
    assert_eq!(committed.missing, [child.key], "raw identity is never missing");
    put_one(store, inner.key, 1, &child).result.expect("it is committed");
    assert_eq!(store.finish(inner.key, 1).expect("it is whole").blocks, 2);
    store.release(inner.key, 2).expect("it is released");
    collect_all(store, 0);
    assert!(!has(store, &root) && !has(store, &child));
}

#[test]
fn older_epochs_are_refused_everywhere() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let root = leaf("root");
    store.begin(root.key, 5).expect("it begins");
    store.begin(root.key, 5).expect("it resumes");
    assert_stale(store.begin(root.key, 4));
    assert_stale(put_one(store, root.key, 4, &root).result);
    put_one(store, root.key, 5, &root).result.expect("it is committed");
    assert_stale(store.finish(root.key, 4));
    assert_stale(store.fail(root.key, 4, 0));
    assert_stale(store.release(root.key, 4));
    store.finish(root.key, 5).expect("it is whole");

    // A fetch that never began here, or began earlier.
    let ahead = put_one(store, root.key, 6, &root).result;
    assert!(matches!(ahead, Err(StoreError::NotBegun)), "{ahead:?}");
    assert!(matches!(store.finish(root.key, 6), Err(StoreError::NotBegun)));

    store.release(root.key, 6).expect("it is released");
    store.release(root.key, 6).expect("twice is fine");
    assert_stale(store.release(root.key, 5));
    assert_stale(store.begin(root.key, 6));
    assert_stale(store.begin(root.key, 5));
    assert!(matches!(put_one(store, root.key, 6, &root).result, Err(StoreError::NotBegun)));
    assert_eq!(store.root_state(&root.key).expect("it answers"), None);
    // Also of a root that was never here.
    let other = leaf("other");
    store.release(other.key, 3).expect("it is fine");
    assert_stale(store.begin(other.key, 2));
    store.begin(other.key, 4).expect("it begins");
}

#[test]
fn a_release_is_remembered_for_a_while() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let root = leaf("root");
    store.release(root.key, 9).expect("it is released");
    let day = 24 * 60 * 60 * 1000;
    collect_all(store, 1_000);
    collect_all(store, 999 + day);
    assert_stale(store.begin(root.key, 8));
    collect_all(store, 1_000 + day);
    store.begin(root.key, 1).expect("it is forgotten");
}

#[test]
fn a_failed_root_is_kept_for_a_day() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (a, b) = (leaf("a"), leaf("b"));
    let root = parent("root", &[&a, &b]);
    store.begin(root.key, 1).expect("it begins");
    put(store, root.key, 1, &[&root, &a]);
    store.fail(root.key, 1, 5_000).expect("it fails");
    assert!(matches!(put_one(store, root.key, 1, &b).result, Err(StoreError::NotBegun)));
    let day = 24 * 60 * 60 * 1000;
    collect_all(store, 4_999 + day);
    assert!(has(store, &root) && has(store, &a));

    // Tried again in time, it is not collected.
    store.begin(root.key, 2).expect("it begins again");
    collect_all(store, 5_000 + day);
    assert!(has(store, &root) && has(store, &a));

    store.fail(root.key, 2, 5_000).expect("it fails again");
    collect_all(store, 5_000 + day);
    assert!(!has(store, &root) && !has(store, &a));
    assert_stale(store.begin(root.key, 1));
}

#[test]
fn what_was_queued_is_committed_before_the_store_closes() {
    let fixture = Fixture::new();
    let root = leaf("root");
    let (done, mut answers) = mpsc::unbounded_channel();
    fixture.store.begin(root.key, 1).expect("it begins");
    fixture.store.put(put_of(root.key, 1, &root, &done));
    let fixture = fixture.reopen();
    let committed = answers.blocking_recv().expect("it was answered");
    committed.result.expect("it was committed");
    assert!(has(&fixture.store, &root));
    fixture.store.finish(root.key, 1).expect("it is whole");
}
