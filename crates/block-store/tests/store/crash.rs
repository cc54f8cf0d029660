//! What a crash leaves: everything that was answered, and nothing by half.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use cid::Cid;
use pinrail_block_store::{Adopt, BlockStore, NodeKey, StoreError};
use tokio::sync::mpsc;

use crate::dag::{
    Block, DAG_PB, Fixture, RAW, block, collect_all, has, leaf, options, parent, pin, put, put_of, put_one, read_as,
};
use crate::image::{after_crash, assert_counts, copy, image};

/// Names the folder for the process that is to be killed.
const FOLDER: &str = "PINRAIL_TEST_STORE";

fn wide_dag() -> (Block, Vec<Block>) {
    let leaves: Vec<_> = (0..4000_u32).map(|n| block(RAW, n.to_be_bytes().repeat(500), &[])).collect();
    (parent("root", &leaves.iter().collect::<Vec<_>>()), leaves)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the killed process is told its folder by the one that starts it")]
fn a_killed_store_has_all_that_it_answered() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return put_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a folder is made");
    let (root, leaves) = wide_dag();
    let mut answered = Vec::new();
    // Killed twice, at whatever it was doing, each time after some more answers.
    for epoch in 1..=2 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "crash::a_killed_store_has_all_that_it_answered", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let cids = lines.map_while(Result::ok).filter_map(|line| line.parse::<Cid>().ok());
        answered.extend(cids.take(700).map(|cid| NodeKey::from(&cid)));
        child.kill().expect("it is killed");
        child.wait().expect("it is gone");
        assert!(answered.len() >= 700 * epoch, "{}", answered.len());
    }

    let store = BlockStore::open(folder.path(), options()).expect("it opens");
    let all = image(&store);
    assert_counts(&all, &BTreeSet::new());
    for key in &answered {
        assert!(all.nodes.get(key).is_some_and(|node| node.present), "{key}");
    }
    store.begin(root.key, 9).expect("it resumes");
    let holes: BTreeSet<_> = store.walk(&root.key, usize::MAX).expect("it walks").holes.into_iter().collect();
    assert!(holes.len() < 4000 - answered.len() + 2);
    let missing: Vec<&Block> = leaves.iter().filter(|leaf| holes.contains(&leaf.key)).collect();
    put(&store, root.key, 9, &missing);
    assert_eq!(store.finish(root.key, 9).expect("it is whole").blocks, 4001);
}

/// What the process that is to be killed does.
fn put_until_killed(folder: &Path) {
    let store = BlockStore::open(folder, options()).expect("it opens");
    let (root, leaves) = wide_dag();
    let epoch = store.root_state(&root.key).expect("it answers").map_or(1, |state| state.epoch + 1);
    store.begin(root.key, epoch).expect("it begins");
    let (done, mut answers) = mpsc::unbounded_channel();
    store.put(put_of(root.key, epoch, &root, &done));
    let missing = answers.blocking_recv().expect("it answers").missing;
    let missing: BTreeSet<_> = missing.into_iter().collect();
    for leaf in leaves.iter().filter(|leaf| missing.contains(&leaf.key)) {
        store.put(put_of(root.key, epoch, leaf, &done));
    }
    let mut out = std::io::stdout();
    while let Some(committed) = answers.blocking_recv() {
        committed.result.expect("it is committed");
        writeln!(out, "\n{}", committed.key).expect("somebody reads");
    }
}

/// Roots in every state, with all that a log must tell of them.
fn busy_store() -> (Fixture, BTreeSet<NodeKey>) {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (first, second, large) = (leaf("a"), leaf("b"), block(RAW, vec![3; 100_000], &[]));
    let shared = parent("shared", &[&first, &second]);
    let one = parent("one", &[&shared, &large]);
    let two = parent("two", &[&shared]);
    let raw = read_as(&shared, RAW, &[]);
    pin(store, 1, &[&one, &shared, &first, &second, &large]);
    pin(store, 3, &[&two, &shared, &first, &second]);
    let (done, mut answers) = mpsc::unbounded_channel();
    store.begin(raw.key, 1).expect("it begins");
    let adopt = Adopt { root: raw.key, epoch: 1, key: raw.key, links: Vec::new(), done: done.clone() };
    store.adopt(adopt);
    answers.blocking_recv().expect("it answers").result.expect("it is committed");
    store.finish(raw.key, 1).expect("it is whole");
    store.release(one.key, 2).expect("it is released");
    // One that is under way, one of its blocks held, one missing.
    let (early, absent) = (leaf("d"), leaf("e"));
    let three = parent("three", &[&first, &absent]);
    store.begin(three.key, 1).expect("it begins");
    put_one(store, three.key, 1, &three).result.expect("it is committed");
    store.import(put_of(three.key, 1, &early, &done));
    store.import(put_of(three.key, 1, &first, &done));
    for _ in 0..2 {
        answers.blocking_recv().expect("it answers").result.expect("it is committed");
    }
    let four = parent("four", &[&absent]);
    store.begin(four.key, 1).expect("it begins");
    put_one(store, four.key, 1, &four).result.expect("it is committed");
    store.fail(four.key, 1, 1_000).expect("it fails");
    (fixture, [early.key, first.key].into_iter().collect())
}

