//! Fetching whole DAGs from nodes of the own kind.

use std::time::Duration;

use cid::Cid;
use libp2p::multihash::Multihash;
use multihash_codetable::Code;
use pinrail_domain::{DagSize, Phase};
use pinrail_ipfs_embedded::FetchError;
use pinrail_spec::multicodec::{DAG_CBOR, DAG_JSON};
use tokio::sync::watch;

use crate::support::{
    Block, DAG_PB, RAW, TestNode, block, content, dag_cbor, dag_json, dag_pb, dag_pb_bytes, flat, raw, request,
};

fn totals(blocks: &[Block]) -> DagSize {
    DagSize { blocks: blocks.len() as u64, bytes: blocks.iter().map(|(_, bytes)| bytes.len() as u64).sum() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_whole() {
    let blocks = flat(40, 256 << 10, 1);
    let root = blocks.last().expect("a root").0;
    let source = TestNode::with(root, &blocks).await;
    let sink = TestNode::start().await;
    let mut wanted = request(root, &source.node.addresses());
    let (progress, mut seen) = watch::channel(DagSize::default());
    wanted.progress = progress;
    let fetched = sink.node.fetch(wanted).await.expect("it is fetched");
    assert_eq!(fetched, totals(&blocks));
    assert_eq!(*seen.borrow_and_update(), totals(&blocks));
    for (cid, bytes) in &blocks {
        assert_eq!(sink.node.store().read(cid.hash()).expect("the store answers").as_ref(), Some(bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_over_one_connection() {
    let (mine, theirs) = (flat(5, 1000, 2), flat(5, 1000, 3));
    let (my_root, their_root) = (mine[5].0, theirs[5].0);
    let (left, right) = (TestNode::with(my_root, &mine).await, TestNode::with(their_root, &theirs).await);
    left.fetch(their_root, &right.node.addresses()).await.expect("to the left");
    // No origins: the peer is connected, so it is asked.
    right.fetch(my_root, &[]).await.expect("to the right");
}

/// A DAG of all codecs and hash functions, with identity CIDs of three codecs within.
fn mixed_dag() -> Vec<Block> {
    let hashes = [
        Code::Sha2_256,
        Code::Sha2_512,
        Code::Sha3_224,
        Code::Sha3_256,
        Code::Sha3_384,
        Code::Sha3_512,
        Code::Blake2b256,
        Code::Blake3_256,
    ];
    let mut blocks = Vec::new();
    let mut parents = Vec::new();
    for (index, hash) in hashes.into_iter().enumerate() {
        let salt = format!("{index}");
        let leaf = block(RAW, hash, content(100, index as u64));
        let cbor = block(DAG_CBOR, hash, dag_cbor(&[leaf.0], &salt));
        let json = block(DAG_JSON, hash, dag_json(&[leaf.0, cbor.0], &salt));
        let pb = block(DAG_PB, hash, dag_pb_bytes(&[json.0], salt.as_bytes()));
        parents.push(pb.0);
        blocks.extend([leaf, cbor, json, pb]);
    }
    // A block that only an identity CID links to.
    let hidden = block(RAW, Code::Sha2_256, &b"behind an identity CID"[..]);
    let identity = |codec, bytes: &[u8]| Cid::new_v1(codec, Multihash::wrap(0, bytes).expect("short enough"));
    parents.push(identity(DAG_CBOR, &serde_ipld_dagcbor::to_vec(&hidden.0).expect("it encodes")));
    parents.push(identity(RAW, b"inline"));
    parents.push(identity(DAG_PB, b""));
    blocks.push(hidden);
    blocks.push(block(DAG_CBOR, Code::Sha2_256, dag_cbor(&parents, "root")));
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn codecs_hashes_and_identity_cids_may_be_mixed() {
    let mut blocks = mixed_dag();
    let root = blocks.last().expect("a root").0;
    let whole = totals(&blocks);
    // A store that serves the DAG has its inner identity nodes too, as a fetch would have put them.
    for parent in pinrail_ipfs::links(DAG_CBOR, &blocks.last().expect("a root").1).expect("well-formed") {
        if parent.hash().code() == 0 && parent.codec() != RAW {
            blocks.push((parent, parent.hash().digest().to_vec().into()));
        }
    }
    let source = TestNode::with(root, &blocks).await;
    let sink = TestNode::start().await;
    assert_eq!(sink.fetch(root, &source.node.addresses()).await.expect("it is fetched"), whole);
    assert!(blocks.iter().filter(|(cid, _)| cid.hash().code() != 0).all(|(cid, _)| sink.has(cid)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_root_is_fetched_for_what_it_links_to() {
    let leaf = raw(&b"leaf"[..]);
    let inline = serde_ipld_dagcbor::to_vec(&leaf.0).expect("it encodes");
    let root = Cid::new_v1(DAG_CBOR, Multihash::wrap(0, &inline).expect("short enough"));
    let source = TestNode::with(leaf.0, std::slice::from_ref(&leaf)).await;
    let sink = TestNode::start().await;
    assert_eq!(sink.fetch(root, &source.node.addresses()).await.expect("it is fetched").bytes, 4);
    assert!(sink.has(&leaf.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_under_two_codecs_are_walked_as_both() {
    let leaf = raw(&b"leaf"[..]);
    let node = dag_pb(&[leaf.0], b"");
    let as_raw = raw(node.1.clone());
    let root = block(DAG_CBOR, Code::Sha2_256, dag_cbor(&[as_raw.0, node.0], "both"));
    let blocks = [leaf.clone(), node, as_raw.clone(), root.clone()];
    let source = TestNode::with(root.0, &blocks).await;
    let sink = TestNode::start().await;
    sink.fetch(as_raw.0, &source.node.addresses()).await.expect("the raw one alone");
    assert!(!sink.has(&leaf.0));
    sink.fetch(root.0, &source.node.addresses()).await.expect("both");
    assert!(sink.has(&leaf.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_wide_dags_are_fetched() {
    // A chain of 2,000 nodes, and three levels of 256 children like a directory in shards.
    let mut blocks = vec![raw(&b"end"[..])];
    for index in 0..2_000 {
        let below = blocks.last().expect("one").0;
        blocks.push(block(DAG_CBOR, Code::Sha2_256, dag_cbor(&[below], &index.to_string())));
    }
    let chain = blocks.last().expect("one").0;
    let mut tops = Vec::new();
    for shard in 0..16_u64 {
        let leaves = flat(256, 64, 100 + shard);
        tops.push(leaves.last().expect("a shard").0);
        blocks.extend(leaves);
    }
    tops.push(chain);
    blocks.push(dag_pb(&tops, b"shards"));
    let root = blocks.last().expect("a root").0;
    let source = TestNode::with(root, &blocks).await;
    let sink = TestNode::start().await;
    assert_eq!(sink.fetch(root, &source.node.addresses()).await.expect("it is fetched"), totals(&blocks));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_dials_us_later_is_asked() {
    let blocks = flat(3, 1000, 4);
    let root = blocks[3].0;
    let client = TestNode::with(root, &blocks).await;
    let service = TestNode::start().await;
    let fetching = service.fetch(root, &[]);
    let dialling = async {
        client.node.connect(service.node.addresses()[0].clone()).await.expect("it is reached");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        fetched = fetching => assert_eq!(fetched.expect("it is fetched"), totals(&blocks)),
        () = dialling => unreachable!("it never ends"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_root_is_sighted_at_whoever_connects() {
    let blocks = flat(1, 10, 5);
    let root = blocks[1].0;
    let client = TestNode::with(root, &blocks).await;
    let service = TestNode::start().await;
    for index in 0..300_u64 {
        service.node.watch_for((&raw(content(10, 1_000 + index)).0).into());
    }
    service.node.watch_for((&root).into());
    // It is one of the 32 newest, which whoever connects is asked for.
    for index in 0..30_u64 {
        service.node.watch_for((&raw(content(10, 2_000 + index)).0).into());
    }
    client.node.connect(service.node.addresses()[0].clone()).await.expect("it is reached");
    let sighting = service.node.next_sighting().await;
    assert_eq!((sighting.root, sighting.peer), ((&root).into(), client.node.peer_id()));
    // One that is added while the peer is connected is asked for at once.
    let later = flat(1, 10, 6);
    client.put(later[1].0, &later).await;
    service.node.unwatch(&(&root).into());
    service.node.watch_for((&later[1].0).into());
    assert_eq!(service.node.next_sighting().await.root, (&later[1].0).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_not_provided() {
    let missing = raw(&b"nobody has this"[..]).0;
    let sink = TestNode::start().await;
    let mut wanted = request(missing, &[]);
    wanted.no_source_timeout = Duration::from_millis(600);
    let ended = sink.node.fetch(wanted).await;
    assert!(matches!(ended, Err(FetchError::NotProvided { phase: Phase::Finding, .. })), "{ended:?}");
    let nobody = format!("/ip4/127.0.0.1/tcp/1/p2p/{}", TestNode::start().await.node.peer_id());
    let mut wanted = request(missing, &[nobody.parse().expect("a multiaddr")]);
    wanted.no_source_timeout = Duration::from_millis(600);
    let ended = sink.node.fetch(wanted).await;
    assert!(matches!(ended, Err(FetchError::NotProvided { phase: Phase::Connecting, .. })), "{ended:?}");
    assert!(!ended.expect_err("it was not fetched").to_string().contains("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_content_is_refused_with_its_reason() {
    let sha1 = Cid::new_v1(RAW, Multihash::wrap(0x11, &[1; 20]).expect("20 bytes"));
    let git = Cid::new_v1(0x78, Multihash::wrap(0x12, &[1; 32]).expect("32 bytes"));
    let to_sha1 = block(DAG_CBOR, Code::Sha2_256, dag_cbor(&[sha1], ""));
    let to_git = block(DAG_CBOR, Code::Sha2_256, dag_cbor(&[git], ""));
    let malformed = block(DAG_PB, Code::Sha2_256, &b"\xff\xff"[..]);
    let nested = block(DAG_JSON, Code::Sha2_256, vec![b'['; 1 << 20]);
    let mut long = vec![0x81, 0xd8, 0x2a, 0x58, 70, 0, 1, 0x55, 0x13, 65];
    long.extend([7; 65]);
    let to_long = block(DAG_CBOR, Code::Sha2_256, long);
    let big = raw(content(5_000, 9));
    let source = TestNode::start().await;
    for bad in [&to_sha1, &to_git, &malformed, &nested, &to_long, &big] {
        // As raw, or the source's own store would want their links.
        let held = raw(bad.1.clone());
        source.put(held.0, std::slice::from_ref(&held)).await;
    }
    let sink = TestNode::start().await;
    let origins = source.node.addresses();
    let ended = async |root: &Block| sink.fetch(root.0, &origins).await.expect_err("it is refused");
    assert!(matches!(ended(&to_sha1).await, FetchError::UnsupportedHash { hash, .. } if hash == "sha1"));
    assert!(matches!(ended(&to_git).await, FetchError::UnsupportedCodec { codec: 0x78, .. }));
    assert!(matches!(ended(&malformed).await, FetchError::Malformed { .. }));
    assert!(matches!(ended(&nested).await, FetchError::Malformed { .. }));
    assert!(matches!(ended(&to_long).await, FetchError::LinkDigestTooLong { size: 65, .. }));
    let mut small = request(big.0, &origins);
    small.max_bytes = 4_999;
    assert!(matches!(sink.node.fetch(small).await, Err(FetchError::TooLarge { limit: 4_999 })));
    let tiny = flat(8, 10, 77);
    source.put(tiny[8].0, &tiny).await;
    let mut few = request(tiny[8].0, &origins);
    few.max_blocks = 8;
    assert!(matches!(sink.node.fetch(few).await, Err(FetchError::TooManyBlocks { limit: 8 })));
    let mut enough = request(tiny[8].0, &origins);
    enough.max_blocks = 9;
    assert_eq!(sink.node.fetch(enough).await.expect("it is fetched"), totals(&tiny));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_origins_may_die() {
    let blocks = flat(600, 64 << 10, 8);
    let root = blocks[600].0;
    let (first, second) = (TestNode::with(root, &blocks).await, TestNode::with(root, &blocks).await);
    let sink = TestNode::start().await;
    let origins = [first.node.addresses(), second.node.addresses()].concat();
    let mut wanted = request(root, &origins);
    let (progress, mut seen) = watch::channel(DagSize::default());
    wanted.progress = progress;
    let dying = async {
        seen.wait_for(|totals| totals.blocks >= 5).await.expect("it makes progress");
        drop(first);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = sink.node.fetch(wanted) => assert_eq!(ended.expect("it is fetched"), totals(&blocks)),
        () = dying => unreachable!("it never ends"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_fetches_share_one_peer() {
    let dags = (0..12).map(|salt| flat(200, 500, 50 + salt)).collect::<Vec<_>>();
    let source = TestNode::start().await;
    for blocks in &dags {
        source.put(blocks[200].0, blocks).await;
    }
    let sink = TestNode::start().await;
    let origins = source.node.addresses();
    let fetches = dags.iter().map(|blocks| sink.fetch(blocks[200].0, &origins));
    for (fetched, blocks) in futures::future::join_all(fetches).await.into_iter().zip(&dags) {
        assert_eq!(fetched.expect("it is fetched"), totals(blocks));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_not_dialled_unless_allowed() {
    let blocks = flat(1, 10, 11);
    let source = TestNode::with(blocks[1].0, &blocks).await;
    let sink = TestNode::start_public().await;
    let mut wanted = request(blocks[1].0, &source.node.addresses());
    wanted.no_source_timeout = Duration::from_millis(600);
    let ended = sink.node.fetch(wanted).await;
    assert!(matches!(ended, Err(FetchError::NotProvided { .. })), "{ended:?}");
    assert_eq!(source.node.connected_peers(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_told_apart() {
    let first = TestNode::start().await;
    let taken = first.node.addresses()[0].iter().take(2).collect();
    let error = TestNode::start_with(|options| options.listen = vec![taken]).await.err().expect("the port is taken");
    assert!(error.to_string().contains("in use"), "{error}");
}
