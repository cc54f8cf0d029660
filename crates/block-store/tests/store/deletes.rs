//! Deleting: shared subtrees stay, a fetch's blocks stay, and the disk comes back.
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::sync::mpsc;

use crate::dag::{Block, DAG_PB, Fixture, block, collect_all, has, leaf, parent, pin, put, put_of, put_one};

#[test]
fn releasing_one_root_leaves_what_another_shares() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (a, b, c) = (leaf("a"), leaf("b"), leaf("c"));
    let shared = parent("shared", &[&a, &b]);
    let one = parent("one", &[&shared, &c]);
    let two = parent("two", &[&shared, &a]);
    pin(store, 1, &[&one, &shared, &a, &b, &c]);
    pin(store, 1, &[&two, &shared, &a, &b]);
    pin(store, 1, &[&b]);

    store.release(one.key, 2).expect("it is released");
    let collected = collect_all(store, 0);
    assert_eq!(collected.blocks, 2);
    assert_eq!(collected.bytes, (one.bytes.len() + c.bytes.len()) as u64);
    assert!(!has(store, &one) && !has(store, &c));
    assert_eq!(store.finish(two.key, 1).expect("it is whole").blocks, 4);

    store.release(two.key, 2).expect("it is released");
    assert_eq!(collect_all(store, 0).blocks, 3);
    assert!(has(store, &b));
    assert!(!has(store, &a) && !has(store, &shared));
}

#[test]
fn a_root_that_is_wanted_again_while_it_is_deleted_is_whole() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let leaves: Vec<_> = (0..30_000).map(|n| leaf(&format!("leaf {n}"))).collect();
    let root = parent("root", &leaves.iter().collect::<Vec<_>>());
    let mut all = vec![&root];
    all.extend(&leaves);
    pin(store, 1, &all);
    store.release(root.key, 2).expect("it is released");
    // The first step gets as far as the links of the root, the second deletes some leaves.
    let step = store.collect(0).expect("it collects");
    assert!(step.more && step.blocks == 1, "{step:?}");
    let step = store.collect(0).expect("it collects");
    assert!(step.more && step.blocks > 1, "{step:?}");

    store.begin(root.key, 3).expect("it begins");
    let committed = put_one(store, root.key, 3, &root);
    committed.result.expect("it is committed");
    assert!(!committed.missing.is_empty() && committed.missing.len() < leaves.len());
    let missing: HashSet<_> = committed.missing.into_iter().collect();
    let missing: Vec<&Block> = leaves.iter().filter(|leaf| missing.contains(&leaf.key)).collect();
    collect_all(store, 0);
    put(store, root.key, 3, &missing);
    collect_all(store, 0);
    assert_eq!(store.finish(root.key, 3).expect("it is whole").blocks, 30_001);
    assert_eq!(collect_all(store, u64::MAX / 2).blocks, 0);
}

#[test]
fn blocks_of_a_fetch_are_kept_in_whatever_order_they_come() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (a, b) = (leaf("a"), leaf("b"));
    let inner = parent("inner", &[&a, &b]);
    let root = parent("root", &[&inner]);
    store.begin(root.key, 1).expect("it begins");
    // The leaf before what links to it; and one that only another fetch's link leads to so far.
    put_one(store, root.key, 1, &a).result.expect("it is committed");
    let other = parent("other", &[&b]);
    store.begin(other.key, 1).expect("it begins");
    put_one(store, other.key, 1, &other).result.expect("it is committed");
    let (done, mut answers) = mpsc::unbounded_channel();
    store.import(put_of(root.key, 1, &b, &done));
    answers.blocking_recv().expect("it answers").result.expect("it is committed");
    store.release(other.key, 2).expect("it is released");
    collect_all(store, 0);
    assert!(has(store, &a) && has(store, &b) && !has(store, &other));

    let fixture = fixture.reopen();
    let store = &fixture.store;
    collect_all(store, 0);
    assert!(has(store, &a) && has(store, &b));
    store.begin(root.key, 2).expect("it resumes");
    let committed = put(store, root.key, 2, &[&inner, &root]);
    assert!(committed.iter().all(|committed| committed.missing.is_empty()), "{committed:?}");
    assert_eq!(store.finish(root.key, 2).expect("it is whole").blocks, 4);
    collect_all(store, 0);
    store.release(root.key, 3).expect("it is released");
    assert_eq!(collect_all(store, 0).blocks, 4, "nothing was held for ever");
}

#[test]
fn a_cancelled_import_leaves_nothing() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let leaves: Vec<_> = (0..100).map(|n| leaf(&format!("leaf {n}"))).collect();
    let root = parent("root", &leaves.iter().collect::<Vec<_>>());
    store.begin(root.key, 1).expect("it begins");
    put(store, root.key, 1, &leaves.iter().collect::<Vec<_>>());
    store.release(root.key, 2).expect("it is released");
    assert_eq!(collect_all(store, 0).blocks, 100);
}

#[test]
fn deleting_gives_the_disk_back() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let big = |n: u32| block(0x55, n.to_be_bytes().repeat(65_536), &[]);
    let (keep, gone): (Vec<_>, Vec<_>) = (0..64).map(big).partition(|big| big.bytes[3] % 2 == 0);
    let kept = parent("kept", &keep.iter().collect::<Vec<_>>());
    let dropped = parent("dropped", &gone.iter().collect::<Vec<_>>());
    store.begin(kept.key, 1).expect("it begins");
    store.begin(dropped.key, 1).expect("it begins");
    put_one(store, kept.key, 1, &kept).result.expect("it is committed");
    put_one(store, dropped.key, 1, &dropped).result.expect("it is committed");
    // Neighbours on disk, so that no segment is without a live record.
    for (keep, gone) in keep.iter().zip(&gone) {
        put_one(store, kept.key, 1, keep).result.expect("it is committed");
        put_one(store, dropped.key, 1, gone).result.expect("it is committed");
    }
    let before = disk_use(fixture.folder.path());
    store.release(dropped.key, 2).expect("it is released");
    collect_all(store, 0);
    let after = disk_use(fixture.folder.path());
    let bytes = 32 * 262_144;
    assert!(after + bytes * 9 / 10 < before, "{before} to {after}");
    for keep in &keep {
        assert!(has(store, keep));
    }

    store.release(kept.key, 2).expect("it is released");
    collect_all(store, 0);
    assert_eq!(segments(fixture.folder.path()), 0, "dead segments are gone");
    assert_eq!(store.space().expect("it answers").used, 0);
    // And it goes on from there.
    pin(store, 1, &[&block(DAG_PB, vec![1; 100], &[])]);
    let again = fixture.reopen();
    assert_eq!(segments(again.folder.path()), 1);
}

/// Bytes of disk under the segments.
fn disk_use(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).expect("it lists").map(|file| file.expect("it lists"));
    let segments = files.filter(|file| file.file_name().to_string_lossy().ends_with(".seg"));
    segments.map(|file| file.metadata().expect("it is there").blocks() * 512).sum()
}

fn segments(folder: &Path) -> usize {
    let files = fs::read_dir(folder).expect("it lists").map(|file| file.expect("it lists"));
    files.filter(|file| file.file_name().to_string_lossy().ends_with(".seg")).count()
}
