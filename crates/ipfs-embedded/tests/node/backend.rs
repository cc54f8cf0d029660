//! The node as a backend: what it says when it cannot, and disk that it gives back while it serves.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use libp2p::Multiaddr;
use multihash_codetable::Code;
use pinrail_block_store::{BlockStore, Disk, StoreOptions};
use pinrail_domain::{DagSize, FailureReason, Missing, Phase};
use pinrail_ipfs::{Held, IpfsBackend, IpfsError, PinJob};
use pinrail_ipfs_embedded::{EmbeddedBackend, Keypair, Node};
use pinrail_spec::RootKey;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::space::SmallDisk;
use crate::support::{TestNode, block, content, flat, open_store, options, put_blocks};

const MIB: u64 = 1 << 20;

/// A backend over a store with these options.
async fn backend(store: BlockStore) -> EmbeddedBackend {
    let node = Node::start(options(Keypair::generate_ed25519()), store).await.expect("the node starts");
    EmbeddedBackend::new(Arc::new(node), Duration::from_mins(1), Arc::new(|| 1_000))
}

fn small_segments(folder: &TempDir) -> BlockStore {
    let default = StoreOptions::default();
    let options = StoreOptions { reserve: 0, ballast: 0, segment_size: 2 << 20, batch_bytes: 1 << 20, ..default };
    BlockStore::open(folder.path(), options).expect("the store opens")
}