#[test]
fn a_crash_loses_nothing_that_the_index_had_not_saved() {
    let (fixture, held) = busy_store();
    let live = image(&fixture.store);
    assert_eq!(image(&after_crash(&fixture).store), live);
    collect_all(&fixture.store, 0);
    let collected = image(&fixture.store);
    assert_counts(&collected, &held);
    assert!(collected.nodes.len() < live.nodes.len());
    let crashed = after_crash(&fixture);
    assert_eq!(image(&crashed.store), collected);
    assert_eq!(collect_all(&crashed.store, 0).blocks, 0);
}

#[test]
fn an_index_made_anew_is_the_same() {
    let (fixture, held) = busy_store();
    let live = image(&fixture.store);
    for damage in [remove_index as fn(&Path), overwrite_index, cut_index, rebuild_index] {
        let folder = tempfile::tempdir().expect("a folder is made");
        copy(fixture.folder.path(), folder.path());
        damage(folder.path());
        let store = BlockStore::open(folder.path(), options()).expect("it opens");
        assert_eq!(image(&store), live);
    }
    // After deleting too, once what came back is collected.
    collect_all(&fixture.store, 0);
    let live = image(&fixture.store);
    let folder = tempfile::tempdir().expect("a folder is made");
    copy(fixture.folder.path(), folder.path());
    remove_index(folder.path());
    let store = BlockStore::open(folder.path(), options()).expect("it opens");
    collect_all(&store, 0);
    let anew = image(&store);
    assert_eq!(anew, live);
    assert_counts(&anew, &held);
}

fn remove_index(folder: &Path) {
    fs::remove_file(folder.join("index.redb")).expect("it is removed");
}

fn overwrite_index(folder: &Path) {
    fs::write(folder.join("index.redb"), [7; 5000]).expect("it is written");
}

fn cut_index(folder: &Path) {
    let file = File::options().write(true).open(folder.join("index.redb")).expect("it opens");
    file.set_len(file.metadata().expect("it is there").len() / 2).expect("it is cut");
}

fn rebuild_index(folder: &Path) {
    BlockStore::rebuild_index(folder, &options()).expect("it is made anew");
}

#[test]
fn a_torn_batch_at_the_end_is_ignored() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (a, b) = (leaf("a"), block(DAG_PB, vec![9; 50_000], &[]));
    let root = parent("root", &[&a, &b]);
    store.begin(root.key, 1).expect("it begins");
    for block in [&root, &a, &b] {
        put_one(store, root.key, 1, block).result.expect("it is committed");
    }
    // As if the last batch had been written by half, and never answered.
    for cut in [1, 40_000, 49_000, 52_000] {
        let folder = tempfile::tempdir().expect("a folder is made");
        copy(fixture.folder.path(), folder.path());
        let path = folder.path().join("00000000.seg");
        let file = File::options().write(true).open(path).expect("it opens");
        let length = file.metadata().expect("it is there").len();
        file.set_len(length - 4096 - cut).expect("it is cut");
        file.set_len(length).expect("it is longer again");
        let store = BlockStore::open(folder.path(), options()).expect("it opens");
        assert!(has(&store, &a) && !has(&store, &b), "{cut}");
        assert!(matches!(store.finish(root.key, 1), Err(StoreError::Holes(holes)) if holes == [b.key]));
        put_one(&store, root.key, 1, &b).result.expect("it is committed");
        store.finish(root.key, 1).expect("it is whole");
    }
}
