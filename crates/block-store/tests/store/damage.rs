//! Damage on disk is found and not served; folders that cannot be used are said in one line.
use std::fs;
use std::process::Command;

use pinrail_block_store::{BlockStore, StoreError};
use pinrail_domain::chain;

use crate::dag::{Fixture, RAW, block, collect_all, has, leaf, options, parent, pin, put_one, read_as};

#[test]
fn a_damaged_block_is_never_served_and_can_come_again() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let child = leaf("child");
    let mut damaged = block(0x70, vec![5; 10_000], &[]);
    damaged.links.push(child.key);
    let root = parent("root", &[&damaged]);
    pin(store, 1, &[&root, &damaged, &child]);
    pin(store, 1, &[&read_as(&damaged, RAW, &[])]);
    store.check_block().expect("it reads");

    let path = fixture.folder.path().join("00000000.seg");
    let mut bytes = fs::read(&path).expect("it reads");
    let at = bytes.windows(100).position(|window| window == [5; 100]).expect("it is there");
    bytes[at + 5000] ^= 1;
    fs::write(&path, &bytes).expect("it is written");

    let read = store.read(&damaged.key.multihash);
    assert!(matches!(&read, Err(StoreError::Corrupt(hash)) if **hash == damaged.key.multihash), "{read:?}");
    let checks = (0..4).map(|_| store.check_block());
    assert!(checks.into_iter().any(|check| check.is_err()), "readiness reads every block in turn");

    store.discard(&damaged.key.multihash).expect("it is given up");
    assert!(!has(store, &damaged));
    assert_eq!(store.links(&damaged.key).expect("it answers"), None);
    collect_all(store, 0);
    assert!(has(store, &child), "what it links to stays");
    store.begin(root.key, 2).expect("it begins");
    assert!(matches!(store.finish(root.key, 2), Err(StoreError::Holes(holes)) if holes == [damaged.key]));
    let committed = put_one(store, root.key, 2, &damaged);
    committed.result.expect("it is committed");
    assert!(has(store, &damaged));
    assert_eq!(store.finish(root.key, 2).expect("it is whole").blocks, 3);
}

#[test]
fn a_second_opener_is_told_so_in_one_line() {
    let fixture = Fixture::new();
    let error = BlockStore::open(fixture.folder.path(), options()).expect_err("it is locked");
    assert!(matches!(error, StoreError::InUse(_)));
    let text = chain(&error);
    assert!(text.contains(&fixture.folder.path().display().to_string()) && !text.contains('\n'));
    let error = BlockStore::rebuild_index(fixture.folder.path(), &options()).expect_err("it is locked");
    assert!(matches!(error, StoreError::InUse(_)));
}

#[test]
fn a_folder_that_cannot_be_written_is_said_in_one_line() {
    let parent = tempfile::tempdir().expect("a folder is made");
    // The system's own read-only files are read-only to everybody.
    let folder = if Command::new("mount")
        .args(["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs"])
        .arg(parent.path())
        .status()
        .is_ok_and(|status| status.success())
    {
        parent.path().to_owned()
    } else {
        std::path::PathBuf::from("/proc/pinrail")
    };
    let opened = BlockStore::open(&folder, options());
    let _ = Command::new("umount").arg(parent.path()).stderr(std::process::Stdio::null()).status();
    let error = opened.expect_err("it cannot be written");
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");
    let text = chain(&error);
    assert!(text.contains(&folder.display().to_string()) && !text.contains('\n'), "{text}");
}

#[test]
fn a_file_in_the_way_is_said_in_one_line() {
    let parent = tempfile::tempdir().expect("a folder is made");
    let path = parent.path().join("store");
    fs::write(&path, "a file").expect("it is written");
    let error = BlockStore::open(&path, options()).expect_err("it is no folder");
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");
}

#[test]
fn a_root_that_lost_a_block_with_the_index_is_pinned_no_longer() {
    let fixture = Fixture::new();
    let (kept, lost) = (leaf("kept"), block(RAW, vec![5; 10_000], &[]));
    let root = parent("root", &[&kept, &lost]);
    pin(&fixture.store, 1, &[&root, &kept, &lost]);
    let Fixture { store, folder } = fixture;
    drop(store);
    let path = folder.path().join("00000000.seg");
    let mut bytes = fs::read(&path).expect("it reads");
    let at = bytes.windows(100).position(|window| window == [5; 100]).expect("it is there");
    bytes[at + 5000] ^= 1;
    fs::write(&path, &bytes).expect("it is written");
    fs::remove_file(folder.path().join("index.redb")).expect("it is removed");

    for _ in 0..2 {
        let store = BlockStore::open(folder.path(), options()).expect("it opens");
        let state = store.root_state(&root.key).expect("it answers").expect("it is held");
        assert!(!state.pinned);
        assert!(matches!(store.finish(root.key, 1), Err(StoreError::Holes(holes)) if holes == [lost.key]));
    }
    let store = BlockStore::open(folder.path(), options()).expect("it opens");
    put_one(&store, root.key, 1, &lost).result.expect("it is committed");
    assert_eq!(store.finish(root.key, 1).expect("it is whole").blocks, 3);
}