fn job(root: Cid, epoch: u64, origins: &[Multiaddr]) -> PinJob {
    let origins =
        origins.iter().map(|origin| pinrail_spec::Multiaddr::parse(&origin.to_string()).expect("a multiaddr"));
    PinJob {
        root: RootKey::from(&root),
        account: None,
        epoch,
        origins: watch::channel(origins.collect()).1,
        previous: None,
        max_bytes: 1 << 30,
        max_blocks: u64::MAX,
        progress: watch::channel(DagSize::default()).0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_cures_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk: Arc<dyn Disk> = SmallDisk::new(16 * MIB);
    let small = StoreOptions { reserve: 8 * MIB, ballast: 0, batch_bytes: 2 << 20, ..StoreOptions::default() };
    let backend = backend(BlockStore::open_on(&disk, folder.path(), small).expect("the store opens")).await;
    backend.ready().await.expect("there is room");
    let (large, little) = (flat(64, 256 << 10, 97), flat(4, 1 << 10, 98));
    let (large_root, little_root) = (large[64].0, little[4].0);
    let provider = TestNode::with(large_root, &large).await;
    provider.put(little_root, &little).await;
    let origins = provider.node.addresses();
    let full = backend.pin(job(large_root, 1, &origins)).await;
    assert!(matches!(full, Err(IpfsError::StorageFull)), "{full:?}");
    assert_eq!(backend.status(&RootKey::from(&large_root)).await.expect("it answers"), Held::Not);

    backend.unpin(&RootKey::from(&large_root), 2).await.expect("deletes go on");
    while backend.collect().await.expect("it collects") {}
    backend.ready().await.expect("there is room again");
    assert_eq!(backend.pin(job(little_root, 1, &origins)).await.expect("it is small").blocks, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = backend(small_segments(&folder)).await;
    let dag = flat(2, 100, 99);
    let root = dag[2].0;
    let provider = TestNode::with(root, &dag).await;
    let origins = provider.node.addresses();

    backend.pin(job(root, 5, &origins)).await.expect("it is there");
    let (pinned, unpinned) = (backend.pin(job(root, 4, &origins)).await, backend.unpin(&RootKey::from(&root), 4).await);
    assert!(matches!(pinned, Err(IpfsError::StaleEpoch)), "{pinned:?}");
    assert!(matches!(unpinned, Err(IpfsError::StaleEpoch)), "{unpinned:?}");

    let unheard_of = Cid::new_v1(0x55, libp2p::multihash::Multihash::wrap(0x1b, &[7; 32]).expect("it fits"));
    let refused = backend.pin(job(unheard_of, 1, &origins)).await.expect_err("Keccak is not supported");
    assert!(matches!(&refused, IpfsError::Unpinnable { reason: FailureReason::UnsupportedHash, .. }), "{refused:?}");

    let (malformed, bytes) = block(0x70, Code::Sha2_256, vec![0xff; 40]);
    provider.node.store().begin((&malformed).into(), 1).expect("it begins");
    let (done, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let key = (&malformed).into();
    let put = pinrail_block_store::Put { root: key, epoch: 1, key, bytes, links: Vec::new(), done };
    provider.node.store().put(put);
    answers.recv().await.expect("an answer").result.expect("the provider does not look");
    let refused = backend.pin(job(malformed, 1, &origins)).await.expect_err("it is malformed");
    assert!(matches!(&refused, IpfsError::Unpinnable { reason: FailureReason::MalformedBlock, .. }), "{refused:?}");

    let (large, bytes) = block(0x55, Code::Sha2_256, content((2 << 20) + 1, 102));
    put_blocks(provider.node.store(), large, &[(large, bytes)]).await;
    let refused = backend.pin(job(large, 1, &origins)).await.expect_err("a block of it is too large");
    let IpfsError::Unpinnable { reason, details } = refused else { panic!("{refused:?}") };
    assert_eq!(reason, FailureReason::BlockTooLarge);
    assert_eq!(details, format!("block {large} has 2097153 bytes, wanted at most 2097152 (2 MiB)"));

    let car = folder.path().join("no.car");
    std::fs::write(&car, "not a CAR").expect("it is written");
    let refused = backend.import(&car).await.expect_err("it is no CAR");
    assert!(matches!(&refused, IpfsError::Unpinnable { reason: FailureReason::MalformedBlock, .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_what_was_being_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = backend(small_segments(&folder)).await;
    let dag = flat(2, 100, 103);
    let gone = TestNode::start().await;
    let origins = gone.node.addresses();
    gone.node.stop().await;
    let unreached = backend.pin(job(dag[2].0, 1, &origins)).await.expect_err("nobody is there");
    let IpfsError::NotProvided { phase, tried, missing } = unreached else { panic!("{unreached:?}") };
    assert_eq!((phase, missing), (Phase::Connecting, None));
    assert_eq!(tried, "the one origin could not be reached, no other peer is connected");

    let provider = TestNode::with(dag[2].0, &dag).await;
    std::fs::remove_dir_all(folder.path()).expect("it is removed");
    let broken = backend.pin(job(dag[2].0, 2, &provider.node.addresses())).await.expect_err("nothing can be kept");
    assert!(matches!(&broken, IpfsError::Unavailable { phase: Phase::Storing, .. }), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_which_blocks_nobody_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = backend(small_segments(&folder)).await;
    let dag = flat(4, 100, 104);
    let (root, held) = (dag[4].0, [dag[0].clone(), dag[4].clone()]);
    let provider = TestNode::start().await;
    provider.put_part(root, &held).await;
    let block = dag[1..4].iter().map(|(cid, _)| *cid).min().expect("three are missing");
    let refused = backend.pin(job(root, 1, &provider.node.addresses())).await.expect_err("a part is missing");
    let IpfsError::NotProvided { missing, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(missing, Some(Missing { block: block.to_string(), more: 2, peers: 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn collection_gives_the_disk_back_while_the_node_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = backend(small_segments(&folder)).await;
    let provider = TestNode::start().await;
    let origins = provider.node.addresses();
    for (count, size, salt) in [(96, 256 << 10, 100), (12_000, 1 << 10, 101)] {
        let (gone, kept) = (flat(count, size, salt), flat(count / 16, size, salt + 10));
        let (gone_root, kept_root) = (gone[gone.len() - 1].0, kept[kept.len() - 1].0);
        provider.put(gone_root, &gone).await;
        provider.put(kept_root, &kept).await;
        let without = disk_use(folder.path());
        backend.pin(job(gone_root, 1, &origins)).await.expect("it is fetched");
        let with_gone = disk_use(folder.path());
        assert!(with_gone >= without + (count * size) as u64, "{without} to {with_gone}");
        backend.pin(job(kept_root, 1, &origins)).await.expect("it is fetched");

        backend.unpin(&RootKey::from(&gone_root), 2).await.expect("it is wanted no longer");
        let reader = TestNode::start().await;
        let collecting = async { while backend.collect().await.expect("it collects") {} };
        let from = backend.node().addresses();
        let (read, ()) = tokio::join!(reader.fetch(kept_root, &from), collecting);
        assert_eq!(read.expect("it is served").blocks, kept.len() as u64);
        let after = disk_use(folder.path());
        // Small blocks give back whole segments only, and the first and the last, of 3 MiB at most, are
        // shared with others.
        let kept_back = 6 * MIB + (count * size / 16) as u64;
        assert!(after <= without + kept_back, "{without} to {with_gone} to {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tiny_blocks_take_up_no_more_than_accounts_count_for_them() {
    /// What accounts count for each block beside its bytes: `BLOCK_OVERHEAD` of pinrail-domain.
    const COUNTED: u64 = 1024;
    let folder = tempfile::tempdir().expect("a folder");
    let store = open_store(&folder);
    let (few, many) = (flat(2_000, 64, 300), flat(40_000, 64, 301));
    put_blocks(&store, few[2_000].0, &few).await;
    let before = whole_disk_use(folder.path());
    put_blocks(&store, many[40_000].0, &many).await;
    let content = many.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
    let taken = whole_disk_use(folder.path()) - before;
    let each = taken.saturating_sub(content) / many.len() as u64;
    assert!(each <= COUNTED, "{each} bytes for each block beside its content");
}

/// Bytes of disk under all files.
fn whole_disk_use(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("it lists").map(|entry| entry.expect("it lists"));
    let of_entry = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().expect("it is there");
        if metadata.is_dir() { whole_disk_use(&entry.path()) } else { metadata.blocks() * 512 }
    };
    entries.map(of_entry).sum()
}

/// Bytes of disk under the segments.
fn disk_use(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("it lists").map(|file| file.expect("it lists"));
    let segments = files.filter(|file| file.file_name().to_string_lossy().ends_with(".seg"));
    segments.map(|file| file.metadata().expect("it is there").blocks() * 512).sum()
}
