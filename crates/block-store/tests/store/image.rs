//! All that a store holds, to compare two of them; and a store as a crash would leave it.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use multihash_codetable::{Code, MultihashDigest};
use pinrail_block_store::{BlockStore, NodeKey, RootState, Scanned};

use crate::dag::{Fixture, options};

/// Nodes and roots by their keys.
#[derive(Debug, PartialEq)]
pub struct Image {
    pub nodes: BTreeMap<NodeKey, Scanned>,
    pub roots: Vec<(NodeKey, RootState)>,
    pub used: u64,
}

/// Everything in the store; every block that is there is read.
pub fn image(store: &BlockStore) -> Image {
    let mut nodes = BTreeMap::new();
    store
        .scan(|node| {
            nodes.insert(node.key, node);
        })
        .expect("it scans");
    for node in nodes.values().filter(|node| node.present) {
        let bytes = store.read(&node.key.multihash).expect("it reads").expect("it is there");
        assert_eq!(bytes.len(), node.size as usize);
    }
    let page = store.roots(None, 10_000).expect("it lists");
    Image { nodes, roots: page.roots, used: store.space().expect("it answers").used }
}

/// Every count is what links and roots say; holds of unfinished fetches come on top.
pub fn assert_counts(image: &Image, held: &BTreeSet<NodeKey>) {
    let mut counts: BTreeMap<NodeKey, u64> = BTreeMap::new();
    let links = image.nodes.values().flat_map(|node| node.links.iter().flatten());
    let roots = image.roots.iter().map(|(key, _)| key);
    for key in links.chain(roots).chain(held) {
        *counts.entry(*key).or_default() += 1;
    }
    let found = image.nodes.iter().map(|(key, node)| (*key, node.count)).collect();
    assert_eq!(counts, found);
}

/// Under every root each node and each byte is there, and there is nothing else: so it is after
/// collection when nothing is being fetched.
pub fn assert_whole(store: &BlockStore, image: &Image) {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<NodeKey> = image.roots.iter().map(|(root, _)| *root).collect();
    while let Some(key) = ahead.pop() {
        if reached.insert(key) {
            let links = store.links(&key).expect("it answers").expect("it is committed").links;
            let bytes = store.read(&key.multihash).expect("it reads").expect("it is there");
            assert_eq!(Code::Sha2_256.digest(&bytes), key.multihash, "{key} is what it was");
            ahead.extend(links);
        }
    }
    let kept: BTreeSet<NodeKey> = image.nodes.keys().copied().collect();
    assert_eq!(kept, reached);
}

/// The files as the operating system would have them if the process died now, opened as a store of
/// their own. Nothing may be under way.
pub fn after_crash(fixture: &Fixture) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder is made");
    copy(fixture.folder.path(), folder.path());
    let store = BlockStore::open(folder.path(), options()).expect("it opens");
    Fixture { store, folder }
}

pub fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("it lists") {
        let file = file.expect("it lists");
        fs::copy(file.path(), to.join(file.file_name())).expect("it copies");
    }
}
