//! Several fetches on a disk that is nearly full: they pause, nothing fails, the reserve stays.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_block_store::{Access, BlockStore, Disk, DiskFile, StoreOptions, SystemDisk};
use pinrail_ipfs_embedded::{FetchError, Keypair, Node};

use crate::support::{TestNode, flat, options, request};

const MIB: u64 = 1 << 20;

/// The system's disk with only so much room for the store.
#[derive(Debug)]
pub struct SmallDisk {
    system: SystemDisk,
    room: AtomicU64,
}

impl SmallDisk {
    pub fn new(room: u64) -> Arc<SmallDisk> {
        Arc::new(SmallDisk { system: SystemDisk, room: AtomicU64::new(room) })
    }
}

impl Disk for SmallDisk {
    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.system.create(path, access)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.system.open(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.system.create_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.system.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.system.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.system.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.system.sync_folder(folder)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        let files = self.list(folder)?.into_iter().filter_map(|path| path.metadata().ok());
        let used: u64 = files.map(|file| file.blocks() * 512).sum();
        Ok(self.room.load(Ordering::SeqCst).saturating_sub(used))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.system.lock(path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_near_the_reserve_pause_and_go_on_once_there_is_room() {
    let (reserve, batch) = (8 * MIB, 2 * MIB);
    let folder = tempfile::tempdir().expect("a folder");
    let disk = SmallDisk::new(24 * MIB);
    let small = StoreOptions { reserve, ballast: 0, batch_bytes: 2 << 20, ..StoreOptions::default() };
    let handle: Arc<dyn Disk> = disk.clone();
    let store = BlockStore::open_on(&handle, folder.path(), small).expect("the store opens");
    let node = Node::start(options(Keypair::generate_ed25519()), store).await.expect("the node starts");

    let provider = TestNode::start().await;
    let mut roots = Vec::new();
    for salt in 0..4 {
        let blocks = flat(40, 256 << 10, salt);
        let root = blocks[blocks.len() - 1].0;
        provider.put(root, &blocks).await;
        roots.push(root);
    }
    let origins = provider.node.addresses();
    let first = futures::future::join_all(roots.iter().map(|root| node.fetch(request(*root, &origins)))).await;
    let paused = first.iter().filter(|fetched| matches!(fetched, Err(FetchError::StorageFull))).count();
    assert!(paused >= 3, "they have 40 MiB together: {first:?}");
    assert!(first.iter().all(|fetched| matches!(fetched, Ok(_) | Err(FetchError::StorageFull))), "{first:?}");
    let free = disk.free(folder.path()).expect("it is counted");
    assert!(free + batch >= reserve, "{free} bytes are left of a reserve of {reserve}");

    // The same leases, since no attempt was spent; what came the first time is not fetched again.
    disk.room.store(256 * MIB, Ordering::SeqCst);
    let again = futures::future::join_all(roots.iter().map(|root| node.fetch(request(*root, &origins)))).await;
    for fetched in again {
        assert_eq!(fetched.expect("it is whole").blocks, 41);
    }
}

#[tokio::test]
async fn what_one_fetch_has_reserved_is_not_there_for_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk: Arc<dyn Disk> = SmallDisk::new(32 * MIB);
    let small = StoreOptions { reserve: 8 * MIB, ballast: 0, batch_bytes: 4 << 20, ..StoreOptions::default() };
    let store = BlockStore::open_on(&disk, folder.path(), small).expect("the store opens");
    let (mut one, mut two) = (store.reserve(), store.reserve());
    one.set(12 * MIB).expect("there is room");
    assert!(two.set(12 * MIB).is_err());
    two.set(2 * MIB).expect("there is room for less");
    one.set(4 * MIB).expect("less is always there");
    two.set(12 * MIB).expect("the other one needs it no longer");
    assert!(one.set(12 * MIB).is_err());
    drop(two);
    one.set(12 * MIB).expect("the other one has ended");
}
