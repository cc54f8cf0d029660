//! A full disk: nothing is lost, deletes go on, and so does everything once there is room.
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use pinrail_block_store::{BlockStore, StoreError, StoreOptions};
use tempfile::TempDir;

use crate::dag::{Block, RAW, block, collect_all, has, options, parent, put_one};

/// A file system of its own, of 24 MiB. Making one needs root, as the tests have it.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> SmallDisk {
        let folder = tempfile::tempdir().expect("a folder is made");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path()).status();
        assert!(mounted.is_ok_and(|status| status.success()), "cannot mount a tmpfs, wanted root");
        SmallDisk(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn leaves(from: u32, count: u32) -> Vec<Block> {
    (from..from + count).map(|n| block(RAW, n.to_be_bytes().repeat(64 << 10), &[])).collect()
}

/// Puts leaves one by one until the store is full; how many it took.
fn fill(store: &BlockStore, root: &Block, leaves: &[Block]) -> usize {
    for (number, leaf) in leaves.iter().enumerate() {
        match put_one(store, root.key, 1, leaf).result {
            Ok(()) => {}
            Err(StoreError::StorageFull) => return number,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk is never full")
}

#[test]
fn fetches_stop_at_the_reserve_and_deletes_go_on() {
    let disk = SmallDisk::new();
    let small = StoreOptions { reserve: 4 << 20, ballast: 2 << 20, segment_size: 4 << 20, ..options() };
    let store = BlockStore::open(disk.path(), small).expect("it opens");
    let ballast = disk.path().join("ballast");
    assert!(ballast.exists());
    assert!(!store.space().expect("it answers").full);
    let leaves = leaves(0, 100);
    let root = parent("root", &leaves.iter().collect::<Vec<_>>());
    store.begin(root.key, 1).expect("it begins");
    put_one(&store, root.key, 1, &root).result.expect("it is committed");
    let taken = fill(&store, &root, &leaves);
    assert!(taken > 10, "{taken}");
    let space = store.space().expect("it answers");
    assert!(space.full && space.free >= space.reserve, "{space:?}");
    assert!(!ballast.exists(), "it was given up");
    assert!(leaves[..taken].iter().all(|leaf| has(&store, leaf)));
    assert!(!has(&store, &leaves[taken]));

    store.release(root.key, 2).expect("it is released");
    collect_all(&store, 0);
    let space = store.space().expect("it answers");
    assert!(!space.full, "{space:?}");
    assert!(ballast.exists(), "it is there again");
    store.begin(root.key, 3).expect("it begins");
    put_one(&store, root.key, 3, &root).result.expect("it is committed");
    for leaf in &leaves[..10] {
        put_one(&store, root.key, 3, leaf).result.expect("it is committed");
    }
}

#[test]
fn a_disk_that_others_fill_up_loses_nothing() {
    let disk = SmallDisk::new();
    let small = StoreOptions { ballast: 2 << 20, segment_size: 4 << 20, batch_bytes: 0, ..options() };
    let folder = disk.path().join("store");
    let store = BlockStore::open(&folder, small.clone()).expect("it opens");
    let leaves = leaves(0, 20);
    let root = parent("root", &leaves.iter().collect::<Vec<_>>());
    store.begin(root.key, 1).expect("it begins");
    put_one(&store, root.key, 1, &root).result.expect("it is committed");
    for leaf in &leaves[..8] {
        put_one(&store, root.key, 1, leaf).result.expect("it is committed");
    }
    let filler = disk.path().join("filler");
    fill_up(&filler);
    for leaf in &leaves[8..] {
        let full = put_one(&store, root.key, 1, leaf).result;
        assert!(matches!(full, Err(StoreError::StorageFull)), "{full:?}");
        fill_up(&filler);
    }
    assert!(leaves[..8].iter().all(|leaf| has(&store, leaf)));
    assert_eq!(store.walk(&root.key, 100).expect("it walks").holes.len(), 12);

    fs::remove_file(&filler).expect("it is removed");
    for leaf in &leaves[8..] {
        put_one(&store, root.key, 1, leaf).result.expect("it is committed");
    }
    assert_eq!(store.finish(root.key, 1).expect("it is whole").blocks, 21);
    drop(store);
    let store = BlockStore::open(&folder, small).expect("it opens");
    assert_eq!(store.walk(&root.key, 100).expect("it walks").holes, []);
    assert!(leaves.iter().all(|leaf| has(&store, leaf)));
}

/// Takes all the disk that is left.
fn fill_up(path: &Path) {
    let mut file = File::options().create(true).append(true).open(path).expect("it opens");
    while file.write_all(&[0; 4096]).is_ok() {}
}
