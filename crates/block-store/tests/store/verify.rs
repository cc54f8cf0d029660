//! Whether a store is all that it has to be on a disk that was through something.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use multihash_codetable::{Code, MultihashDigest};
use pinrail_block_store::{BlockStore, NodeKey, StoreError};

use crate::dag::{collect_all, leaf, parent, pin};
use crate::expect::Expected;
use crate::image::{Image, assert_counts, assert_whole, image};
use crate::platter::{Change, Platter};
use crate::script::{FOLDER, open};
use crate::sim_disk::SimDisk;

/// Opens the store of a disk after a crash and holds it against what is expected.
///
/// # Panics
/// When something is missing, damaged, there too much, or does not go on.
pub fn verify(platter: Platter, expected: &BTreeMap<NodeKey, Expected>) {
    let disk = SimDisk::new(platter);
    let store = open(&disk).expect("it opens");
    let found = image(&store);
    hold_against(&store, &found, expected);
    // What it says after a crash survives the next one.
    let lost = open(&SimDisk::new(disk.platter().crash(&mut || false))).expect("it opens after another crash");
    assert_eq!(image(&lost), found, "another crash changes nothing");
    drop(lost);
    drop(store);

    let without = without_index(&disk.platter());
    let rebuilt = SimDisk::new(without);
    let mut ends = Vec::new();
    for disk in [&disk, &rebuilt] {
        let store = open(disk).expect("it opens again");
        let found = image(&store);
        hold_against(&store, &found, expected);
        // Blocks of fetches that were given up before may have come back to an index made anew, for
        // a fetch of the same root: they are there until it ends.
        for (root, state) in found.roots.iter().filter(|(_, state)| !state.pinned) {
            store.release(*root, state.epoch + 1).expect("it is released");
        }
        collect_all(&store, 10_000);
        let end = image(&store);
        assert_counts(&end, &BTreeSet::new());
        assert_whole(&store, &end);
        ends.push(end);
    }
    assert_eq!(ends[0], ends[1], "an index made anew from the segments is the same");
    go_on(&disk);
    go_on(&rebuilt);
}

fn hold_against(store: &BlockStore, found: &Image, expected: &BTreeMap<NodeKey, Expected>) {
    for (key, node) in found.nodes.iter().filter(|(_, node)| node.present) {
        let bytes = store.read(&key.multihash).expect("it reads").expect("it is there");
        assert_eq!(Code::Sha2_256.digest(&bytes), node.key.multihash, "{key} is what it was");
    }
    for (root, state) in &found.roots {
        assert!(expected.contains_key(root), "{root} was never begun");
        let walk = store.walk(root, 10).expect("it walks");
        if state.pinned {
            assert_eq!((walk.holes, walk.totals), (Vec::new(), state.totals), "{root} is pinned and whole");
        }
    }
    for (root, expected) in expected {
        let state = store.root_state(root).expect("it answers");
        assert!(expected.allows(state.as_ref()), "{root} is {state:?}, wanted one of {:?}", expected.holds);
        for block in &expected.blocks {
            let present = found.nodes.get(block).is_some_and(|node| node.present);
            assert!(present, "{block} of {root} was answered to be durable");
        }
        if let Some(older) = expected.epoch().checked_sub(1) {
            let refused = store.begin(*root, older);
            assert!(matches!(refused, Err(StoreError::StaleEpoch { .. })), "{root} at {older}: {refused:?}");
        }
    }
}

/// The disk as it would be if somebody had removed the index.
pub fn without_index(platter: &Platter) -> Platter {
    let mut platter = platter.clone();
    let folder = Path::new(FOLDER);
    platter.apply(&Change::Remove(folder.join("index.redb")));
    platter.apply(&Change::SyncFolder(folder.to_owned()));
    platter
}

/// Lets everything go, which leaves nothing; and pins anew.
fn go_on(disk: &Arc<SimDisk>) {
    let store = open(disk).expect("it opens");
    for (root, state) in image(&store).roots {
        store.release(root, state.epoch + 1).expect("it is released");
    }
    collect_all(&store, 20_000);
    let left = image(&store);
    assert!(left.nodes.is_empty() && left.roots.is_empty() && left.used == 0, "{left:?}");
    let files = disk.platter().list(Path::new(FOLDER));
    assert!(!files.iter().any(|file| file.extension().is_some_and(|extension| extension == "seg")), "{files:?}");
    let (first, second) = (leaf("small 0"), leaf("another"));
    let root = parent("afterwards", &[&first, &second]);
    pin(&store, 1, &[&root, &first, &second]);
    assert_eq!(store.walk(&root.key, 1).expect("it walks").totals.blocks, 3);
}
