//! Peers that send what costs most: many streams that drip, streams that are never closed, and blocks by the million.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use futures::AsyncWriteExt;
use pinrail_ipfs_embedded::NodeLimits;
use tokio::task::JoinSet;

use crate::hostile::resident_bytes;
use crate::script::{Script, blocks, read_message, varint, write_message};
use crate::support::{TestNode, content, flat, raw, until};

/// A network beside that of the others, which dial from 127.0.0.1.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// The beginning of a message, nearly as much as a stream takes unread; all streams send the same.
static PART: [u8; 250 << 10] = [7; 250 << 10];

/// Claim a message of 4 MiB on each of 250 streams, send what the other end takes of it, and then drip.
async fn drip(peer: Script) {
    let mut streams = JoinSet::new();
    for _ in 0..250 {
        let mut stream = peer.open().await;
        streams.spawn(async move {
            stream.write_all(&varint(4 << 20)).await?;
            stream.write_all(&PART).await?;
            stream.flush().await?;
            while stream.write_all(&[7]).await.is_ok() && stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            std::io::Result::Ok(())
        });
    }
    while streams.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_drip_hold_a_share_and_others_go_on() {
    let limits = NodeLimits { receive_bytes: 32 << 20, ..NodeLimits::default() };
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    let before = resident_bytes();
    let mut drips = JoinSet::new();
    for _ in 0..6 {
        let peer = Script::start_at(ELSEWHERE).await;
        peer.dial(node.node.addresses()[0].clone());
        drips.spawn(drip(peer));
    }
    // Their network's share is a quarter.
    until(|| node.node.stats().receive_bytes_held >= 7 << 20).await;
    let dag = flat(64, 256 << 10, 240);
    let source = TestNode::with(dag[64].0, &dag).await;
    let fetched = node.fetch_patiently(dag[64].0, &source.node.addresses()).await;
    assert_eq!(fetched.expect("it is fetched").blocks, 65);
    let reader = TestNode::start().await;
    let served = reader.fetch_patiently(dag[64].0, &node.node.addresses()).await;
    assert_eq!(served.expect("it is fetched").blocks, 65);
    let held = node.node.stats().receive_bytes_held;
    assert!((7 << 20..12 << 20).contains(&held), "{held} bytes of 375 MiB are held");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 250 << 20, "it takes {} MiB", grown >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_hold_most_are_closed_when_all_networks_together_hold_too_much() {
    let limits = NodeLimits { receive_bytes: 16 << 20, ..NodeLimits::default() };
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    let mut drips = JoinSet::new();
    for network in 0..8 {
        let peer = Script::start_at(Ipv4Addr::new(127, 0, 30 + network, 1)).await;
        peer.dial(node.node.addresses()[0].clone());
        drips.spawn(drip(peer));
    }
    until(|| node.node.stats().closed_for_memory > 0).await;
    let dag = flat(16, 256 << 10, 241);
    let source = TestNode::with(dag[16].0, &dag).await;
    assert_eq!(node.fetch_patiently(dag[16].0, &source.node.addresses()).await.expect("it is fetched").blocks, 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_on_each_of_thousands_of_streams_that_nobody_closes_is_not_lost() {
    let dag = flat(3_000, 200, 242);
    let root = dag[3_000].0;
    let (sink, source) = (TestNode::start().await, Script::start().await);
    let by_name = dag.iter().map(|block| (block.0.to_bytes(), block)).collect::<HashMap<_, _>>();
    let serving = async {
        let (mut open, mut answered) = (Vec::new(), HashSet::new());
        let mut wants = source.accept().await;
        loop {
            let Ok(message) = read_message(&mut wants).await else {
                wants = source.accept().await;
                continue;
            };
            // A block is sent once, however often it is asked for.
            let named = message.windows(36).filter_map(|cid| by_name.get(cid));
            for block in named.filter(|block| answered.insert(block.0)) {
                let mut stream = source.open().await;
                write_message(&mut stream, &blocks(std::slice::from_ref(block))).await.expect("it is sent");
                open.push(stream);
            }
        }
    };
    tokio::select! {
        fetched = sink.fetch_patiently(root, std::slice::from_ref(&source.address)) => {
            assert_eq!(fetched.expect("it is fetched").blocks, 3_001);
        }
        () = serving => unreachable!("it never ends"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn millions_of_empty_blocks_are_no_message() {
    let (node, sender) = (TestNode::start().await, Script::start().await);
    sender.dial(node.node.addresses()[0].clone());
    let mut stream = sender.open().await;
    // Two bytes each: a field of an empty block of version 1.0.0.
    let before = resident_bytes();
    write_message(&mut stream, &[0x12, 0].repeat(2 << 20)).await.expect("it is sent");
    until(|| node.node.stats().strikes > 0).await;
    assert_eq!(node.node.stats().strikes, 1, "the message is none, and its blocks are not looked at");
    assert!(resident_bytes().saturating_sub(before) < 100 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_read_up_to_the_last_strike() {
    let (node, sender) = (TestNode::start().await, Script::start().await);
    sender.dial(node.node.addresses()[0].clone());
    let unwanted = (0..4_000).map(|index| raw(content(100, index))).collect::<Vec<_>>();
    write_message(&mut sender.open().await, &blocks(&unwanted)).await.expect("it is sent");
    sender.wait_closed().await;
    assert_eq!((node.node.stats().strikes, node.node.stats().bans), (8, 1));
}
